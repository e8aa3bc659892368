"""The picture between black bars, where visual_effects found some: bars are no part of what was filmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.schema import Box, LabelledSegment
from tasks.analyzer import Media

EFFECTS = "visual_effects/effects"
BARS = ("letterbox", "pillarbox")
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class Bars(LabelledSegment):
    """Bars over a span; `box` is the picture between them."""

    box: Box | None = None


def found_bars(media: Media) -> tuple[Bars, ...]:
    """Bars above and below, left and right; none where visual_effects did not look."""
    return tuple(effect for effect in media.items(EFFECTS, Bars) if effect.label in BARS)


def between(bars: Sequence[Bars], t: float) -> Box:
    """The picture between the bars at `t` seconds; all of it where there are none."""
    left, top, right, bottom = 0.0, 0.0, 1.0, 1.0
    for one in bars:
        # times of spans are rounded to a millisecond, those of frames are not
        if one.box and one.start - 0.001 <= t < one.end:
            x, y, width, height = one.box
            left, top, right, bottom = max(left, x), max(top, y), min(right, x + width), min(bottom, y + height)
    return (left, top, right - left, bottom - top) if left < right and top < bottom else WHOLE


def inside(frame: NDArray[np.uint8], box: Box, *, grid: int = 1) -> NDArray[np.uint8]:
    """The part of a frame `(height, width[, 3])` in the box, a pixel or two less: edges of bars are blurred.

    It begins at a multiple of `grid` pixels. A box that leaves nothing gives the whole frame.
    """
    if box == WHOLE:
        return frame
    spans = []
    for start, length, size in ((box[1], box[3], frame.shape[0]), (box[0], box[2], frame.shape[1])):
        first = -(-int(np.ceil(start * size) + (start > 0)) // grid) * grid
        last = int((start + length) * size) - (start + length < 1)
        spans.append(slice(first, last))
    part = frame[spans[0], spans[1]]
    return part if part.size else frame
