"""The network between a service and its broker, and its partitions.

As root on Linux the broker and one worker are hosts of their own: network namespaces with a cable each to a bridge, and
a partition pulls the cable. Elsewhere a TCP proxy stands before the broker and stops passing bytes.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tests.support.api import free_port

CHUNK_BYTES = 1 << 16
POLL_SECONDS = 0.05
BROKER = "broker"
PREFIX = "rgchaos"
NETS = 200
FOLDER = Path("/run/netns")


class Network(Protocol):
    """Where the broker listens, and what can be cut off."""

    host: str
    port: int
    """What the service connects to."""
    listens_on: tuple[str, int]
    """What the broker binds."""
    hosts: tuple[str, ...]
    """Who can be cut off by name: BROKER and workers."""
    kind: str

    def inside(self, name: str) -> list[str]:
        """What to begin a command line with so that it runs on that host."""

    def namespace(self, name: str) -> Path | None:
        """The network namespace of a host; None where it has none."""

    def cut(self, name: str) -> None:
        """Let no byte through to or from a host."""

    def heal(self, name: str) -> None:
        """Let bytes through again; what TCP has kept arrives."""


@contextmanager
def network(*workers: str) -> Iterator[Network]:
    """A network on which the broker and these workers are hosts of their own, if that is allowed here."""
    _clear_leftovers()
    made = Namespaces((BROKER, *workers))
    try:
        made.build()
    except (OSError, subprocess.CalledProcessError):
        made.close()
        proxy = Proxy()
        try:
            yield proxy
        finally:
            proxy.close()
        return
    try:
        yield made
    finally:
        made.close()


class Namespaces:
    """A bridge of this host, and network namespaces that hang on it by a cable each."""

    kind = "network namespaces"

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts
        self._net = f"10.213.{os.getpid() % NETS}"
        self.host, self.port = f"{self._net}.2", 6379
        self.listens_on = (self.host, self.port)
        self._bridge = f"rgb{os.getpid()}"

    def build(self) -> None:
        """Lay the cables. Raises OSError or CalledProcessError where that takes more rights."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self._net}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, name in enumerate(self.hosts, 2):
            host, cable = self._name(name), self._cable(name)
            _ip("netns", "add", host)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("link", "set", cable, "master", self._bridge, "up")
            _ip("-n", host, "address", "add", f"{self._net}.{number}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
            _ip("-n", host, "link", "set", "lo", "up")

    def inside(self, name: str) -> list[str]:
        """`ip netns exec` becomes the command itself, under the same process id."""
        return ["ip", "netns", "exec", self._name(name)]

    def namespace(self, name: str) -> Path | None:
        """What setns(2) takes."""
        return FOLDER / self._name(name) if name in self.hosts else None

    def cut(self, name: str) -> None:
        """Pull the cable: packets are lost, nobody is told."""
        _ip("link", "set", self._cable(name), "down")

    def heal(self, name: str) -> None:
        """Plug it in again."""
        _ip("link", "set", self._cable(name), "up")

    def close(self) -> None:
        """Take everything away; a cable goes with its namespace."""
        for name in self.hosts:
            _ip("netns", "delete", self._name(name), check=False)
        _ip("link", "delete", self._bridge, check=False)

    def _name(self, host: str) -> str:
        return f"{PREFIX}-{os.getpid()}-{host}"

    def _cable(self, host: str) -> str:
        return f"rg{self.hosts.index(host)}-{os.getpid()}"


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=check, timeout=20)


def _clear_leftovers() -> None:
    """Take away the networks of runs that were killed."""
    for path in FOLDER.glob(f"{PREFIX}-*"):
        owner = path.name.split("-")[1]
        if not Path(f"/proc/{owner}").exists():
            _ip("netns", "delete", path.name, check=False)
            _ip("link", "delete", f"rgb{owner}", check=False)


class Proxy:
    """Passes connections on to a port of this machine. While cut, they stay open and nothing comes through."""

    kind = "a proxy"
    host = "127.0.0.1"
    hosts: tuple[str, ...] = (BROKER,)

    def __init__(self) -> None:
        self.listens_on = (self.host, free_port())
        self._passing, self._ended = threading.Event(), threading.Event()
        self._passing.set()
        self._server = socket.create_server((self.host, 0), backlog=128)
        self._server.settimeout(POLL_SECONDS)
        self.port = int(self._server.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def inside(self, name: str) -> list[str]:
        """Nothing: it runs on this host."""
        return []

    def namespace(self, name: str) -> Path | None:
        """None: there is none."""
        return None

    def cut(self, name: str) -> None:
        """Let nothing through."""
        self._passing.clear()

    def heal(self, name: str) -> None:
        """Let everything through, what was sent meanwhile too, as TCP does."""
        self._passing.set()

    def close(self) -> None:
        """End all connections."""
        self._ended.set()
        self._passing.set()
        self._accepting.join()
        self._server.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                near, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._passing.wait()
        with near, suppress(OSError), socket.create_connection(self.listens_on) as far:
            other = {near: far, far: near}
            while not self._ended.is_set():
                readable, _, _ = select.select([near, far], [], [], POLL_SECONDS)
                for side in readable:
                    self._passing.wait()
                    data = side.recv(CHUNK_BYTES)
                    if not data:
                        return
                    other[side].sendall(data)
