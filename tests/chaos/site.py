"""A running service that may be broken anywhere: a broker on a host of its own, four workers, the API."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import redis

from services.broker import find_server
from services.leash import Leashed, start
from services.restarts import Restarts
from services.server import start_web
from services.stack import LocalWorker, Stack, local_stack
from shared.groups import worker_of
from shared.settings import settings, use
from tasks.node import ledger
from tests.chaos.network import BROKER, Network, network
from tests.support.api import Client, free_port
from tests.support.jobs import PROBE
from tests.support.models import linked
from tests.support.processes import eventually

ANALYSING = ("one", "two", "three")
REMOTE = "three"
"""The worker that is a host of its own on the network."""
START_SECONDS = 120
DEADLINE_SECONDS = 300


class Valkey:
    """A broker with an append-only file, on a port that it keeps when it is killed and started again."""

    def __init__(self, folder: Path, net: Network) -> None:
        folder.mkdir(parents=True)
        self.folder, self.net = folder, net
        self.process = self._start()

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restart(self) -> None:
        """Start it again over what its file has kept."""
        self.process = self._start()

    def client(self) -> redis.Redis:
        """A connection that no partition of a proxy cuts."""
        host, port = self.net.listens_on
        return redis.Redis(host, port, socket_timeout=10)

    def _start(self) -> Leashed:
        _, server = find_server()
        host, port = self.net.listens_on
        argv = [*self.net.inside(BROKER), str(server), "--port", str(port), "--bind", host, "--dir", str(self.folder)]
        argv += ["--protected-mode", "no"]  # the bridge leads nowhere
        argv += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        with (self.folder / "log").open("ab") as log:
            process = start(argv, stdout=log)
        assert eventually(self._answers, 20), (self.folder / "log").read_text()
        return process

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client().ping())
        return False


class Site:
    """The service, and hands to break it."""

    def __init__(self, stack: Stack, valkey: Valkey, net: Network, rng: random.Random, scratch: Path) -> None:
        self.stack, self.valkey, self.net, self.rng, self.scratch = stack, valkey, net, rng, scratch
        self.port = free_port()
        self.web = self.start_api()
        self.client = Client(self.port)
        self._watching = threading.Event()
        self._paused = threading.Event()
        self._watcher = threading.Thread(target=self._supervise, daemon=True)
        self._watcher.start()

    def start_api(self) -> Leashed:
        """Start gunicorn on the site's port."""
        return start_web(self.stack, "127.0.0.1", self.port, self.stack.logs / "server.log")

    def kill_api(self) -> None:
        """SIGKILL to gunicorn and its processes; it is started again at once, as by an init system."""
        os.killpg(self.web.pid, signal.SIGKILL)
        self.web.wait(10)
        self.web = self.start_api()

    def replace_all(self) -> None:
        """Start every process of the service anew, with the environment as it is now, and wait for them."""
        with self.unattended():
            for worker in self.stack.workers:
                worker.process.stop()
            self.kill_api()
        eventually(lambda: all(worker.process.poll() is None for worker in self.stack.workers), START_SECONDS)
        self.wait_up()

    def worker(self, name: str) -> LocalWorker:
        """A worker by name."""
        return next(one for one in self.stack.workers if one.name == name)

    def any_worker(self) -> LocalWorker:
        """One of those that analyse."""
        return self.worker(self.rng.choice(ANALYSING))

    def holder(self, *among: str) -> LocalWorker:
        """A worker of these, or of those that analyse, that holds a run now. Raises AssertionError when none does."""
        wanted, found = among or ANALYSING, list[str]()

        def look() -> bool:
            found[:] = [name for run, _ in ledger().held() if (name := worker_of(str(run.holder))) in wanted]
            return bool(found)

        assert eventually(look, 60), f"none of {', '.join(wanted)} held a run for a minute"
        return self.worker(found[0])

    def pool(self, worker: LocalWorker) -> list[psutil.Process]:
        """Its pool processes."""
        with suppress(psutil.NoSuchProcess):
            return [one for one in psutil.Process(worker.process.pid).children() if "celery" in _command(one)]
        return []

    def readers(self, worker: LocalWorker) -> list[psutil.Process]:
        """Its media servers, and the processes by which these read a video now."""
        with suppress(psutil.NoSuchProcess):
            found = [below for one in self.pool(worker) for below in one.children(recursive=True)]
            return [one for one in found if "shared.media_server" in _command(one)]
        return []

    def signal(self, worker: LocalWorker, number: signal.Signals, *, children: bool = False) -> None:
        """Signal a worker's parent, with `children` its whole group."""
        with suppress(ProcessLookupError):
            (os.killpg if children else os.kill)(worker.process.pid, number)

    def signal_child(self, worker: LocalWorker, number: signal.Signals) -> None:
        """Signal the pool process of a worker."""
        for child in self.pool(worker):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    def after(self, least: float, most: float) -> None:
        """Wait for a random time."""
        time.sleep(self.rng.uniform(least, most))

    @contextmanager
    def unattended(self) -> Iterator[None]:
        """Nobody starts what has died, in the block."""
        self._paused.set()
        try:
            yield
        finally:
            self._paused.clear()

    def wait_up(self) -> None:
        """Wait until every worker and the API are there."""
        self.stack.wait_ready(START_SECONDS)
        assert eventually(self.answers, 60), (self.stack.logs / "server.log").read_text()

    def close(self) -> None:
        """End the supervision and the API."""
        self._watching.set()
        self._watcher.join()
        self.web.stop()

    def answers(self) -> bool:
        """Whether the API is there."""
        with suppress(OSError, http.client.HTTPException):
            return self.client.get("/healthz").status == 200
        return False

    def _supervise(self) -> None:
        """Start again what has died, for ever, as an init system does."""
        while not self._watching.wait(0.3):
            if self._paused.is_set():
                continue
            for worker in self.stack.workers:
                worker.restarts = Restarts()
            self.stack.check()


@contextmanager
def site(scratch: Path, seed: int, **changed: object) -> Iterator[Site]:
    """Everything running over a folder, gone at the end. `changed`: other settings."""
    before, environment = settings(), dict(os.environ)
    with ExitStack() as stack:
        stack.callback(_restore, environment)
        stack.callback(use, before)
        net = stack.enter_context(network(REMOTE))
        valkey = Valkey(scratch / "broker", net)
        stack.callback(lambda: valkey.process.stop())  # noqa: PLW0108  (another process after a restart)
        url = f"redis://{net.host}:{net.port}/0"
        given: Mapping[str, object] = {"data_dir": scratch / "data", "broker_url": url, "require_keys": False}
        given |= {"weights_dir": linked(before.weights_dir, scratch / "weights"), "deployment": f"chaos-{seed}"}
        use(before.model_copy(update={**given, **changed}))
        os.environ |= _probes(scratch, net)
        running = stack.enter_context(local_stack(set()))
        for name in ANALYSING:
            running.start_worker(name, ("light", "detect"))
        here = Site(running, valkey, net, random.Random(seed), scratch)
        stack.callback(here.close)
        here.wait_up()
        yield here


def _command(process: psutil.Process) -> str:
    """A process's command line; empty where it is gone, or not waited for yet: others are looked at still."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _probes(scratch: Path, net: Network) -> dict[str, str]:
    path = [str(PROBE), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    probes = {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "REELGRAPH_PROBE_LOG": str(scratch / "openings.log"),
        "REELGRAPH_PROBE_KILL_IN_FINISH": str(scratch / "kill-in-finish"),
    }
    if (namespace := net.namespace(REMOTE)) is not None:
        probes["REELGRAPH_PROBE_NAMESPACE"] = f"{REMOTE}={namespace}"
    return probes


def _restore(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
