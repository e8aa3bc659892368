"""Bodies and their landmarks in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats, Picture
from tasks.models import Engine

POINTS = 33
LEAST_VISIBLE = 5
"""A pose's box holds its landmarks that are visible and in the picture; with fewer of them there is no pose."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look for a body: a box `(4,)`, left, top, right, bottom in 0..1, and the item it comes from."""

    source: str
    box: Floats


@dataclass(frozen=True, slots=True)
class Asked:
    """An rgb picture `(height, width, 3)` and a place in it; None for all of it."""

    picture: Picture
    place: Place | None


@dataclass(frozen=True, slots=True)
class Found:
    """A body in one picture, in 0..1 of it: landmarks `(33, 3)` with visibility, box `(4,)`, presence 0..1.

    Landmarks are in BlazePose's order; those that the model does not know are not numbers.
    """

    landmarks: Floats
    box: Floats
    presence: float
    source: str | None = None


class BodyFinder(Engine, Protocol):
    """Finds bodies in places."""

    finds_people: bool
    """Whether it finds out that nobody is in a place, and looks at whole pictures; else each place is one person's."""

    def bodies(self, asked: Iterable[Asked]) -> Iterator[list[tuple[Found, ...]]]:
        """The bodies in each place, in order, a list for each batch. All pictures have one size."""


def box_of(points: Floats, visible: NDArray[np.bool_]) -> Floats | None:
    """The box `(4,)` about landmarks `(n, 2)` that are `visible` `(n,)` and in the picture; None with too few."""
    seen = points[visible & ((points >= 0) & (points <= 1)).all(axis=1)]
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)]) if len(seen) >= LEAST_VISIBLE else None
