"""A proxy on loopback that connects where the guard lets it and nowhere else, for a client that cannot be trusted to.

It knows CONNECT and plain http, one request a connection.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import selectors
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from shared.errors import ReelgraphError, UrlRefused
from shared.guard import Guard
from shared.outgoing import web_url

HEAD_BYTES = 64 << 10
CHUNK_BYTES = 64 << 10
OWN_HEADERS = (b"proxy-", b"connection:", b"keep-alive:")
"""Headers between client and proxy, in lower case: they go no further."""


@dataclass
class GuardedProxy:
    """What the proxy may do, and what it has seen."""

    guard: Guard
    until: float
    max_bytes: int
    """Of all answers together."""
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    received_bytes: int = 0
    refusal: ReelgraphError | None = None
    """Why the last connection that was not made was not."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """What the client is told."""
        return f"http://proxy:{self.token}@127.0.0.1:{self.port}"

    @property
    def overfull(self) -> bool:
        """Whether more came than may."""
        return self.received_bytes > self.max_bytes

    def admits(self, head: bytes) -> bool:
        """Whether a request carries the token: other programs of this machine are not served."""
        given = [line for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization:")]
        wanted = b"Basic " + base64.b64encode(f"proxy:{self.token}".encode())
        return any(hmac.compare_digest(line.partition(b":")[2].strip(), wanted) for line in given)


@contextmanager
def guarded_proxy(guard: Guard, *, until: float, max_bytes: int) -> Iterator[GuardedProxy]:
    """Serve until the block ends. `until`: monotonic time at which every connection is cut."""
    proxy = GuardedProxy(guard, until, max_bytes)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client went away
                _serve(proxy, self.request)

    with _Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="guarded-proxy")
        thread.start()
        try:
            yield proxy
        finally:
            proxy.until = 0.0  # ends what is still being passed on
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32


def _serve(proxy: GuardedProxy, client: socket.socket) -> None:
    client.settimeout(10)
    head, rest = _head(client)
    if not proxy.admits(head):
        _answer(client, "407 Proxy Authentication Required")
        return
    try:
        host, port, first = _target(head)
        server = proxy.guard.connect(host, port, until=proxy.until)
    except ReelgraphError as error:
        proxy.refusal = error
        _answer(client, "403 Forbidden")
        return
    with server:
        if first:
            server.sendall(first)
        else:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        if rest:
            server.sendall(rest)
        _pass_on(proxy, client, server, _LastAnswer() if first else None)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """A request's head, and what came behind it."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(CHUNK_BYTES)
        if not chunk or len(received) > HEAD_BYTES:
            raise ConnectionAbortedError
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


class _LastAnswer:
    """Makes an answer's head say that no second one comes: else a client may ask again on a connection that ends."""

    def __init__(self) -> None:
        self.head: bytes | None = b""

    def passed(self, chunk: bytes) -> bytes:
        """What of the answer goes on to the client when this chunk has come."""
        if self.head is None:
            return chunk
        self.head += chunk
        if len(self.head) > HEAD_BYTES + CHUNK_BYTES:
            raise ConnectionAbortedError
        head, end, rest = self.head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self.head = None
        return b"\r\n".join([*_kept(head.split(b"\r\n")), b"Connection: close", b"", rest])


def _kept(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.lower().startswith(OWN_HEADERS)]


def _target(head: bytes) -> tuple[str, int, bytes]:
    """Where a request wants to go, and for plain http the head to send there. Raises UrlRefused."""
    line, _, headers = head.partition(b"\r\n")
    method, _, tail = line.partition(b" ")
    target = tail.rpartition(b" ")[0].decode("latin-1")
    if method == b"CONNECT":
        url = web_url(f"https://{target}/")
        return url.host, url.port, b""
    url = web_url(target)
    if url.scheme != "http":
        raise UrlRefused("only http is passed on in the clear", code="bad_url")
    kept = _kept(headers.split(b"\r\n"))
    first = f"{method.decode('latin-1')} {url.path} HTTP/1.1".encode("latin-1")
    return url.host, url.port, b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _answer(client: socket.socket, status: str) -> None:
    client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def _pass_on(
    proxy: GuardedProxy, client: socket.socket, server: socket.socket, answer: _LastAnswer | None = None
) -> None:
    """Copy both ways until one side ends, time is up, or too much came."""
    with selectors.DefaultSelector() as selector:
        for side in (client, server):
            side.settimeout(10)
            selector.register(side, selectors.EVENT_READ)
        while time.monotonic() < proxy.until:
            for key, _ in selector.select(0.2):
                from_server = key.fileobj is server
                source, sink = (server, client) if from_server else (client, server)
                chunk = source.recv(CHUNK_BYTES)
                if from_server:
                    with proxy.lock:
                        proxy.received_bytes += len(chunk)
                if not chunk or proxy.overfull:
                    return
                sink.sendall(answer.passed(chunk) if from_server and answer else chunk)
