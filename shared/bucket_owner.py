"""Which ledger a bucket belongs to: the first one that asks takes it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.bucket_errors import answer, refuse_no_bucket
from shared.errors import Infrastructure

if TYPE_CHECKING:
    from s3fs import S3FileSystem

LEDGER_KEY = "ledger"
"""Holds the id of the ledger that what lies here belongs to."""

TRIES = 10
"""So often it is read again where somebody else has written or removed it meanwhile."""


def owner(bucket: S3FileSystem, place: str, mine: bytes, seconds: float) -> bytes:
    """Whose the bucket is: of several that ask for the first time, the one that the server let write there.

    `place`: the object, `BUCKET/KEY`; `seconds`: what writing it may take.

    Raises:
        FileNotFoundError: there is no such bucket.
        Infrastructure: the object comes and goes (`storage_busy`).
    """
    for _ in range(TRIES):
        try:
            found: bytes = bucket.cat_file(place)
        except FileNotFoundError as error:
            refuse_no_bucket(error)
            _write_first(bucket, place, mine, seconds)
        else:
            return found
    raise Infrastructure(f"the object {place} in the storage comes and goes; try again", code="storage_busy")


def _write_first(bucket: S3FileSystem, place: str, content: bytes, seconds: float) -> None:
    """Write an object, unless somebody else was faster; on a server that knows no such condition, all the same."""
    name, _, key = place.partition("/")
    try:
        bucket.call_s3("put_object", Bucket=name, Key=key, Body=content, IfNoneMatch="*", timeout=seconds)
    except OSError as error:
        status = answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == HTTPStatus.NOT_IMPLEMENTED:
            bucket.pipe_file(place, content, timeout=seconds)
        elif status not in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT):
            raise
