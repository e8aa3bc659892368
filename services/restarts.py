"""How often something is started again that has died."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

RESTARTS = 3
RESTARTS_SECONDS = 600.0


@dataclass(slots=True)
class Restarts:
    """So many within so many seconds: what dies more often is broken, and deaths of long ago say nothing of today."""

    most: int = RESTARTS
    seconds: float = RESTARTS_SECONDS
    _at: list[float] = field(default_factory=list)

    def one_more(self) -> bool:
        """Count one that is due now; False, and it is not counted, when there were too many of late."""
        now = time.monotonic()
        self._at = [at for at in self._at if at > now - self.seconds]
        if len(self._at) >= self.most:
            return False
        self._at.append(now)
        return True
