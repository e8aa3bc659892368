"""Bodies of requests in time: who sends too slowly is ended, and of those who send slowly only so many hold a thread.

A read that waits for a slow sender cannot be told to stop. So a server's own loop looks at all bodies under way, and
closes the reading half of a connection; the answer still goes out.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from services.api.places import Places
from shared.errors import ReelgraphError
from shared.settings import settings

SLOW = 32
"""Slow bodies in one process: with followers, downloads and pictures they leave 8 of its 96 threads to all else."""

SLOW_OF_ONE = 16
"""Of them, those of one key: nobody keeps all others out."""

SLOW_SECONDS = 2.0
SLOW_BYTES_PER_SECOND = 256 << 10
"""A body that is slower than that for so long takes a place; so a burst of small videos takes none (decision 95)."""

LOOK_SECONDS = 0.5


class UploadTooSlow(ReelgraphError):
    """Less of a body came than must."""

    code = "upload_too_slow"
    retryable = True


class CountedSocket:
    """A connection that knows how many bytes were received from it; everything else is the socket's own."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def recv(self, size: int) -> bytes:
        """Receive, and count."""
        data = self.connection.recv(size)
        self.received += len(data)
        return data

    def is_awaited(self) -> bool:
        """Whether the sender is what is waited for: nothing has come that nobody has read yet."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return not poll.poll(0)

    def has_left(self) -> bool:
        """Whether the sender has closed the connection, or its half of it."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hang_up(self) -> None:
        """Let no more be read: who reads sees the end."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)


sending: ContextVar[CountedSocket | None] = ContextVar("sending", default=None)
"""The connection whose request this thread answers, where the server is `wsgi_server`'s."""


@dataclass(eq=False, slots=True)
class _Body:
    """One that is being read: how many bytes were here when."""

    source: CountedSocket
    owner: str | None
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    has_place: bool = False
    refusal: ReelgraphError | None = None

    def note(self, now: float, keep_seconds: float) -> None:
        """See how far it is; what was seen before the last `keep_seconds` is forgotten, but for its newest."""
        self.seen.append((now, self.source.received))
        while len(self.seen) > 1 and self.seen[1][0] <= now - keep_seconds:
            self.seen.popleft()

    def is_below(self, bytes_per_second: float, seconds: float) -> bool:
        """Whether less than that came in the last `seconds`; False for a body that is younger."""
        now, here = self.seen[-1]
        before = [received for at, received in self.seen if at <= now - seconds]
        return bool(before) and here - before[-1] < bytes_per_second * seconds


class _Bodies:
    """Those under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[_Body] = set()
        self._places = Places("slow uploads are under way", code="too_many_uploads")
        self._looked_at = 0.0

    def add(self, body: _Body) -> None:
        """Begin to look at one."""
        body.note(time.monotonic(), 0.0)
        with self._lock:
            self._under_way.add(body)

    def remove(self, body: _Body) -> None:
        """It has arrived, or is ended."""
        with self._lock:
            self._under_way.discard(body)
            if body.has_place:
                self._places.leave(body.owner)

    def look(self) -> None:
        """End what is too slow, and what is slow and has no place."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        with self._lock:
            for body in self._under_way:
                body.note(now, max(settings().upload_grace_seconds, SLOW_SECONDS))
                if body.refusal is None and body.source.is_awaited():
                    self._judge(body)

    def _judge(self, body: _Body) -> None:
        window, rate = settings().upload_grace_seconds, settings().upload_bytes_per_second
        try:
            if body.is_below(rate, window):
                raise UploadTooSlow(f"less than {rate} bytes a second of the body came for {window:g} s")
            if not body.has_place and body.is_below(SLOW_BYTES_PER_SECOND, SLOW_SECONDS):
                self._places.enter(body.owner, most=SLOW, most_of_one=SLOW_OF_ONE)
                body.has_place = True
        except ReelgraphError as refusal:
            body.refusal = refusal
            body.source.hang_up()


_bodies = _Bodies()
look = _bodies.look
"""To be called by the server's loop, once a second at least."""


@contextmanager
def paced(owner: str | None) -> Iterator[None]:
    """Read the request's body in the block, in time.

    Raises:
        UploadTooSlow: for `upload_grace_seconds`, less came than `upload_bytes_per_second`.
        QuotaExceeded: it is slow, and this owner has as many such as one may have (`too_many_uploads`).
        Infrastructure: it is slow, and all places are taken (`too_many_uploads`).
    """
    source = sending.get()
    if source is None:
        yield
        return
    body = _Body(source, owner)
    _bodies.add(body)
    try:
        yield
    except Exception as error:
        if body.refusal is not None:
            raise body.refusal from error
        raise
    finally:
        _bodies.remove(body)
    if body.refusal is not None:
        raise body.refusal
