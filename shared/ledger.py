"""The ledger: jobs and outcomes in a database, the truth about state. Every state change is a compare-and-set.

SQLite in WAL mode on one machine, PostgreSQL by URL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from shared.database import as_infrastructure, connect, migrate
from shared.errors import BadInput, QuotaExceeded
from shared.schema import AnalyzerReport, JobState
from shared.tables import OPEN_STATES, WITH_RESULT, Base, DeletedRuns, IdempotencyKey, Installation, Job, Run


class Ending(NamedTuple):
    """How a run ended; no status before that."""

    status: str | None
    fingerprint: str | None

    @property
    def has_result(self) -> bool:
        """Whether others can read its tracks."""
        return self.status in WITH_RESULT


_RUNS = cast("sa.Table", Run.__table__)
# what every task asks: built once, since building a statement takes as long as running it
_STANDING = sa.select(Job.cancel_requested, Job.state).where(Job.id == sa.bindparam("job"))
_ENDINGS = sa.select(Run.analyzer, Run.status, Run.fingerprint).where(Run.job_id == sa.bindparam("job"))
_OPEN_RUNS = sa.update(_RUNS).where(_RUNS.c.job_id == sa.bindparam("job"), _RUNS.c.status.is_(None))
_CLAIM = (
    _OPEN_RUNS.where(_RUNS.c.analyzer.in_(sa.bindparam("names", expanding=True)), _RUNS.c.queued_at.is_(None))
    .values(queued_at=sa.bindparam("queued_at"))
    .returning(_RUNS.c.analyzer)
)
_OPEN_RUN = _OPEN_RUNS.where(_RUNS.c.analyzer == sa.bindparam("name"))
_BEGIN = (
    _OPEN_RUN.where(_RUNS.c.holder.is_(None))
    .values(
        attempts=_RUNS.c.attempts + 1,
        beat=0,
        holder=sa.bindparam("holder"),
        started_at=sa.bindparam("started_at"),
        limit_at=sa.bindparam("limit_at"),
    )
    .returning(_RUNS)
)
_END = _OPEN_RUN.values(
    holder=None, **{name: sa.bindparam(name) for name in ("status", "report", "fingerprint", "finished_at")}
)
_END_ATTEMPT = _END.where(_RUNS.c.attempts == sa.bindparam("attempt"), _RUNS.c.holder.is_not(None))


class Ledger:
    """Jobs and runs in one database."""

    def __init__(self, url: str) -> None:
        """Raises BadInput (`bad_ledger_url`); no connection is made."""
        self.url = url
        self._engines: dict[tuple[int, bool], sa.Engine] = {}
        try:
            self._engine()
        except (sa.exc.ArgumentError, ValueError) as error:
            raise BadInput(f"the ledger's URL is no database URL: {error}", code="bad_ledger_url") from error
        except ModuleNotFoundError as error:
            help_ = "; get it with: pip install 'reelgraph[postgres]'" if error.name == "psycopg" else ""
            message = f"the ledger's URL asks for the driver {error.name}, which is not installed{help_}"
            raise BadInput(message, code="bad_ledger_url") from error

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process. A parent's stays untouched: SQLite forbids to use or close its connections."""
        return self._engine()

    def _engine(self, *, durable: bool = False) -> sa.Engine:
        which = os.getpid(), durable
        return self._engines.get(which) or self._engines.setdefault(which, connect(self.url, durable=durable))

    def migrate(self) -> None:
        """Bring the tables to this version; several processes may call it at once.

        Raises:
            Infrastructure: the database cannot be reached or written, or a newer version has been there
                (`unknown_ledger_version`).
        """
        migrate(self.engine)

    def installation(self) -> str:
        """The id of this ledger, which a copy of it keeps. Raises Infrastructure."""
        with self.session() as session:
            return session.scalars(sa.select(Installation.id)).one()

    @contextmanager
    def session(self, *, durable: bool = False) -> Iterator[Session]:
        """A transaction: committed when the block ends well; a `durable` one, on SQLite as well, for a power cut too.

        Raises:
            Infrastructure: the database cannot be reached or stays locked.
        """
        engine = self._engine(durable=durable)
        with as_infrastructure("used"), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A transaction without the session's bookkeeping, which costs more than a short statement does."""
        with as_infrastructure("used"), self.engine.begin() as connection:
            yield connection

    # --- jobs ---

    def create(
        self,
        job: Job,
        *,
        idempotency_key: str | None = None,
        request_digest: str | None = None,
        open_jobs_limit: int | None = None,
        also: Sequence[Base] = (),
    ) -> Job:
        """Store a new job, and rows that hang on it; with a key that its owner used before, return the job of then.

        Raises:
            BadInput: the key was used for another request (`idempotency_mismatch`).
            QuotaExceeded: its owner would have more than `open_jobs_limit` jobs open; nothing is stored.
        """
        try:
            with self.session(durable=True) as session:  # who reads that a job is accepted may rely on it
                _lock_owner(session, job.owner)
                session.add(job)
                session.flush()
                session.add_all(also)
                if idempotency_key is not None:
                    session.add(_named(job, idempotency_key, request_digest))
                    session.flush()
                _check_quota(session, job.owner, open_jobs_limit)
        except sa.exc.IntegrityError:
            first = idempotency_key and self.find(idempotency_key, owner=job.owner, request_digest=request_digest)
            if not first:
                raise
            return first
        return job

    def find(self, idempotency_key: str, *, owner: str | None, request_digest: str | None = None) -> Job | None:
        """The job that its owner submitted under this key; None when there is none.

        Raises:
            BadInput: the key was used for another request (`idempotency_mismatch`).
        """
        with self.session() as session:
            named = session.get(IdempotencyKey, (owner or "", idempotency_key))
            job = session.get(Job, named.job_id) if named else None
        if named and request_digest and named.request_digest not in (None, request_digest):
            message = f"the idempotency key {idempotency_key!r} was used for another request; take a new one"
            raise BadInput(message, code="idempotency_mismatch")
        return job

    def job(self, job_id: str) -> Job:
        """The job. Raises BadInput (`unknown_job`)."""
        with self.session() as session:
            job = session.get(Job, job_id)
        if job is None:
            raise BadInput(f"there is no job {job_id}", code="unknown_job")
        return job

    def open_jobs(self) -> Sequence[Job]:
        """Jobs that have not ended, oldest first."""
        with self.session() as session:
            return session.scalars(sa.select(Job).where(Job.state.in_(OPEN_STATES)).order_by(Job.submitted_at)).all()

    def start(
        self, job_id: str, plan: Mapping[str, Any], runs: Sequence[Run], *, commit: Callable[[], None] = lambda: None
    ) -> bool:
        """Move a queued job to running with its plan and runs; False when somebody else has started it.

        `commit` is called before that becomes true, by the one who does it.
        """
        with self.session() as session:
            started = self._update_job(session, job_id, "queued", state="running", plan=plan, started_at=time.time())
            if started:
                session.add_all(runs)
                commit()
        return started

    def advance(self, job_id: str, level: int) -> bool:
        """Move a running job from the level before to `level`; False when somebody else has."""
        with self.session() as session:
            query = sa.update(Job).where(Job.id == job_id, Job.state == "running", Job.level == level - 1)
            return _changed(session, query.values(level=level))

    def finish(self, job_id: str, state: JobState) -> bool:
        """Close a job that is open; False when it is closed already."""
        with self.session() as session:
            return self._update_job(session, job_id, *OPEN_STATES, state=state, finished_at=time.time())

    def cancel(self, job_id: str) -> bool:
        """Ask a job to stop; False when it has ended already."""
        with self.session() as session:
            return self._update_job(session, job_id, *OPEN_STATES, cancel_requested=True)

    def is_cancelled(self, job_id: str) -> bool:
        """Whether the job was asked to stop, has ended or is deleted."""
        with self._connection() as connection:
            row = connection.execute(_STANDING, {"job": job_id}).one_or_none()
        return row is None or row.cancel_requested or row.state not in OPEN_STATES

    def delete(self, job_id: str) -> bool:
        """Forget a job that has ended, with its runs, but for their number; False when it is open or gone."""
        with self.session() as session:
            job = session.get(Job, job_id, with_for_update=True)
            if job is None or job.state in OPEN_STATES:
                return False
            session.execute(_count_deleted(session, job_id))
            query = sa.delete(Job).where(Job.id == job_id, Job.state.not_in(OPEN_STATES))
            return _changed(session, query)

    @staticmethod
    def _update_job(session: Session, job_id: str, *states: str, **values: object) -> bool:
        return _changed(session, sa.update(Job).where(Job.id == job_id, Job.state.in_(states)).values(**values))

    # --- runs ---

    def runs(self, job_id: str) -> dict[str, Run]:
        """All runs of a job by analyzer."""
        with self.session() as session:
            rows = session.scalars(sa.select(Run).where(Run.job_id == job_id).order_by(Run.level, Run.analyzer)).all()
        return {run.analyzer: run for run in rows}

    def endings(self, job_id: str, analyzers: Sequence[str] | None = None) -> dict[str, Ending]:
        """How some runs of a job, all of them by default, have ended, without their reports."""
        query = _ENDINGS if analyzers is None else _ENDINGS.where(Run.analyzer.in_(analyzers))
        with self._connection() as connection:
            return {name: Ending(*ending) for name, *ending in connection.execute(query, {"job": job_id})}

    def run(self, job_id: str, analyzer: str) -> Run:
        """One run of a job. Raises BadInput (`unknown_outcome`)."""
        with self.session() as session:
            run = session.get(Run, (job_id, analyzer))
        if run is None:
            raise BadInput(f"job {job_id} has no analyzer {analyzer}", code="unknown_outcome")
        return run

    def queue(self, job_id: str, analyzers: Sequence[str]) -> None:
        """Note that these runs are queued now; one that was begun before has its whole time again."""
        with self.session() as session:
            query = sa.update(Run).where(Run.job_id == job_id, Run.analyzer.in_(analyzers), Run.status.is_(None))
            session.execute(query.values(queued_at=time.time(), limit_at=None))

    def claim(self, job_id: str, analyzers: Sequence[str]) -> list[str]:
        """Note that these runs are queued now, but for those that somebody queued before; the names of the others."""
        if not analyzers:
            return []
        with self._connection() as connection:
            wanted = {"job": job_id, "names": analyzers, "queued_at": time.time()}
            claimed = set(connection.scalars(_CLAIM, wanted))
        return [name for name in analyzers if name in claimed]

    def begin(self, job_id: str, analyzer: str, *, limit_seconds: float, holder: str = "") -> Run | None:
        """Take a run and count an attempt before its work starts; None when it is done or somebody holds it."""
        now = time.time()
        taken = {"job": job_id, "name": analyzer, "holder": holder, "started_at": now, "limit_at": now + limit_seconds}
        with self._connection() as connection:
            row = connection.execute(_BEGIN, taken).one_or_none()
        return None if row is None else Run(**row._mapping)  # noqa: SLF001  (its public name)

    def keep(self, run: Run) -> bool:
        """Say that this attempt's process lives; False when the run is no longer this attempt's."""
        with self.session() as session:
            return _changed(session, self._attempt(run).values(beat=Run.beat + 1))

    def let_go(self, run: Run, *, died_of: str | None = None) -> bool:
        """End this attempt without an outcome; `died_of` counts a death. False when it is no longer this attempt's."""
        with self.session() as session:
            return _changed(session, self._attempt(run).values(**_let_go(died_of)))

    def declare_dead(self, run: Run) -> bool:
        """End an attempt whose process gave no sign of life; False when it has given one since `run` was read."""
        with self.session() as session:
            return _changed(session, self._attempt(run).where(Run.beat == run.beat).values(**_let_go("silence")))

    def child_died(self, job_id: str, analyzer: str, *, holder: str, died_of: str) -> bool:
        """Note what ended the process by which this worker held a run; False when it held none."""
        with self.session() as session:
            query = self._open_run(job_id, analyzer).where(Run.holder == holder)
            return _changed(session, query.values(**_let_go(died_of)))

    def leave(self, holder: str, *, died_of: str | None = None) -> int:
        """End all that a worker of this name held: it shuts down, or starts and had died before. How many it held."""
        with self.session() as session:
            query = sa.update(Run).where(Run.holder == holder, Run.status.is_(None)).values(**_let_go(died_of))
            result = session.execute(query, execution_options={"synchronize_session": False})
            return int(result.rowcount)  # type: ignore[attr-defined]

    def held(self) -> Sequence[tuple[Run, int]]:
        """All runs that somebody works on, of any job, each with its job's priority."""
        query = sa.select(Run, Job.priority).join(Job, Job.id == Run.job_id)
        with self.session() as session:
            rows = session.execute(query.where(Run.holder.is_not(None), Run.status.is_(None))).all()
        return [(run, priority) for run, priority in rows]

    def count_decode_pass(self, job_id: str, analyzer: str) -> None:
        """Count a decode pass that begins."""
        with self.session() as session:
            query = sa.update(Run).where(Run.job_id == job_id, Run.analyzer == analyzer)
            session.execute(query.values(decode_passes=Run.decode_passes + 1))

    def end(
        self,
        job_id: str,
        report: AnalyzerReport,
        *,
        attempt: int | None = None,
        fingerprint: str | None = None,
        commit: Callable[[], None] = lambda: None,
    ) -> bool:
        """Store how a run ended; False when it is done already or `attempt` is no longer the newest or let go.

        `commit` is called before that becomes true, by the one who does it: it puts the outcome in its place.
        """
        values = {"status": report.status, "report": report.model_dump(mode="json"), "fingerprint": fingerprint}
        which = {"job": job_id, "name": report.name} | ({} if attempt is None else {"attempt": attempt})
        with self._connection() as connection:
            change = _END if attempt is None else _END_ATTEMPT
            ended = connection.execute(change, {**which, **values, "finished_at": time.time()}).rowcount == 1
            if ended:
                commit()
        return ended

    def lose(self, job_id: str, report: AnalyzerReport) -> bool:
        """Note that nobody can read the result of a run that had one, as the report says; False when it has none."""
        with self.session() as session:
            query = sa.update(Run).where(Run.job_id == job_id, Run.analyzer == report.name, Run.status.in_(WITH_RESULT))
            return _changed(session, query.values(status=report.status, report=report.model_dump(mode="json")))

    @classmethod
    def _attempt(cls, run: Run) -> sa.Update:
        query = cls._open_run(run.job_id, run.analyzer)
        return query.where(Run.attempts == run.attempts, Run.holder.is_not(None))

    @staticmethod
    def _open_run(job_id: str, analyzer: str) -> sa.Update:
        return sa.update(Run).where(Run.job_id == job_id, Run.analyzer == analyzer, Run.status.is_(None))


def _let_go(died_of: str | None) -> dict[str, Any]:
    if died_of is None:
        return {"holder": None}
    return {"holder": None, "deaths": Run.deaths + 1, "died_of": died_of}


def ended_runs() -> sa.Select[str, str | None, bool, int, float | None]:
    """The columns of `DeletedRuns` of the runs in the ledger."""
    cached = sa.and_(Run.attempts == 0, Run.status == "ok")
    seconds = sa.func.coalesce(sa.func.sum(Run.finished_at - Run.started_at), 0.0)
    columns = (Run.analyzer, Run.status, cached.label("cached"), sa.func.count(), seconds)
    return sa.select(*columns).where(Run.status.is_not(None)).group_by(Run.analyzer, Run.status, cached)


def _count_deleted(session: Session, job_id: str) -> sa.Insert:
    """Both databases know this clause; SQLAlchemy has it in each one's own words."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    runs = insert(DeletedRuns).from_select(
        ["analyzer", "status", "cached", "runs", "seconds"],
        # in one order: two that lock the same rows in different ones would wait for each other
        ended_runs().where(Run.job_id == job_id).order_by(Run.analyzer),
    )
    added = {name: getattr(DeletedRuns, name) + getattr(runs.excluded, name) for name in ("runs", "seconds")}
    return runs.on_conflict_do_update(index_elements=["analyzer", "status", "cached"], set_=added)


def _named(job: Job, key: str, request_digest: str | None) -> IdempotencyKey:
    owner = job.owner or ""
    return IdempotencyKey(owner=owner, key=key, job_id=job.id, request_digest=request_digest, created_at=time.time())


def _lock_owner(session: Session, owner: str | None) -> None:
    """Let one submission of an owner pass at a time, so that jobs are counted right. SQLite has one writer anyway."""
    if owner is not None and session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(owner))))


def _check_quota(session: Session, owner: str | None, limit: int | None) -> None:
    """Called after the new job was written: on SQLite the write is the lock."""
    if owner is None or limit is None:
        return
    query = sa.select(sa.func.count()).select_from(Job).where(Job.owner == owner, Job.state.in_(OPEN_STATES))
    if session.scalars(query).one() > limit:
        raise QuotaExceeded(f"{limit} jobs of this key are open already, which is all it may have at once")


def _changed(session: Session, query: sa.Update | sa.Delete) -> bool:
    result = session.execute(query, execution_options={"synchronize_session": False})
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]
