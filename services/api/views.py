"""Jobs as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from services.api.answers import AnalyzerState, JobSummary, JobView
from services.api.estimates import estimate_seconds, progress
from shared.listing import ahead_of
from shared.schema import AnalyzerReport, JobState
from shared.tables import OPEN_STATES, Job, Run
from tasks.node import ledger
from tasks.registry import asked_for


def summary(job: Job) -> JobSummary:
    """A job in the list."""
    return JobSummary(
        id=job.id,
        state=cast("JobState", job.state),
        source_name=job.source_name,
        duration_seconds=job.media["duration_seconds"],
        has_video=job.media.get("width") is not None,
        profile=job.profile,
        priority=job.priority,
        submitted_at=_time(job.submitted_at),
        started_at=_time(job.started_at) if job.started_at is not None else None,
        finished_at=_time(job.finished_at) if job.finished_at is not None else None,
        deadline_at=_time(job.deadline_at),
        cancel_requested=job.cancel_requested,
        rerun_of=job.rerun_of,
    )


def view(job: Job) -> JobView:
    """A job with all that is known of it now."""
    runs = ledger().runs(job.id)
    is_waiting = job.state in OPEN_STATES and all(run.started_at is None for run in runs.values())
    return JobView(
        **dict(summary(job)),
        media=job.video,
        progress=progress(job, runs),
        queue_position=ahead_of(ledger(), job) + 1 if is_waiting else None,
        eta_seconds=estimate_seconds(job, runs) if job.state in OPEN_STATES else None,
        analyzers=_states(job, runs),
    )


def _states(job: Job, runs: Mapping[str, Run]) -> tuple[AnalyzerState, ...]:
    if not runs:
        return tuple(AnalyzerState(name=one.name, status="queued") for one in asked_for(job.requested))
    return tuple(_state(run) for _, run in sorted(runs.items()))


def _state(run: Run) -> AnalyzerState:
    seconds = run.finished_at - run.started_at if run.finished_at and run.started_at else None
    report: AnalyzerReport | None = run.outcome if run.status is not None else None
    if report is None:
        return AnalyzerState(
            name=run.analyzer, status="queued" if run.started_at is None else "running", attempts=run.attempts
        )
    return AnalyzerState(
        name=run.analyzer,
        status=report.status,
        attempts=run.attempts,
        cache_hit=report.receipt.cache_hit,
        seconds=round(seconds, 3) if seconds is not None else None,
        error=report.error,
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
