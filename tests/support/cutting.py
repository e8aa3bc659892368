"""A relay before a server that cuts connections while events come through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Hands bytes on in both directions; each of the first `cuts` event streams is cut in the middle of an event."""

    server: tuple[str, int]
    cuts: int
    done: int = 0
    port: int = 0
    followed: list[bytes] = field(default_factory=list)
    """The head of each request for events."""

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.create_connection(self.server)
        follows = threading.Event()
        upwards = threading.Thread(target=self._upwards, args=(client, server, follows), daemon=True)
        upwards.start()
        came = b""
        with client, server, suppress(OSError):
            while data := server.recv(256):
                came += data if follows.is_set() else b""
                if self.done < self.cuts and came.count(b"event: ") > 1:
                    self.done += 1
                    client.sendall(data[: len(data) // 2])
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def _upwards(self, client: socket.socket, server: socket.socket, follows: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if b"/events HTTP" in data:
                    self.followed.append(data)
                    follows.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


@contextmanager
def cutting(port: int, cuts: int) -> Iterator[Relay]:
    """A relay before the server at a port of this machine."""
    relay = Relay(("127.0.0.1", port), cuts)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay.port = listener.getsockname()[1]
        threading.Thread(target=relay.serve, args=(listener,), daemon=True).start()
        yield relay
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
