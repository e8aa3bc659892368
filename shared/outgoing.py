"""HTTP requests to hosts that somebody else named: guarded, bounded in time, without redirects, proxies or cookies.

httpcore2 reads no environment, follows nothing, decodes nothing and takes a network backend, which is where the guard
stands: every connection of a request goes through it.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import httpcore2
from pydantic import AnyUrl, TypeAdapter, UrlConstraints, ValidationError

from shared.errors import DeadlineExceeded, Unreachable, UrlRefused
from shared.guard import Guard
from shared.text import one_line

URL_LENGTH = 8192
"""Signed addresses of object stores are 1 to 2 KiB."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Line breaks and tabs among them, which readers of addresses leave out: `http://a\\r\\nb/` would be the host `ab`."""

_WEB = TypeAdapter[AnyUrl](
    Annotated[AnyUrl, UrlConstraints(max_length=URL_LENGTH, allowed_schemes=["http", "https"], host_required=True)]
)


@dataclass(frozen=True)
class WebUrl:
    """An http or https address, normalised as browsers do: `HTTP://0x7f.1/a b` is `http://127.0.0.1/a%20b`."""

    text: str
    scheme: str
    host: str
    port: int
    path: str
    """With the query, without the fragment."""

    @property
    def shown(self) -> str:
        """For messages and logs: without the query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def web_url(text: str) -> WebUrl:
    """Read an address. Raises UrlRefused (`bad_url`)."""
    if _CONTROL.search(text):
        raise UrlRefused(f"{one_line(text[:200])!r} has control characters or line breaks in it", code="bad_url")
    try:
        url = _WEB.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UrlRefused(f"{one_line(text[:200])!r} is no http or https address: {reason}", code="bad_url") from error
    if url.username or url.password:
        raise UrlRefused("an address with a user name or password in it is not opened", code="bad_url")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    assert url.host is not None and url.port is not None  # noqa: S101, PT018  (for mypy: both schemes have them)
    return WebUrl(str(url).partition("#")[0], url.scheme, url.host.strip("[]"), url.port, path)


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and its body as it arrives, as sent: nothing is decoded."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of repeated ones the last."""
    chunks: Iterable[bytes]


@contextmanager
def exchange(
    method: str,
    url: WebUrl,
    *,
    guard: Guard,
    until: float,
    silence_seconds: float = 30,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Iterator[Answer]:
    """Send a request and read the answer within the block.

    `until` is the monotonic time by which everything has to be over, the body too; `silence_seconds` is how long the
    other side may say nothing, and all that it has for connecting and for its head.

    Raises:
        UrlRefused: the host must not be reached.
        Unreachable: the host is not there, breaks off or speaks no HTTP; its certificate is not trusted.
        DeadlineExceeded: it took too long.
    """
    clock = _Clock(min(until, time.monotonic() + silence_seconds), silence_seconds)
    sent = {"Host": url.authority, "User-Agent": "reelgraph", "Accept-Encoding": "identity", **(headers or {})}
    target = httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.path)
    with (
        _told(url),
        httpcore2.ConnectionPool(network_backend=_Backend(guard, clock)) as pool,
        pool.stream(method, target, headers=[*sent.items()], content=content) as response,
    ):
        clock.until = until
        yield Answer(response.status, _read(response.headers), response.iter_stream())


def _read(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("ascii").lower(): value.decode("latin-1") for name, value in headers}


@contextmanager
def _told(url: WebUrl) -> Iterator[None]:
    """Say what the library raises in our words."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise DeadlineExceeded(f"{url.shown} did not answer in time") from error
    except httpcore2.ConnectError as error:
        cause = error.args[0] if error.args else None  # the pool has cut the chain
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"the certificate of {url.host} is not trusted: {cause.verify_message}"
            raise Unreachable(message, code="bad_certificate", retryable=False) from error
        raise Unreachable(f"{url.shown} cannot be reached: {error}") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise Unreachable(f"{url.shown} broke off: {error}") from error


@dataclass
class _Clock:
    """Until when the connection may be used; the library's timeouts begin anew with every byte."""

    until: float
    silence_seconds: float

    def left(self) -> float:
        """Seconds that the next step may take. Raises TimeoutException."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore2.TimeoutException
        return min(left, self.silence_seconds)


class _Backend(httpcore2.NetworkBackend):
    """Opens connections to judged addresses only."""

    def __init__(self, guard: Guard, clock: _Clock) -> None:
        self.guard, self.clock = guard, clock
        self.inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Judge the host's addresses, then connect to the first that answers."""
        judged = self.guard.addresses(host, port, until=self.clock.until)
        for address in judged[:-1]:
            try:
                return self._open(address, port)
            except (httpcore2.NetworkError, httpcore2.TimeoutException):
                continue
        return self._open(judged[-1], port)

    def _open(self, address: str, port: int) -> httpcore2.NetworkStream:
        return _Stream(self.inner.connect_tcp(address, port, self.clock.left()), self.clock)


class _Stream(httpcore2.NetworkStream):
    """A connection on the clock."""

    def __init__(self, inner: httpcore2.NetworkStream, clock: _Clock) -> None:
        self.inner, self.clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is."""
        return self.inner.read(max_bytes, self.clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all."""
        self.inner.write(buffer, self.clock.left())

    def close(self) -> None:
        """Close."""
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Go on in TLS."""
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.clock.left()), self.clock)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self.inner.get_extra_info(info)
