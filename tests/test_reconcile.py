"""Tests of the reconciler through a real broker and real workers, and of its patience."""

import signal

import pytest

import tasks.reconcile
from tasks.celery import app
from tasks.holding import BEAT_SECONDS, SILENT_SECONDS
from tasks.node import events, ledger
from tasks.reconcile import PATIENCE_SECONDS, Watch
from tests.support.jobs import report, running, submit, wait
from tests.support.moving import texture, write_video
from tests.support.processes import eventually


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
