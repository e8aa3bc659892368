"""Beat by the monotonic clock: Celery's own stands still for an hour where the time of day is set back by one.

`_when` is Celery's inside as of the pinned version; a test holds it to it.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from celery.beat import PersistentScheduler
from celery.schedules import schedstate, schedule


class Steady(schedule):
    """Every so many seconds, first so long after the start."""

    _due: float | None = None

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether its time has come, and the seconds until the next look."""
        now = time.monotonic()
        if self._due is None or now >= self._due:
            is_due, self._due = self._due is not None, now + self.seconds
            return schedstate(is_due, self.seconds)
        return schedstate(is_due=False, next=self._due - now)


class SteadyScheduler(PersistentScheduler):
    """Looks at its entries in monotonic order."""

    def _when(self, entry: Any, next_time_to_run: float, **_: object) -> float:
        return time.monotonic() + next_time_to_run
