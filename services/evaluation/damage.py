"""Pictures with the statistics of natural ones, and the same made worse by a known amount."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
"""Any uint8 picture: `(height, width)` or rgb."""


def natural(seed: int) -> Gray:
    """Leaves of all sizes fallen on one another, a little soft and grainy as from a camera.

    The dead leaves model has the statistics of natural pictures (Lee, Mumford and Huang, 2001).
    """
    rng = np.random.default_rng(seed)
    picture = np.full((960, 1280), 128, np.uint8)
    for radius in 8 / (np.sqrt(rng.random(6000)) + 0.02):
        x, y, level = (int(rng.integers(low, high)) for low, high in ((0, 1280), (0, 960), (20, 235)))
        cv2.circle(picture, (x, y), int(radius) + 1, level, -1)
    small = np.asarray(cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA), np.uint8)
    return noisy(blurred(small, 0.6), 2)


def noisy(picture: NDArray[Any], sigma: float) -> Gray:
    """The picture with Gaussian noise of that deviation, in levels of 0..255."""
    rng = np.random.default_rng(1)
    return np.clip(np.round(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)


def squeezed(picture: Gray, jpeg_quality: int) -> Gray:
    """The picture through JPEG."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def blurred(picture: Gray, sigma: float) -> Gray:
    """The picture behind a Gaussian of that deviation, in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
