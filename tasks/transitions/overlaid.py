"""Whether something was laid on a picture that goes on, or taken off it: a caption, a bar, a logo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.transitions.pictures import Gray, edges, moved

SAME_LEVELS = 8
"""A pixel that differs by less, in levels of 0..255, is as it was: twice what a codec at crf 23 leaves."""
KEPT = 0.75
"""Least share of the pixels that are as they were. Bars and captions over real clips: 0.76 to 0.97; of 70 cuts in films
and clips: 0.01 to 0.62, but for a slide turned (0.81) and a jump from one pose of a head to another (0.83)."""
BOTH, ONE = 0.1, 0.95
"""Most edges, as a share, that are gone or that are new: of whichever is less where something is merely added, and of
whichever is more. Captions and bars: 0 to 0.11 and up to 0.9; the slide 0.17, the jump 0.14. A picture that gives way
to black, or comes out of it, takes or brings all edges."""
ROW, BAR = 0.5, 0.65
"""What hides edges, too, must be a bar: this share of what changed lies in rows that change for over half of their
width. Bars of 90 % of the width 0.88 to 1, the slide 0.43."""


def overlaid(before: Gray, after: Gray) -> bool:
    """Whether the one picture is still there behind what came, or was there behind what went.

    Pictures of `FLOW_WIDTH`. It may have moved meanwhile, as the optical flow says.
    """
    return _laid(before, after) or _laid(after, before)


def _laid(before: Gray, after: Gray) -> bool:
    there = (before, moved(before, after))
    change = np.min([np.abs(after.astype(np.int16) - one) for one in there], axis=0) >= SAME_LEVELS
    less, more = sorted(_exchanged(there, after))
    if 1 - change.mean() < KEPT or more > ONE:
        return False
    rows = change.mean(1) > ROW
    return less <= BOTH or bool(change[rows].sum() >= BAR * change.sum())


def _exchanged(there: Sequence[Gray], after: Gray) -> tuple[float, float]:
    """Shares of the edges that are gone and that are new, 0..1, by the one of the pictures that explains more."""
    import cv2

    reach, other = np.ones((3, 3), np.uint8), edges(after)
    gone, new = [], []
    for before in there:
        one = edges(before)
        gone.append(float((one > cv2.dilate(other, reach)).sum() / max(1, one.sum())))
        new.append(float((other > cv2.dilate(one, reach)).sum() / max(1, other.sum())))
    return min(gone), min(new)
