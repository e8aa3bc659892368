"""Tests of the reconciler through a real broker and real workers, and of its patience."""

import signal

import pytest
from celery.canvas import Signature

import tasks.reconcile
from shared.locks import FileLock
from shared.settings import settings
from tasks.celery import app
from tasks.holding import BEAT_SECONDS, SILENT_SECONDS
from tasks.node import events, ledger, run_lock
from tasks.prepare import prepare
from tasks.reconcile import PATIENCE_SECONDS, Watch, reconcile
from tests.support.jobs import report, running, submit, wait
from tests.support.moving import texture, write_video
from tests.support.node import node
from tests.support.processes import eventually
from tests.test_prepare import a_job


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running(tmp_path_factory.mktemp("moving") / "data", groups={"light"}, probe=True) as stack:
        yield stack


@pytest.fixture
def video(tmp_path, request):
    seed = abs(hash(request.node.name)) % 10_000
    return write_video(tmp_path / "clip.mp4", [texture(seed, 120, 160)] * 60)


def test_nobody_waits_for_a_result(stack):
    """What a chord is made of leaves no subscription in the broker: nobody would ever end it."""
    result = app.AsyncResult("a-task")
    result.then(lambda _: None)
    assert events().client.pubsub_channels("celery-task-meta-*") == []


def test_a_lost_message_is_sent_again(stack, video):
    """With the message of one queued run taken out of the broker and nothing else wrong, the run is queued again."""
    other = submit(video, "misbehaving", misbehaving={"sleep": 1.0})
    wait(other)
    client = events().client
    light = [one for one in stack.workers if one.name != "control"]
    for one in light:
        one.process.kill()
    job = submit(video, "misbehaving", misbehaving={"sleep": 0.1})
    queues = ["light", *(f"light:{number}" for number in range(10))]
    assert eventually(lambda: any(client.llen(name) for name in queues), 30)
    client.delete(*queues)
    stack.check()
    document = wait(job, 120)
    assert report(document, "misbehaving")["receipt"]["attempts"] == 1


def test_a_killed_pass_is_counted(stack, video, tmp_path):
    """A process that dies after it began to decode leaves a pass in the ledger; the document counts every one."""
    behaviour = {"kill": int(signal.SIGKILL), "kill_attempts": 1, "decode": True, "token": str(tmp_path / "starts")}
    document = wait(submit(video, "misbehaving", misbehaving=behaviour))
    run = ledger().run(document["job"]["id"], "misbehaving")
    assert (run.deaths, run.died_of, run.status) == (1, "SIGKILL", "ok")
    assert document["job"]["decode_passes"] == run.decode_passes >= 1


def test_one_job_that_cannot_be_looked_at_stops_no_other(tmp_path, monkeypatch):
    """Whatever one job's look raises, the jobs after it are closed at their deadline, and it is told with its trace."""
    with node(tmp_path / "data"):
        broken, fine = a_job("cut_analysis", deadline=-2.0), a_job("cut_analysis", deadline=-1.0)
        close, told = tasks.reconcile.aggregate, []

        def aggregate(job_id):
            if job_id == broken.id:
                raise KeyError("a bug")
            return close(job_id)

        monkeypatch.setattr(tasks.reconcile, "aggregate", aggregate)
        monkeypatch.setattr(tasks.reconcile, "broker_since", lambda: 0.0)
        monkeypatch.setattr(tasks.reconcile.log, "exception", lambda event, **given: told.append((event, given["job"])))
        reconcile()
        assert ledger().job(fine.id).state == "completed_with_errors"
        assert told == [("job_not_reconciled", broken.id)]


def test_a_run_of_an_analyzer_that_is_gone_is_ended(tmp_path, monkeypatch):
    """After an upgrade that dropped an analyzer, the reconciler ends its open run with a code; the others go on."""
    queued = []
    monkeypatch.setattr(tasks.reconcile, "broker_since", lambda: 0.0)
    with node(tmp_path / "data"):
        job = a_job("cut_analysis", "retired_analyzer", deployment=settings().deployment)
        prepare(job.id)
        monkeypatch.setattr(tasks.reconcile.advance, "si", lambda *given: queued.append(given) or Signature("nothing"))
        monkeypatch.setattr(Signature, "apply_async", lambda *_, **__: None)
        reconcile()
        runs = ledger().runs(job.id)
        assert (runs["retired_analyzer"].status, runs["cut_analysis"].status) == ("unavailable", None)
        assert runs["retired_analyzer"].outcome.error.code == "unknown_analyzer"
        assert queued == [(job.id, 0)]


def test_a_job_whose_command_was_killed_is_closed(tmp_path, monkeypatch):
    """Open jobs of a command of this node (`reelgraph analyze`) that is gone are closed as cancelled; those of one that
    runs, and of deployments elsewhere, stay open."""
    monkeypatch.setattr(tasks.reconcile, "broker_since", lambda: 0.0)
    with node(tmp_path / "data"):
        for command in ("killed", "running"):
            run_lock(command).parent.mkdir(parents=True)
        left, begun, lives, elsewhere = (
            a_job("cut_analysis", deployment=name) for name in ("killed", "killed", "running", "elsewhere")
        )
        prepare(begun.id)
        run_lock("killed").touch()
        with FileLock(run_lock("running")) as lock:
            assert lock.take()
            reconcile()
        states = [ledger().job(job.id).state for job in (left, begun, lives, elsewhere)]
        assert states == ["cancelled", "cancelled", "queued", "queued"]


def test_an_outage_of_the_ledger_counts_against_nobody(monkeypatch):
    """A holder's silence is counted from look to look: after an outage it has time for a sign, and a dead one is still
    found out."""
    now = [0.0]
    monkeypatch.setattr(tasks.reconcile.time, "monotonic", lambda: now[0])
    watch, dead = Watch(), []
    for second, beat in ((0, 1), (5, 2), (300, 2), (305, 2), (310, 2)):  # the looks in between found no ledger
        now[0] = float(second)
        if watch.is_unchanged("run", beat, SILENT_SECONDS):
            dead.append(second)
    assert dead == [310]


def test_patience_doubles(monkeypatch):
    """What waits is asked about after a time, then after twice as long each time, and anew when its state changes."""
    now = [0.0]
    monkeypatch.setattr(tasks.reconcile.time, "monotonic", lambda: now[0])
    watch, asked = Watch(), []
    for second in range(int(PATIENCE_SECONDS * 8)):
        now[0] = float(second)
        if watch.has_waited("job", "queued"):
            asked.append(second)
    assert asked == [PATIENCE_SECONDS, PATIENCE_SECONDS * 3, PATIENCE_SECONDS * 7]
    assert not watch.has_waited("job", "begun")


def test_a_ledger_locked_for_ten_seconds_kills_nobody():
    """A holder that could not write for 10 s gives its next sign before it is taken for dead."""
    assert SILENT_SECONDS > 10 + BEAT_SECONDS
