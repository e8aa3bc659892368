"""Tests of attempts at a run by what a worker's child runs, in a real ledger and storage, without a broker."""

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

import shared.database
import tasks.holding
from shared.errors import Infrastructure
from shared.settings import settings
from shared.storage import outcome_key
from tasks.analyze import run
from tasks.holding import held
from tasks.inputs import CANCEL_POLL_SECONDS
from tasks.node import ledger, storage
from tasks.prepare import prepare
from tests.support.attempt import ANALYZERS
from tests.support.node import node
from tests.support.plugged import plugged
from tests.support.postgres import postgres
from tests.support.processes import eventually
from tests.test_prepare import a_job

SECONDS = 120


@pytest.fixture
def data(tmp_path):
    with plugged(ANALYZERS), node(tmp_path / "data"):
        yield tmp_path / "data"


def awaiting(file):
    """A job whose one analyzer waits for a file."""
    job = a_job("patient", options={"patient": {"file": str(file)}})
    prepare(job.id)
    return job.id


@contextmanager
def stopped(data, job_id):
    """A process that has begun the job's run, and stands still in the block."""
    argv = [sys.executable, "-m", "tests.support.attempt", str(data), job_id, "patient", "zombie@here"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert eventually(lambda: ledger().run(job_id, "patient").holder is not None, SECONDS)
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def test_a_superseded_attempt_leaves_what_is_stored(data, tmp_path):
    """A process that stood still, was thought dead and goes on after its heir has ended changes no stored byte."""
    file = tmp_path / "go on"
    job_id = awaiting(file)
    with stopped(data, job_id) as zombie:
        assert ledger().declare_dead(ledger().run(job_id, "patient"))
        file.touch()
        assert run("patient", job_id, "heir@here") == "ok"
        key = outcome_key(job_id, "patient")
        before, folder = storage().read(key), storage().path(key).parent
        files = sorted(folder.iterdir())
        zombie.send_signal(signal.SIGCONT)
        said, _ = zombie.communicate(timeout=SECONDS)
    assert said.splitlines()[-1] == "superseded"
    assert storage().read(key) == before
    assert b"heir@here" in before
    assert sorted(folder.iterdir()) == files
    ended = ledger().run(job_id, "patient")
    assert (ended.status, ended.outcome.receipt.worker, ended.attempts, ended.deaths) == ("ok", "heir@here", 2, 1)


@contextmanager
def full(folder):
    """A disk of its own without room."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("a full disk is made by mounting a small one, which takes root")
    try:
        with (folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield "disk_full"
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def broken(folder):
    """No folder at all: a file in its place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    yield "disk_error"
    folder.unlink()


@pytest.mark.parametrize("disk", [full, broken])
def test_what_the_disk_refused_is_no_poison(data, tmp_path, disk):
    """A run whose outcome finds no room in more attempts than deaths make a poison ends well once there is room."""
    (tmp_path / "there").touch()
    job_id = awaiting(tmp_path / "there")
    tries = settings().max_attempts + 1
    with disk(storage().path(outcome_key(job_id, "patient")).parent) as code:
        for _ in range(tries):
            with pytest.raises(Infrastructure) as caught:
                run("patient", job_id, "one@here")
            assert caught.value.code == code
    assert run("patient", job_id, "one@here") == "ok"
    ended = ledger().run(job_id, "patient")
    assert (ended.attempts, ended.deaths, ended.outcome.receipt.attempts) == (tries + 1, 0, tries + 1)


@contextmanager
def cut_off(url):
    """Nobody reaches the PostgreSQL server at this address: its socket has another name."""
    (socket,) = Path(url.partition("?host=")[2]).glob(".s.PGSQL.*[0-9]")
    moved = socket.rename(socket.with_name("away"))
    try:
        yield
    finally:
        moved.rename(socket)


def test_work_goes_on_while_the_ledger_cannot_be_asked(tmp_path):
    """An analyzer at work while nobody can say whether its job is cancelled goes on, and its one attempt ends well."""
    file = tmp_path / "go on"
    with (
        postgres() as url,
        plugged(ANALYZERS),
        node(tmp_path / "data", ledger_url=url),
        ThreadPoolExecutor(1) as pool,
    ):
        job_id = awaiting(file)
        ending = pool.submit(run, "patient", job_id, "one@here")
        try:
            assert eventually(lambda: ledger().run(job_id, "patient").holder is not None, SECONDS)
            with cut_off(url):
                with pytest.raises(Infrastructure, match="ledger"):
                    ledger().run(job_id, "patient")
                time.sleep(6 * CANCEL_POLL_SECONDS)
                assert not ending.done()
        finally:
            file.touch()
        assert ending.result(SECONDS) == "ok"
        assert ledger().run(job_id, "patient").attempts == 1


def test_a_ledger_that_is_away_is_no_death(data, monkeypatch):
    """An attempt that ends by an error while the ledger takes no change is free as soon as it does, without a death,
    and the error is the one that ended it."""
    monkeypatch.setattr(shared.database, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(tasks.holding, "BEAT_SECONDS", 0.1)
    job = a_job("patient")
    prepare(job.id)
    attempt = ledger().begin(job.id, "patient", limit_seconds=60, holder="one@here")
    with closing(sqlite3.connect(ledger().engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(KeyError), held(attempt):
            raise KeyError
        assert ledger().run(job.id, "patient").holder is not None
        other.execute("ROLLBACK")
        assert eventually(lambda: ledger().run(job.id, "patient").holder is None, SECONDS)
    assert ledger().run(job.id, "patient").deaths == 0


@pytest.mark.parametrize("code", ["storage_error", "media_server_died"])
def test_what_may_pass_is_tried_again_and_no_more_often_than_all_else(data, tmp_path, code):
    """An attempt that met a bucket that does not answer, or a reader that was killed, leaves the run free for another,
    and the last one says why.
    """

    def away(attempts):
        token = tmp_path / f"{attempts} times"
        job = a_job("misbehaving", options={"misbehaving": {"away": attempts, "code": code, "token": str(token)}})
        prepare(job.id)
        return job.id

    tries = settings().max_attempts
    once, always = away(1), away(tries)
    for job_id, failing in ((once, 1), (always, tries - 1)):
        for _ in range(failing):
            with pytest.raises(Infrastructure, match=f"{code} in attempt"):
                run("misbehaving", job_id, "one@here")
            assert ledger().run(job_id, "misbehaving").holder is None
    assert run("misbehaving", once, "one@here") == "failed"  # there is no video
    assert ledger().run(once, "misbehaving").outcome.error.code != code
    assert run("misbehaving", always, "one@here") == "failed"
    ended = ledger().run(always, "misbehaving")
    assert (ended.attempts, ended.outcome.error.code) == (tries, code)
