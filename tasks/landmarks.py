"""How MediaPipe's detectors and landmark networks see a picture: anchors, decoded detections, turned square crops.

Follows MediaPipe's calculators SsdAnchors, TensorsToDetections, NonMaxSuppression (weighted), DetectionsToRects and
RectTransformation, as its graphs for faces, bodies and hands use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats, groups_of_one


@dataclass(frozen=True, slots=True)
class Detector:
    """What a single-shot detector with fixed anchor sizes puts out.

    `side` of its square input in pixels, one of `strides` for each layer, `keypoints` per detection. Most have two
    anchors `per_cell` of each layer, for two sizes; with fixed sizes both are alike. `same_overlap` is the
    `min_suppression_threshold` of MediaPipe's graphs.
    """

    side: int
    strides: tuple[int, ...]
    keypoints: int
    per_cell: int = 2
    same_overlap: float = 0.3

    def decode(self, shapes: NDArray[np.float32], logits: NDArray[np.float32], floor: float) -> tuple[Floats, Floats]:
        """Detections that score at least `floor`, merged: points `(n, 2 + keypoints, 2)` in pixels, scores `(n,)`.

        Points are the box's top left and bottom right corner, then the keypoints. `shapes` is
        `(anchors, 4 + 2 * keypoints)`: centre, size and keypoints, centre and keypoints from the anchor's centre;
        `logits` is `(anchors,)`. Overlapping detections become one: points weighted by score, and the best score.
        """
        scores = sigmoid(logits)
        rows = np.flatnonzero(scores >= floor)
        raw = shapes[rows].reshape(-1, 2 + self.keypoints, 2).astype(np.float64)
        centres, scores = anchors(self.side, self.strides, self.per_cell)[rows], scores[rows]
        middles, half_sizes = centres + raw[:, 0], raw[:, 1] / 2
        corners = np.stack([middles - half_sizes, middles + half_sizes], axis=1)
        points = np.concatenate([corners, centres[:, None] + raw[:, 2:]], axis=1)
        groups = groups_of_one(points[:, :2].reshape(-1, 4), scores, self.same_overlap)
        merged = [np.average(points[group], axis=0, weights=scores[group]) for group in groups]
        best = [float(scores[group[0]]) for group in groups]
        return np.array(merged).reshape(-1, 2 + self.keypoints, 2), np.array(best)


@cache
def anchors(side: int, strides: tuple[int, ...], per_cell: int = 2) -> Floats:
    """Centres `(n, 2)` in pixels of all anchors; the anchors of layers with one stride stand together at each cell."""
    centres = []
    for stride in sorted(set(strides)):
        x, y = np.meshgrid(np.arange(side // stride) + 0.5, np.arange(side // stride) + 0.5)
        grid = np.stack([x.ravel(), y.ravel()], axis=1) * stride
        centres.append(np.repeat(grid, per_cell * strides.count(stride), axis=0))
    return np.concatenate(centres)


def sigmoid(logits: NDArray[np.float32]) -> Floats:
    """Turn logits into 0..1."""
    scores: Floats = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
    return scores


@dataclass(frozen=True, slots=True)
class Crop:
    """A square cut out of a picture, turned: centre and `size` in picture pixels, `angle` in radians.

    The angle is clockwise as seen: with a quarter turn, the crop's up is the picture's right.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    @classmethod
    def upright(cls, origin: Floats, towards: Floats, centre: Floats, size: float) -> Self:
        """Turn the crop so that the way from `origin` to `towards` (points `(2,)` in picture pixels) leads up in it."""
        dx, dy = (float(d) for d in towards - origin)
        return cls(float(centre[0]), float(centre[1]), size, float(np.arctan2(dx, -dy)))

    def shifted(self, up: float, scale: float) -> Self:
        """Move the crop towards its own up by `up` of its size, then scale it about its new centre."""
        dx, dy = up * self.size * np.sin(self.angle), -up * self.size * np.cos(self.angle)
        return type(self)(self.x + float(dx), self.y + float(dy), self.size * scale, self.angle)

    def matrix(self, side: int) -> Floats:
        """The affine map `(2, 3)` from crop pixels, `side` to an edge, to picture pixels."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        linear = np.array([[cos, -sin], [sin, cos]]) * self.size / side
        offset = np.array([self.x, self.y]) - linear @ np.array([side / 2, side / 2])
        return np.concatenate([linear, offset[:, None]], axis=1)

    def draw(self, picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """What the crop of an rgb picture shows, uint8 `(side, side, 3)`; black beyond the picture."""
        import cv2

        # OpenCV counts from the middle of the first pixel, `matrix` from its corner
        matrix = self.matrix(side)
        matrix[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=flags), np.uint8)

    def to_picture(self, points: Floats, side: int) -> Floats:
        """Turn points `(..., 2)` in crop pixels into picture pixels."""
        matrix = self.matrix(side)
        moved: Floats = points @ matrix[:, :2].T + matrix[:, 2]
        return moved


class Network:
    """A loaded tflite interpreter that takes one picture."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in interpreter.get_output_details()]

    def run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Outputs, in the file's order and without their batch axis, for a picture `(height, width, 3)`."""
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]
