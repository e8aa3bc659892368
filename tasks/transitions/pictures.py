"""What is measured on one frame, or on two: motion that explains it, edges, where the picture is between its bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
"""Luma, `(height, width)`, 0..255."""
Look = Callable[[int], Gray]
"""The luma of the frame of a number."""

MIN_CHANGE = 4.0
"""Least mean absolute RGB difference (0..255) across a cut. PySceneDetect's score weighs hue, which is noise in
near-black frames: the first frame of a fade-in scores 36 while the picture changes by less than 1."""
CELLS = 8
"""A thumbnail has 8 x 8 cells."""
FLOW_WIDTH = 96
"""Width in pixels of the pictures whose motion is estimated: 0.3 ms a frame."""
LEAST_FLOW_HEIGHT = 32
"""Smallest side that the flow's pyramid takes: OpenCV 5.0 crashes below (measured, 96 x 31)."""
MOST_FLOW_HEIGHT = 1024
"""A strip eleven times as high as wide is squeezed: OpenCV's remap ends at 32,767 rows, and nothing is seen in it."""
BAR = 32
"""Rows and columns at the border whose brightest pixel is at most this are bars, or black."""
BAR_MARGIN = 2
"""Pixels beside a bar that scaling blends with it."""
EDGE_LEVELS = 16
"""Least step, in levels of 0..255 over two pixels, that is an edge, and least change of a cell that has changed."""


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 8x8 cells of a frame `(height, width, 3)`, uint8 `(8, 8, 3)`; smaller frames as they are."""
    import cv2

    height, width = frame.shape[0] // CELLS, frame.shape[1] // CELLS
    if not height or not width:
        return frame
    # the sums of all that lies above and to the left, of which those of cells are differences
    corners = cv2.integral(frame[: height * CELLS, : width * CELLS])[::height, ::width]
    sums = np.diff(np.diff(corners, axis=0), axis=1)
    return np.asarray(sums // (height * width), np.uint8)


def extremes(gray: Gray) -> NDArray[np.uint8]:
    """Least and largest luma of the same cells, uint8 `(2, 8, 8)`; of smaller frames the luma itself, twice."""
    height, width = gray.shape[0] // CELLS, gray.shape[1] // CELLS
    if not height or not width:
        return np.stack([gray, gray])
    cells = gray[: height * CELLS, : width * CELLS].reshape(CELLS, height, CELLS, width)
    return np.stack([cells.min((1, 3)), cells.max((1, 3))])


def percentiles(values: Gray, percents: Sequence[float]) -> list[float]:
    """What `numpy.percentile` gives for whole numbers 0..255, to the last bit, from how many there are of each."""
    upto = np.cumsum(np.bincount(values.ravel(), minlength=256))
    found = []
    for percent in percents:
        place = (values.size - 1) * (percent / 100)
        low, high = np.searchsorted(upto, [int(place), math.ceil(place)], side="right").tolist()
        share = place - int(place)
        found.append(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))
    return found


def luma(frame: NDArray[np.uint8]) -> Gray:
    """Luma of a frame `(height, width, 3)`."""
    import cv2

    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def small(gray: Gray) -> Gray:
    """The luma, `FLOW_WIDTH` pixels wide."""
    import cv2

    height, width = gray.shape
    size = (FLOW_WIDTH, min(max(LEAST_FLOW_HEIGHT, round(height * FLOW_WIDTH / width)), MOST_FLOW_HEIGHT))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def moved(before: Gray, after: Gray) -> Gray:
    """The picture before, brought over to the one after by the optical flow between them (DIS); same size and type."""
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(after, before, None)  # type: ignore[call-overload]
    rows, columns = _places(*after.shape)
    there = (columns + flow[..., 0], rows + flow[..., 1])
    return np.asarray(cv2.remap(before, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> NDArray[np.float32]:
    """Row and column of each pixel, `(2, height, width)`."""
    return np.indices((height, width), dtype=np.float32)


def difference(a: Gray, b: Gray) -> float:
    """Mean absolute difference of two pictures of one size, 0..255."""
    import cv2

    return cv2.norm(a, b, cv2.NORM_L1) / a.size


def unexplained(before: Gray, after: Gray) -> float:
    """One minus the correlation of a picture with the one before, moved by the optical flow between them; 0..1.

    Pictures of `FLOW_WIDTH`. 0 where they differ too little to tell.
    """
    if difference(before, after) < MIN_CHANGE:
        return 0.0
    brought = moved(before, after)
    if difference(brought, after) < MIN_CHANGE:
        return 0.0
    there = brought.astype(np.float32)
    one, other = there - there.mean(), after - after.mean(dtype=np.float32)
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return 1.0 if scale < 1 else float(np.clip(1 - (one * other).sum() / scale, 0, 1))


def between_bars(gray: Gray) -> tuple[slice, slice]:
    """Rows and columns of the picture without black bars and what scaling blends with them; empty where all is black.

    In a letterboxed film the edges of the bars are stronger than all others, and they never move.
    """
    spans = []
    for brightest in (gray.max(1), gray.max(0)):
        lit = np.flatnonzero(brightest > BAR)
        first, last = (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, 0)
        spans.append(slice(first + BAR_MARGIN * (first > 0), last - BAR_MARGIN * (0 < last < len(brightest))))
    return spans[0], spans[1]


def energy(gray: Gray, inside: tuple[slice, slice], without: NDArray[np.bool_] | None = None) -> float:
    """Squared gradient (levels per pixel, squared) of a picture, its bars aside: the sum over the number of pixels.

    Divided by all pixels, bars too: what is as dark as a bar in one frame and lit in the next must not rescale it.
    `inside`: the picture between bars; where frames are compared, the same of all: a bar's edge counts in all or none.
    `without`: pixels of the picture that do not count.
    """
    import cv2

    part = gray[inside]
    if min(part.shape) < 3:
        return 0.0
    across, down = (cv2.Sobel(part, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    squares = across**2 + down**2
    return float((squares if without is None else squares[~without[inside]]).sum() / gray.size)


def contrast(gray: Gray, inside: tuple[slice, slice]) -> float:
    """How many levels the middle 96 % of a picture's values span between its bars; 0 where all is black."""
    part = gray[inside][::2, ::2]
    if not part.size:
        return 0.0
    low, high = percentiles(part, (2, 98))
    return high - low


def edges(gray: Gray) -> NDArray[np.uint8]:
    """Where the luma steps by `EDGE_LEVELS` over two pixels: 0 or 1, `(height, width)`."""
    found = np.zeros(gray.shape, np.uint8)
    levels = gray.astype(np.int16)
    found[:, 1:-1] |= np.abs(levels[:, 2:] - levels[:, :-2]) >= EDGE_LEVELS
    found[1:-1] |= np.abs(levels[2:] - levels[:-2]) >= EDGE_LEVELS
    return found


def replaced(before: Gray, after: Gray) -> float:
    """Share of the edges that are gone, or of those that are new, whichever is less; 0..1.

    Zabih, Miller and Mai (A Feature-Based Algorithm for Detecting and Classifying Scene Breaks, 1995) take the larger:
    but where one picture gives way to another both happen, and what is merely added (a caption, a bullet) is no cut.
    Edges may move with the optical flow, and by a pixel more: somebody may knock against the camera.
    """
    import cv2

    if min(before.shape) < LEAST_FLOW_HEIGHT:
        return 0.0
    one, other = edges(moved(before, after)), edges(after)
    if not one.any() or not other.any():
        return 0.0
    reach = np.ones((3, 3), np.uint8)
    gone = (one > cv2.dilate(other, reach)).sum() / one.sum()
    new = (other > cv2.dilate(one, reach)).sum() / other.sum()
    return float(min(gone, new))


def touched(before: Gray, after: Gray) -> float:
    """Share of 8 x 8 cells of the picture in which some pixel changed by `EDGE_LEVELS`; 0..1."""
    height, width = (side // CELLS * CELLS for side in before.shape)
    changed = np.abs(after[:height, :width].astype(np.int16) - before[:height, :width]) >= EDGE_LEVELS
    cells = changed.reshape(CELLS, height // CELLS, CELLS, width // CELLS).any((1, 3))
    return float(cells.mean()) if cells.size else 0.0
