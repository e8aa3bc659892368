"""Contract tests in real workers: what tasks/worker.py takes from the insides of the pinned Celery and kombu.

And plain Celery: its own commands work as its users expect.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import redis
from celery.concurrency.prefork import TaskPool
from celery.worker import state

from services.leash import start
from shared.groups import node_name
from shared.settings import settings
from tasks.celery import app
from tasks.child import START, _alive, ready_mark, refusal, say_alive, say_gone
from tasks.node import ledger
from tasks.registry import analyzers, task_name
from tasks.worker import PreloadGate, held_tags
from tests.support.jobs import report, running, submit, wait
from tests.support.moving import texture, write_video
from tests.support.node import node as local_node
from tests.support.processes import eventually

VISIBILITY_SECONDS = 2


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A broker and a control worker; no worker for analyzers. Tasks become visible again after two seconds."""
    os.environ["REELGRAPH_PROBE_VISIBILITY"] = str(VISIBILITY_SECONDS)
    try:
        with running(tmp_path_factory.mktemp("worker") / "data", groups=set(), probe=True) as stack:
            yield stack
    finally:
        del os.environ["REELGRAPH_PROBE_VISIBILITY"]


@pytest.fixture
def video(tmp_path, request):
    """A second of a still picture, different for every test: nothing is in the cache."""
    seed = abs(hash(request.node.name)) % 10_000
    return write_video(tmp_path / "clip.mp4", [texture(seed, 120, 160)] * 30)


@contextmanager
def worker(stack, name, **environment):
    """One more worker for the light queue, gone at the end."""
    before = dict(os.environ)
    os.environ.update(environment)
    started = stack.start_worker(name, ("light",))
    os.environ.clear()
    os.environ.update(before)
    try:
        yield started
    finally:
        stack.workers.remove(started)
        started.process.stop()


def node(name):
    """What a worker for the light queue is called."""
    return f"{node_name(name, ('light',))}@{settings().deployment}"


def mark(name):
    return ready_mark(node(name))


def broker():
    return redis.Redis.from_url(settings().broker_url, decode_responses=True)


def waiting():
    """How many tasks stand in the light queue, all priorities together."""
    return sum(broker().llen(key) for key in ("light", *(f"light:{number}" for number in range(10))))


def test_a_worker_takes_no_task_before_it_has_loaded(stack, video):
    """While a worker loads its models its queue stands still, although it was there first; then the task runs."""
    with worker(stack, "slow", REELGRAPH_PROBE_LOAD_SECONDS="5") as slow:
        job = submit(video, "misbehaving")
        assert eventually(lambda: waiting() == 1, 60)
        while not mark("slow").exists():
            assert slow.process.poll() is None, slow.last_words()
            # the task is taken a moment before the mark is made
            assert waiting() == 1 or "loaded                         analyzer=misbehaving" in slow.log_file.read_text()
            time.sleep(0.1)
        ready_at = mark("slow").stat().st_mtime
        assert eventually(
            lambda: re.search(r"ready .*analyzers=\[.*'misbehaving'.*unavailable=", slow.log_file.read_text()), 60
        )
        document = wait(job)
    assert report(document, "misbehaving")["status"] == "ok"
    assert "[tasks]" not in slow.log_file.read_text()  # Celery's banner is no line of a log
    run = ledger().runs(job.id)["misbehaving"]
    assert (run.attempts, run.outcome.receipt.worker) == (1, node("slow"))
    assert run.started_at > ready_at - 0.1
    assert run.outcome.receipt.load_seconds < 4  # the load was over when the work began


def test_a_child_beyond_its_memory_is_replaced_after_its_task(stack, video):
    """A process that may hold less than it does ends each task well, in one attempt, and another one does the next."""
    with worker(stack, "small", REELGRAPH_WORKER_MEMORY_MIB="20") as small:
        document = wait(submit(video, "dependent"))
        loads = r"loaded +analyzer=misbehaving"
        assert eventually(lambda: len(re.findall(loads, small.log_file.read_text())) == 3, 60), small.last_words()
    assert document["job"]["state"] == "completed"
    assert [one["receipt"]["attempts"] for one in document["analyzers"]] == [1, 1]


ENDS = {
    "crash": "a child ended with exit code -11 (SIGSEGV) while it loaded the models",
    "exit": "loading the models was ended: SystemExit: 3",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_cannot_load_ends(stack, video, end):
    """A child that crashes or is ended while loading ends its worker soon, with a sentence and no traceback: no task
    runs without a model."""
    with worker(stack, end, REELGRAPH_PROBE_LOAD_END=end) as doomed:
        job = submit(video, "misbehaving")
        assert eventually(lambda: doomed.process.poll() is not None, 60), doomed.last_words()
        assert doomed.process.poll() == 70
        assert ENDS[end] in doomed.last_words()
        assert "Traceback" not in doomed.log_file.read_text()
        assert not mark(end).exists()
        assert eventually(lambda: waiting() == 1, 60)
        assert ledger().runs(job.id)["misbehaving"].attempts == 0
    ledger().cancel(job.id)
    broker().delete("light", *(f"light:{number}" for number in range(10)))


def test_an_empty_refusal_is_no_reason_to_wait(tmp_path, monkeypatch):
    """A child that ended and, its disk being full, left an empty word: the worker ends with its exit code."""
    monkeypatch.setenv(START, "this-start")
    pool = TaskPool(1)
    pool._pool = SimpleNamespace(_pool=[SimpleNamespace(exitcode=70)])
    with local_node(tmp_path / "data"):
        refusal().parent.mkdir(parents=True)
        refusal().touch()
        reason = PreloadGate._hopeless(SimpleNamespace(pool=pool), late=False)
    assert reason == "a child ended with exit code 70 while it loaded the models"


def test_marks_of_killed_workers_go_at_the_next_start(tmp_path, monkeypatch):
    """The marks of a worker that was killed are removed by the next one that starts; those of one that lives stay."""

    def starts(start, name):
        monkeypatch.setenv(START, start)
        say_alive(name)
        for mark in (refusal(), refusal().with_name(f"loaded.{start}.7"), ready_mark(name)):
            mark.touch()

    with local_node(tmp_path / "data"):
        starts("dead", "control@old")
        _alive.pop().release()
        starts("living", "control@new")
        kept = {"alive.living", "refused.living", "loaded.living.7", "ready.control@new"}
        assert {path.name for path in refusal().parent.iterdir()} == kept
        starts("later", "vision@new")
        assert {path.name for path in refusal().parent.iterdir()} > kept
        say_gone()
        assert not list(refusal().parent.glob("alive.*"))


def test_a_worker_may_be_stopped_while_it_loads(stack):
    """SIGTERM before the models are there ends the worker at once and in order: nothing is critical, nothing failed."""
    with worker(stack, "stopped", REELGRAPH_PROBE_LOAD_SECONDS="300") as stopped:
        assert eventually(lambda: "analyzer=misbehaving" in stopped.log_file.read_text(), 60), stopped.last_words()
        os.kill(stopped.process.pid, signal.SIGTERM)
        assert eventually(lambda: stopped.process.poll() is not None, 60), stopped.last_words()
        assert stopped.process.poll() == 0
        said = stopped.log_file.read_text()
        assert "stopped_while_loading" in said
        assert "critical" not in said
        assert "Traceback" not in said


def test_a_gpu_that_is_too_small_refuses_the_start(stack):
    """What the models take and what the worker may use stand in one sentence, in the worker's last words."""
    with worker(stack, "small", REELGRAPH_PROBE_LOAD_END="no gpu") as doomed:
        assert eventually(lambda: doomed.process.poll() is not None, 60), doomed.last_words()
        assert doomed.process.poll() == 70
        assert "the models take 20000 MiB of GPU memory and this worker may use 8000" in doomed.last_words()
        assert not list((settings().data_dir / "run").glob("refused.*"))


def holds(name):
    """Whether a worker is running a task."""
    here = node(name)
    return bool((app.control.inspect([here], timeout=5).active() or {}).get(here))


def celery(stack, name, *arguments):
    """A Celery command on a leash, and its log."""
    log = stack.logs / f"{name}.log"
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "celery", "-A", "tasks", *arguments]
        return start(argv, env=dict(os.environ), stdout=output), log


def test_a_worker_without_children_says_so(stack):
    """With a pool in which models are never preloaded the worker ends with a reason, at once."""
    solo, log = celery(stack, "solo", "worker", "-P", "solo", "-Q", "light", "-n", "solo@test")
    assert solo.wait(30) == 70
    assert "leave the pool at prefork" in log.read_text()


@pytest.fixture(scope="module")
def pair(stack):
    """Two ready workers for the light queue, one of them started by Celery's plain command."""
    with worker(stack, "one") as one:
        plain, log = celery(stack, "two", "worker", "-Q", "light", "-n", node("two"))
        try:
            assert eventually(lambda: mark("one").exists() and mark("two").exists(), 60), log.read_text()
            yield {"one": one.process, "two": plain}
        finally:
            plain.stop()


def test_celery_inspect_lists_every_analyzer(stack, pair):
    """`celery -A tasks inspect registered` names a task for each analyzer, at the worker that was started by hand."""
    two = node("two")
    inspect, log = celery(stack, "inspect", "inspect", "registered", "--json", "--timeout", "10", "-d", two)
    assert inspect.wait(40) == 0
    output = log.read_text()
    registered = json.loads(output[output.index("{") : output.rindex("}") + 1])[two]
    assert set(registered) >= {task_name(name) for name in analyzers()} | {"prepare", "advance", "aggregate"}


def test_celery_report_keeps_the_password(stack):
    """`celery -A tasks report` works and does not print the broker's password."""
    reporting, log = celery(stack, "report", "report")
    assert reporting.wait(40) == 0
    assert "visibility_timeout" in log.read_text()
    assert urlsplit(settings().broker_url).password not in log.read_text()


def test_flower_answers(stack, pair):
    """`celery -A tasks flower` starts, serves its page, and shows the workers with their groups."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flower, log = celery(stack, "flower", "flower", "--address=127.0.0.1", f"--port={port}")

    def page():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except OSError:
            return None, ""

    try:
        assert eventually(lambda: page()[0] == 200, 60), log.read_text()
        assert eventually(lambda: all(node(name) in page()[1] for name in ("one", "two")), 60)
    finally:
        flower.stop()


def test_a_long_task_starts_once(pair, video, tmp_path):
    """A task of three visibility timeouts, with a second worker waiting for it, is started once and never redelivered.

    kombu's index of unacknowledged tasks, which the heartbeat writes to, holds it with a fresh time all along.
    """
    token = tmp_path / "starts"
    job = submit(video, "misbehaving", misbehaving={"sleep": 3.0 * VISIBILITY_SECONDS, "token": str(token)})
    assert eventually(token.exists, 60)
    ages = []
    while ledger().runs(job.id)["misbehaving"].status is None:
        held = broker().zrange("unacked_index", 0, -1, withscores=True)
        ages += [time.time() - since for _, since in held]
        time.sleep(0.2)
    document = wait(job)
    assert token.read_text() == "x"
    assert report(document, "misbehaving")["receipt"]["attempts"] == 1
    assert ages
    assert max(ages) < VISIBILITY_SECONDS


def test_the_heartbeat_keeps_the_mark_young(pair):
    """A health check sees by its age that a worker lives: while it does, its mark is touched again and again."""
    old = time.time() - 3600
    os.utime(mark("one"), (old, old))
    assert eventually(lambda: mark("one").stat().st_mtime > old + 1800, 30)


def test_a_dead_worker_s_task_is_taken_over_soon(pair, video, tmp_path):
    """The heartbeat of a worker ends with it: its task goes to the other one after a visibility timeout, not never."""
    token = tmp_path / "starts"
    job = submit(video, "misbehaving", misbehaving={"sleep": 2.0, "token": str(token)})
    assert eventually(token.exists, 60)
    holder, heir = ("one", "two") if holds("one") else ("two", "one")
    pair[holder].kill()
    killed = time.monotonic()
    assert eventually(lambda: token.read_text() == "xx", 60)
    assert time.monotonic() - killed > 0.5  # not before its time is over
    document = wait(job)
    assert report(document, "misbehaving")["receipt"]["attempts"] == 2
    assert report(document, "misbehaving")["receipt"]["worker"] == node(heir)


@dataclass(eq=False)
class Held:
    """What the worker's state keeps of a task that runs."""

    message: SimpleNamespace


def test_held_tags_can_be_read_while_they_change():
    """The heartbeat's thread survives that the main thread takes and ends tasks at the same time."""
    kept = []
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            kept[:] = [Held(SimpleNamespace(delivery_tag=str(tag))) for tag in range(50)]
            state.active_requests.update(kept)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        give_up = time.monotonic() + 1.5
        while time.monotonic() < give_up:
            assert held_tags() <= {str(tag) for tag in range(50)}
    finally:
        stop.set()
        churning.join()
        state.active_requests.clear()
