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
COLOURS, BIN_SHIFT = 4, 6
"""Levels of each of red, green and blue, and the bits of one level: the dominant colour is the mean of the fullest of
64 bins."""

Mask = NDArray[np.bool_]
RatioUnknown = Literal["no_people", "no_background", "people_too_small", "people_too_smooth", "background_too_small"]
"""Why a background cannot be compared with people: too small are less than 1000 pixels beside the outline."""


def dominant(picture: NDArray[np.uint8], part: Mask) -> tuple[tuple[int, int, int], float]:
    """The mean colour of the fullest of 64 bins of a part of an rgb picture, and the share of the part in it.

    `picture` `(height, width, 3)`; at least one pixel of `part` `(height, width)` is set.
    """
    import cv2

    inside = part.view(np.uint8)
    reds, greens, blues = (np.asarray(level, np.uint8) >> BIN_SHIFT for level in cv2.split(picture))
    bins = (reds * COLOURS + greens) * COLOURS + blues
    sizes = cv2.calcHist([bins], [0], inside, [COLOURS**3], [0, COLOURS**3]).ravel()
    fullest = int(sizes.argmax())
    mean = cv2.mean(picture, ((bins == fullest) & part).view(np.uint8))
    red, green, blue = (round(value) for value in mean[:3])
    return (red, green, blue), float(sizes[fullest]) / cv2.countNonZero(inside)


def detail_ratio(gray: NDArray[np.uint8], inside: Mask, outside: Mask) -> float | RatioUnknown:
    """Variance of the Laplacian outside divided by that inside, or why it cannot be told.

    The measure of focus is Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """
    import cv2

    if cv2.countNonZero(inside.view(np.uint8)) < LEAST_PIXELS:
        return "people_too_small"
    if cv2.countNonZero(outside.view(np.uint8)) < LEAST_PIXELS:
        return "background_too_small"
    laplacian = np.asarray(cv2.Laplacian(gray, cv2.CV_16S), np.int16)
    people, background = _variance(laplacian, inside), _variance(laplacian, outside)
    return background / people if people >= LEAST_DETAIL else "people_too_smooth"


def blur(gray: NDArray[np.uint8], part: Mask) -> float | None:
    """How little a low-pass filter takes from the differences of neighbours in a part, 0..1; None where it is plain.

    Crete, Dolmiere, Ladret and Nicolas, The Blur Effect: Perception and Estimation with a New No-Reference Perceptual
    Blur Metric, 2007: what is blurred already changes little. The larger of both directions.

    A picture that is nowhere longer than the filter shows it nothing but its own mirror: None, too.

    Neighbouring means of 9 pixels differ by a ninth of the difference of the pixels that only one of them has, so
    everything is counted in ninths of a level, exactly.
    """
    import cv2

    margin, inside = BLUR_PIXELS // 2, part.view(np.uint8)
    if max(gray.shape) <= BLUR_PIXELS:
        return None
    found = []
    for pick, border in ((_rows, (margin, margin, 0, 0)), (_columns, (0, 0, margin, margin))):
        around = np.asarray(cv2.copyMakeBorder(gray, *border, cv2.BORDER_REFLECT_101), np.uint8)
        both = np.asarray(cv2.bitwise_and(pick(inside, 1, None), pick(inside, None, -1)), np.uint8)
        if not (count := cv2.countNonZero(both)):
            continue
        steps = np.asarray(cv2.absdiff(pick(gray, 1, None), pick(gray, None, -1)), np.uint8)
        steps *= both
        if (total := cv2.sumElems(steps)[0]) < LEAST_GRADIENT * count:
            continue
        left = cv2.absdiff(pick(around, BLUR_PIXELS, None), pick(around, None, -BLUR_PIXELS))
        # at most 255 of the ninths can be left, so more of them need not be told apart
        kept = cv2.min(cv2.convertScaleAbs(steps, steps, alpha=BLUR_PIXELS), left, left)
        found.append(1 - (BLUR_PIXELS * total - cv2.sumElems(kept)[0]) / (BLUR_PIXELS * total))
    return max(found, default=None)


def _variance(values: NDArray[np.int16], part: Mask) -> float:
    """Of a part that holds something; exact sums, so nothing is lost by not taking the mean off first."""
    import cv2

    inside = values * part.view(np.uint8)
    count = cv2.countNonZero(part.view(np.uint8))
    return cv2.norm(inside, cv2.NORM_L2SQR) / count - (cv2.sumElems(inside)[0] / count) ** 2


def _rows(picture: NDArray[np.uint8], first: int | None, last: int | None) -> NDArray[np.uint8]:
    return picture[first:last]


def _columns(picture: NDArray[np.uint8], first: int | None, last: int | None) -> NDArray[np.uint8]:
    return picture[:, first:last]
