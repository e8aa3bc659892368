"""Jobs over hosts that share no disk: a ledger on PostgreSQL, media in a bucket, a data folder for every host."""

import os
import signal
import time
import urllib.request
from contextlib import contextmanager

import pytest

from services.server import PROCESSES
from services.submit import accept
from shared.groups import node_name, worker_of
from shared.settings import settings
from shared.storage import video_key
from tasks.node import ledger, storage
from tests.support.api import log_of, serving
from tests.support.jobs import openings, report, running, wait
from tests.support.moving import texture, write_video
from tests.support.postgres import postgres
from tests.support.processes import eventually
from tests.support.s3 import BUCKET, CREDENTIALS, s3_server, signed_methods


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def stack(server, tmp_path_factory):
    """Broker and control worker on one host; no worker that analyses."""
    data = tmp_path_factory.mktemp("hosts") / "data"
    place = {"storage_url": f"s3://{BUCKET}/media", "storage_endpoint": server.endpoint}
    with postgres() as url, running(data, groups=set(), probe=True, ledger_url=url, **place) as stack:
        yield stack


@contextmanager
def host(stack, name, data):
    """A worker for the light queue on a host with a data folder of its own."""
    here = stack.settings
    stack.settings = here.model_copy(update={"data_dir": data})
    try:
        worker = stack.start_worker(name, ("light",))
    finally:
        stack.settings = here
    try:
        mark = data / "run" / f"ready.{node_name(name, ('light',))}@{here.deployment}"
        assert eventually(lambda: mark.exists() or worker.process.poll() is not None, 90), worker.last_words()
        assert mark.exists(), worker.last_words()
        yield worker
    finally:
        stack.workers.remove(worker)
        worker.process.stop()


def clip(folder, seed):
    """A second of a still picture; another seed is another video."""
    return write_video(folder / f"{seed}.mp4", [texture(seed, 120, 160)] * 30)


def order(video, *names, **options):
    """A job with time for a slow machine."""
    return accept(video, analyzers=names, options=options, deadline_seconds=120)


def test_hosts_without_a_shared_disk_bring_and_decode_a_video_once(stack, server, tmp_path):
    """Two analyzers on another host: one download, one decode pass, and the document is read from the bucket here."""
    with host(stack, "far", tmp_path / "far"):
        job = order(clip(tmp_path, 1), "misbehaving", "color_analysis")
        document = wait(job, 120)
    assert [one["status"] for one in document["analyzers"]] == ["ok", "ok"]
    assert document["job"]["decode_passes"] == 1
    key = video_key(job.video_sha256)
    assert server.asked("GET", key) == 1
    assert (tmp_path / "far" / "storage" / key).exists()
    assert len([line for line in openings(settings().data_dir) if str(tmp_path / "far") in line]) == 1
    assert not (settings().data_dir / "storage" / "jobs").exists()
    assert storage().exists(f"jobs/{job.id}/document.json")


@pytest.fixture(scope="module")
def api(stack, server):
    """The API, which sends browsers to the bucket by another name of its server."""
    public = server.endpoint.replace("127.0.0.1", "localhost")
    with serving(stack, storage_signed_seconds=60, storage_public_endpoint=public) as client:
        yield client


def test_a_browser_reads_the_video_from_the_bucket(api, server, tmp_path):
    """With signed addresses the API sends whoever may see a job to the bucket, which serves ranges of the whole video;
    the page may play it from there; an address is for nobody to keep, and a video that is gone is said to be gone.
    """
    video = clip(tmp_path, 6)
    job = order(video, "misbehaving")
    public = server.endpoint.replace("127.0.0.1", "localhost")
    answer = api.get(f"/v1/jobs/{job.id}/video")
    assert (answer.status, answer.headers["cache-control"]) == (307, "no-store")
    address = answer.headers["location"]
    assert address.startswith(public)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in address
    heads = api.call("HEAD", f"/v1/jobs/{job.id}/video").headers["location"]
    assert (signed_methods(address), signed_methods(heads)) == ({"GET"}, {"HEAD"})
    asking = urllib.request.Request(address, headers={"Range": "bytes=10-19"})
    with urllib.request.urlopen(asking, timeout=30) as part:
        assert (part.status, part.read()) == (206, video.read_bytes()[10:20])
        assert part.headers["Content-Type"] == "video/mp4"
        assert part.headers["Content-Disposition"] == "attachment; filename*=UTF-8''6.mp4"
    assert f"media-src 'self' {public};" in api.get("/").headers["content-security-policy"]
    assert api.call("POST", f"/v1/jobs/{job.id}/cancel").status < 300
    storage().remove(video_key(job.video_sha256))
    assert api.get(f"/v1/jobs/{job.id}/video").refusal[0] == 404


def test_the_page_opens_without_credentials(stack, tmp_path, monkeypatch):
    """Where no address can be signed the page is served without the bucket in its policy, and the log says why."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with serving(stack, storage_signed_seconds=60) as bare:
        answer = bare.get("/")
        assert answer.status == 200
        assert "media-src 'self';" in answer.headers["content-security-policy"]
        assert "bucket_unsigned" in log_of(stack, bare)


def test_the_bucket_is_asked_before_anybody_is_answered(stack, server):
    """Each process of the API asks the bucket once before it takes requests: the first probe waits for no imports."""
    before = server.asked("PUT", "media/check")
    with serving(stack):
        assert eventually(lambda: server.asked("PUT", "media/check") - before == PROCESSES, 30)


def test_readiness_asks_the_bucket(api, server):
    """Ready while the bucket answers; not ready, and told in time, while it hangs; ready again afterwards."""
    assert eventually(lambda: api.get("/readyz").status == 200, 30)  # on a busy machine 2 s may be too short for it
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = api.get("/readyz")
        assert time.monotonic() - began < 20  # 2 s, and what a busy machine adds
        assert (answer.status, answer.json["ready"]) == (503, False)
        assert {name for name, said in answer.json["checks"].items() if said != "ok"} == {"storage"}
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert eventually(lambda: api.get("/readyz").status == 200, 30)


def test_a_worker_that_is_told_to_go_ends_its_task_and_takes_no_other(stack, tmp_path):
    """Scale-in under load: a busy worker that gets SIGTERM ends what it has, once; what waits goes to another."""
    token = tmp_path / "starts"
    with host(stack, "leaving", tmp_path / "leaving") as leaving:
        busy = order(clip(tmp_path, 2), "misbehaving", misbehaving={"sleep": 4.0, "token": str(token)})
        assert eventually(token.exists, 60)
        waiting = [order(clip(tmp_path, seed), "misbehaving") for seed in (3, 4, 5)]
        os.kill(leaving.process.pid, signal.SIGTERM)
        with host(stack, "staying", tmp_path / "staying"):
            documents = [wait(job, 120) for job in (busy, *waiting)]
        assert eventually(lambda: leaving.process.poll() is not None, 60)
    reports = [report(document, "misbehaving") for document in documents]
    assert [(one["status"], one["receipt"]["attempts"]) for one in reports] == [("ok", 1)] * 4
    assert token.read_text() == "x"
    assert [worker_of(one["receipt"]["worker"]) for one in reports] == [
        "leaving",
        "staying",
        "staying",
        "staying",
    ]


def test_a_rolling_update_under_load_loses_nothing(stack, tmp_path):
    """A worker is replaced while jobs come in, as a Deployment does it: every job ends well and was started once."""

    def come_in(seeds):
        return [order(clip(tmp_path, seed), "misbehaving", misbehaving={"sleep": 0.5}) for seed in seeds]

    with host(stack, "old", tmp_path / "old") as old:
        first = come_in(range(10, 13))
        assert eventually(lambda: began(first[0]), 60)
        os.kill(old.process.pid, signal.SIGTERM)  # with work under way and more of it waiting
        assert eventually(lambda: old.process.poll() is not None, 60)
    with host(stack, "new", tmp_path / "new"):
        jobs = [*first, *come_in(range(20, 23))]
        documents = [wait(job, 120) for job in jobs]
    reports = [report(document, "misbehaving") for document in documents]
    assert [(one["status"], one["receipt"]["attempts"]) for one in reports] == [("ok", 1)] * len(jobs)
    assert len({one["receipt"]["worker"] for one in reports}) == 2


def began(job):
    """Whether a worker has begun with it."""
    run = ledger().runs(job.id).get("misbehaving")
    return run is not None and run.started_at is not None
