"""Where in the frame the film is: in a band or between pillars, with a title that stands beside it throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.pictures import Gray

Window = tuple[slice, slice]
"""Rows and columns."""
WHOLE: Window = (slice(None), slice(None))
CHANGES = 24
"""Levels, of 0..255, between the darkest and the brightest that a pixel ever is, from which on it changes. What a codec
leaves around letters that stand is less."""
LINE, FILLED = 0.05, 0.9
"""Least share of a row's or column's pixels that change where the film is, and of those between such rows and columns.
Our own measurement: bands and pillars 0.99 and more; pages, captions and words in as much of the frame 0.67 at most,
but up to 0.93 where they come, in few frames, on a shot that stands."""
AREA = (0.28, 0.7)
"""Share of the frame that such a window has: wide bands and more, a banner is less. Between the bars of a wide film all
is judged as it is."""
MOVING, FRAMES = 3, 24
"""Least change of a cell, in levels, in a frame that moves, and least number of those: a picture that is laid on a
slide, and taken off it, changes all of its place, but in few frames."""
LEAST = 16
"""Least side of a window, in pixels."""


@dataclass(slots=True)
class Changing:
    """The darkest and the brightest that each pixel of a video ever is."""

    low: Gray | None = None
    high: Gray | None = None

    def add(self, gray: Gray) -> None:
        """Take in the next frame."""
        if self.low is None or self.high is None:
            self.low, self.high = gray.copy(), gray.copy()
        np.minimum(self.low, gray, out=self.low)
        np.maximum(self.high, gray, out=self.high)

    def window(self, thumbnails: Sequence[NDArray[np.uint8]]) -> Window:
        """Where everything changes at some time while nothing does around it; all of the frame, if it is not so."""
        if self.low is None or self.high is None:
            return WHOLE
        changes = self.high - self.low >= CHANGES
        rows, columns = (_from_to(np.flatnonzero(changes.mean(axis) >= LINE)) for axis in (1, 0))
        inside = changes[rows, columns]
        if min(inside.shape) < LEAST or not AREA[0] <= inside.size / changes.size <= AREA[1]:
            return WHOLE
        return (rows, columns) if inside.mean() >= FILLED and _moves(thumbnails) else WHOLE


def _moves(thumbnails: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether enough frames differ from the one before."""
    steps = (np.abs(a.astype(np.int16) - b).max(initial=0) for a, b in pairwise(thumbnails))
    return sum(1 for _ in islice((step for step in steps if step >= MOVING), FRAMES)) == FRAMES


def _from_to(lines: NDArray[np.intp]) -> slice:
    return slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) else slice(0, 0)
