"""Hands built joint by joint, as the rules of gestures describe them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.analyzers.gesture_recognition import FINGERS

Hand = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Joints in metres `(21, 3)` and their points in the picture `(21, 2)`."""

KNUCKLES = (-0.03, -0.01, 0.01, 0.03)
"""Where the four fingers begin, metres beside the wrist's axis; all 9 cm above it."""
UP, FOLDED = "up", "folded"


def built(fingers: Sequence[str], *, thumb: str, turn: float = 0.0, apart: float = 0.0, pinch: bool = False) -> Hand:
    """A hand in metres `(21, 3)`, y down as in pictures, and its picture points.

    `fingers` and `thumb` are up (straight) or folded, index finger first. `turn`: degrees clockwise as seen. `apart`:
    degrees between index and middle finger. `pinch`: tips of index finger and thumb touch.
    """
    hand = np.zeros((21, 3))
    hand[1] = (-0.02, 0.02, 0)
    hand[2:5] = [(-0.05, 0.04, 0), (-0.075, 0.055, 0), (-0.1, 0.07, 0)]
    if thumb == FOLDED:
        hand[2:5] = [(-0.04, 0.04, 0), (-0.02, 0.06, 0.03), (0, 0.07, 0.04)]
    for number, (state, (first, _, last)) in enumerate(zip(fingers, FINGERS, strict=True)):
        tilt = np.radians(apart) * (number == 0)
        along = np.array([-np.sin(tilt), np.cos(tilt), 0])
        hand[first] = (KNUCKLES[number], 0.09, 0)
        if state == UP:
            hand[first + 1 : last + 1] = hand[first] + np.outer([0.04, 0.065, 0.085], along)
        else:
            hand[first + 1 : last + 1] = hand[first] + [(0, 0.02, 0.03), (0, -0.01, 0.05), (0, -0.03, 0.03)]
    if pinch:
        hand[4] = hand[8] = (-0.05, 0.08, 0.05)
        hand[3] = (-0.06, 0.05, 0.03)
    angle = np.radians(turn)
    hand[:, 1] *= -1
    hand[:, :2] = hand[:, :2] @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return hand, hand[:, :2] * 1000 + 300


HANDS = {
    "open_palm": built([UP] * 4, thumb=UP),
    "fist": built([FOLDED] * 4, thumb=FOLDED),
    "pointing": built([UP, FOLDED, FOLDED, FOLDED], thumb=FOLDED),
    "victory": built([UP, UP, FOLDED, FOLDED], thumb=FOLDED, apart=20),
    "thumbs_up": built([FOLDED] * 4, thumb=UP, turn=59),
    "thumbs_down": built([FOLDED] * 4, thumb=UP, turn=239),
    "ok": built([FOLDED, UP, UP, UP], thumb=UP, pinch=True),
}
