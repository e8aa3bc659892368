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
    """False: a broker that is broken, or a process that is killed before it tells, may lose events."""
    handed_on: bool = False
    """A run may begin again although no process died in it."""
    lasts: bool = False
    """The fault is there until all jobs have ended: there is no time after it."""
    alone: bool = False
    """Among others it waits for their end and has jobs of its own: what it asks for they would disturb."""
    recovery_seconds: float = 90.0
    """The last job must have ended so long after the fault was over."""
