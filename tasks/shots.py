"""The shots of a video, for analyzers that measure shot by shot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.frames import Frames
from shared.schema import LabelledSegment
from tasks.analyzer import Media

SHOTS = "cut_analysis/shots"


@dataclass(frozen=True, slots=True)
class Part:
    """A shot, or the whole video where no shots are known; seconds."""

    start: float
    end: float
    evidence: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def holds(self, t: float) -> bool:
        """Whether a frame of that time is in it; times of shots are rounded to a millisecond, those of frames not."""
        return self.start - 0.001 <= t < max(self.end - 0.001, self.start + 0.001)


def parts(media: Media, need: Frames) -> list[Part]:
    """The shots that cut_analysis found, each citing its own; without it all that the rendition shows is one."""
    shots = media.items(SHOTS, LabelledSegment)
    if shots:
        return [Part(shot.start, shot.end, (f"{SHOTS}/{shot.id}",)) for shot in shots]
    shown = media.shown(need)
    return [Part(shown[0][0], shown[-1][1], ())]


def shown_until(media: Media, need: Frames) -> float:
    """Seconds at which the last picture of the rendition ends; the sound may go on."""
    return media.shown(need)[-1][1]


def cuts(media: Media) -> tuple[float, ...]:
    """Seconds at which a new shot begins; none without cut_analysis."""
    return tuple(shot.start for shot in media.items(SHOTS, LabelledSegment)[1:])


def spread(media: Media, need: Frames, part: Part, count: int) -> list[NDArray[np.uint8]]:
    """At most `count` frames of a part, spread evenly, each once; none when the rendition has none in it."""
    found: dict[float, NDArray[np.uint8]] = {}
    for number in range(count):
        t, frame = media.frame_at(need, part.start + (number + 0.5) / count * part.seconds)
        if part.holds(t):
            found[t] = frame
    return list(found.values())
