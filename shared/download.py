"""Resumable HTTP downloads.

What was received stays in a `.part` file and the next attempt, or the next process, goes on from there. Nothing here
trusts the bytes: the caller compares their sha256 with a pin.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from shared.errors import DeadlineExceeded, Infrastructure

CHUNK_BYTES = 1 << 18
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which trying again may help."""


@dataclass(frozen=True)
class Patience:
    """How long a download is tried."""

    deadline_seconds: float = 3600
    """For one artifact, all attempts together."""
    stall_seconds: float = 30
    """A connection that brings nothing for so long counts as broken."""
    attempts: int = 6
    """Broken connections in a row without one new byte."""
    first_pause_seconds: float = 0.5
    """Pause before the second attempt; doubles with every attempt that brought nothing, up to 30 s."""


class Refused(Infrastructure):
    """The server answered, but will not give the file: the address, or rights that this client does not have.

    `status` is the HTTP status where that is how it was refused.
    """

    retryable = False

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def download(
    url: str,
    part: Path,
    size_bytes: int,
    *,
    patience: Patience,
    report: Callable[[int], None],
    authorization: str | None = None,
) -> None:
    """Fill `part` up to `size_bytes`, starting from what it already holds.

    `report` is called with the bytes that `part` holds. `authorization` is that header, for the address's own host
    alone: a redirect to another one leaves it behind.

    Raises:
        Refused: the server refuses the file, or its certificate is not trusted.
        DeadlineExceeded, Infrastructure: out of time, or the network is broken.
        OSError: the file cannot be written.
    """
    deadline = time.monotonic() + patience.deadline_seconds
    fruitless = 0
    while (held := _size(part)) < size_bytes:
        request = _request(url, _size(part), authorization)
        reason = _attempt(request, part, size_bytes, deadline, patience.stall_seconds, report)
        if _size(part) >= size_bytes:
            return
        fruitless = 0 if _size(part) > held else fruitless + 1
        if fruitless >= patience.attempts:
            raise Infrastructure(f"the download of {part.stem} broke off {fruitless} times in a row: {reason}")
        pause = min(patience.first_pause_seconds * 2**fruitless, 30)
        if time.monotonic() + pause > deadline:
            raise DeadlineExceeded(f"{part.stem} did not arrive within {patience.deadline_seconds:g} s: {reason}")
        time.sleep(pause)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _attempt(
    request: urllib.request.Request,
    part: Path,
    size_bytes: int,
    deadline: float,
    stall_seconds: float,
    report: Callable[[int], None],
) -> str:
    """One connection. Returns why it ended too early; the file's size says whether it did."""
    try:
        with _open(request, stall_seconds) as response:
            _receive(response, part, size_bytes, deadline, report)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the server's file
            part.unlink(missing_ok=True)
        elif error.code not in PASSING_STATUSES:
            told = f"the server refuses the download: HTTP {error.code} {error.reason}"
            raise Refused(told, status=error.code) from error
        return f"HTTP {error.code} {error.reason}"
    except urllib.error.URLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error.reason):
            raise Refused(f"the server's certificate is not trusted: {error.reason}") from error
        return f"no connection: {error.reason}"
    except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
        return f"connection lost: {type(error).__name__} {error}".rstrip()
    return "connection lost"


def _request(url: str, start: int, authorization: str | None) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"User-Agent": "reelgraph"})  # noqa: S310  (pins allow http and https only)
    if start:
        request.add_header("Range", f"bytes={start}-")
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    return request


def _open(request: urllib.request.Request, stall_seconds: float) -> http.client.HTTPResponse:
    response = urllib.request.build_opener(_Redirects).open(request, timeout=stall_seconds)
    if not isinstance(response, http.client.HTTPResponse):
        raise Refused(f"{request.type} is not an HTTP address")
    return response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as usual; what shows who asks goes on to the same scheme, host and port alone."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows, or None."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        shown = req.unredirected_hdrs.get("Authorization")
        if following is not None and shown and urlsplit(newurl)[:2] == urlsplit(req.full_url)[:2]:
            following.add_unredirected_header("Authorization", shown)
        return following


def _receive(
    response: http.client.HTTPResponse, part: Path, size_bytes: int, deadline: float, report: Callable[[int], None]
) -> None:
    resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
    with part.open("ab" if resumed else "wb") as file:
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {file.tell()}-"):
            raise Refused("the server answers another range than the one asked for")
        # one byte more than pinned is enough to see that the file is another one
        while file.tell() <= size_bytes and (chunk := response.read1(CHUNK_BYTES)):
            file.write(chunk)
            report(file.tell())
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"{part.stem} did not arrive in time; what came is kept for the next try")
