"""MediaPipe's face mesh: 468 points of one face (Kartynnik et al., Real-time Facial Surface Geometry, 2019).

The crop follows MediaPipe's graph `face_detection_front_detection_to_roi`: a square 1.5 times the box's longer side,
turned so that the eyes are level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats, Picture
from tasks.faces import FaceView, back, crop, upright_square

SIDE = 192
MARGIN = 1.5
POINTS = 468
LEAST_PRESENCE = 0.5
"""MediaPipe's default `min_tracking_confidence`: below it, the crop shows no face."""
RIGHT_OUTER, RIGHT_INNER, LEFT_INNER, LEFT_OUTER = 33, 133, 362, 263
"""Corners of the eyes, sides as the person has them."""
NOSE_BASE = 2
"""Where the nose meets the upper lip."""


class FaceMesh:
    """The network, loaded: `network` is an interpreter of `face_landmark.tflite`."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._picture = network.get_input_details()[0]["index"]
        by_width = {int(output["shape"][-1]): output["index"] for output in network.get_output_details()}
        self._points, self._presence = by_width[3 * POINTS], by_width[1]

    def look(self, picture: Picture, face: FaceView) -> Floats | None:
        """The points `(468, 2)` in pixels of the picture, rgb or gray; None where the network sees no face."""
        matrix = upright_square(face.middle, MARGIN * face.side, face.eyes, SIDE)
        self._network.set_tensor(self._picture, as_input(crop(picture, matrix, SIDE)))
        self._network.invoke()
        logit = float(self._network.get_tensor(self._presence).item())
        if 1 / (1 + np.exp(-np.clip(logit, -100, 100))) < LEAST_PRESENCE:
            return None
        return back(matrix, self._network.get_tensor(self._points).reshape(POINTS, 3)[:, :2].astype(np.float64))


def as_input(picture: Picture) -> NDArray[np.float32]:
    """A crop `(side, side[, 3])` as MediaPipe's networks take it: `(1, side, side, 3)`, 0..1; gray in all channels."""
    coloured = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    return coloured[None].astype(np.float32) / np.float32(255)
