"""The service on this machine: broker, workers, the API under gunicorn, and Flower, all ending together."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from services.api.access import is_loopback
from services.broker import noted
from services.leash import Leashed, start, stop_all
from services.restarts import Restarts
from services.stack import LAST_LINES, Stack, local_stack
from shared.errors import BadInput, Infrastructure
from shared.keys import Keys
from shared.locks import FileLock
from shared.log import logger
from shared.settings import settings, use
from tasks.child import run_folder
from tasks.node import ledger

DEPLOYMENT = "serve"
"""One name for every start over a data folder: what a start before has left open goes on."""

PROCESSES = 2
THREADS = 96
"""A process: followers of events, downloads, pictures and slow uploads hold 88 at most (decision 95)."""

NICENESS = 10
"""Of the workers that analyse: on a machine with all cores busy, a request does not wait behind them (decision 62)."""

STOP_SECONDS = 3
START_SECONDS = 120.0
FLOWER_LOG = "flower.log"
SOCKETS, SOCKETS_LOCK = "reelgraph-", "serve.lock"
YOUNG_SECONDS = 5.0
POLL_SECONDS = 0.1

log = logger(__name__)


@dataclass(slots=True)
class Flower:
    """Flower on its socket, started again when it dies: no job needs it, so the service goes on without it, too."""

    stack: Stack
    socket: Path
    process: Leashed
    restarts: Restarts = field(default_factory=Restarts)

    @classmethod
    def start(cls, stack: Stack, socket: Path) -> Self:
        """Start it."""
        return cls(stack, socket, _start_flower(stack, socket))

    def check(self) -> None:
        """Start it again if it has died."""
        if self.process.poll() is None or not self.restarts.one_more(patient=True):
            return
        log.warning("flower_restarted", keeps_dying=self.restarts.are_many, logs=str(self.stack.logs / FLOWER_LOG))
        self.process = _start_flower(self.stack, self.socket)


@dataclass(slots=True)
class Service:
    """The running service."""

    host: str
    port: int
    stack: Stack
    web: Leashed
    web_log: Path
    flower: Flower | None
    web_restarts: Restarts = field(default_factory=Restarts)

    @property
    def url(self) -> str:
        """Where a person on this machine opens it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  (compared, not bound)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def check(self) -> None:
        """Start again what has died. Raises Infrastructure when the server itself has and the stack does not last."""
        self.stack.check()
        if self.flower is not None:
            self.flower.check()
        if (code := self.web.poll()) is None:
            return
        if not self.stack.lasts:
            lines = self.web_log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise Infrastructure(f"the server ended with exit code {code}: {' | '.join(lines)}", code="server_died")
        if self.web_restarts.one_more(patient=True):
            log.warning("server_restarted", exit_code=code, keeps_dying=self.web_restarts.are_many)
            self.web = start_web(self.stack, self.host, self.port, self.web_log)

    def stop(self) -> None:
        """Stop the server and Flower, at once and not in turns."""
        stop_all([self.web, *([self.flower.process] if self.flower else [])])

    def wait_up(self) -> None:
        """Wait until the server answers. Raises Infrastructure when it does not in time."""
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            self.check()
            if time.monotonic() > give_up:
                raise Infrastructure(f"the server does not answer after {START_SECONDS:.0f} s", code="server_died")
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        host = self.url.removeprefix("http://").rpartition(":")[0]
        connection = http.client.HTTPConnection(host, self.port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False


@contextmanager
def service(host: str, port: int, *, with_flower: bool = True, data: Path | None = None) -> Iterator[Service]:
    """Everything, until the block ends. Another address than loopback needs a key to exist.

    `data`: the folder that the command named, for advice; the settings have it already.

    Raises:
        BadInput: nobody could use it, or everybody could (`no_key`); the data folder is served already (`served`).
        Infrastructure: the ledger cannot be used, or is a newer version's; the broker or the server does not start;
            the port is taken (`port_taken`).
    """
    is_private = is_loopback(host)
    if not is_private and not Keys(ledger()).any():
        make = "reelgraph keys create NAME" + (f" --data {shlex.quote(os.fspath(data))}" if data else "")
        raise BadInput(f"{host} can be reached by others, and there is no API key; make one: {make}", code="no_key")
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings().data_dir))
        ledger()  # one that cannot be used is told of here, not in the log of each process
        _check_port(host, port)
        before = settings()
        stack.callback(use, before)
        sockets = stack.enter_context(_socket_folder())
        flower_socket = sockets / "flower" if with_flower else None
        use(before.model_copy(update={"require_keys": not is_private, "flower_socket": flower_socket}))
        running = stack.enter_context(local_stack(deployment=DEPLOYMENT, niceness=NICENESS, stays=True))
        stack.enter_context(noted(running.broker, run_folder()))
        flower = Flower.start(running, flower_socket) if flower_socket else None
        stack.callback(lambda: stop_all([flower.process] if flower else []))
        web_log = running.logs / "server.log"
        started = Service(host, port, running, start_web(running, host, port, web_log), web_log, flower)
        stack.callback(started.stop)
        yield started


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Two services over one data folder would queue each other's jobs on brokers of their own."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)  # videos and results of people, and their keys
    lock = FileLock(data / "serve.lock")
    if not lock.take():
        raise BadInput(f"another `reelgraph serve` runs over {data}", code="served")
    with lock:
        yield


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """A folder for sockets, whose paths have 107 bytes at most; what killed services left of theirs is removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{SOCKETS}*"):
        with suppress(OSError):  # it is gone, or no folder
            _remove_left(left)
    with tempfile.TemporaryDirectory(prefix=SOCKETS) as folder, FileLock(Path(folder) / SOCKETS_LOCK) as lock:
        lock.take()
        yield Path(folder)


def _remove_left(folder: Path) -> None:
    """Remove a folder of this user's whose service is gone. A young one's may be about to take its lock."""
    state, lock = folder.stat(), FileLock(folder / SOCKETS_LOCK)
    is_old = state.st_uid == os.getuid() and time.time() - state.st_mtime > YOUNG_SECONDS and lock.path.exists()
    if is_old and lock.take():
        with lock:
            shutil.rmtree(folder, ignore_errors=True)


def _check_port(host: str, port: int) -> None:
    """Raises Infrastructure (`port_taken`) where the server could not listen: another one may answer there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        message = f"{host}, port {port}, cannot be listened on: {error.strerror}; --host and --port name another"
        raise Infrastructure(message, code="port_taken", retryable=False) from error


def start_web(running: Stack, host: str, port: int, log: Path) -> Leashed:
    """Start gunicorn with the API over a stack's broker and data folder."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    argv: list[str | Path] = [sys.executable, "-m", "gunicorn", "services.api:create_app()", "--bind", bind]
    argv += ["--config", "python:services.api.wsgi_server", "--workers", str(PROCESSES), "--threads", str(THREADS)]
    argv += [
        "--graceful-timeout",
        str(STOP_SECONDS - 1),
        "--timeout",
        "60",
        "--keep-alive",
        "15",
        "--no-control-socket",
    ]
    with log.open("ab") as output:
        environment = {**os.environ, **running.settings.environment()}
        return start(argv, env=environment, stdout=output, grace_seconds=STOP_SECONDS)


def _start_flower(running: Stack, where: Path) -> Leashed:
    argv: list[str | Path] = [sys.executable, "-m", "services.cli", "flower", "--socket", where]
    with (running.logs / FLOWER_LOG).open("ab") as output:
        environment = {**os.environ, **running.settings.environment()}
        return start(argv, env=environment, stdout=output, grace_seconds=STOP_SECONDS)
