"""Whether something was laid on a picture that goes on, or taken off it: a caption, a bar, a logo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
BAR_ROWS, BESIDE, BESIDE_EDGES, ONE_LEVEL = 0.4, 0.9, 0.4, 0.6
"""A bar laid on more of the picture: at most this share of its rows, least share of the pixels beside those rows that
are as they were, most edges there that are gone or new, and least share of the bar that has one level: 0.67 and more
over real clips. Of 1,540 pairs of shots none has all that is beside; shots in a band of one photograph do, and half of
them have 0.46 of one level at most."""
KEPT_SHOWN = 0.6
"""Least share of the pixels between bars that are as they were, where edges are merely added: what is laid on a picture
in a band takes more of it. Letters of a quarter of its height, banners, pictures over real clips: 0.57 to 0.76."""
PLAIN, WRITTEN, FILLED = 0.95, 0.6, 0.33
"""Least share of a bar's first row, and of any other, that has one level: the rest is written in it. Clothes as dark as
the bars are less of a row; where letters alone are the picture, they leave less."""
MARGIN = 4
"""Pixels at both ends of a bar's row that have that level, however large the letters between them."""
LEAST_ROWS = 8
"""Rows that a picture between bars must have: 5 % of an upright frame's height."""


def overlaid(before: Gray, after: Gray) -> bool:
    """Whether the one picture is still there behind what came, or was there behind what went.

    Between bars, too: they stay as they are, whatever picture is between them. Pictures of `FLOW_WIDTH`. It may have
    moved meanwhile, as the optical flow says.
    """
    return _laid(before, after) or _laid(after, before)


def _laid(before: Gray, after: Gray) -> bool:
    there = (before, moved(before, after))
    rows = shown(before, after)
    between, laid = [one[rows] for one in there], after[rows]
    return (_kept(there, after, KEPT) and _kept(between, laid, KEPT_SHOWN)) or _barred(between, laid)


def _kept(there: Sequence[Gray], after: Gray, least: float) -> bool:
    """Whether the picture goes on; `least`: share of the pixels as they were, where edges are only added."""
    change = _changed(there, after)
    kept, (less, more) = 1 - change.mean(), sorted(_exchanged(there, after))
    if kept < least or more > ONE:
        return False
    wide = change.mean(1) > ROW
    return less <= BOTH or bool(kept >= KEPT and change[wide].sum() >= BAR * change.sum())


def _barred(there: Sequence[Gray], after: Gray) -> bool:
    """Whether a bar of one level was laid across the picture, which goes on beside it."""
    change = _changed(there, after)
    beside = change.mean(1) <= ROW
    if not 1 - BAR_ROWS <= beside.mean() < 1 or change[beside].mean() > 1 - BESIDE:
        return False
    bar = after[~beside].astype(np.int16)
    if (np.abs(bar - np.median(bar)) < SAME_LEVELS).mean() < ONE_LEVEL or not edges(after)[beside].any():
        return False
    return max(_exchanged(there, after, beside)) <= BESIDE_EDGES


def _changed(there: Sequence[Gray], after: Gray) -> NDArray[np.bool_]:
    """Pixels that none of the pictures explains."""
    return np.asarray(np.min([np.abs(after.astype(np.int16) - one) for one in there], axis=0) >= SAME_LEVELS)


def shown(before: Gray, after: Gray) -> slice:
    """Rows between two bars of one level that stand above and below both pictures; all where there are none."""
    # a plain sky and dark ground are no bars
    levels = [float(np.median(row)) for one in (before, after) for row in (one[0], one[-1])]
    if max(levels) - min(levels) < SAME_LEVELS:
        for margin in (MARGIN, 0):
            above, below = ([_bar(one[::way], margin) for one in (before, after)] for way in (1, -1))
            # a slide in the middle has plain margins throughout; a dark picture only seems to be a bar
            letters = margin and max(*above, *below) == len(after)
            first, last = min(above), len(after) - min(below)
            if not letters and 0 < first <= last - LEAST_ROWS < len(after) - LEAST_ROWS:
                return slice(first, last)
    return slice(0, len(after))


def _bar(gray: Gray, margin: int) -> int:
    """Rows of the bar that begins with the first row, whatever is written in it; `margin`: pixels that are plain."""
    plain = np.abs(gray.astype(np.int16) - np.int16(np.median(gray[0]))) < SAME_LEVELS
    if plain[0].mean() < PLAIN:
        return 0
    bar = plain.mean(1) >= (WRITTEN if margin else FILLED)
    if margin:
        bar |= plain[:, :margin].all(1) & plain[:, -margin:].all(1)
    ends = np.flatnonzero(~bar)
    return int(ends[0]) if len(ends) else len(gray)


def _exchanged(there: Sequence[Gray], after: Gray, rows: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Shares of the edges that are gone and that are new, 0..1, by the one of the pictures that explains more."""
    import cv2

    reach, other = np.ones((3, 3), np.uint8), edges(after)
    gone, new = [], []
    seen = slice(None) if rows is None else rows
    for before in there:
        one = edges(before)
        gone.append(float((one > cv2.dilate(other, reach))[seen].sum() / max(1, one[seen].sum())))
        new.append(float((other > cv2.dilate(one, reach))[seen].sum() / max(1, other[seen].sum())))
    return min(gone), min(new)
