"""Where a job stands in the queue, and when it will be done: with workers and a ledger that know nothing yet."""

import json
import time
from contextlib import contextmanager

import pytest

from services.api.estimates import progress
from shared.tables import Job, Run
from tests.support.api import serving
from tests.support.jobs import running
from tests.support.processes import eventually

WORKERS = 2
"""That look at videos in the local profile."""


@pytest.fixture(scope="module")
def busy_stack(tmp_path_factory):
    """Ready workers over a ledger of their own."""
    data = tmp_path_factory.mktemp("queue") / "data"
    with running(data, groups={"light"}, probe=True, weights_dir=data.parent / "no-weights") as stack:
        yield stack


def hand_in(api, video, sleep, **fields):
    """The id of a job that takes so many seconds."""
    options = json.dumps({"misbehaving": {"sleep": sleep}})
    answer = api.hand_in(video, analyzers="misbehaving", options=options, **fields)
    assert answer.status == 202, answer.body
    return answer.json["id"]


def places(api, jobs):
    """The place of each job in the queue."""
    return [api.get(f"/v1/jobs/{job}").json["queue_position"] for job in jobs]


def works(api, job):
    """Whether the job's analyzer runs."""
    return api.get(f"/v1/jobs/{job}").json["analyzers"][0]["status"] == "running"


@contextmanager
def cancelled(api):
    """A list of jobs that are cancelled at the end."""
    jobs = []
    try:
        yield jobs
    finally:
        for job in jobs:
            api.call("POST", f"/v1/jobs/{job}/cancel")


def test_what_cannot_look_is_no_progress():
    """Of analyzers that had no work to do, none counts: with one of two ended it is their share, with none it is 0."""
    job = Job(state="running")
    idle = {"qwen2_vl_temporal": Run(status="unavailable"), "speech_flow": Run(status="skipped")}
    assert progress(job, idle | {"cut_analysis": Run(), "color_analysis": Run()}) == 0
    assert 0 < progress(job, idle | {"cut_analysis": Run(status="ok"), "color_analysis": Run()}) < 1
    assert progress(job, idle | {"cut_analysis": Run(status="ok")}) == 1
    assert progress(job, idle) == 0


def test_jobs_behind_busy_workers_know_their_places(busy_stack, video):
    """Behind jobs that keep all workers busy, places follow priority and age, also once the waiting jobs are planned;
    a job that has begun has none, and all move up when a worker is free. Without receipts nobody guesses an end.
    """
    with serving(busy_stack) as api, cancelled(api) as jobs:
        jobs += [hand_in(api, video, 60 + number) for number in range(WORKERS)]
        assert eventually(lambda: all(works(api, job) for job in jobs), 90)
        jobs += [hand_in(api, video, 70), hand_in(api, video, 71), hand_in(api, video, 72, priority="1")]
        waiting = jobs[WORKERS:]
        assert places(api, jobs) == [None, None, 2, 3, 1]
        assert eventually(lambda: {api.get(f"/v1/jobs/{job}").json["state"] for job in waiting} == {"running"}, 90)
        assert places(api, jobs) == [None, None, 2, 3, 1]
        assert [api.get(f"/v1/jobs/{job}").json["eta_seconds"] for job in jobs] == [None] * len(jobs)
        api.call("POST", f"/v1/jobs/{jobs[0]}/cancel")
        assert eventually(lambda: works(api, waiting[2]), 90)
        assert places(api, waiting) == [1, 2, None]


@pytest.mark.slow
def test_the_estimate_is_what_it_takes(busy_stack, video):
    """With receipts, the end foretold for the last of four jobs on two workers is within a factor of three of what it
    takes, and the job before it is foretold no later end.
    """
    with serving(busy_stack) as api:
        for job in [hand_in(api, video, 3 + number / 1000) for number in range(WORKERS)]:
            assert api.wait(job)["state"] == "completed"
    with serving(busy_stack) as api, cancelled(api) as jobs:  # a new server: receipts are read anew every ten seconds
        jobs += [hand_in(api, video, 3.1 + number / 1000) for number in range(2 * WORKERS)]
        began = time.monotonic()
        foretold = []
        for job in jobs[: -WORKERS - 1 : -1]:  # nothing is foretold before the job is planned
            assert eventually(lambda job=job: api.get(f"/v1/jobs/{job}").json["eta_seconds"] is not None, 60)
            foretold.append(api.get(f"/v1/jobs/{job}").json["eta_seconds"])
        fourth, third = foretold
        assert api.wait(jobs[-1])["state"] == "completed"
        took = time.monotonic() - began
    assert took / 3 < fourth < took * 3
    assert third <= fourth
