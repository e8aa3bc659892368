"""Resumable uploads, tus 1.0: creation, checksum, expiration and termination. A finished one becomes a job.

https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from flask import Flask, Response, request, url_for
from pydantic import Field
from werkzeug.exceptions import ClientDisconnected

from services.api.access import caller, holder
from services.api.arriving import too_large
from services.api.documentation import TAG_UPLOADS, TUS_CHUNK_BODY, TUS_CREATED, TUS_WRITTEN, blueprint
from services.api.pace import paced
from services.api.parts import Part, Parts
from services.api.tracing import Environ, StartResponse, Wsgi
from shared.digests import sha256_of
from shared.errors import BadInput
from shared.schema import Frozen
from shared.settings import settings
from tasks.node import storage

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
ALGORITHMS = ("sha256", "sha1", "md5")
CHUNK_TYPE = "application/offset+octet-stream"
CHUNK_BYTES = 1 << 18
PREFIX = "/v1/uploads"
OVERRIDES = frozenset({"PATCH", "DELETE"})
"""Methods that a POST may ask for in `X-HTTP-Method-Override`, where a sender or its proxy knows no others."""

api = blueprint("uploads", __name__, TAG_UPLOADS, url_prefix=PREFIX)


class UploadPath(Frozen):
    """Which upload."""

    upload_id: str = Field(pattern=r"^[0-9a-f]{32}$", description="id of an upload")


@api.before_request
def _check_version() -> None:
    """Raises BadInput (`unsupported_version`) for another protocol version."""
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        raise BadInput(f"the header Tus-Resumable must be {VERSION}", code="unsupported_version")


def register(app: Flask) -> None:
    """Let an app speak tus also where no route of it answers: methods by another name, and refusals of any kind."""
    app.after_request(_say_version)
    app.wsgi_app = _overridden(app.wsgi_app)  # type: ignore[assignment, method-assign]


def _overridden(inner: Wsgi) -> Wsgi:
    def outer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        meant = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        if environ["REQUEST_METHOD"] == "POST" and meant in OVERRIDES and _is_here(environ["PATH_INFO"]):
            environ["REQUEST_METHOD"] = meant
        return inner(environ, start_response)

    return outer


def _is_here(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _say_version(response: Response) -> Response:
    if _is_here(request.path):
        response.headers["Tus-Resumable"] = VERSION
        response.headers["Tus-Version"] = VERSION
        response.headers["Cache-Control"] = "no-store"
    return response


def options() -> Response:
    """What this server can do of tus."""
    response = Response(status=204)
    response.headers["Tus-Extension"] = EXTENSIONS
    response.headers["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
    response.headers["Tus-Max-Size"] = str(settings().max_upload_bytes)
    return response


api.add_url_rule("", view_func=options, methods=["OPTIONS"], provide_automatic_options=False)


@api.post("", responses=TUS_CREATED)
def create() -> Response:
    """Begin an upload of `Upload-Length` bytes. `Upload-Metadata` may hold `filename`."""
    parts = _parts()
    parts.sweep()
    length = _number("Upload-Length")
    if length > settings().max_upload_bytes:
        raise too_large(length)
    metadata = request.headers.get("Upload-Metadata", "")
    name = Path(_metadata(metadata).get("filename", "")).name or "video"
    part = parts.create(length=length, name=name, owner=caller().owner, metadata=metadata)
    response = Response(status=201)
    response.headers["Location"] = url_for("uploads.write", upload_id=part.id)
    return _expiring(response, part)


def look(upload_id: str) -> Response:
    """How many bytes are here."""
    part = _part(upload_id)
    response = Response(status=200)
    response.headers["Upload-Offset"] = str(_parts().offset(part))
    response.headers["Upload-Length"] = str(part.length)
    if part.metadata:
        response.headers["Upload-Metadata"] = part.metadata
    return _expiring(response, part)


api.add_url_rule("/<upload_id>", view_func=look, methods=["HEAD"])


@api.patch("/<upload_id>", responses=TUS_WRITTEN, request_body=TUS_CHUNK_BODY)
def write(path: UploadPath) -> Response:
    """Append a chunk at `Upload-Offset`. What came before the connection broke is kept, unless it has a checksum."""
    part = _part(path.upload_id)
    if request.mimetype != CHUNK_TYPE:
        raise BadInput(f"a chunk has the Content-Type {CHUNK_TYPE}", code="unsupported_media_type")
    offset = _number("Upload-Offset")
    expected = _checksum()
    with _parts().locked(part):
        here = _parts().offset(part)
        if offset != here:
            raise BadInput(f"{here} bytes are here, not {offset}; go on from there", code="wrong_offset")
        room = part.length - here
        if request.content_length is not None and request.content_length > room:
            raise BadInput(f"the upload has room for {room} bytes more", code="too_large")
        _append(part, room, expected)
        written = _parts().offset(part)
    response = Response(status=204)
    response.headers["Upload-Offset"] = str(written)
    return _expiring(response, part)


@api.delete("/<upload_id>", responses={204: None})
def terminate(path: UploadPath) -> Response:
    """Throw an upload away."""
    part = _part(path.upload_id)
    with _parts().locked(part):
        _parts().remove(part)
    return Response(status=204)


@contextmanager
def finished_upload(upload_id: str) -> Iterator[tuple[Path, str, str]]:
    """The file, sha256 and name of a finished upload; afterwards the upload is gone, unless the block raises.

    Raises:
        BadInput: there is no such upload of this caller (`unknown_upload`), it is not complete (`upload_open`), or a
            chunk is being written (`upload_locked`).
    """
    part = _part(upload_id)
    parts = _parts()
    with parts.locked(part):
        missing = part.length - parts.offset(part)
        if missing:
            raise BadInput(f"upload {upload_id} lacks {missing} bytes", code="upload_open")
        yield parts.data(part), sha256_of(parts.data(part)), part.name
        parts.remove(part)


def _append(part: Part, room: int, expected: tuple[str, bytes] | None) -> None:
    """Write the body to the end; with a checksum, all of it or nothing."""
    request.max_content_length = room + CHUNK_BYTES  # the exact end is looked at below
    digest = hashlib.new(expected[0], usedforsecurity=False) if expected else None
    with _parts().appending(part) as file, paced(holder()):
        try:
            while chunk := request.stream.read(CHUNK_BYTES):
                room -= len(chunk)
                if room < 0:
                    file.undo()
                    raise BadInput("the chunk is longer than the upload has room", code="too_large")
                file.write(chunk)
                if digest:
                    digest.update(chunk)
        except ClientDisconnected:
            if digest:
                file.undo()
            raise
        if digest and expected and not hmac.compare_digest(digest.digest(), expected[1]):
            file.undo()
            raise BadInput("the chunk does not have the checksum it came with", code="checksum_mismatch")


def _parts() -> Parts:
    return Parts(storage().incoming())


def _part(upload_id: str) -> Part:
    part = _parts().find(upload_id)
    if part is None or not caller().sees(part.owner) or time.time() > _parts().expires_at(part):
        raise BadInput(f"there is no upload {upload_id}", code="unknown_upload")
    return part


def _number(header: str) -> int:
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise BadInput(f"the header {header} must be a number of bytes", code="invalid_request")
    return int(value)


def _metadata(header: str) -> Mapping[str, str]:
    """`key base64,key base64` as text by key."""
    found = {}
    for pair in filter(None, (one.strip() for one in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise BadInput(
                f"Upload-Metadata: the value of {key} is not base64 of UTF-8", code="invalid_request"
            ) from error
    return found


def _checksum() -> tuple[str, bytes] | None:
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadInput(f"checksums are {', '.join(ALGORITHMS)}, not {algorithm!r}", code="unsupported_checksum")
    try:
        return algorithm, base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise BadInput("the checksum is not base64", code="invalid_request") from error


def _expiring(response: Response, part: Part) -> Response:
    if _parts().offset(part) < part.length:
        expires = datetime.fromtimestamp(_parts().expires_at(part), UTC)
        response.headers["Upload-Expires"] = format_datetime(expires, usegmt=True)
    return response
