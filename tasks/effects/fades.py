"""Fades: a picture that goes to black or white, or comes out of it, by a ramp.

A fade ends in a monochrome picture and leads to it gradually (Lienhart, Comparison of Automatic Shot Boundary
Detection Algorithms, 1999). Levels are 0..255 and say how far each frame is from the blank picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

BLANK = 16
"""A frame is black when 98 % of its values (0..255) are at most this: black is 0, the rest leaves room for noise.
A small title on black counts as black too."""
FADE_SECONDS = 0.5
"""How far beside a blank span to look for the ramp; shorter ramps count too."""
FADE_LARGEST_STEP = 0.5
"""In a fade no single frame takes more than this share of the change of brightness; else it is a cut."""
LEAST_FRAMES = 3
FLAT_SHARE = 0.25
"""The ramp is over when the next three frames climb less than this share of its slope so far."""
BOTTOM = 0.5
"""The blank picture is reached when the mean is this near (in levels, half a step) to the least of the blank span."""


def ends(times: Sequence[float], levels: Sequence[float], cuts: Collection[int]) -> Iterator[tuple[int, str]]:
    """Yield the ends of blank spans that levels reach or leave by a ramp, as (frame, `fade_out` or `fade_in`).

    A fade-out's frame is the first blank one, a fade-in's the first that is not. `cuts`: frames that a cut begins.
    """
    blank = np.concatenate([[False], np.asarray(levels) <= BLANK, [False]])
    edges = np.flatnonzero(blank[1:] != blank[:-1])
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if start > 0 and start not in cuts and is_ramp(times, levels, range(start, -1, -1)):
            yield start, "fade_out"
        if end < len(levels) and end not in cuts and is_ramp(times, levels, range(end - 1, len(levels))):
            yield end, "fade_in"


def is_ramp(times: Sequence[float], levels: Sequence[float], away: range) -> bool:
    """Whether levels rise gradually along `away`, frames that lead out of the blank."""
    near = [i for i in away if abs(times[i] - times[away[0]]) <= FADE_SECONDS]
    if len(near) < LEAST_FRAMES:
        return False
    steps = np.diff([levels[i] for i in near])
    rise = levels[near[-1]] - levels[near[0]]
    return bool(rise > BLANK and steps.max() <= FADE_LARGEST_STEP * rise)


def ramp(means: Sequence[float], end: int, direction: int, stop: int) -> tuple[int, int]:
    """Frames of a ramp's two ends: the last wholly blank one's neighbour to the picture, and the first at full level.

    `means`: mean level of every frame. `end`: the frame of `ends`. `direction`: -1 for a fade-out (the picture lies
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
