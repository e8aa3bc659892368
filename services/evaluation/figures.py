"""One figure that says how right an analyzer is, and the measures that figures are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from shared.schema import Segment


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must reach."""

    sense: Literal["at least", "at most"]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether the value reaches it."""
        return value >= self.bound if self.sense == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `goal` None: measured to be known. `value` None: could not be measured, `note` says why."""

    analyzer: str
    measure: str
    on: str
    value: float | None
    unit: str = ""
    goal: Goal | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a value."""
        return None if self.goal is None or self.value is None else self.goal.holds(self.value)


def at_least(bound: float) -> Goal:
    """A goal that larger values reach."""
    return Goal("at least", bound)


def at_most(bound: float) -> Goal:
    """A goal that smaller values reach."""
    return Goal("at most", bound)


# --- measures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hits:
    """How many moments were found rightly, found wrongly, and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)

    @property
    def precision(self) -> float:
        """Share of what was found that was right; 1 where nothing was found."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of what there was that was found; 1 where there was nothing."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else 1.0


def hits(found: Sequence[float], truth: Sequence[float], tolerance: float) -> Hits:
    """Match moments one to one within a tolerance, the earliest first."""
    free, right = sorted(found), 0
    for moment in sorted(truth):
        near = next((one for one in free if abs(one - moment) <= tolerance), None)
        if near is not None:
            free.remove(near)
            right += 1
    return Hits(right, len(free), len(truth) - right)


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein distance: how many insertions, deletions and replacements make one of the other."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        before, row = row, [number]
        for place, right in enumerate(other, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (left != right)))
    return row[-1]


def letters_wrong(said: str, truth: str) -> int:
    """Edit distance of two captions, case and spaces aside."""
    first, second = (re.sub(r"\s", "", text.upper()) for text in (said, truth))
    return edits(first, second)


def word_error_rate(said: str, truth: str) -> float:
    """Wrong, missing and added words over the true ones, lower-cased and without punctuation."""
    first, second = (re.sub(r"[^a-z ]", "", text.lower()).split() for text in (said, truth))
    return edits(first, second) / len(second)


def share_covered(items: Iterable[Segment], start: float, end: float) -> float:
    """Share of a span in which at least one of the items holds, 0..1."""
    reached, covered = start, 0.0
    for item in sorted(items, key=lambda one: one.start):
        first, last = max(reached, item.start), min(end, item.end)
        if last > first:
            covered, reached = covered + last - first, last
    return covered / (end - start)


def as_text(names: Sequence[str | None]) -> str:
    """Runs of equal names, as `static 75, pan_left 12`: what was named how long."""
    return ", ".join(f"{name or 'unknown'} {len(list(run))}" for name, run in groupby(names))
