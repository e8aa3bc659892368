"""A row: one figure, its goal, whether it holds, and the command that measured it; printed as one JSON line."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Detail = float | str | None | Sequence["Detail"] | Mapping[str, "Detail"]
_began = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of the bench.

    `value` is None where nothing could be measured here; `reason` says why in a sentence. `holds` is None then, and
    where there is no goal. `better` says which way the goal is open.
    """

    row: str
    value: float | None
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    reason: str | None = None
    detail: Mapping[str, Detail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError(f"{self.row} has no value and does not say why")

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None when that cannot be said."""
        if self.value is None or self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def line(self, command: str) -> str:
        """The row as one line of JSON; `load` is the machine's load average of the last minute, others' work in it.

        `at`: seconds from the start of the bench until the figure was known.
        """
        return json.dumps(
            {
                "row": self.row,
                "value": None if self.value is None else float(f"{self.value:.4g}"),
                "goal": self.goal,
                "holds": self.holds,
                "unit": self.unit,
                "better": self.better,
                "command": command,
                "load": round(os.getloadavg()[0], 1),
                "at": round(time.monotonic() - _began, 1),
                **({"reason": self.reason} if self.reason else {}),
                **({"detail": self.detail} if self.detail else {}),
            }
        )


def say(row: Row) -> None:
    """Print a row at once, signed with the command that runs."""
    module = sys.modules["__main__"].__spec__
    name = module.name if module else sys.argv[0]
    print(row.line(shlex.join(["python", "-m", name, *sys.argv[1:]])), flush=True)


def not_measured(row: str, reason: str, unit: str = "") -> None:
    """Print a row that could not be measured here."""
    say(Row(row=row, value=None, unit=unit, reason=reason))
