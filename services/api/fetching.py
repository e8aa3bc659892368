"""Videos that the service brings itself, from an address that a caller named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.fetch import Limits, fetch
from shared.digests import sha256_of
from shared.errors import Infrastructure
from shared.settings import settings
from tasks.node import storage

AT_ONCE = 8
"""Downloads in one process: each holds a thread until its video is here."""

_room = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def fetched(url: str) -> Iterator[tuple[Path, str, str]]:
    """The file, sha256 and name of the video at an address; the file is removed unless the block moves it away.

    Raises:
        UrlRefused: the address, or what lies there, is not taken.
        Unreachable: the other side is not there, refuses or breaks off.
        DeadlineExceeded: it took too long.
        Infrastructure: the disk is full, or too many downloads run (`too_many_fetches`).
    """
    if not _room.acquire(blocking=False):
        raise Infrastructure("too many videos are being fetched; try again soon", code="too_many_fetches")
    try:
        limits = Limits(max_bytes=settings().max_upload_bytes, total_seconds=settings().fetch_seconds)
        brought = fetch(url, storage().incoming(), limits=limits)
    finally:
        _room.release()
    try:
        yield brought.path, sha256_of(brought.path), brought.name
    finally:
        brought.path.unlink(missing_ok=True)
