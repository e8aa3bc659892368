"""What is asked of the ledger about many jobs at once: pages, the queue, costs of earlier runs, counts."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from shared.ledger import Ledger, ended_runs
from shared.schema import AnalyzerReport
from shared.tables import OPEN_STATES, DeletedRuns, Job, Run

RECENT_JOBS = 50
"""Ended jobs whose receipts tell what an analyzer costs."""

ASKED_AT_ONCE = 500
"""Ids in one statement: databases bound how many values it may have."""

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tally:
    """Runs of one analyzer that ended one way; `seconds` from start to end, summed."""

    analyzer: str
    status: str
    cached: bool
    runs: int
    seconds: float


def page(
    ledger: Ledger,
    *,
    owners: Sequence[str | None] | None,
    states: Sequence[str] = (),
    before: str | None = None,
    limit: int,
) -> Sequence[Job]:
    """Jobs, newest first: those of these owners (None among them: nobody's), or all for None.

    `before` is the id of the last one seen.
    """
    query = sa.select(Job).order_by(Job.id.desc()).limit(limit)
    if owners is not None:
        named = Job.owner.in_([owner for owner in owners if owner is not None])
        query = query.where(sa.or_(named, Job.owner.is_(None)) if None in owners else named)
    if states:
        query = query.where(Job.state.in_(states))
    if before is not None:
        query = query.where(Job.id < before)
    with ledger.session() as session:
        return session.scalars(query).all()


def ahead_of(ledger: Ledger, job: Job) -> int:
    """How many open jobs of the same deployment have not begun either and come before this one."""
    query = sa.select(sa.func.count()).select_from(Job).where(*_beside(job), ~_has_begun(), _is_preferred(job))
    with ledger.session() as session:
        return session.scalars(query).one()


def open_before(ledger: Ledger, job: Job) -> Sequence[Job]:
    """Open jobs of the same deployment that the workers look at before this one, or at the same time."""
    query = sa.select(Job).where(*_beside(job), sa.or_(_has_begun(), _is_preferred(job)))
    with ledger.session() as session:
        return session.scalars(query).all()


def _beside(job: Job) -> tuple[sa.ColumnElement[bool], ...]:
    """Other open jobs of the same deployment."""
    return (Job.state.in_(OPEN_STATES), Job.deployment == job.deployment, Job.id != job.id)


def _has_begun() -> sa.ColumnElement[bool]:
    """Whether one of a job's analyzers has begun. A job that is planned is running, and may wait for all that."""
    return sa.exists().where(Run.job_id == Job.id, Run.started_at.is_not(None))


def _is_preferred(job: Job) -> sa.ColumnElement[bool]:
    """Whether the queues hand out a job's work before this one's: by priority, then by age."""
    earlier = sa.and_(Job.priority == job.priority, Job.submitted_at < job.submitted_at)
    return sa.or_(Job.priority < job.priority, earlier)


def ended_before(ledger: Ledger, time_: float, *, limit: int | None = None) -> Sequence[Job]:
    """Jobs that ended before a time, in seconds since the epoch, the oldest first."""
    query = sa.select(Job).where(Job.finished_at < time_, Job.state.not_in(OPEN_STATES))
    with ledger.session() as session:
        return session.scalars(query.order_by(Job.finished_at).limit(limit)).all()


def runs_of(ledger: Ledger, jobs: Sequence[Job]) -> dict[str, dict[str, Run]]:
    """The runs of several jobs at once: by job, then by analyzer."""
    found: dict[str, dict[str, Run]] = {job.id: {} for job in jobs}
    with ledger.session() as session:
        for run in session.scalars(sa.select(Run).where(Run.job_id.in_(found))):
            found[run.job_id][run.analyzer] = run
    return found


def realtime_factors(ledger: Ledger, profile: str) -> dict[str, float]:
    """Seconds of work per second of video, by analyzer: the median of what recent receipts say. Cache hits say none."""
    return _medians((report.name, factor) for report, factor in _recent_factors(ledger, profile))


def realtime_factors_by_model(ledger: Ledger, profile: str) -> dict[tuple[str, str | None, str | None, bool], float]:
    """The same by analyzer, digest of its weights, precision, and whether it worked on a CPU."""
    return _medians(
        ((report.name, report.weights, report.receipt.precision, report.receipt.device == "cpu"), factor)
        for report, factor in _recent_factors(ledger, profile)
    )


def _recent_factors(ledger: Ledger, profile: str) -> Iterator[tuple[AnalyzerReport, float]]:
    """Of runs at full rates: who saw fewer pictures for the deadline's sake says nothing about all of them."""
    recent = (
        sa.select(Job.id, Job.plan)
        .where(Job.profile == profile, Job.state.not_in(OPEN_STATES))
        .order_by(Job.id.desc())
        .limit(RECENT_JOBS)
    )
    with ledger.session() as session:
        slower = {row.id: (row.plan or {}).get("slower", {}) for row in session.execute(recent)}
        query = sa.select(Run).where(Run.job_id.in_(slower), Run.status == "ok", Run.attempts > 0)
        runs = session.scalars(query).all()
    for run in runs:
        report = run.outcome
        if report.receipt.realtime_factor is not None and run.analyzer not in slower[run.job_id]:
            yield report, report.receipt.realtime_factor


def _medians(factors: Iterable[tuple[KeyT, float]]) -> dict[KeyT, float]:
    found: dict[KeyT, list[float]] = {}
    for key, factor in factors:
        found.setdefault(key, []).append(factor)
    return {key: statistics.median(each) for key, each in found.items()}


def jobs_by_state(ledger: Ledger) -> dict[str, int]:
    """How many jobs are in each state."""
    query = sa.select(Job.state, sa.func.count()).group_by(Job.state)
    with ledger.session() as session:
        return {row[0]: row[1] for row in session.execute(query)}


def tallies(ledger: Ledger) -> tuple[Tally, ...]:
    """Ended runs, of deleted jobs too, by analyzer, status and whether the cache answered."""
    gone = DeletedRuns
    deleted = sa.select(gone.analyzer, gone.status, gone.cached, gone.runs, gone.seconds)
    # one statement: between two, a deletion would be counted twice or not at all
    query: sa.CompoundSelect[str, str | None, bool, int, float | None] = sa.union_all(ended_runs(), deleted)
    found: dict[tuple[str, str, bool], tuple[int, float]] = {}
    with ledger.session() as session:
        for row in session.execute(query):
            kind = (row[0], str(row[1]), bool(row[2]))
            runs, seconds = found.get(kind, (0, 0.0))
            found[kind] = (runs + row[3], seconds + (row[4] or 0.0))
    return tuple(Tally(*kind, *counted) for kind, counted in found.items())


def is_needed(ledger: Ledger, video_sha256: str, *, but: str | None = None) -> bool:
    """Whether a job is on this video; `but` is the id of one that does not count."""
    query = sa.select(Job.id).where(Job.video_sha256 == video_sha256, Job.id != (but or "")).limit(1)
    with ledger.session() as session:
        return session.scalars(query).first() is not None


def without_job(ledger: Ledger, job_ids: Sequence[str]) -> set[str]:
    """Those ids that no job in the ledger has."""
    return _without_job(ledger, Job.id, job_ids)


def unneeded(ledger: Ledger, video_sha256s: Sequence[str]) -> set[str]:
    """Those videos that no job is on."""
    return _without_job(ledger, Job.video_sha256, video_sha256s)


def _without_job(ledger: Ledger, column: sa.orm.InstrumentedAttribute[str], values: Sequence[str]) -> set[str]:
    left = set(values)
    for first in range(0, len(values), ASKED_AT_ONCE):
        some = values[first : first + ASKED_AT_ONCE]
        with ledger.session() as session:
            left.difference_update(session.scalars(sa.select(column).where(column.in_(some))))
    return left


def needed_fingerprints(ledger: Ledger, fingerprints: Sequence[str], *, but: str) -> set[str]:
    """Those of the fingerprints that a run of another job than `but` has."""
    query = sa.select(Run.fingerprint).where(Run.fingerprint.in_(fingerprints), Run.job_id != but)
    with ledger.session() as session:
        return set(session.scalars(query.distinct()))
