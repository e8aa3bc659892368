"""Measures of what is behind people: its colour, its blur, and its detail against theirs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEAST_PIXELS = 1000
"""With fewer of them on either side, detail is not measured."""
LEAST_DETAIL = 10.0
"""A person with less variance of the Laplacian (grey levels 0..255) is no measure for the background: black or soft
clothes had 0.3 to 2, people in focus 20 to 400."""
BLUR_PIXELS = 9
"""Length of the low-pass filter of the blur measure, pixels: Crete et al. 2007."""
LEAST_GRADIENT = 0.25
"""A background whose neighbouring pixels differ by less on average, in grey levels, is plain, or as good as that by
blur: what is left is rounding. Our own measurement: one colour 0, a studio's blurred wall 0.07; an office wall 0.33, a
picture with structure, blurred by 4 pixels, 0.58."""
COLOURS = 4
"""Levels of each of red, green and blue: the dominant colour is the mean of the fullest of 64 bins."""

Mask = NDArray[np.bool_]
RatioUnknown = Literal["no_people", "no_background", "people_too_small", "people_too_smooth", "background_too_small"]
"""Why a background cannot be compared with people: too small are less than 1000 pixels beside the outline."""


def dominant(pixels: NDArray[np.uint8]) -> tuple[tuple[int, int, int], float]:
    """The mean colour of the fullest of 64 bins of rgb pixels `(n, 3)`, and the share of the pixels in it."""
    levels = pixels // (256 // COLOURS)
    bins = (levels[:, 0] * COLOURS + levels[:, 1]) * COLOURS + levels[:, 2]
    sizes = np.bincount(bins, minlength=COLOURS**3)
    red, green, blue = (round(float(value)) for value in pixels[bins == sizes.argmax()].mean(axis=0))
    return (red, green, blue), float(sizes.max() / len(pixels))


def detail_ratio(gray: NDArray[np.uint8], inside: Mask, outside: Mask) -> float | RatioUnknown:
    """Variance of the Laplacian outside divided by that inside, or why it cannot be told.

    The measure of focus is Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """
    import cv2

    if np.count_nonzero(inside) < LEAST_PIXELS:
        return "people_too_small"
    if np.count_nonzero(outside) < LEAST_PIXELS:
        return "background_too_small"
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)  # whole numbers: no sum of a mask's pixels is rounded
    people, background = (
        float(cv2.meanStdDev(laplacian, mask=part.view(np.uint8))[1].item()) ** 2 for part in (inside, outside)
    )
    return background / people if people >= LEAST_DETAIL else "people_too_smooth"


def blur(gray: NDArray[np.uint8], part: Mask) -> float | None:
    """How little a low-pass filter takes from the differences of neighbours in a part, 0..1; None where it is plain.

    Crete, Dolmiere, Ladret and Nicolas, The Blur Effect: Perception and Estimation with a New No-Reference Perceptual
    Blur Metric, 2007: what is blurred already changes little. The larger of both directions.
    """
    import cv2

    counted = part.view(np.uint8) * np.uint8(255)
    found = []
    for before, after, size in (
        (np.s_[:-1], np.s_[1:], (1, BLUR_PIXELS)),
        (np.s_[:, :-1], np.s_[:, 1:], (BLUR_PIXELS, 1)),
    ):
        both = cv2.bitwise_and(counted[after], counted[before])
        steps = cv2.bitwise_and(cv2.absdiff(gray[after], gray[before]), both)
        total = cv2.sumElems(steps)[0]
        if total == 0 or total < LEAST_GRADIENT * cv2.sumElems(both)[0] / 255:
            continue
        # sums, not means, of so many neighbours: whole numbers of 16 bits, a quarter of the time of fractions
        sums = cv2.boxFilter(gray, cv2.CV_16S, size, normalize=False)
        left = cv2.absdiff(sums[after], sums[before])
        taken = cv2.subtract(steps.astype(np.int16) * np.int16(BLUR_PIXELS), left)
        found.append(1 - float(np.maximum(taken, 0).sum(dtype=np.int64)) / (BLUR_PIXELS * total))
    return max(found, default=None)
