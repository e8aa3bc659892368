"""A TCP proxy that can stop passing bytes: a partition between a service and its broker, without root."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

CHUNK_BYTES = 1 << 16
POLL_SECONDS = 0.05


class Proxy:
    """Passes connections on to a port of this machine. While cut, they stay open and nothing comes through."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._passing, self._ended = threading.Event(), threading.Event()
        self._passing.set()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._server.settimeout(POLL_SECONDS)
        self.port = int(self._server.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """Let nothing through."""
        self._passing.clear()

    def heal(self) -> None:
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
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self.target_port)) as far:
            other = {near: far, far: near}
            while not self._ended.is_set():
                readable, _, _ = select.select([near, far], [], [], POLL_SECONDS)
                for side in readable:
                    self._passing.wait()
                    data = side.recv(CHUNK_BYTES)
                    if not data:
                        return
                    other[side].sendall(data)
