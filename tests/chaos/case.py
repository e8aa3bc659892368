"""What a case is: one way to break a site, and what must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.load import ANALYZERS, Load
from tests.chaos.site import Site

Break = Callable[[Site, Load], "list[str] | None"]
"""Breaks a site under load; what does not hold, in sentences, beyond what is asked of every case."""


class Skip(Exception):
    """This machine cannot do that; the sentence says why."""


@dataclass(frozen=True)
class Case:
    """One way to break a site."""

    name: str
    must: str
    """What must hold, beyond what is asked of all cases."""
    run: Break
    short: bool = False
    jobs: int = 8
    behaviour: dict[str, object] | None = None
    analyzers: tuple[str, ...] = ANALYZERS
    events_kept: bool = True
    clock_kept: bool = True
    """False: the times in the ledger say nothing of what had to happen until when."""
    recovery_seconds: float = 90.0
    """The last job must have ended so long after the fault was over."""
