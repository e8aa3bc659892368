"""Files that lie at an address: guarded, bounded in bytes and time."""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urljoin

from shared.errors import DeadlineExceeded, Infrastructure, Unreachable, UrlRefused
from shared.guard import Guard
from shared.outgoing import Answer, WebUrl, exchange, web_url
from shared.text import one_line

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
NAME_LENGTH = 200


@dataclass(frozen=True)
class Limits:
    """What one download may cost."""

    max_bytes: int = 2 << 30
    total_seconds: float = 600
    """Everything together: names, redirects, bytes."""
    slow_seconds: float = 30
    """Silence of so long ends it, and so does each span of so long that brings less than `slow_bytes`."""
    slow_bytes: int = 64 << 10


@dataclass(frozen=True)
class Fetched:
    """A file that was brought."""

    path: Path
    name: str
    """What its address calls it; for showing, never a path."""
    size_bytes: int


def fetch_file(
    url: str,
    folder: Path,
    *,
    limits: Limits,
    guard: Guard,
    report: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Download a file into a new file in `folder`; nothing is left there when it fails.

    `report` is called with the bytes so far; what it raises ends the download.

    Raises:
        UrlRefused: `bad_url`, `address_refused`, `too_many_redirects`, `downgrade`, `too_large`, `encoded`,
            `not_a_file`, `empty_file`.
        Unreachable: `unknown_host`, `bad_certificate`, `unreachable`, `http_404` and the like.
        DeadlineExceeded: it took longer than the limits allow.
        Infrastructure: the disk is full or cannot be written.
    """
    until = time.monotonic() + limits.total_seconds
    here = web_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        with exchange("GET", here, guard=guard, until=until, silence_seconds=limits.slow_seconds) as answer:
            if answer.status not in REDIRECTS:
                _check(answer, here, limits)
                with _new_file(folder) as file:
                    size_bytes = _receive(_in_time(answer.chunks, here, limits), file, here, limits, report)
                    return Fetched(Path(file.name), _name(here), size_bytes)
            here = _next(answer, here)
    raise UrlRefused(f"{web_url(url).shown} redirects more than {MAX_REDIRECTS} times", code="too_many_redirects")


def _next(answer: Answer, here: WebUrl) -> WebUrl:
    location = answer.headers.get("location")
    if not location:
        raise Unreachable(f"{here.shown} redirects to nowhere", retryable=False)
    target = web_url(urljoin(here.text, location))
    if here.scheme == "https" and target.scheme == "http":
        raise UrlRefused(f"{here.shown} redirects from https to http", code="downgrade")
    return target


def _check(answer: Answer, here: WebUrl, limits: Limits) -> None:
    """Refuse by the head of an answer what its body would only confirm."""
    if answer.status != 200:
        passing = answer.status in (408, 425, 429) or answer.status >= 500
        message = f"{here.shown} answers with HTTP status {answer.status}"
        raise Unreachable(message, code=f"http_{answer.status}", retryable=passing)
    if answer.headers.get("content-encoding", "identity") not in ("", "identity"):
        raise UrlRefused(f"{here.shown} sends a compressed answer although none was asked for", code="encoded")
    if answer.headers.get("content-type", "").startswith(("text/html", "application/xhtml")):
        raise UrlRefused(f"{here.shown} is a page, not a video file", code="not_a_file")
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_bytes:
        raise too_large(here, limits)


def too_large(here: WebUrl, limits: Limits) -> UrlRefused:
    """The refusal of what is larger than the limits."""
    return UrlRefused(f"{here.shown} is larger than {limits.max_bytes / 1e6:g} MB", code="too_large")


def _in_time(chunks: Iterable[bytes], here: WebUrl, limits: Limits) -> Iterator[bytes]:
    """The chunks, as long as they do not merely drip."""
    began, brought = time.monotonic(), 0
    for chunk in chunks:
        yield chunk
        brought += len(chunk)
        if time.monotonic() - began >= limits.slow_seconds:
            if brought < limits.slow_bytes:
                raise DeadlineExceeded(f"{here.shown} sends too slowly: {brought} bytes in {limits.slow_seconds:g} s")
            began, brought = time.monotonic(), 0


def _receive(
    chunks: Iterable[bytes], file: BinaryIO, here: WebUrl, limits: Limits, report: Callable[[int], None]
) -> int:
    size_bytes = 0
    for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes > limits.max_bytes:
            raise too_large(here, limits)
        file.write(chunk)
        report(size_bytes)
    if not size_bytes:
        raise UrlRefused(f"{here.shown} is empty", code="empty_file")
    return size_bytes


def _name(url: WebUrl) -> str:
    name = PurePosixPath(unquote(url.path.partition("?")[0], errors="replace")).name
    return one_line(name)[:NAME_LENGTH] or url.host


@contextmanager
def _new_file(folder: Path) -> Iterator[BinaryIO]:
    """A new file that vanishes when the block does not end well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="fetched-", delete=False) as file:
            try:
                yield file  # type: ignore[misc]
                file.flush()
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Infrastructure(f"the disk of {folder} is full", code="disk_full") from error
        raise Infrastructure(f"{folder} cannot be written: {error.strerror}", code="disk_error") from error
