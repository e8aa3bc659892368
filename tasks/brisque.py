"""BRISQUE: how unnatural a picture's local statistics are (Mittal, Moorthy and Bovik, IEEE TIP 21, 2012).

Luminance, less its local mean and divided by its local deviation (7 x 7 Gaussian of 7/6 pixels), is spread like a
generalised Gaussian in natural pictures; distortion changes its shape. 18 parameters at two scales are features of a
support vector regression trained on human scores of the LIVE database: 0 is best, about 100 worst.

Scores of eight pictures lay within 5 of those of the package that the support vectors come from: it pads with zeros
and solves for the shape from one start, here the border is mirrored and all shapes are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES = 36
KERNEL, SIGMA = (7, 7), 7 / 6
SHAPES = np.arange(0.2, 10.001, 0.001)
"""Shape parameters that are tried, as in the authors' release."""
LEAST_SIDE = 32
"""Smaller pictures have too few values at half size to estimate a shape from."""

# fmt: off
LOWEST = np.array([
    0.336999, 0.019667, 0.23, -0.125959, 0.000167, 0.000616, 0.231, -0.125873, 0.000165, 0.0006, 0.241, -0.128814,
    0.000179, 0.000386, 0.243, -0.13308, 0.000182, 0.000421, 0.436998, 0.016929, 0.247, -0.200231, 0.000104, 0.000834,
    0.257, -0.200017, 0.000112, 0.000876, 0.257, -0.155072, 0.000112, 0.000356, 0.258, -0.154374, 0.000117, 0.000351,
])
HIGHEST = np.array([
    9.999411, 0.807472, 1.644021, 0.202917, 0.712384, 0.468672, 1.644021, 0.169548, 0.713132, 0.467896, 1.553016,
    0.101368, 0.687324, 0.533087, 1.554016, 0.101, 0.689177, 0.533133, 3.639918, 0.800955, 1.096995, 0.175286, 0.755547,
    0.39927, 1.095995, 0.155928, 0.751488, 0.402398, 1.041992, 0.093209, 0.623516, 0.532925, 1.042992, 0.093714,
    0.621958, 0.534484,
])
# fmt: on
"""Ranges of the features in training: the numbers of `normalize.pickle` in the package brisque 0.2.0, read with
pickletools; a pickle is not opened here."""


def shape_ratios() -> Floats:
    """Squared mean of magnitudes over mean of squares, for a generalised Gaussian of each of SHAPES."""
    from scipy.special import gammaln

    ratios: Floats = np.exp(2 * gammaln(2 / SHAPES) - gammaln(1 / SHAPES) - gammaln(3 / SHAPES))
    return ratios


@dataclass(frozen=True, slots=True)
class Brisque:
    """Support vectors `(n, 36)`, their weights `(n,)`, the kernel's width and the offset."""

    vectors: Floats
    weights: Floats
    gamma: float
    offset: float
    ratios: Floats

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a libsvm model file: epsilon-SVR with a radial kernel, features numbered from 1.

        Raises:
            ValueError: it is another kind of model.
        """
        header, _, body = path.read_text(encoding="ascii").partition("\nSV\n")
        fields = dict(line.split(maxsplit=1) for line in header.splitlines())
        if (fields["svm_type"], fields["kernel_type"]) != ("epsilon_svr", "rbf"):
            raise ValueError(f"{path.name} is no regression with a radial kernel")
        lines = [line.split() for line in body.splitlines()]
        vectors = np.zeros((len(lines), FEATURES))
        for row, line in enumerate(lines):
            for pair in line[1:]:
                number, value = pair.split(":")
                vectors[row, int(number) - 1] = float(value)
        weights = np.array([float(line[0]) for line in lines])
        return cls(vectors, weights, float(fields["gamma"]), float(fields["rho"]), shape_ratios())

    def score(self, luma: NDArray[np.uint8]) -> float | None:
        """Score a picture, uint8 `(height, width)`; None for a flat one or one too small: it has no statistics."""
        found = features(luma, self.ratios)
        if found is None:
            return None
        scaled = 2 * (found - LOWEST) / (HIGHEST - LOWEST) - 1
        distances = np.square(self.vectors - scaled).sum(1)
        return float(self.weights @ np.exp(-self.gamma * distances) - self.offset)


def features(luma: NDArray[np.uint8], ratios: Floats) -> Floats | None:
    """Measure the 36 features of a picture, uint8 `(height, width)`; None when there is nothing to measure."""
    import cv2

    if min(luma.shape) < LEAST_SIDE:
        return None
    picture: NDArray[np.float32] = luma.astype(np.float32)
    found: list[float] = []
    for _ in range(2):
        mean = cv2.GaussianBlur(picture, KERNEL, SIGMA)
        variance = np.abs(cv2.GaussianBlur(picture * picture, KERNEL, SIGMA) - mean * mean)
        normal = (picture - mean) / (np.sqrt(variance) + 1)
        products = (
            normal[:, :-1] * normal[:, 1:],
            normal[:-1] * normal[1:],
            normal[:-1, :-1] * normal[1:, 1:],
            normal[1:, :-1] * normal[:-1, 1:],
        )
        sides = [fitted(values, ratios) for values in (normal, *products)]
        if any(side is None for side in sides):
            return None
        (shape, _, left, right), *rest = (side for side in sides if side is not None)
        found += [shape, (left + right) / 2, *(number for side in rest for number in side)]
        half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
        picture = np.asarray(half, np.float32)
    return np.array(found)


def fitted(values: NDArray[np.float32], ratios: Floats) -> tuple[float, float, float, float] | None:
    """Fit an asymmetric generalised Gaussian by moments: shape, mean, left and right variance (Lasmar et al., 2009)."""
    import cv2

    below = int(np.count_nonzero(values < 0))
    above = values.size - below
    if not below or not above:
        return None
    # sums by OpenCV, in 64 bits: picking the values of either side out took six times as long
    squares, squares_below = cv2.norm(values, cv2.NORM_L2SQR), cv2.norm(np.minimum(values, 0), cv2.NORM_L2SQR)
    left, right = squares_below / below, (squares - squares_below) / above
    if left <= 0 or right <= 0:
        return None
    skew = np.sqrt(left / right)
    ratio = (cv2.norm(values, cv2.NORM_L1) / values.size) ** 2 / (squares / values.size)
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    index = int(np.abs(ratios - wanted).argmin())
    shape = float(SHAPES[index])
    return shape, _mean(shape, left, right), left, right


def _mean(shape: float, left: float, right: float) -> float:
    from math import exp, lgamma, sqrt

    scale = sqrt(exp(lgamma(1 / shape) - lgamma(3 / shape)))
    return (sqrt(right) - sqrt(left)) * scale * exp(lgamma(2 / shape) - lgamma(1 / shape))
