"""The service on three hosts with a network between them: API; broker, ledger and storage; workers. `make hosts`."""

import os
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import pytest
import redis

from services.broker import find_server
from services.leash import Leashed, start, stop_all
from shared.settings import Settings
from shared.storage import video_key
from tests.support.api import Client
from tests.support.jobs import PROBE
from tests.support.moving import texture, write_video
from tests.support.namespaces import Host, hosts
from tests.support.postgres import postgres
from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.support.s3 import BUCKET, Server, s3_server
from tests.support.system import missing

ASKED = "REELGRAPH_TEST_HOSTS"
CUT_SECONDS = 20
"""Longer than a worker's signs of life are missed (15 s), shorter than the broker's visibility timeout (30 s)."""

JOBS = 6
END_SECONDS = 200


@dataclass
class Site:
    """What runs where."""

    hosts: dict[str, Host]
    s3: Server
    environment: dict[str, str]
    logs: object
    processes: list[Leashed] = field(default_factory=list)
    client: Client | None = None

    def begin(self, host, name, *argv):
        """A process of the service on a host, with a data folder of that host."""
        data = self.logs / host
        environment = {**self.environment, "REELGRAPH_DATA_DIR": str(data)}
        command = self.hosts[host].command(sys.executable, *argv)
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes.append(start(command, env=environment, stdout=log, cwd=ROOT))

    def said(self, name):
        """The end of a process's log."""
        return (self.logs / f"{name}.log").read_text(errors="replace")[-3000:]

    def hand_in(self, seed, **fields):
        """A job on a new video, once the API takes it: nothing that was not taken can be lost."""
        video = write_video(self.logs / f"{seed}.mp4", [texture(seed, 120, 160)] * 30)
        give_up = time.monotonic() + END_SECONDS
        while time.monotonic() < give_up:
            with suppress(OSError):
                answer = self.client.hand_in(video, key=f"video-{seed}", deadline_seconds="300", **fields)
                if answer.status in (200, 201, 202):
                    return answer.json
            time.sleep(0.5)
        raise AssertionError(f"the API has taken no video for {END_SECONDS} s: {self.said('api')}")

    def states(self, jobs):
        """What the API says of jobs."""
        return [self.client.get(f"/v1/jobs/{job['id']}").json["state"] for job in jobs]

    def document(self, job):
        """Its document, once it has ended; a request that fails is made again, as every client does."""
        give_up = time.monotonic() + END_SECONDS
        state = None
        while time.monotonic() < give_up:
            with suppress(OSError):
                answer = self.client.get(f"/v1/jobs/{job['id']}")
                state = answer.json.get("state") if answer.status == 200 else answer.status
                if state not in ("queued", "running") and answer.status == 200:
                    found = self.client.get(f"/v1/jobs/{job['id']}/result")
                    if found.status == 200:
                        return found.json
            time.sleep(0.5)
        raise AssertionError(f"job {job['id']} is {state} after {END_SECONDS} s: {self.said('control')}")


def _may_run():
    if os.environ.get(ASKED) != "1":
        pytest.skip("takes three minutes, of which links are cut for one; run it as root with: make hosts")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        missing("network namespaces take root, and ip; get it with: apt-get install iproute2")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All of it, ready."""
    _may_run()
    logs = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        net = stack.enter_context(hosts(["api", "stores", "work"]))
        stores = net["stores"]
        ledger = stack.enter_context(postgres(stores))
        s3 = stack.enter_context(s3_server(logs, stores))
        processes = []
        stack.callback(stop_all, processes)
        processes.append(_broker(stores, logs))
        chosen = Settings(
            broker_url=f"redis://{stores.address}:6379/0",
            ledger_url=ledger,
            storage_url=f"s3://{BUCKET}/media",
            storage_endpoint=s3.endpoint,
            weights_dir=logs / "no-weights",
        )
        environment = {**os.environ, **chosen.environment(), "PYTHONPATH": os.pathsep.join([str(PROBE), str(ROOT)])}
        environment["REELGRAPH_PROBE_LOG"] = str(logs / "openings.log")
        here = Site(net, s3, environment, logs, processes)
        _start(here)
        yield here


def _broker(host, folder):
    _, server = find_server()
    argv = [str(server), "--bind", host.address, "--port", "6379", "--protected-mode", "no", "--dir", str(folder)]
    with (folder / "broker.log").open("ab") as log:
        process = start(host.command(*argv, "--appendonly", "yes", "--save", ""), stdout=log)
    broker = redis.Redis(host=host.address, socket_timeout=5)

    def answers():
        with suppress(redis.RedisError):
            return broker.ping()
        return False

    assert eventually(answers, 30), (folder / "broker.log").read_text()
    return process


def _start(site):
    (site.logs / "api").mkdir()
    address = site.hosts["api"].address
    site.begin("api", "key", "-m", "services.cli", "keys", "create", "tester")
    assert site.processes.pop().wait(60) == 0, site.said("key")
    token = next(word for word in site.said("key").split() if word.startswith("rg_"))
    gunicorn = ["-m", "gunicorn", "services.api:create_app()", "--config", "python:services.api.wsgi_server"]
    gunicorn += ["--bind", f"{address}:8000", "--threads", "16", "--timeout", "120", "--no-control-socket"]
    site.begin("api", "api", *gunicorn)
    for name, groups in (("control", "control"), ("one", "light"), ("two", "light")):
        site.begin("work", name, "-m", "services.cli", "worker", "--groups", groups, "--name", f"{name}@work")
    site.client = Client(8000, {"Authorization": f"Bearer {token}"}, host=address)
    marks = [site.logs / "work" / "run" / f"ready.{name}@work" for name in ("control", "one", "two")]
    assert eventually(lambda: all(mark.exists() for mark in marks), 180), site.said("one")

    def ready():
        with suppress(OSError):
            return site.client.get("/readyz").status == 200
        return False

    assert eventually(ready, 60), site.said("api")


def test_a_video_goes_through(site):
    """Handed in at one host, worked on at another, kept at the third: two workers that share no disk with the API
    bring the video once, decode it once, and what they found is read at the API.
    """
    job = site.hand_in(1, analyzers="misbehaving,color_analysis")
    document = site.document(job)
    assert [one["status"] for one in document["analyzers"]] == ["ok", "ok"]
    assert document["job"]["decode_passes"] == 1
    key = video_key(document["media"]["sha256"])
    assert (site.logs / "work" / "storage" / key).exists()
    assert site.s3.asked("GET", key) == 1
    opened = (site.logs / "openings.log").read_text().splitlines()
    assert len([line for line in opened if str(site.logs / "work" / "storage" / "videos") in line]) == 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["api", "stores", "work"])
def test_a_link_that_is_cut_loses_nothing(site, name):
    """While jobs run, one host is cut off for 20 s: every job that was taken ends with every analyzer well, and jobs
    are taken again afterwards.
    """
    first = {"api": 100, "stores": 200, "work": 300}[name]
    options = '{"misbehaving": {"sleep": 10.0}}'
    jobs = [site.hand_in(first + n, analyzers="misbehaving,color_analysis", options=options) for n in range(JOBS)]
    assert eventually(lambda: "running" in site.states(jobs), 60), site.states(jobs)
    site.hosts[name].cut()
    try:
        time.sleep(CUT_SECONDS)
    finally:
        site.hosts[name].heal()
    jobs.append(site.hand_in(first + JOBS, analyzers="misbehaving"))
    documents = [site.document(job) for job in jobs]
    assert [one for document in documents for one in document["analyzers"] if one["status"] != "ok"] == []
