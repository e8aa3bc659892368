"""Fades: a picture that goes to black, white or another plain colour, or comes out of it, by a ramp.

A fade ends in a monochrome picture and leads to it gradually (Lienhart, Comparison of Automatic Shot Boundary
Detection Algorithms, 1999). Levels are 0..255 and say how far each frame is from the blank picture: how bright it is
for black, how dark for white, how much contrast it has for any colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

BLANK = 16
"""A frame is black when 98 % of its values (0..255) are at most this: black is 0, the rest leaves room for noise.
A small title on black counts as black too."""
FLOOR = 2
"""A faded picture is blank from where it is this close to its span's least level, in values of 0..255."""
FADE_SECONDS = 0.5
"""How far beside a blank span to look for the ramp; shorter ramps count too."""
FADE_LARGEST_STEP = 0.5
"""In a fade no single frame takes more than this share of the change of brightness; else it is a cut."""
LEAST_FRAMES = 3
FLAT_SHARE = 0.25
"""The ramp is over when the next three frames climb less than this share of its slope so far."""
BOTTOM = 0.5
"""The blank picture is reached when the mean is this near (in levels, half a step) to the least of the blank span."""

Kind = Literal["fade_out", "fade_in"]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a blank span that is reached or left by a ramp."""

    frame: int
    """A fade-out's first blank frame, a fade-in's first that is not."""
    kind: Kind
    dim: range
    """Frames of the ramp near the blank picture, in which any step is large beside what is left of it."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A span of blank frames, and its ends that are fades."""

    frames: range
    ends: tuple[End, ...]


def blanks(times: Sequence[float], levels: Sequence[float]) -> Iterator[Blank]:
    """Yield the spans of blank frames, in order."""
    values = np.asarray(levels)
    blank = np.concatenate([[False], values <= BLANK, [False]])
    edges = np.flatnonzero(blank[1:] != blank[:-1])
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        deepest = start + np.flatnonzero(values[start:stop] <= values[start:stop].min() + FLOOR)
        ends = []
        if start > 0 and is_ramp(times, levels, range(start, -1, -1)):
            first = start - next((i for i in range(start) if values[start - i - 1] > 2 * BLANK), start)
            ends.append(End(int(deepest[0]), "fade_out", range(first, int(deepest[0]) + 1)))
        if stop < len(values) and is_ramp(times, levels, range(stop - 1, len(values))):
            last = next((i for i in range(stop, len(values)) if values[i] > 2 * BLANK), len(values) - 1)
            ends.append(End(min(int(deepest[-1]) + 1, stop), "fade_in", range(int(deepest[-1]), last + 1)))
        yield Blank(range(start, stop), tuple(ends))


def is_ramp(times: Sequence[float], levels: Sequence[float], away: range) -> bool:
    """Whether levels rise gradually along `away`, frames that lead out of the blank."""
    near = [i for i in away if abs(times[i] - times[away[0]]) <= FADE_SECONDS]
    rising = np.array([levels[i] for i in near])
    # up to the highest: a short shot may be on its way back to blank within that time
    rising = rising[: int(rising.argmax()) + 1]
    if len(rising) < LEAST_FRAMES:
        return False
    rise = rising[-1] - rising[0]
    return bool(rise > BLANK and np.diff(rising).max() <= FADE_LARGEST_STEP * rise)


def ramp(means: Sequence[float], end: int, direction: int, stop: int) -> tuple[int, int]:
    """Frames of a ramp's two ends: the last wholly blank one's neighbour to the picture, and the first at full level.

    `means`: mean level of every frame. `end`: the frame of an `End`. `direction`: -1 for a fade-out (the picture lies
    before it), 1 for a fade-in. `stop`: the last frame in that direction that may belong to the ramp.
    """
    foot = end
    while 0 <= foot - direction < len(means) and means[foot - direction] < means[foot] - BOTTOM:
        foot -= direction
    top = end
    while top != stop:
        ahead = min(top + LEAST_FRAMES, stop) if direction > 0 else max(top - LEAST_FRAMES, stop)
        frames, so_far = abs(ahead - top), abs(top - foot)
        slope = (means[top] - means[foot]) / so_far if so_far else 0.0
        if means[ahead] - means[top] <= FLAT_SHARE * slope * frames:
            break
        top += direction
    return foot, top
