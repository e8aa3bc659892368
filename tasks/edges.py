"""Strong edges of pictures: what tells, cheaply, whether text may have come or gone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.schema import Box

EDGE_SIDE = 640
"""Long side, in pixels, of the edge maps that decide when to read again."""
EDGE_STRENGTH = 200.0
"""Sobel magnitude |gx| + |gy| of a strong edge: a step of 50 of 255 levels, half of what readable text has."""
TILE = (20, 64)
"""Height and width, in pixels of the edge map, of the tiles in which new edges are counted: a short word."""

OTHER_LEVELS, SAME_LEVELS = 50, 20
"""Levels of 0..255 by which a pixel is another one, as EDGE_STRENGTH asks of edges, and within which it is the same."""

Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8]


def edge_map(frame: NDArray[np.uint8]) -> Mask:
    """Strong edges of a frame, bool `(h, w)`, long side at most EDGE_SIDE."""
    return edges_of(shrunk(frame))


def shrunk(frame: NDArray[np.uint8]) -> Gray:
    """Gray levels of an rgb frame `(height, width, 3)` at the size of its edge map."""
    import cv2

    scale = min(1.0, EDGE_SIDE / max(frame.shape[:2]))
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def edges_of(gray: Gray) -> Mask:
    """Strong edges of a gray picture."""
    import cv2

    gx, gy = cv2.Sobel(gray, cv2.CV_16S, 1, 0), cv2.Sobel(gray, cv2.CV_16S, 0, 1)
    strong: Mask = np.abs(gx) + np.abs(gy) > EDGE_STRENGTH
    return strong


def differs(one: Gray, other: Gray, levels: int) -> Mask:
    """Which pixels differ by more than so many levels."""
    import cv2

    more: Mask = cv2.absdiff(one, other) > levels
    return more


def grow(mask: Mask) -> Mask:
    """Set every pixel of the mask and those beside it: compression moves edges by a pixel."""
    import cv2

    grown: Mask = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    return grown


def fullest_tile(mask: Mask) -> int:
    """Most pixels set in any tile."""
    height, width = (max(1, size // tile) * tile for size, tile in zip(mask.shape, TILE, strict=True))
    padded = np.zeros((height, width), np.uint16)
    inside = mask[:height, :width]
    padded[: inside.shape[0], : inside.shape[1]] = inside
    tiles = padded.reshape(height // TILE[0], TILE[0], width // TILE[1], TILE[1])
    return int(tiles.sum((1, 3)).max())


def span(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of an edge map that a box covers."""
    (x, y, w, h), (height, width) = box, shape
    return (
        slice(int(y * height), max(int(np.ceil((y + h) * height)), 1)),
        slice(int(x * width), max(int(np.ceil((x + w) * width)), 1)),
    )
