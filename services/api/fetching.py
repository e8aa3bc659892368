"""Videos that the service brings itself, from an address that a caller named."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.fetch import Limits, fetch
from shared.digests import sha256_of
from shared.errors import Infrastructure, QuotaExceeded
from shared.settings import settings
from tasks.node import storage

AT_ONCE = 8
"""Downloads in one process: each holds a thread until its video is here."""

AT_ONCE_OF_ONE = 4
"""Of them, those of one key: nobody keeps all others out."""

_room = threading.BoundedSemaphore(AT_ONCE)
_running: Counter[str] = Counter()
_counting = threading.Lock()


@contextmanager
def place(owner: str | None) -> Iterator[None]:
    """One of the places for downloads; who needs no key is alone and may have all.

    Raises:
        QuotaExceeded: this owner has as many as one may have (`too_many_fetches`).
        Infrastructure: all are taken (`too_many_fetches`).
    """
    with _counting:
        if owner is not None and _running[owner] >= AT_ONCE_OF_ONE:
            message = f"{AT_ONCE_OF_ONE} videos are being fetched for this key; try again soon"
            raise QuotaExceeded(message, code="too_many_fetches", retryable=True)
        if not _room.acquire(blocking=False):
            raise Infrastructure("too many videos are being fetched; try again soon", code="too_many_fetches")
        _running.update([owner] if owner is not None else ())
    try:
        yield
    finally:
        with _counting:
            _running.subtract([owner] if owner is not None else ())
        _room.release()


@contextmanager
def fetched(url: str, owner: str | None) -> Iterator[tuple[Path, str, str]]:
    """The file, sha256 and name of the video at an address; the file is removed unless the block moves it away.

    Raises:
        UrlRefused: the address, or what lies there, is not taken.
        Unreachable: the other side is not there, refuses or breaks off.
        DeadlineExceeded: it took too long.
        QuotaExceeded: this owner has too many downloads running (`too_many_fetches`).
        Infrastructure: the disk is full, or too many downloads run (`too_many_fetches`).
    """
    with place(owner):
        limits = Limits(max_bytes=settings().max_upload_bytes, total_seconds=settings().fetch_seconds)
        brought = fetch(url, storage().incoming(), limits=limits)
    try:
        yield brought.path, sha256_of(brought.path), brought.name
    finally:
        brought.path.unlink(missing_ok=True)
