"""MediaPipe's BlazePose (Bazarevsky et al., 2020), on the CPU.

A detector (224x224) finds a body's hips and extent, and the landmark network "full" (256x256) looks at the square that
they span. Crops, thresholds and the refinement by heatmaps are those of MediaPipe's graphs `pose_detection` and
`pose_landmark_by_roi`.

BlazePose is made for one person, and alone it takes bottles for bodies (presence 0.91). So the detector looks into
given places, one by one.

Measured on three clips with near faces against the eyes and noses of face detection, in eye distances: medians of 0.16,
0.17 and 0.11. Without the heatmaps, with the detector on the whole picture, 0.56, 0.28 and 0.19 instead of 0.15, 0.16
and 0.15. A second pass from MediaPipe's auxiliary points made it no better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats
from tasks.engines.poses import POINTS, Asked, Found, Place, box_of
from tasks.landmarks import Crop, Detector, Network, sigmoid
from tasks.models import Number, Weighted, kept_on_cpu, tflite_interpreter

DETECTOR = Detector(side=224, strides=(8, 16, 32, 32, 32), keypoints=4)
HIPS, EXTENT = 2, 3
"""Rows of a detection's points: the middle of the hips, and a point on the circle about it that holds the body."""
ROOM = 1.25
"""MediaPipe's `scale_x` of a body's square."""
AROUND = 1.6
"""Room around a place that the detector sees. Eyes and noses came out best with it; 1.25 and 2.0 were worse."""
SIDE = 256
ALL_POINTS, VALUES = 39, 5
HEATMAP = 64
REACH, LEAST_HEAT = 3, 0.5
"""MediaPipe's refinement: a 7x7 window of the heatmap about a landmark, used where it is at least this hot."""
DETECTED = 0.5
"""MediaPipe's `min_score_thresh` of the detector."""
PRESENT = 0.5
"""MediaPipe's least presence of a pose: below, there is none."""
VISIBLE = 0.5


class BlazePose:
    """One place at a time."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32",)
    finds_people = True

    def __init__(self, files: Weighted) -> None:
        self.files, self.notes = kept_on_cpu(files, "LiteRT")
        self.batch, self.worked = 1, 0

    def load(self) -> None:
        """Open both networks."""
        names = ("pose_detection.tflite", "pose_landmark_full.tflite")
        self.detector, self.landmarker = (
            Network(tflite_interpreter(str(self.files.folder / name), self.files.threads)) for name in names
        )

    def warm_up(self) -> None:
        """Run both networks once: the first run allocates their memory."""
        black = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.detect(black, Crop(SIDE / 2, SIDE / 2, SIDE))
        self.pose(black, Crop(SIDE / 2, SIDE / 2, SIDE))

    def free(self) -> None:
        """Let go of the networks."""
        del self.detector, self.landmarker

    def bodies(self, asked: Iterable[Asked]) -> Iterator[list[tuple[Found, ...]]]:
        """Bodies whose heads are in the place, or anywhere in the picture."""
        for one in asked:
            self.worked += 1
            yield [self.in_place(one.picture, one.place) if one.place else self.in_picture(one.picture)]

    def in_place(self, frame: NDArray[np.uint8], place: Place) -> tuple[Found, ...]:
        """Bodies whose heads are in the place."""
        height, width = frame.shape[:2]
        left, top, right, bottom = (float(edge) for edge in place.box * [width, height, width, height])
        size = max(right - left, bottom - top) * AROUND
        detections = self.detect(frame, Crop((left + right) / 2, (top + bottom) / 2, size))
        heads = detections[:, :2].mean(axis=1)
        inside = ((heads >= [left, top]) & (heads <= [right, bottom])).all(axis=1)
        found = [self.pose(frame, square_of(detection), place.source) for detection in detections[inside]]
        return tuple(body for body in found if body)

    def in_picture(self, frame: NDArray[np.uint8]) -> tuple[Found, ...]:
        """Bodies anywhere in the picture."""
        height, width = frame.shape[:2]
        detections = self.detect(frame, Crop(width / 2, height / 2, max(width, height)))
        found = [self.pose(frame, square_of(detection)) for detection in detections]
        return tuple(body for body in found if body)

    def detect(self, frame: NDArray[np.uint8], crop: Crop) -> Floats:
        """Bodies in a crop, the surest first: points `(n, 6, 2)` in picture pixels."""
        picture = crop.draw(frame, DETECTOR.side).astype(np.float32) / np.float32(127.5) - 1
        shapes, logits = self.detector.run(picture)
        points, _ = DETECTOR.decode(shapes, logits[:, 0], DETECTED)
        return crop.to_picture(points, DETECTOR.side)

    def pose(self, frame: NDArray[np.uint8], crop: Crop, source: str | None = None) -> Found | None:
        """The body in its square; None when the network finds none there."""
        values, presence, _, heat, _ = self.landmarker.run(crop.draw(frame, SIDE).astype(np.float32) / np.float32(255))
        if presence[0] < PRESENT:
            return None
        raw = values.reshape(ALL_POINTS, VALUES)[:POINTS]
        points = refined(raw[:, :2].astype(np.float64) / SIDE, heat[..., :POINTS]) * SIDE
        points = crop.to_picture(points, SIDE) / [frame.shape[1], frame.shape[0]]
        visibility = sigmoid(raw[:, 3])
        box = box_of(points, visibility >= VISIBLE)
        if box is None:
            return None
        return Found(np.column_stack([points, visibility]), box, min(1.0, float(presence[0])), source)


def square_of(detection: Floats) -> Crop:
    """The square about the hips that holds the body, its head up, of a detection `(6, 2)` in picture pixels."""
    hips, extent = detection[HIPS], detection[EXTENT]
    return Crop.upright(hips, extent, hips, 2 * float(np.linalg.norm(extent - hips))).shifted(0, ROOM)


def refined(points: Floats, logits: NDArray[np.float32]) -> Floats:
    """Landmarks `(n, 2)`, 0..1 of the crop, moved to the middle of the heat about them, `(64, 64, n)`."""
    moved = points.copy()
    for index, (column, row) in enumerate(np.floor(points * HEATMAP).astype(int)):
        if not (0 <= column < HEATMAP and 0 <= row < HEATMAP):
            continue
        left, top = max(0, column - REACH), max(0, row - REACH)
        window = sigmoid(logits[top : row + REACH + 1, left : column + REACH + 1, index])
        if window.max() >= LEAST_HEAT:
            x = left + window.sum(axis=0) @ np.arange(window.shape[1]) / window.sum()
            y = top + window.sum(axis=1) @ np.arange(window.shape[0]) / window.sum()
            moved[index] = np.array([x, y]) / HEATMAP
    return moved
