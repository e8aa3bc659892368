"""Videos that the service brings itself, from an address that a caller named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.api.places import Places
from services.fetch import Limits, fetch
from shared.digests import sha256_of
from shared.settings import settings
from tasks.node import storage

AT_ONCE = 8
"""Downloads in one process: each holds a thread until its video is here."""

AT_ONCE_OF_ONE = 4
"""Of them, those of one key: nobody keeps all others out."""

_places = Places("videos are being fetched", code="too_many_fetches")


@contextmanager
def place(owner: str | None) -> Iterator[None]:
    """One of the places for downloads; who needs no key is alone and may have all.

    Raises:
        QuotaExceeded: this owner has as many as one may have (`too_many_fetches`).
        Infrastructure: all are taken (`too_many_fetches`).
    """
    with _places.place(owner, most=AT_ONCE, most_of_one=AT_ONCE_OF_ONE):
        yield


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
