"""Keeping jobs moving from the ledger alone: a wiped broker, a lost chord or a dead worker delays a job, never ends it.

Beat sends `reconcile` to the control queue every few seconds; running it twice at once does no harm. How long something
has lasted is measured by clocks that nobody sets, the kernel's or this process's own: a clock that is set loses no job.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis
from kombu.exceptions import OperationalError

from shared.clock import boot_id
from shared.locks import is_locked
from shared.log import logger
from shared.settings import settings
from shared.storage import video_key
from shared.tables import Job, Run
from tasks.aggregate import aggregate, end_retired
from tasks.analyze import analysis
from tasks.celery import app
from tasks.holding import SILENT_SECONDS
from tasks.node import ledger, run_lock, storage
from tasks.plan import Plan
from tasks.queues import is_moving
from tasks.registry import analyzers
from tasks.webhook import deliver_due
from tasks.workflow import advance, broker_since, submit

PATIENCE_SECONDS = 20.0
"""After which a message that nobody took may be lost; twice as long each time, so that copies do not pile up."""

FREED_SECONDS = 4.0
"""After which a run that its process let go of is queued again, if its message has not come back by itself."""

LOOK_SECONDS = 6.0
"""From one look to the next, and a little: what is longer is not counted, since nobody could give a sign of life while
the ledger was away."""

log = logger(__name__)


class Watch:
    """How long things have stayed as they are, as this process saw it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, float, float]] = {}
        self._waits: dict[str, tuple[object, float, float]] = {}
        self._due: dict[str, float] = {}

    def is_unchanged(self, what: str, state: object, seconds: float) -> bool:
        """Whether something has been in this state for so long; from one look to the next counts up to LOOK_SECONDS."""
        now = time.monotonic()
        seen, lasted, looked_at = self._seen.get(what, (None, 0.0, now))
        if seen != state:
            self._seen[what] = (state, 0.0, now)
            return False
        lasted += min(now - looked_at, LOOK_SECONDS)
        self._seen[what] = (state, lasted, now)
        return lasted >= seconds

    def has_waited(self, what: str, state: object) -> bool:
        """Whether something has waited long enough in this state: PATIENCE_SECONDS, then twice as long each time."""
        now = time.monotonic()
        seen, since, wait = self._waits.get(what, (None, now, PATIENCE_SECONDS))
        if seen != state:
            since, wait = now, PATIENCE_SECONDS
        waited = now - since >= wait
        self._waits[what] = (state, now, 2 * wait) if waited else (state, since, wait)
        return waited

    def is_overdue(self, job: Job) -> bool:
        """Whether a job's time is over: by this kernel's ticks, for other hosts' by what was left when first seen."""
        if job.boot is not None and job.boot == boot_id():
            return job.remaining_seconds <= 0
        now = time.monotonic()
        return now >= self._due.setdefault(job.id, now + job.remaining_seconds)

    def forget_all_but(self, jobs: Sequence[Job]) -> None:
        """Let go of what belongs to other jobs."""
        kept = {job.id for job in jobs}
        for known in (self._seen, self._waits, self._due):
            for key in [key for key in known if key.partition("/")[0] not in kept]:
                del known[key]


watch = Watch()


@app.task(name="reconcile", ignore_result=True, send_events=False)  # every 5 s: Flower would show nothing else
def reconcile() -> None:
    """Close overdue jobs; queue again what no broker and no worker holds any more; queue webhooks that are due."""
    since = broker_since()
    jobs = ledger().open_jobs()
    watch.forget_all_but(jobs)
    held = ledger().held()
    failed = 0
    for job in jobs:
        try:
            _look(job, since, held)
        except (redis.RedisError, OperationalError):  # the broker's trouble is every job's: each would wait for it
            raise
        except Exception:  # whatever is wrong with one job must not stop the others
            failed += 1
            log.exception("job_not_reconciled", job=job.id)
    if failed:
        log.error("jobs_not_reconciled", failed=failed, looked_at=len(jobs))
    deliver_due()


def _look(job: Job, since: float, held: Sequence[tuple[Run, int]]) -> None:
    if watch.is_overdue(job):
        log.warning("job_overdue", job=job.id)
        aggregate(job.id)
    elif job.deployment != settings().deployment:
        if _is_left(job):
            log.warning("job_left", job=job.id)
            ledger().cancel(job.id)
            aggregate(job.id)
    elif job.state == "queued":
        is_wiped = job.submitted_at < since and not watch.is_unchanged(job.id, since, 0.0)
        if (is_wiped or watch.has_waited(job.id, since)) and storage().exists(video_key(job.video_sha256)):
            submit(job)  # else its video is still on the way to a bucket: who brings it queues the job
    else:
        _move(job, since, held)


def _is_left(job: Job) -> bool:
    """Whether a job is one of a command of this node (`reelgraph analyze`) that was killed: nobody works on it."""
    lock = run_lock(job.deployment)
    return lock.exists() and not is_locked(lock)


def _move(job: Job, since: float, held: Sequence[tuple[Run, int]]) -> None:
    plan = Plan.of(job)
    runs = ledger().runs(job.id)
    end_retired(job, runs.values())
    open_runs = [run for run in runs.values() if run.status is None and run.level >= 0 and run.analyzer in analyzers()]
    due = [run for run in open_runs if run.level <= job.level]
    begun = [run for run in open_runs if run.level > job.level and run.queued_at is not None]
    for run in (*due, *begun):
        if run.holder is not None and not _is_dead(run):
            continue
        if not job.cancel_requested and (run.holder is not None or _is_lost(job, run, since, held)):
            log.warning("run_queued_again", job=job.id, analyzer=run.analyzer)
            ledger().queue(job.id, [run.analyzer])
            analysis(job, plan, run.analyzer).apply_async()
    if job.level >= len(plan.levels) or (job.cancel_requested and all(run.holder is None for run in (*due, *begun))):
        aggregate.si(job.id).apply_async(priority=job.priority)
    elif not due or job.level < 0:
        advance.si(job.id, job.level + 1).apply_async(priority=job.priority)


def _is_dead(run: Run) -> bool:
    """Free a run whose holder has given no sign of life: its worker is gone, or stands still."""
    if not (watch.is_unchanged(_key(run), (run.attempts, run.beat), SILENT_SECONDS) and ledger().declare_dead(run)):
        return False
    log.warning("holder_silent", job=run.job_id, analyzer=run.analyzer, holder=run.holder)
    return True


def _is_lost(job: Job, run: Run, since: float, held: Sequence[tuple[Run, int]]) -> bool:
    """Whether no message can be on its way to the run any more."""
    if run.queued_at is None:
        return watch.is_unchanged(_key(run), "unqueued", FREED_SECONDS)
    if run.queued_at < since and not watch.is_unchanged(f"{_key(run)}/wiped", since, 0.0):
        return True  # once: where the clock was set back, what is queued now seems older than the broker, too
    if run.started_at is not None and run.started_at >= run.queued_at:
        return watch.is_unchanged(_key(run), ("freed", run.attempts), FREED_SECONDS)
    return watch.has_waited(_key(run), run.attempts) and not is_moving(job, run, held)


def _key(run: Run) -> str:
    return f"{run.job_id}/{run.analyzer}"
