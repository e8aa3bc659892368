"""Retention: the one place that deletes jobs for their age. Beat's `sweep` and `reelgraph prune` both ask here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from shared.errors import BadInput, Infrastructure
from shared.listing import ended_before
from shared.log import logger
from shared.tables import Job
from tasks.node import ledger
from tasks.removal import remove

DAY_SECONDS = 86_400
AT_ONCE = 100

KEPT = frozenset({"disk_error", "storage_refused"})
"""What keeps one thing from being removed, and perhaps no other."""

log = logger(__name__)


def expired(days: float, *, limit: int | None = None) -> list[Job]:
    """Jobs that ended more than so many days ago, the oldest first."""
    return list(ended_before(ledger(), time.time() - days * DAY_SECONDS, limit=limit))


def expire(days: float) -> Iterator[Job]:
    """Delete jobs that ended more than so many days ago, with all that only they need; each one as it is deleted.

    They are of any deployment: each run of `reelgraph analyze` has one of its own, which nobody sweeps afterwards.
    Several may do this at once: what another one deletes first is passed over. So is a job whose files a disk, a link
    or the bucket keeps from being removed, which the log names, until AT_ONCE are and none was removed between them.

    Raises:
        Infrastructure: the ledger or the storage does not answer, or, at the end, jobs could not be removed; the rest
            is deleted the next time.
    """
    kept = dict[str, str]()
    in_a_row = 0
    while old := [job for job in expired(days, limit=AT_ONCE + len(kept)) if job.id not in kept]:
        for job in old:
            try:
                remove(job)
            except BadInput as error:
                if error.code != "unknown_job":  # somebody else was faster
                    raise
            except (Infrastructure, OSError, ValueError) as error:
                if isinstance(error, Infrastructure) and error.code not in KEPT:
                    raise
                log.warning("job_not_removed", job=job.id, error=str(error))
                kept[job.id] = str(error)
                in_a_row += 1
                if in_a_row == AT_ONCE:
                    raise _kept(kept) from error
            else:
                in_a_row = 0
                yield job
    if kept:
        raise _kept(kept)


def _kept(kept: Mapping[str, str]) -> Infrastructure:
    job, why = next(iter(kept.items()))
    those = f"job {job} was" if len(kept) == 1 else f"{len(kept)} jobs, {job} among them, were"
    return Infrastructure(f"{those} not removed: {why}", code="not_removed")
