"""Closing a job: one document from all stored outcomes. Safe to call any number of times, from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from shared import traces
from shared.errors import Infrastructure
from shared.events import Event
from shared.log import logger
from shared.schema import (
    AnalyzerReport,
    Coverage,
    Document,
    ErrorInfo,
    JobInfo,
    JobState,
    Outcome,
    Status,
)
from shared.storage import document_key, outcome_key
from shared.tables import OPEN_STATES, Job, Run
from tasks.celery import app
from tasks.inputs import OUTCOME_LOST, cached_outcome, stored_outcome
from tasks.node import events, ledger, storage
from tasks.outcomes import reported, staged
from tasks.plan import Plan
from tasks.registry import analyzers, asked_for, retired
from tasks.webhook import deliver_soon

NO_VERSION = 0
"""Of an analyzer that this version does not have: those that are there count from 1."""

log = logger(__name__)


@app.task(name="aggregate", ignore_result=True)
def aggregate(job_id: str) -> str:
    """Write the document and close the job; the state it ended in."""
    with traces.span("aggregate", job=job_id) as work:
        state = _aggregate(job_id)
        work.note(state=state)
        return state


def _aggregate(job_id: str) -> str:
    job = ledger().job(job_id)
    if job.state not in OPEN_STATES:
        return job.state
    if job.plan is None:
        _plan_nothing(job)
    for run in ledger().runs(job_id).values():
        if run.status is None:
            _end(job, run, *_why_open(job, run))
    runs = sorted(ledger().runs(job_id).values(), key=lambda run: run.analyzer)
    outcomes = [_outcome(job, run) for run in runs]
    state = _state(job, [one.report for one in outcomes])
    document = _document(job, state, outcomes, decode_passes=sum(run.decode_passes for run in runs))
    storage().write(document_key(job_id), document.model_dump_json().encode())
    if ledger().finish(job_id, state):
        log.info("job_closed", job=job_id, state=state, wall_seconds=document.job.wall_seconds)
        events().publish(job_id, Event(type="closed", state=state))
        deliver_soon(job_id)
    return ledger().job(job_id).state


def _plan_nothing(job: Job) -> None:
    """A job that was never planned: its analyzers are named all the same, each without an outcome."""
    log.error("job_never_planned", job=job.id)
    empty = Plan(levels=(), limits={}, frames={}, audio={})
    names = [*(one.name for one in asked_for(job.requested)), *retired(job.requested)]
    runs = [Run(job_id=job.id, analyzer=name, level=0) for name in names]
    ledger().start(job.id, empty.model_dump(mode="json"), runs)


def stopped_at_limit(job_id: str, name: str) -> None:
    """End a run whose process was killed at its hard limit."""
    job, run = ledger().job(job_id), ledger().run(job_id, name)
    reason = ErrorInfo(code="time_limit", message="its worker was stopped at the limit", retryable=True)
    _end(job, run, "timeout", reason)


def end_retired(job: Job, runs: Iterable[Run]) -> None:
    """End the open ones of these runs whose analyzer this version does not have: nobody takes their tasks."""
    for run in runs:
        if run.status is None and run.analyzer not in analyzers():
            log.warning("analyzer_retired", job=job.id, analyzer=run.analyzer)
            _end(job, run, *_why_open(job, run))


def _end(job: Job, run: Run, status: Status, error: ErrorInfo) -> None:
    known = analyzers().get(run.analyzer)
    version = known.version if known else NO_VERSION
    options = reported(job.options.get(run.analyzer, {}))
    report = AnalyzerReport(name=run.analyzer, version=version, status=status, options=options, error=error)
    with staged(job.id, [Outcome(report=report)]) as put:
        ledger().end(job.id, report, commit=put)


def _why_open(job: Job, run: Run) -> tuple[Status, ErrorInfo]:
    if job.cancel_requested:
        return "cancelled", ErrorInfo(code="cancelled", message="the job was cancelled")
    if job.remaining_seconds <= 0:
        return "timeout", ErrorInfo(code="deadline", message="not finished by the job's deadline", retryable=True)
    if run.analyzer not in analyzers():
        return "unavailable", _retired(f"this version has no analyzer {run.analyzer}")
    died_of = f" of {run.died_of}" if run.died_of else ""
    message = f"its worker died{died_of} and left no outcome"
    return "failed", ErrorInfo(code="worker_died", message=message, retryable=True)


def _retired(message: str) -> ErrorInfo:
    return ErrorInfo(code="unknown_analyzer", message=message)


def _outcome(job: Job, run: Run) -> Outcome:
    """How a run ended, with what it found where that can be read, else with why it cannot.

    Raises:
        Infrastructure: the storage does not answer, and the job has time to wait until it does.
    """
    try:
        report = run.outcome
    except ValidationError as error:
        return _unreadable(job, run, error)
    if not run.has_result:
        return Outcome(report=report)
    if run.analyzer not in analyzers():
        why = _retired(f"this version has no analyzer {run.analyzer} and cannot read what it found; that stays stored")
        return Outcome(report=report.model_copy(update={"status": "unavailable", "analysed": (), "error": why}))
    try:
        return Outcome(report=report, tracks=stored_outcome(storage(), job.id, run.analyzer).tracks)
    except Infrastructure as error:
        if error.code != OUTCOME_LOST and job.remaining_seconds > 0:
            raise
        return _restored(job, run) or _lost(job, report, error)


def _restored(job: Job, run: Run) -> Outcome | None:
    """A lost outcome from what the cache has of it, stored anew; None where the cache has nothing."""
    cached = cached_outcome(storage(), run.fingerprint) if run.fingerprint else None
    if cached is None:
        return None
    outcome = Outcome(report=run.outcome, tracks=cached.tracks)
    try:
        storage().write(outcome_key(job.id, run.analyzer), outcome.model_dump_json().encode())
    except Infrastructure as error:  # it is in the document all the same
        log.warning("outcome_not_restored", job=job.id, analyzer=run.analyzer, error=error.message)
    else:
        log.warning("outcome_restored", job=job.id, analyzer=run.analyzer)
    return outcome


def _unreadable(job: Job, run: Run, error: ValidationError) -> Outcome:
    """What stands for a run whose report in the ledger is none: the job ends all the same."""
    log.error("report_unreadable", job=job.id, analyzer=run.analyzer, reason=str(error))
    known = analyzers().get(run.analyzer)
    why = ErrorInfo(code=OUTCOME_LOST, message=f"the ledger's report of {run.analyzer} is damaged")
    version = known.version if known else NO_VERSION
    report = AnalyzerReport(name=run.analyzer, version=version, status="failed", error=why)
    ledger().lose(job.id, report)
    return Outcome(report=report)


def _lost(job: Job, report: AnalyzerReport, error: Infrastructure) -> Outcome:
    log.error("outcome_lost", job=job.id, analyzer=report.name, reason=error.message)
    why = ErrorInfo(code=OUTCOME_LOST, message=error.message, retryable=True)
    lost = report.model_copy(update={"status": "failed", "analysed": (), "error": why})
    ledger().lose(job.id, lost)
    return Outcome(report=lost)


def _state(job: Job, reports: Iterable[AnalyzerReport]) -> JobState:
    if job.cancel_requested:
        return "cancelled"
    return "completed" if all(map(_is_fine, reports)) else "completed_with_errors"


def _is_fine(report: AnalyzerReport) -> bool:
    """What the profile does not promise, what is switched off and what the video does not have are no errors."""
    by_choice = report.error is not None and report.error.code in ("not_in_profile", "switched_off")
    return report.status in ("ok", "skipped") or (report.status == "unavailable" and by_choice)


def _document(job: Job, state: JobState, outcomes: Sequence[Outcome], *, decode_passes: int) -> Document:
    reports = tuple(one.report for one in outcomes)
    media = job.video
    wall_seconds = round(job.age_seconds, 3)
    by_status: dict[Status, list[str]] = {}
    for report in reports:
        by_status.setdefault(report.status, []).append(report.name)
    return Document(
        job=JobInfo(
            id=job.id,
            state=state,
            profile=job.profile,
            submitted_at=datetime.fromtimestamp(job.submitted_at, UTC).isoformat(timespec="milliseconds"),
            decode_passes=decode_passes,
            wall_seconds=wall_seconds,
            realtime_factor=round(wall_seconds / media.duration_seconds, 4) if media.duration_seconds else None,
            source_name=job.source_name,
            notes=Plan.of(job).notes if job.plan else (),
        ),
        media=media,
        coverage=Coverage.model_validate(by_status),
        analyzers=reports,
        tracks=tuple(track for one in outcomes for track in one.tracks),
    )
