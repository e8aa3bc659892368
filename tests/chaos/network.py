"""The network between a service and its broker, and its partitions.

As root on Linux the broker and one worker are hosts of their own: network namespaces with a cable each to a switch, and
a partition pulls the cable. Elsewhere a TCP proxy stands before the broker and stops passing bytes.
"""

from __future__ import annotations

import select
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tests.support.api import free_port
from tests.support.namespaces import Host, hosts

CHUNK_BYTES = 1 << 16
POLL_SECONDS = 0.05
BROKER = "broker"


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

    def inside(self, name: str) -> list[str | Path]:
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
    with ExitStack() as stack:
        try:
            made = stack.enter_context(hosts((BROKER, *workers)))
        except (OSError, subprocess.CalledProcessError):
            proxy = Proxy()
            stack.callback(proxy.close)
            yield proxy
        else:
            yield Namespaces(made)


class Namespaces:
    """Hosts of their own."""

    kind = "network namespaces"
    port = 6379

    def __init__(self, made: Mapping[str, Host]) -> None:
        self._made = made
        self.hosts = tuple(made)
        self.host = made[BROKER].address
        self.listens_on = (self.host, self.port)

    def inside(self, name: str) -> list[str | Path]:
        """`ip netns exec` becomes the command itself, under the same process id."""
        return self._made[name].command()

    def namespace(self, name: str) -> Path | None:
        """What setns(2) takes."""
        return self._made[name].namespace if name in self._made else None

    def cut(self, name: str) -> None:
        """Pull the cable: packets are lost, nobody is told."""
        self._made[name].cut()

    def heal(self, name: str) -> None:
        """Plug it in again."""
        self._made[name].heal()


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

    def inside(self, name: str) -> list[str | Path]:
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
