"""The ledger: jobs and outcomes in a database, the truth about state. Every state change is a compare-and-set.

SQLite in WAL mode on one machine, PostgreSQL by URL. Times (`_at`) are seconds since the epoch: they cross processes.
Ticks are seconds of one kernel's clock (shared/clock.py): only processes of the `boot` beside them may compare them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.clock import seconds_since
from shared.errors import BadInput, Infrastructure, QuotaExceeded
from shared.migrations import HEAD
from shared.schema import AnalyzerReport, JobState

BUSY_SECONDS = 30
KEPT_CONNECTIONS = 4
MIGRATION_LOCK = 0x7265656C  # "reel": the advisory lock that PostgreSQL's migrations take
OPEN_STATES: tuple[JobState, ...] = ("queued", "running")


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {dict[str, Any]: sa.JSON, list[str]: sa.JSON}  # noqa: RUF012  (SQLAlchemy's own pattern)


class Job(Base):
    """One analysis of one video."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(index=True)
    level: Mapped[int] = mapped_column(default=-1)
    deployment: Mapped[str]
    profile: Mapped[str]
    video_sha256: Mapped[str] = mapped_column(index=True)
    source_name: Mapped[str | None]
    media: Mapped[dict[str, Any]]
    requested: Mapped[list[str]]
    options: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any] | None]
    priority: Mapped[int]
    submitted_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float] = mapped_column(index=True)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    fresh: Mapped[list[str] | None]
    """Analyzers that run again whatever is in the cache, and with them what depends on them."""
    rerun_of: Mapped[str | None]
    owner: Mapped[str | None] = mapped_column(index=True)
    """Id of the API key that submitted it; None where no key was needed."""
    boot: Mapped[str | None]
    submitted_ticks: Mapped[float | None]
    """When it was submitted, and on which run of a kernel, by a clock that nobody sets (shared/clock.py)."""

    @property
    def age_seconds(self) -> float:
        """Since it was submitted."""
        return seconds_since(self.boot, self.submitted_ticks, self.submitted_at)

    @property
    def remaining_seconds(self) -> float:
        """Until its deadline; below 0 after it."""
        return self.deadline_at - self.submitted_at - self.age_seconds


class Run(Base):
    """One analyzer's run in a job and, once `status` is set, the outcome it ended in."""

    __tablename__ = "outcomes"

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    analyzer: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int]
    status: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """Starts of its work, whatever became of them."""
    holder: Mapped[str | None]
    """Name of the worker that works on it now."""
    beat: Mapped[int] = mapped_column(default=0, server_default="0")
    """Changes every few seconds while its holder lives; nobody's clock is compared with another's."""
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    """Processes that ended in the middle of it."""
    died_of: Mapped[str | None]
    """What ended the last of them: a signal's name or an exit code."""
    decode_passes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counted when they begin, so that those of killed attempts are in it."""
    queued_at: Mapped[float | None]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    limit_at: Mapped[float | None]
    fingerprint: Mapped[str | None] = mapped_column(index=True)
    report: Mapped[dict[str, Any] | None]

    @property
    def outcome(self) -> AnalyzerReport:
        """The report of a finished run."""
        return AnalyzerReport.model_validate(self.report)


class DeletedRuns(Base):
    """Ended runs of one kind whose jobs were deleted: what is counted by runs never falls."""

    __tablename__ = "deleted_runs"

    analyzer: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    cached: Mapped[bool] = mapped_column(primary_key=True)
    """Whether the cache answered."""
    runs: Mapped[int]
    seconds: Mapped[float]
    """From start to end, summed."""


class IdempotencyKey(Base):
    """A caller's own name for a job, so that a repeated request finds the first one. Every owner has its own names."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    """The owner of its job; "" for none, since no part of a primary key is null."""
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"))
    request_digest: Mapped[str | None]
    """What was asked for, as the caller digests it; None when it does not."""
    created_at: Mapped[float]


class Ending(NamedTuple):
    """How a run ended; no status before that."""

    status: str | None
    fingerprint: str | None

    @property
    def has_result(self) -> bool:
        """Whether others can read its tracks."""
        return self.status in ("ok", "partial")


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


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random; sorts by time."""
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Ledger:
    """Jobs and runs in one database."""

    def __init__(self, url: str) -> None:
        """Raises BadInput (`bad_ledger_url`); no connection is made."""
        self.url = url
        self._engines: dict[int, sa.Engine] = {}
        try:
            self._engines[os.getpid()] = _engine(url)
        except (sa.exc.ArgumentError, ValueError) as error:
            raise BadInput(f"the ledger's URL is no database URL: {error}", code="bad_ledger_url") from error
        except ModuleNotFoundError as error:
            help_ = "; get it with: pip install 'reelgraph[postgres]'" if error.name == "psycopg" else ""
            message = f"the ledger's URL asks for the driver {error.name}, which is not installed{help_}"
            raise BadInput(message, code="bad_ledger_url") from error

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process. A parent's stays untouched: SQLite forbids to use or close its connections."""
        return self._engines.get(os.getpid()) or self._engines.setdefault(os.getpid(), _engine(self.url))

    def migrate(self) -> None:
        """Bring the tables to this version; several processes may call it at once.

        Raises:
            Infrastructure: the database cannot be reached or written.
        """
        with _migration_lock(self.engine.url), _as_infrastructure("opened"), self.engine.begin() as connection:
            if _is_current(connection):
                return
            if connection.dialect.name == "postgresql":  # without it, two that create a table at once collide
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            _upgrade(connection)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends well.

        Raises:
            Infrastructure: the database cannot be reached or stays locked.
        """
        with _as_infrastructure("used"), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A transaction without the session's bookkeeping, which costs more than a short statement does."""
        with _as_infrastructure("used"), self.engine.begin() as connection:
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
            with self.session() as session:
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


@contextmanager
def _as_infrastructure(verb: str) -> Iterator[None]:
    """Turn what the database itself is to blame for into Infrastructure; a broken constraint is the caller's."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        # the base class itself: a file that is no SQLite database
        if type(error) not in {sa.exc.DatabaseError, sa.exc.OperationalError}:
            raise
        raise Infrastructure(f"the ledger cannot be {verb}: {error.orig}", code="ledger_unreachable") from error


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


def _is_current(connection: sa.Connection) -> bool:
    if not sa.inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == HEAD)


def _upgrade(connection: sa.Connection, revision: str = "head") -> None:
    from alembic import command  # slow to import and needed once in a ledger's life
    from alembic.config import Config

    config = Config()
    with as_file(files("shared") / "migrations") as scripts:
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _changed(session: Session, query: sa.Update | sa.Delete) -> bool:
    result = session.execute(query, execution_options={"synchronize_session": False})
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"connect_timeout": 5})
    # opening SQLite takes longer than most queries; as many as there are threads, the idle ones of them kept
    engine = sa.create_engine(url, pool_size=KEPT_CONNECTIONS, max_overflow=-1, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _migration_lock(url: sa.URL) -> Iterator[None]:
    if url.get_backend_name() != "sqlite" or not url.database:
        yield  # a server has locks of its own
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(os.fspath(Path(url.database).with_suffix(".lock")), timeout=BUSY_SECONDS):
            yield
    except Timeout as error:
        message = f"another process has been migrating the ledger for {BUSY_SECONDS} s"
        raise Infrastructure(message, code="ledger_busy") from error
    except OSError as error:
        raise Infrastructure(f"{folder} cannot be written: {error.strerror}", code="disk_error") from error
