"""Objects in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats, Picture
from tasks.models import Engine


@dataclass(frozen=True, slots=True)
class Found:
    """What is in one picture: boxes `(n, 4)`, left, top, right, bottom in 0..1, scores `(n,)`, class numbers `(n,)`."""

    boxes: Floats
    scores: Floats
    labels: NDArray[np.intp]


class ObjectDetector(Engine, Protocol):
    """Finds objects of a closed set of classes."""

    labels: tuple[str, ...]
    """Names of the classes by number; those of COCO where the class is one of them."""

    def objects(self, pictures: Iterable[Picture], floor: float) -> Iterator[list[Found]]:
        """What is in each rgb picture `(height, width, 3)` with a score of at least `floor`, in order, batch by batch.

        All pictures have one size.
        """
