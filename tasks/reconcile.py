"""Keeping jobs moving from the ledger alone: a wiped broker, a lost chord or a dead worker delays a job, never ends it.

Beat sends `reconcile` to the control queue every few seconds; running it twice at once does no harm.
"""

from __future__ import annotations

import time

from shared.errors import ReelgraphError
from shared.ledger import Job, Run
from shared.log import logger
from shared.settings import settings
from tasks.aggregate import aggregate
from tasks.analyze import analysis
from tasks.celery import VISIBILITY_SECONDS, app
from tasks.node import ledger
from tasks.plan import Plan
from tasks.webhook import deliver_due
from tasks.workflow import advance, broker_since, submit

STUCK_SECONDS = 2 * VISIBILITY_SECONDS

log = logger(__name__)


@app.task(name="reconcile", ignore_result=True)
def reconcile() -> None:
    """Close overdue jobs; queue again what no broker and no worker holds any more; queue webhooks that are due."""
    since = broker_since()
    for job in ledger().open_jobs():
        try:
            _look(job, since)
        except (ReelgraphError, ValueError):  # one broken job must not stop the others
            log.exception("job_not_reconciled", job=job.id)
    deliver_due()


def _look(job: Job, since: float) -> None:
    if time.time() >= job.deadline_at:
        log.warning("job_overdue", job=job.id)
        aggregate(job.id)
    elif job.deployment == settings().deployment:
        _move(job, since)


def _move(job: Job, since: float) -> None:
    if job.state == "queued":
        if job.submitted_at < since or time.time() - job.submitted_at > STUCK_SECONDS:
            submit(job)
        return
    plan = Plan.model_validate(job.plan)
    runs = ledger().runs(job.id)
    if job.level < 0:
        advance.si(job.id, 0).apply_async(priority=job.priority)
        return
    open_runs = [runs[name] for name in plan.levels[job.level]] if job.level < len(plan.levels) else []
    open_runs = [run for run in open_runs if run.status is None]
    if not open_runs:
        advance.si(job.id, job.level + 1).apply_async(priority=job.priority)
    for run in open_runs:
        if (run.queued_at or 0.0) < since or _is_lost(run):
            log.warning("run_queued_again", job=job.id, analyzer=run.analyzer)
            ledger().queue(job.id, [run.analyzer])
            analysis(job, plan, run.analyzer).apply_async()


def _is_lost(run: Run) -> bool:
    """Whether the run's worker must be dead: its hard limit has passed and nobody redelivered it since."""
    return run.limit_at is not None and time.time() > run.limit_at + STUCK_SECONDS
