"""Cuts and gradual transitions from what a network says about every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.dissolves import Dissolve

SURE = 0.5
"""TransNetV2's own threshold."""
MOST_OF_A_CUT = 2
"""Frames that a cut may mark: the last of a shot, and sometimes one beside it. Longer ones are gradual."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A run of marked frames, and the highest probability in it that a shot ends."""

    frames: range
    probability: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Numbers of the first frames of new pictures after cuts, gradual transitions, and probabilities of both.

    `sure`: by number of the frame, for cuts; by that of the middle for the others. `marks`: all that is sure once, what
    runs into the end of the video too.
    """

    cuts: tuple[int, ...]
    gradual: tuple[Dissolve, ...]
    sure: dict[int, float]
    marks: tuple[Mark, ...]

    def there(self, frames: range) -> float | None:
        """The probability of the surest mark that meets these frames; None where none does."""
        met = (
            one.probability for one in self.marks if one.frames.start < frames.stop and frames.start < one.frames.stop
        )
        return max(met, default=None)


def judged(probabilities: NDArray[np.float64]) -> Judged:
    """Read `(n, 2)`: that a shot ends about this frame, and that the frame is part of a transition, 0..1.

    A run of marked frames counts where the first is sure once. What runs into the end of the video leads nowhere.
    """
    marked = np.concatenate([[False], (probabilities > SURE).any(axis=1), [False]])
    edges = np.flatnonzero(marked[1:] != marked[:-1])
    cuts, gradual, sure, marks = [], [], {}, []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        ends = probabilities[start:stop, 0]
        if ends.max() <= SURE:
            continue
        marks.append(Mark(range(start, stop), float(ends.max())))
        if stop >= len(probabilities):
            continue
        if stop - start <= MOST_OF_A_CUT:
            number = start + int(ends.argmax()) + 1
            cuts.append(number)
        else:
            number = (start + 1 + stop) // 2
            gradual.append(Dissolve(start + 1, stop, number))
        sure[number] = float(ends.max())
    return Judged(tuple(cuts), tuple(gradual), sure, tuple(marks))
