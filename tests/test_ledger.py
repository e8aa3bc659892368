"""Tests of the ledger: migrations, compare-and-set, idempotency, on SQLite and on a real PostgreSQL."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner

import services.commands.migrate
import shared.database
import shared.keys
import shared.webhooks
from services.cli import cli
from shared.errors import BadInput, Infrastructure, QuotaExceeded
from shared.ledger import Ledger
from shared.listing import tallies
from shared.migrations import HEAD, is_known
from shared.schema import AnalyzerReport
from shared.settings import settings, use
from shared.tables import Base, Job, Run, new_id
from tests.support.postgres import postgres

RACERS = 8

A_JOB_OF_THE_FIRST_VERSION = (
    "INSERT INTO jobs (id, state, level, deployment, profile, video_sha256, media, requested, options, priority,"
    " submitted_at, deadline_at, cancel_requested) VALUES"
    " ('j1', 'queued', -1, 'test', 'local', '0', '{}', '[]', '{}', 5, 1.0, 2.0, false)"
)


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    server = request.getfixturevalue("server")
    name = f"t{uuid.uuid4().hex}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def ledger(url):
    opened = Ledger(url)
    opened.migrate()
    return opened


def a_job(**changed):
    given = {
        "id": new_id(),
        "state": "queued",
        "deployment": "test",
        "profile": "local",
        "video_sha256": "0" * 64,
        "media": {"duration_seconds": 1.5},
        "requested": ["cut_analysis"],
        "options": {},
        "priority": 5,
        "submitted_at": time.time(),
        "deadline_at": time.time() + 60,
    }
    return Job(**{**given, **changed})


def a_running_job(ledger, *analyzers):
    job = ledger.create(a_job())
    assert ledger.start(job.id, {}, [Run(job_id=job.id, analyzer=name, level=0) for name in analyzers])
    return job.id


def report(name, status="ok"):
    return AnalyzerReport(name=name, version=1, status=status)


def race(action):
    """What each of several threads got that did the same at the same moment."""
    together = threading.Barrier(RACERS)

    def run(number):
        together.wait()
        return action(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


# --- migrations ---


def test_head_is_alembics_head():
    """The revision that is known without Alembic is the newest of its scripts, and there is only one newest."""
    config = Config()
    config.set_main_option("script_location", str(files("shared") / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert all(is_known(script.revision) for script in scripts.walk_revisions())


@pytest.mark.parametrize("version", ["0099", "", "1", "head"])
def test_a_ledger_of_another_version_is_refused_in_one_sentence(ledger, version):
    """A ledger that a newer version has migrated, or of no version, is refused by name, whoever opens it; it stays."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    before = settings()
    use(before.model_copy(update={"ledger_url": ledger.url}))
    try:
        with pytest.raises(Infrastructure, match=f"version {version!r}, and this Reelgraph knows 0001 to") as caught:
            Ledger(ledger.url).migrate()
        told = CliRunner().invoke(cli, ["migrate", "--wait", "60"], standalone_mode=False)
    finally:
        use(before)
    assert (caught.value.code, caught.value.retryable) == ("unknown_ledger_version", False)
    assert str(told.exception) == str(caught.value)
    with ledger.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).all() == [(version,)]


def test_the_migrated_tables_are_those_of_the_code(ledger):
    """After all migrations the database has exactly the tables, columns and indexes that the classes declare."""
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_database_that_is_not_there_yet_is_waited_for(server, monkeypatch):
    """`migrate --wait` migrates once the server can be reached; without it, or in vain, it says why it cannot."""
    before = settings()
    monkeypatch.setattr(services.commands.migrate, "TRY_EVERY", 0.05)
    name = f"t{uuid.uuid4().hex}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    with tempfile.TemporaryDirectory(prefix="reelgraph-") as folder:  # short: a socket's path has 107 bytes at most
        sockets = Path(folder) / "sockets"
        use(before.model_copy(update={"ledger_url": f"{server.partition('@')[0]}@/{name}?host={sockets}"}))
        coming = threading.Timer(0.5, lambda: sockets.symlink_to(server.rpartition("host=")[2]))
        try:
            for option in ([], ["--wait", "0.2"]):
                refused = CliRunner().invoke(cli, ["migrate", *option], standalone_mode=False)
                assert isinstance(refused.exception, Infrastructure)
            coming.start()
            done = CliRunner().invoke(cli, ["migrate", "--wait", "60"])
            coming.join()
        finally:
            use(before)
    assert done.stdout == f"the ledger is at {HEAD}\n"
    assert done.stderr.startswith("waiting: the ledger cannot be opened")


def _migrate(url, together, answers):
    together.wait()
    try:
        Ledger(url).migrate()
        answers.put("done")
    except Exception as error:  # noqa: BLE001  (the parent shall see whatever it is)
        answers.put(repr(error))


def test_processes_migrate_at_once(url):
    """Several processes that open a new ledger at the same moment all succeed, and it is migrated once."""
    fork = multiprocessing.get_context("fork")
    together, answers = fork.Barrier(3), fork.Queue()
    processes = [fork.Process(target=_migrate, args=(url, together, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == ["done"] * 3
    for process in processes:
        process.join()
    with Ledger(url).engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).all() == [(HEAD,)]


def _migrate_until_killed(url, statements):
    done = itertools.count(1)

    def count(*_):
        if next(done) == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    Ledger(url).migrate()


@pytest.mark.parametrize("statements", [8, 14, 22, 30])
def test_a_migration_that_is_killed_is_done_by_the_next_start(url, statements):
    """However far a migration came before its process was killed, the next start does it whole and keeps the rows."""
    old = Ledger(url)
    with old.engine.begin() as connection:
        shared.database._upgrade(connection, "0001")
        connection.execute(sa.text(A_JOB_OF_THE_FIRST_VERSION))
        connection.execute(sa.text("INSERT INTO idempotency_keys (key, job_id, created_at) VALUES ('once', 'j1', 1.0)"))
    old.engine.dispose()
    process = multiprocessing.get_context("fork").Process(target=_migrate_until_killed, args=(url, statements))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    old.migrate()
    assert old.job("j1").state == "queued"
    assert old.create(a_job(), idempotency_key="once").id == "j1"


def test_threads_migrate_at_once(url):
    """The same race within a process, many times closer together."""
    assert race(lambda _: Ledger(url).migrate()) == [None] * RACERS


def test_what_is_counted_never_falls(ledger):
    """Runs stay counted when their jobs are deleted, once each, however many delete a job at the same moment."""
    jobs = [a_running_job(ledger, "color_analysis") for _ in range(3)]
    for job_id in jobs:
        ledger.begin(job_id, "color_analysis", limit_seconds=60)
        ledger.end(job_id, report("color_analysis"))
        ledger.finish(job_id, "completed")
    (before,) = tallies(ledger)
    assert (before.analyzer, before.status, before.cached, before.runs) == ("color_analysis", "ok", False, 3)
    assert sorted(race(lambda _: ledger.delete(jobs[0]))) == [False] * (RACERS - 1) + [True]
    assert ledger.delete(jobs[1])
    (after,) = tallies(ledger)
    assert after == dataclasses.replace(before, seconds=pytest.approx(before.seconds))


def test_migrating_again_changes_nothing(ledger):
    """A job survives the next start's migration."""
    job = ledger.create(a_job())
    ledger.migrate()
    assert ledger.job(job.id).id == job.id


def test_a_job_that_is_accepted_outlives_a_power_cut(tmp_path):
    """SQLite syncs its log before a new job is answered for, and not for the many small changes of runs."""
    ledger, levels = Ledger(f"sqlite:///{tmp_path}/ledger.db"), []
    ledger.migrate()

    def note(connection):
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    sa.event.listen(sa.Engine, "commit", note)
    try:
        job = ledger.create(a_job())
        ledger.cancel(job.id)
    finally:
        sa.event.remove(sa.Engine, "commit", note)
    assert levels == [2, 1]  # FULL, NORMAL


def test_a_ledger_of_before_the_keys_is_brought_forward(url):
    """Jobs and idempotency keys of the first version survive the migration and then belong to no key."""
    old = Ledger(url)
    if old.engine.dialect.name == "sqlite":
        Path(old.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with old.engine.begin() as connection:
        shared.database._upgrade(connection, "0001")
        connection.execute(sa.text(A_JOB_OF_THE_FIRST_VERSION))
        connection.execute(sa.text("INSERT INTO outcomes (job_id, analyzer, level, attempts) VALUES ('j1', 'a', 0, 1)"))
        connection.execute(sa.text("INSERT INTO idempotency_keys (key, job_id, created_at) VALUES ('once', 'j1', 1.0)"))
    old.migrate()
    assert (old.job("j1").owner, old.runs("j1")["a"].attempts) == (None, 1)
    assert old.create(a_job(), idempotency_key="once").id == "j1"


def test_a_ledger_of_before_the_holds_is_brought_forward(url):
    """A run that was under way in the version before is held by nobody afterwards, and its attempts are kept."""
    old = Ledger(url)
    if old.engine.dialect.name == "sqlite":
        Path(old.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    columns = "id, state, level, deployment, profile, video_sha256, media, requested, options, priority, submitted_at"
    with old.engine.begin() as connection:
        shared.database._upgrade(connection, "0004")
        connection.execute(
            sa.text(
                f"INSERT INTO jobs ({columns}, deadline_at, cancel_requested) VALUES"
                " ('j1', 'running', 0, 'test', 'local', '0', '{}', '[]', '{}', 5, 1.0, 2.0, false)"
            )
        )
        connection.execute(sa.text("INSERT INTO outcomes (job_id, analyzer, level, attempts) VALUES ('j1', 'a', 0, 2)"))
    old.migrate()
    run = old.run("j1", "a")
    assert (run.attempts, run.holder, run.beat, run.deaths, run.died_of, run.decode_passes) == (2, None, 0, 0, None, 0)
    assert old.begin("j1", "a", limit_seconds=9, holder="w").attempts == 3


# --- compare-and-set ---


def test_a_job_comes_back_as_it_was_stored(ledger):
    """Numbers, text beyond ASCII, JSON and nulls survive the database."""
    stored = ledger.create(a_job(source_name="Überblick 概要.mp4", options={"a": {"b": [1, 0.5, None]}}))
    job = ledger.job(stored.id)
    columns = sa.inspect(Job).columns.keys()
    assert {name: getattr(job, name) for name in columns} == {name: getattr(stored, name) for name in columns}
    assert (job.level, job.cancel_requested, job.plan) == (-1, False, None)


@pytest.mark.parametrize("change", ["start", "advance", "finish", "end"])
def test_of_many_one_wins(ledger, change):
    """Threads that make the same change of state at the same moment: exactly one is told that it did."""
    job_id = ledger.create(a_job()).id if change == "start" else a_running_job(ledger, "a")
    actions = {
        "start": lambda number: ledger.start(job_id, {"by": number}, [Run(job_id=job_id, analyzer="a", level=0)]),
        "advance": lambda number: ledger.advance(job_id, 0),
        "finish": lambda number: ledger.finish(job_id, "completed" if number % 2 else "failed"),
        "end": lambda number: ledger.end(
            job_id, report("a", "ok" if number % 2 else "failed"), fingerprint=str(number)
        ),
    }
    won = race(actions[change])
    assert won.count(True) == 1
    winner = won.index(True)
    job, run = ledger.job(job_id), ledger.runs(job_id)["a"]
    if change == "start":
        assert (job.state, job.plan) == ("running", {"by": winner})
    elif change == "advance":
        assert job.level == 0
    elif change == "finish":
        assert job.state == ("completed" if winner % 2 else "failed")
    else:
        assert (run.status, run.fingerprint) == ("ok" if winner % 2 else "failed", str(winner))
        assert run.outcome.status == run.status


def test_endings_are_told_without_reports(ledger):
    """Of the runs asked for, those of the job are there: one that has ended with its mark, an open one with nothing."""
    job_id = a_running_job(ledger, "a", "b", "c")
    ledger.begin(job_id, "a", limit_seconds=9, holder="w")
    ledger.end(job_id, report("a"), attempt=1, fingerprint="mark")
    found = ledger.endings(job_id, ("a", "b", "elsewhere"))
    assert found == {"a": ("ok", "mark"), "b": (None, None)}
    assert (found["a"].has_result, found["b"].has_result) == (True, False)
    assert set(ledger.endings(job_id)) == {"a", "b", "c"}


def test_one_of_many_holds_a_run(ledger):
    """Of threads that begin the same run at the same moment one gets it; the next when it was let go."""
    job_id = a_running_job(ledger, "a")
    (first,) = filter(None, race(lambda _: ledger.begin(job_id, "a", limit_seconds=9, holder="w")))
    assert ledger.begin(job_id, "a", limit_seconds=9, holder="w") is None
    assert ledger.let_go(first)
    second = ledger.begin(job_id, "a", limit_seconds=9, holder="w")
    assert (first.attempts, second.attempts, second.deaths) == (1, 2, 0)


def test_only_the_newest_attempt_may_end_a_run(ledger):
    """A worker that was thought dead comes back after its successor began: it can do nothing to the run any more."""
    job_id = a_running_job(ledger, "a")
    first = ledger.begin(job_id, "a", limit_seconds=9, holder="zombie")
    assert ledger.declare_dead(first)
    put = []
    assert not ledger.end(job_id, report("a", "failed"), attempt=first.attempts, commit=lambda: put.append("zombie"))
    second = ledger.begin(job_id, "a", limit_seconds=9, holder="heir")
    assert not ledger.keep(first)
    assert not ledger.let_go(first)
    assert not ledger.end(job_id, report("a", "failed"), attempt=first.attempts, commit=lambda: put.append("zombie"))
    assert ledger.end(job_id, report("a"), attempt=second.attempts, commit=lambda: put.append("heir"))
    run = ledger.run(job_id, "a")
    assert (run.status, run.holder, run.deaths, run.died_of, put) == ("ok", None, 1, "silence", ["heir"])


def test_a_holder_that_gives_a_sign_is_not_dead(ledger):
    """Whoever thinks a holder dead must have seen its last sign of life."""
    job_id = a_running_job(ledger, "a")
    seen = ledger.begin(job_id, "a", limit_seconds=9, holder="w")
    assert ledger.keep(seen)
    assert not ledger.declare_dead(seen)
    assert ledger.declare_dead(ledger.run(job_id, "a"))


def test_a_worker_s_deaths_are_counted_for_what_it_held(ledger):
    """A child's death counts for the run its worker held and says of what; a worker that leaves counts none."""
    job_id = a_running_job(ledger, "a", "b")
    ledger.begin(job_id, "a", limit_seconds=9, holder="w")
    ledger.begin(job_id, "b", limit_seconds=9, holder="other")
    assert [run.analyzer for run, _ in ledger.held()] == ["a", "b"]
    assert ledger.child_died(job_id, "a", holder="w", died_of="SIGSEGV")
    assert not ledger.child_died(job_id, "b", holder="w", died_of="SIGSEGV")
    assert (ledger.leave("other"), ledger.leave("w")) == (1, 0)
    found = {name: (run.holder, run.deaths, run.died_of) for name, run in ledger.runs(job_id).items()}
    assert found == {"a": (None, 1, "SIGSEGV"), "b": (None, 0, None)}


def test_what_cannot_be_put_in_place_has_not_happened(ledger):
    """When the outcome cannot be put where it is read, the run is as open as before and still held."""
    job_id = a_running_job(ledger, "a")
    attempt = ledger.begin(job_id, "a", limit_seconds=9, holder="w")

    def full():
        raise Infrastructure("the disk is full", code="disk_full")

    with pytest.raises(Infrastructure, match="the disk is full"):
        ledger.end(job_id, report("a"), attempt=attempt.attempts, commit=full)
    assert (ledger.run(job_id, "a").status, ledger.run(job_id, "a").holder) == (None, "w")
    assert ledger.keep(attempt)


def test_a_run_that_ended_does_not_begin_again(ledger):
    """A redelivered task of a finished run finds nothing to do and counts no attempt."""
    job_id = a_running_job(ledger, "a")
    ledger.begin(job_id, "a", limit_seconds=9)
    ledger.end(job_id, report("a"))
    assert ledger.begin(job_id, "a", limit_seconds=9) is None
    assert ledger.begin(job_id, "unplanned", limit_seconds=9) is None
    assert ledger.runs(job_id)["a"].attempts == 1


def test_states_do_not_go_back(ledger):
    """A closed job cannot be started, advanced, cancelled or closed again; a level is not skipped."""
    job_id = a_running_job(ledger, "a")
    assert not ledger.start(job_id, {"other": 1}, [])
    assert not ledger.advance(job_id, 1)
    assert ledger.advance(job_id, 0)
    assert ledger.finish(job_id, "completed")
    assert not ledger.advance(job_id, 1)
    assert not ledger.cancel(job_id)
    assert not ledger.finish(job_id, "failed")
    job = ledger.job(job_id)
    assert (job.state, job.level, job.plan, job.cancel_requested) == ("completed", 0, {}, False)


def test_a_start_that_lost_leaves_no_runs(ledger):
    """The runs of a plan that came second are not stored."""
    job_id = a_running_job(ledger, "a")
    assert not ledger.start(job_id, {}, [Run(job_id=job_id, analyzer="b", level=0)])
    assert list(ledger.runs(job_id)) == ["a"]


def test_cancelled_means_asked_or_ended(ledger):
    """Work stops when the job was cancelled, and also when it was closed without it."""
    asked, closed = a_running_job(ledger, "a"), a_running_job(ledger, "a")
    assert not ledger.is_cancelled(asked)
    assert ledger.cancel(asked)
    assert ledger.finish(closed, "completed_with_errors")
    assert ledger.is_cancelled(asked)
    assert ledger.is_cancelled(closed)


def test_queueing_leaves_ended_runs_alone(ledger):
    """Only runs without a status get the time at which they were queued."""
    job_id = a_running_job(ledger, "a", "b")
    ledger.end(job_id, report("a"))
    ledger.queue(job_id, ["a", "b"])
    runs = ledger.runs(job_id)
    assert runs["a"].queued_at is None
    assert runs["b"].queued_at == pytest.approx(time.time(), abs=10)


def test_open_jobs_come_oldest_first(ledger):
    """The reconciler sees exactly the jobs that have not ended, in the order of their submission."""
    late, early, done = (ledger.create(a_job(submitted_at=t)).id for t in (3.0, 1.0, 2.0))
    ledger.finish(done, "failed")
    assert [job.id for job in ledger.open_jobs()] == [early, late]


# --- identity ---


def test_one_key_is_one_job(ledger):
    """Requests with the same idempotency key at the same moment: one job is stored, and all get that one."""
    got = {job.id for job in race(lambda _: ledger.create(a_job(), idempotency_key="once"))}
    assert {job.id for job in ledger.open_jobs()} == got
    assert len(got) == 1
    assert ledger.create(a_job(), idempotency_key="twice").id not in got


def test_every_owner_has_its_own_idempotency_keys(ledger):
    """The same key of two owners, and of none, means three jobs; each finds its own again and not another's."""
    owners = (None, "a", "b")
    jobs = {owner: ledger.create(a_job(owner=owner), idempotency_key="once").id for owner in owners}
    assert len({*jobs.values()}) == 3
    for owner in owners:
        assert ledger.create(a_job(owner=owner), idempotency_key="once").id == jobs[owner]
        assert ledger.find("once", owner=owner).id == jobs[owner]
    assert ledger.find("once", owner="c") is None
    assert len(ledger.open_jobs()) == 3


def test_an_idempotency_key_stands_for_one_request(ledger):
    """Another request under a used key is refused, not answered with a job that did something else."""
    first = ledger.create(a_job(owner="a"), idempotency_key="once", request_digest="d1")
    assert ledger.create(a_job(owner="a"), idempotency_key="once", request_digest="d1").id == first.id
    with pytest.raises(BadInput) as caught:
        ledger.create(a_job(owner="a"), idempotency_key="once", request_digest="d2")
    assert caught.value.code == "idempotency_mismatch"
    assert [job.id for job in ledger.open_jobs()] == [first.id]


def test_a_quota_is_exact_when_jobs_arrive_together(ledger):
    """Of submissions at the same moment exactly as many get in as the owner may have open; others are not counted."""
    ledger.create(a_job(owner="b"))

    def submit(_):
        try:
            return ledger.create(a_job(owner="a"), open_jobs_limit=3).id
        except QuotaExceeded:
            return None

    got = [job for job in race(submit) if job]
    assert len(got) == 3
    assert sum(job.owner == "a" for job in ledger.open_jobs()) == 3
    ledger.finish(got[0], "completed")
    assert ledger.create(a_job(owner="a"), open_jobs_limit=3)


def test_a_repeated_request_costs_no_quota(ledger):
    """Who has as many jobs as it may still finds the job of a request that it repeats."""
    first = ledger.create(a_job(owner="a"), idempotency_key="once", open_jobs_limit=1)
    assert ledger.create(a_job(owner="a"), idempotency_key="once", open_jobs_limit=1).id == first.id
    with pytest.raises(QuotaExceeded, match="1 jobs"):
        ledger.create(a_job(owner="a"), idempotency_key="twice", open_jobs_limit=1)
    assert ledger.find("twice", owner="a") is None


def test_an_id_that_exists_is_no_idempotency(ledger):
    """A job whose id is taken is a defect that is seen, with and without a key."""
    job = ledger.create(a_job())
    for key in (None, "new"):
        with pytest.raises(sa.exc.IntegrityError):
            ledger.create(a_job(id=job.id), idempotency_key=key)


def test_an_unknown_job_is_bad_input(ledger):
    """Asking for a job that does not exist is the caller's error."""
    with pytest.raises(BadInput, match="there is no job nothing"):
        ledger.job("nothing")


def test_ids_are_uuids_of_version_7_that_sort_by_time(monkeypatch):
    """Ids carry their millisecond, are of version 7 and RFC 9562's variant, sort by time, and do not repeat."""
    ids = []
    for milliseconds in (1, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        monkeypatch.setattr(time, "time", lambda now=milliseconds: now / 1000)
        ids.append(new_id())
        parsed = uuid.UUID(ids[-1])
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == pytest.approx(milliseconds, abs=1)
    assert ids == sorted(ids)
    assert len({new_id() for _ in range(10_000)}) == 10_000


# --- trouble ---


@pytest.fixture
def sqlite_ledger(tmp_path):
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    opened.migrate()
    return opened


def test_a_locked_sqlite_is_waited_for(sqlite_ledger):
    """A write waits while another process holds the database, and reads go on meanwhile."""
    job = sqlite_ledger.create(a_job())
    with sqlite3.connect(sqlite_ledger.engine.url.database, isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(2.0, other.execute, ["COMMIT"])
        release.start()
        began = time.monotonic()
        assert sqlite_ledger.job(job.id).state == "queued"
        assert time.monotonic() - began < 1.9
        assert sqlite_ledger.cancel(job.id)
        assert time.monotonic() - began > 1.5
        release.join()


def test_a_sqlite_locked_for_good_is_an_infrastructure_error(sqlite_ledger, monkeypatch):
    """A database that stays locked ends in an error that can be retried, not in a hang."""
    monkeypatch.setattr(shared.database, "BUSY_SECONDS", 0.2)
    impatient = Ledger(sqlite_ledger.url)
    job = impatient.create(a_job())
    with sqlite3.connect(sqlite_ledger.engine.url.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Infrastructure, match="locked") as caught:
            impatient.cancel(job.id)
        other.execute("ROLLBACK")
    assert caught.value.retryable
    assert impatient.cancel(job.id)


def test_a_migration_that_hangs_elsewhere_is_not_waited_for_forever(tmp_path, monkeypatch):
    """Who cannot get the migration's lock says so."""
    monkeypatch.setattr(shared.database, "BUSY_SECONDS", 0.2)
    with shared.database.FileLock(tmp_path / "ledger.lock"), pytest.raises(Infrastructure, match="another process"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}").migrate()


def test_a_file_that_is_no_database_is_an_infrastructure_error(tmp_path):
    """A ledger that was overwritten by something else is reported in a sentence."""
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(Infrastructure, match="not a database"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}").migrate()


def test_a_server_that_is_gone_is_an_infrastructure_error():
    """A PostgreSQL that does not answer: an error in a sentence, without the password."""
    with pytest.raises(Infrastructure, match="cannot be opened") as caught:
        Ledger("postgresql+psycopg://reelgraph:s3cret@127.0.0.1:1/ledger").migrate()
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("url", ["nonsense", "postgresql://me:s3cret@host:port/x", "mysql+nothere://me:s3cret@host/x"])
def test_a_bad_url_is_bad_input_without_its_password(url):
    """A ledger URL that cannot be used is refused at once, and its password is not shown."""
    with pytest.raises(BadInput) as caught:
        Ledger(url)
    assert caught.value.code == "bad_ledger_url"
    assert "s3cret" not in caught.value.message


def test_connections_are_kept_and_never_cross_a_fork(tmp_path):
    """One process uses one connection for query after query; a forked child opens its own, and the parent's goes on."""
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    opened.migrate()
    made = []
    sa.event.listen(opened.engine, "connect", lambda connection, _: made.append(connection))
    opened.engine.dispose()
    for _ in range(3):
        opened.open_jobs()
    assert len(made) == 1
    before = opened.engine

    def in_child():
        opened.open_jobs()
        sys.exit(opened.engine is before or opened.engine.pool.checkedin() != 1 or len(made) != 1)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert opened.open_jobs() == []
    assert len(made) == 1
