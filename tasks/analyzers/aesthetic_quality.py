"""How pleasing the pictures of every shot are, by a model of people's marks.

An analyzer of its own because it needs a GPU and content_quality, which takes its marks over, does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from shared.spans import merged
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.boxes import Picture
from tasks.engines.aesthetics import AESTHETIC_JUDGES, AestheticJudge
from tasks.shots import Part, parts, spread

PICTURES = Frames(fps=4, short_side=640)
"""What object detection and background segmentation look at, too."""
SECONDS_APART = 10.0
"""A long shot is looked at at least this often."""


class AestheticOptions(Options):
    """How closely a shot is looked at."""

    frames: int = Field(3, ge=1, le=20, description="Frames judged in a shot; more in shots longer than 10 s each")


class ShotMark(Segment):
    """Mean mark of the judged frames of one shot, about 1 (worst) to 10; it has no unit and no certainty.

    `frames`: how many were judged. `evidence`: the shot.
    """

    mark: float
    frames: int


class AestheticTracks(TrackSet):
    """`shots`: a mark for each that has a frame of its own."""

    shots: SegmentTrack[ShotMark]


class AestheticQuality(Analyzer[AestheticOptions, AestheticTracks]):
    """Judges a few frames of each shot, those of all shots in as few batches as memory allows."""

    name = "aesthetic_quality"
    version = 1
    group = "segment"
    summary = "how pleasing each shot is, as people mark photographs (LAION's predictor on CLIP)"
    needs = (PICTURES,)
    uses = ("cut_analysis",)
    weights: ClassVar[dict[str, str]] = {"gpu": "aesthetics-v2-l14"}
    cost = 0.02

    def load(self, model: ModelContext) -> None:
        """Load the judge that the weights are for."""
        self._judge: AestheticJudge = model.engine(AESTHETIC_JUDGES)

    def analyze(self, media: Media, options: AestheticOptions) -> AestheticTracks:
        """Judge all shots."""
        counts: list[tuple[Part, int]] = []

        def shown() -> Iterator[Picture]:
            for part in parts(media):
                pictures = spread(media, PICTURES, part, max(options.frames, int(part.seconds / SECONDS_APART)))
                counts.append((part, len(pictures)))
                yield from pictures
                media.progress(min(1.0, part.end / max(media.info.duration_seconds, 1e-3)))

        marks = list(chain.from_iterable(self._judge.marks(shown())))
        items: list[ShotMark] = []
        for part, count in counts:
            own, marks = marks[:count], marks[count:]
            if own:
                items.append(
                    ShotMark(
                        id=f"a{len(items) + 1}",
                        start=part.start,
                        end=part.end,
                        evidence=part.evidence,
                        mark=round(sum(own) / count, 4),
                        frames=count,
                    )
                )
        return AestheticTracks(
            analysed=tuple(merged((item.start, item.end) for item in items)),
            shots=SegmentTrack[ShotMark](method="model", items=tuple(items)),
        )
