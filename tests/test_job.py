"""Jobs through a real broker and real Celery workers, with analyzers that need no models."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from bench.stage import forget
from services.submit import accept
from shared.storage import video_key
from shared.tables import OPEN_STATES
from tasks.node import ledger, storage
from tests.support.clips import make_clip
from tests.support.jobs import openings, report, running, submit, wait
from tests.support.moving import texture, write_video
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running(tmp_path_factory.mktemp("jobs") / "data", groups={"light"}, probe=True) as stack:
        yield stack


@pytest.fixture
def video(tmp_path, request):
    """Two seconds of a still picture, different for every test: nothing is in the cache."""
    seed = abs(hash(request.node.name)) % 10_000
    return write_video(tmp_path / "clip.mp4", [texture(seed, 120, 160)] * 60)


def children(stack, name):
    """The pool processes of a worker."""
    worker = next(one for one in stack.workers if one.name == name)
    return [child for child in psutil.Process(worker.process.pid).children() if child.is_running()]


def test_a_job_ends_with_its_tracks(stack, video):
    """A job of two levels completes, and the second level read what the first one found."""
    document = wait(submit(video, "dependent"))
    assert document["job"]["state"] == "completed"
    assert [one["status"] for one in document["analyzers"]] == ["ok", "ok"]
    values = {track["id"]: track["items"][0]["value"] for track in document["tracks"]}
    assert values == {"misbehaving/frames": 4, "dependent/frames": 4}


@pytest.mark.slow
def test_two_hours_are_analysed(stack, tmp_path):
    """A job on two hours, dark in the first and bright in the second: every value is there and at its time."""
    film = make_clip(
        tmp_path / "long.mp4",
        frames=7200,
        fps=1,
        size=(96, 64),
        picture=lambda number, width, height: np.full((height, width, 3), 40 if number < 3600 else 200, np.uint8),
        keyframe_every=100,
    )
    document = wait(
        accept(film, analyzers=("color_analysis", "composition_analysis"), options={}, deadline_seconds=600), 600
    )
    assert document["job"]["state"] == "completed"
    assert [one["status"] for one in document["analyzers"]] == ["ok", "ok"]
    tracks = {track["id"]: track for track in document["tracks"]}
    bright = tracks["color_analysis/brightness"]
    times = bright["t0"] + bright["dt"] * np.arange(len(bright["values"]))
    values = np.array(bright["values"], float)
    times, values = times[~np.isnan(values)], values[~np.isnan(values)]
    assert len(times) >= 7199
    assert times[-1] > 7198
    assert np.ptp(values[times < 3599]) < 0.05 * np.ptp(values)
    assert np.ptp(values[times >= 3600]) < 0.05 * np.ptp(values)
    (whole,) = tracks["composition_analysis/shots"]["items"]
    assert (whole["start"], whole["end"]) == (0.0, 7200.0)


def test_a_damaged_video_is_mended_by_handing_it_in_again(stack, video):
    """With one byte of the stored video flipped the analyzer says so; the same file again is stored and analysed."""
    sha256 = storage().add_video(video)
    stored = storage().path(video_key(sha256))
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    damaged = report(wait(submit(video, "misbehaving", misbehaving={"decode": True})), "misbehaving")
    assert (damaged["status"], damaged["error"]["code"]) == ("failed", "video_damaged")
    assert "hand it in again" in damaged["error"]["message"]
    assert wait(submit(video, "misbehaving", misbehaving={"decode": True}))["job"]["state"] == "completed"


def test_the_log_names_job_and_analyzer(stack, video):
    """What a worker says while it analyses can be found by the job's id."""
    job = submit(video, "misbehaving")
    wait(job)
    logs = "".join(worker.log_file.read_text() for worker in stack.workers)
    assert [line for line in logs.splitlines() if "analyzed" in line and job.id in line and "misbehaving" in line]


def test_workers_log_json_where_it_is_asked_for():
    """With REELGRAPH_LOG_JSON each line of a worker's log is an object, Celery's own and Python's warnings, too."""
    code = (
        "import logging, warnings, tasks.celery; from celery import signals\n"
        "signals.celeryd_init.send(None); warnings.warn('root'); signals.setup_logging.send(None); logging.error('hi')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "REELGRAPH_LOG_JSON": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    warned, hi = map(json.loads, said.stderr.splitlines())
    assert "UserWarning: root" in warned["event"]
    assert hi["event"] == "hi"


def test_an_analyzer_begins_when_its_own_inputs_have_ended(stack, video, tmp_path):
    """A run of the second level ends while one of the first still works, and the job ends when all have."""
    go_on = tmp_path / "go on"
    job = submit(video, "dependent", "patient", patient={"file": str(go_on)})
    assert eventually(lambda: "dependent" in (runs := ledger().runs(job.id)) and runs["dependent"].status == "ok", 60)
    assert ledger().runs(job.id)["patient"].status is None
    go_on.touch()
    document = wait(job)
    assert document["job"]["state"] == "completed"
    assert [one["receipt"]["attempts"] for one in document["analyzers"]] == [1, 1, 1]


def test_a_video_is_decoded_once_and_opened_by_one_process(stack, video):
    """Several analyzers that need different renditions cause one opening in all worker processes together."""
    before = len(openings(stack.settings.data_dir))
    document = wait(submit(video, "misbehaving", "color_analysis", "camera_analysis"))
    assert document["job"]["decode_passes"] == 1
    assert len(openings(stack.settings.data_dir)) - before == 1


def test_a_second_run_answers_from_the_cache(stack, video):
    """The same video again: every outcome says that it came from the cache, nothing is decoded."""
    first = wait(submit(video, "dependent"))
    second = wait(submit(video, "dependent"))
    assert [one["receipt"]["cache_hit"] for one in first["analyzers"]] == [False, False]
    assert [one["receipt"]["cache_hit"] for one in second["analyzers"]] == [True, True]
    assert second["job"]["decode_passes"] == 0
    assert second["tracks"] == first["tracks"]


def test_what_the_bench_forgets_is_worked_out_again(stack, video):
    """The same video again after `forget`, as the bench measures two peers of one analyzer: decoded and run anew."""
    wait(submit(video, "dependent"))
    forget()
    again = wait(submit(video, "dependent"))
    assert [one["receipt"]["cache_hit"] for one in again["analyzers"]] == [False, False]
    assert again["job"]["decode_passes"] == 1


def test_other_options_run_only_what_depends_on_them(stack, video):
    """A changed option runs its analyzer and what reads it again; others come from the cache."""
    wait(submit(video, "dependent", "color_analysis"))
    again = wait(submit(video, "dependent", "color_analysis", misbehaving={"sleep": 0.1}))
    hits = {one["name"]: one["receipt"]["cache_hit"] for one in again["analyzers"]}
    assert hits["color_analysis"]
    assert not hits["misbehaving"]


def test_an_exception_is_an_outcome(stack, video):
    """An analyzer that raises ends failed with its message; one that needs it is skipped; the job completes."""
    document = wait(submit(video, "dependent", misbehaving={"error": "no such luck"}))
    assert document["job"]["state"] == "completed_with_errors"
    failed = report(document, "misbehaving")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "analyzer_error")
    assert "no such luck" in failed["error"]["message"]
    assert report(document, "dependent")["status"] == "skipped"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_once_costs_one_more_attempt(stack, video, tmp_path, number):
    """A pool process that is killed in its work is replaced, and the analyzer is run again."""
    behaviour = {"kill": int(number), "kill_attempts": 1, "token": str(tmp_path / "attempts")}
    document = wait(submit(video, "dependent", misbehaving=behaviour))
    assert document["job"]["state"] == "completed"
    assert report(document, "misbehaving")["receipt"]["attempts"] == 2


def test_a_poison_video_is_given_up(stack, video, tmp_path):
    """An analyzer that kills its process every time is tried three times, then failed; the job ends."""
    token = tmp_path / "attempts"
    document = wait(submit(video, "dependent", misbehaving={"kill": int(signal.SIGSEGV), "token": str(token)}))
    failed = report(document, "misbehaving")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "worker_died")
    assert "SIGSEGV" in failed["error"]["message"]
    assert failed["receipt"]["attempts"] == 3
    assert token.read_text() == "xxx"


def test_a_gpu_that_fails_costs_a_process_not_the_job(stack, video, tmp_path):
    """After an error that leaves the GPU unusable a new process takes the work over, and it succeeds there."""
    document = wait(submit(video, "misbehaving", misbehaving={"lose_gpu": 1, "token": str(tmp_path / "attempts")}))
    assert report(document, "misbehaving")["status"] == "ok"
    assert report(document, "misbehaving")["receipt"]["attempts"] == 2


def test_a_gpu_that_fails_every_time_is_named(stack, video, tmp_path):
    """After three attempts the outcome says that it was the GPU; the worker's next process works."""
    document = wait(submit(video, "misbehaving", misbehaving={"lose_gpu": 3, "token": str(tmp_path / "attempts")}))
    failed = report(document, "misbehaving")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "gpu_lost")
    assert "illegal memory access" in failed["error"]["message"]
    again = wait(submit(video, "misbehaving", misbehaving={"error": "after it"}))
    assert report(again, "misbehaving")["error"]["code"] == "analyzer_error"


def test_cancelling_keeps_the_models(stack, video):
    """A cancelled job ends within 2 s, its running analyzer too, and the worker's process stays."""
    job = submit(video, "misbehaving", misbehaving={"sleep": 60.0})
    give_up = time.monotonic() + 90
    while "misbehaving" not in (runs := ledger().runs(job.id)) or runs["misbehaving"].started_at is None:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    before = {child.pid for worker in stack.workers for child in children(stack, worker.name)}
    assert ledger().cancel(job.id)
    began = time.monotonic()
    document = wait(job)
    assert time.monotonic() - began < 30
    assert document["job"]["state"] == "cancelled"
    assert report(document, "misbehaving")["status"] == "cancelled"
    assert {child.pid for worker in stack.workers for child in children(stack, worker.name)} == before


def test_a_killed_worker_loses_nothing(stack, video):
    """A worker killed as a whole in the middle of its work is started again and the job completes."""
    job = submit(video, "dependent", misbehaving={"sleep": 3.0})
    give_up = time.monotonic() + 90
    while "misbehaving" not in (runs := ledger().runs(job.id)) or runs["misbehaving"].started_at is None:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    (held,) = [worker for worker in stack.workers if worker.name != "control"][:1]
    for worker in stack.workers:
        if worker.name != "control":
            worker.process.kill()
    del held
    time.sleep(0.2)
    stack.check()
    document = wait(job)
    assert document["job"]["state"] == "completed"


def test_a_job_is_closed_at_its_deadline(stack, video):
    """An analyzer that outlasts the job's deadline ends as timeout and the job ends with what there is."""
    from services.submit import accept

    job = accept(
        video, analyzers=["misbehaving", "color_analysis"], options={"misbehaving": {"sleep": 60.0}}, deadline_seconds=4
    )
    document = wait(job, seconds=60)
    assert document["job"]["state"] == "completed_with_errors"
    assert report(document, "misbehaving")["status"] == "timeout"
    assert report(document, "color_analysis")["status"] == "ok"
    assert document["job"]["wall_seconds"] < 30


def test_a_deadline_lowers_a_rate_and_says_so(stack, video):
    """What a named analyzer takes does not fit the job's minute, half of it does: it sees half of the pictures."""
    document = wait(submit(video, "dependent", misbehaving={"cost": 20.0}))
    assert document["job"]["state"] == "completed"
    values = {track["id"]: track["items"][0]["value"] for track in document["tracks"]}
    assert values == {"misbehaving/frames": 2, "dependent/frames": 2}
    (note,) = report(document, "misbehaving")["receipt"]["notes"]
    assert note.startswith("looked at 1 instead of 2 pictures a second: all that was asked for would take about 80 s")
    assert document["job"]["notes"] == [f"misbehaving: {note}"]
    assert report(document, "dependent")["receipt"]["notes"] == []


def test_the_same_idempotency_key_is_the_same_job(stack, video):
    """A repeated request with the same key finds the first job; nothing runs twice."""
    from services.submit import accept

    first = accept(video, analyzers=["misbehaving"], idempotency_key="once")
    second = accept(video, analyzers=["misbehaving"], idempotency_key="once")
    assert first.id == second.id
    wait(first)


def test_a_wiped_broker_delays_a_job_but_does_not_end_it(stack, video):
    """With every key of the broker deleted in the middle of a job, the reconciler queues the rest again."""
    from tasks.node import events

    job = submit(video, "dependent", misbehaving={"sleep": 2.0})
    give_up = time.monotonic() + 90
    while ledger().job(job.id).state == "queued":
        assert time.monotonic() < give_up
        time.sleep(0.02)
    events().client.flushall()
    document = wait(job)
    assert document["job"]["state"] == "completed"
    assert ledger().job(job.id).state not in OPEN_STATES
