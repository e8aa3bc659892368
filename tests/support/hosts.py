"""Servers on loopback that answer bytes as a test scripts them, and a resolver that lies."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network

from shared.guard import Guard, resolve

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
Script = Callable[[socket.socket], None]


@dataclass
class Host:
    """A server and what it was asked; paths are looked up without their query."""

    answers: dict[str, bytes | Script]
    asked: list[bytes] = field(default_factory=list)
    """The whole of each request."""
    port: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """The address of a path."""
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def host(answers: dict[str, bytes | Script], *, tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    """Serve until the block ends. A script gets the connection; bytes are sent as they are."""
    served = Host(answers)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served.port = listener.getsockname()[1]
        threads = [threading.Thread(target=_listen, args=(listener, served, tls))]
        threads[0].start()
        try:
            yield served
        finally:
            served.stopping.set()
            with suppress(OSError):  # wakes accept
                socket.create_connection(("127.0.0.1", served.port), 1).close()
            threads[0].join()


def _listen(listener: socket.socket, served: Host, tls: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        if served.stopping.is_set():
            connection.close()
            return
        threading.Thread(target=_serve, args=(connection, served, tls), daemon=True).start()


def _serve(connection: socket.socket, served: Host, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), connection:
        connection.settimeout(20)
        stream = tls.wrap_socket(connection, server_side=True) if tls else connection
        with stream:
            request = _request(stream)
            served.asked.append(request)
            path = request.split(b" ")[1].partition(b"?")[0].decode()
            answer = served.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if callable(answer):
                answer(stream)
            else:
                stream.sendall(answer)


def _request(stream: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = stream.recv(65536)
        if not chunk:
            raise ConnectionResetError
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0:
        chunk = stream.recv(65536)
        received, missing = received + chunk, missing - len(chunk)
    return received


def ok(body: bytes, *headers: str) -> bytes:
    """An answer of 200 with its true length."""
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    """An answer that points elsewhere."""
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def loopback_guard(**names: str | list[str]) -> Guard:
    """A guard that lets loopback pass and knows names; a list gives one more answer at each look-up."""
    answers = {name.replace("_", "."): [given] if isinstance(given, str) else given for name, given in names.items()}

    def resolver(name: str, port: int) -> list[str]:
        if name not in answers:
            return list(resolve(name, port))
        return [answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]]

    return Guard(allowed=LOOPBACK, resolver=resolver)
