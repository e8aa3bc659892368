"""How often something is started again that has died."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

RESTARTS = 3
RESTARTS_SECONDS = 600.0
SPACE_SECONDS = 30.0


@dataclass(slots=True)
class Restarts:
    """So many at once within so many seconds: deaths of long ago say nothing of today."""

    most: int = RESTARTS
    seconds: float = RESTARTS_SECONDS
    space_seconds: float = SPACE_SECONDS
    _at: list[float] = field(default_factory=list)

    @property
    def are_many(self) -> bool:
        """Whether no more are allowed at once."""
        now = time.monotonic()
        self._at = [at for at in self._at if at > now - self.seconds]
        return len(self._at) >= self.most

    def one_more(self, *, patient: bool) -> bool:
        """Count one, if it may be now. Beyond the allowed ones: never, or for the `patient` one after each space."""
        if self.are_many and not (patient and time.monotonic() - self._at[-1] >= self.space_seconds):
            return False
        self._at.append(time.monotonic())
        return True
