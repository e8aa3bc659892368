"""What the ledger tells of the queues: whether one still works on what stands before a run."""

from __future__ import annotations

from collections.abc import Sequence

from shared.groups import workers
from shared.tables import Job, Run
from tasks.registry import analyzers


def is_moving(job: Job, run: Run, held: Sequence[tuple[Run, int]]) -> bool:
    """Whether a worker that may take the run works on something that comes before it, so that it has to wait.

    `held`: runs that are worked on, with their jobs' priorities (0 comes first). A queue gives what is more urgent
    first, then what is older: when everything that is worked on came later, the run's own message is gone.
    """
    rivals = _served_together(analyzers()[run.analyzer].group, job.profile)
    for other, priority in held:
        known = analyzers().get(other.analyzer)
        if known is None or known.group not in rivals:
            continue
        is_older = (other.queued_at or 0.0) <= (run.queued_at or 0.0)
        if priority < job.priority or (priority == job.priority and is_older) or known.group != rivals[0]:
            return True
    return False


def _served_together(group: str, profile: str) -> tuple[str, ...]:
    """The group, and those that share a worker with it."""
    shared = [queue for queues in workers(profile).values() if group in queues for queue in queues]
    return tuple(dict.fromkeys((group, *shared)))
