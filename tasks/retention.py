"""Retention: the one place that deletes jobs for their age. Beat's `sweep` and `reelgraph prune` both ask here."""

from __future__ import annotations

import time
from collections.abc import Iterator

from shared.errors import BadInput, Infrastructure
from shared.listing import ended_before
from shared.log import logger
from shared.tables import Job
from tasks.node import ledger
from tasks.removal import remove

DAY_SECONDS = 86_400
AT_ONCE = 100

log = logger(__name__)


def expired(days: float, *, limit: int | None = None) -> list[Job]:
    """Jobs that ended more than so many days ago, the oldest first."""
    return list(ended_before(ledger(), time.time() - days * DAY_SECONDS, limit=limit))


def expire(days: float) -> Iterator[Job]:
    """Delete jobs that ended more than so many days ago, with all that only they need; each one as it is deleted.

    They are of any deployment: each run of `reelgraph analyze` has one of its own, which nobody sweeps afterwards.
    Several may do this at once: what another one deletes first is passed over, and so is a job whose files a disk or a
    link keeps from being removed, which the log names.

    Raises:
        Infrastructure: the ledger or the storage does not answer; the rest is deleted the next time.
    """
    kept = set[str]()
    while old := [job for job in expired(days, limit=AT_ONCE + len(kept)) if job.id not in kept]:
        for job in old:
            try:
                remove(job)
            except BadInput as error:
                if error.code != "unknown_job":  # somebody else was faster
                    raise
            except (Infrastructure, OSError, ValueError) as error:
                if isinstance(error, Infrastructure) and error.code != "disk_error":
                    raise
                log.warning("job_not_removed", job=job.id, error=str(error))
                kept.add(job.id)
            else:
                yield job
