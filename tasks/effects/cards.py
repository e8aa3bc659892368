"""Cards and pages on black, as an album's cover or the end of a film: a layout, of which the black is no bars.

A picture that reaches two sides of the frame may have letters in its bars. One that has black on all four sides, and
letters that stay beside it, was laid out with them; so were pictures that stand apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BESIDE = 0.005
"""Least share of what is beside a picture that is lit by letters. Our own measurement: captions 0.03 and more, a
recorder's dot between the bars of a slide 0.0008."""
STAYS, SAME = 0.6, 0.85
"""Least share of the frames in which letters that stay are lit, and of what is ever lit there that must. Our own
measurement: 0.99 and more of captions is, 0.67 at most where subtitles follow one another."""


def laid_out(ever: NDArray[np.bool_], seen: NDArray[np.bool_], rows: slice, columns: slice) -> bool:
    """Whether what is lit in these rows and columns, with black around it, is several things or has letters beside it.

    `ever`: what is ever lit in a shot, height x width; `seen`: what is in some of its frames, frames x height x width.
    """
    shown = ever[rows, columns]
    if not (shown.any(0).all() and shown.any(1).all()):
        return True
    # the rows and columns beside the picture are blended with it
    above, below = slice(0, max(0, rows.start - 1)), slice(rows.stop + 1, None)
    left, right = slice(0, max(0, columns.start - 1)), slice(columns.stop + 1, None)
    beside = seen[:, above, columns], seen[:, below, columns], seen[:, rows, left], seen[:, rows, right]
    return any(part.size > 0 and _stays(part) for part in beside)


def _stays(part: NDArray[np.bool_]) -> bool:
    """Whether what is lit in a part of the frames is lit in most of them."""
    often = part.mean(0)
    stays = float((often >= STAYS).mean())
    return stays >= BESIDE and stays >= SAME * float((often > 0).mean())
