"""Videos on their way in: request bodies go to disk as they come, hashed on the way, capped in size and time."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from flask import Flask, Request, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser, MultiPartParser

from services.api.access import holder
from services.api.pace import paced
from shared.errors import BadInput
from shared.settings import settings
from shared.storage import disk_trouble
from tasks.node import storage

FIELDS_BYTES = 1 << 20
"""What a form's other fields and its boundaries may take beside the video."""

ParsedForm = tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]


JSON_BODIES = frozenset({"jobs.create", "jobs.rerun"})
"""Endpoints that take JSON: what is none is refused in the same words by all of them."""

LARGE_BODIES = frozenset({"uploads.write"})
"""Endpoints that read their bodies themselves, as they come, and in time."""

STEP_BYTES = 1 << 19
"""How much of a form is read at once: at Werkzeug's 64 KiB, gunicorn copies every byte eight times (decision 62)."""


class ArrivingFile:
    """A file in the `incoming` folder that knows the sha256 of what was written. Removed by `close` unless taken."""

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix="form-", suffix=".part")
        self.path = Path(name)
        self._file: IO[bytes] = os.fdopen(descriptor, "w+b")
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes | bytearray) -> int:
        """Append and hash. Raises Infrastructure when the disk is full."""
        self._sha256.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            raise disk_trouble(error, self.path) from error

    def read(self, size: int = -1) -> bytes:
        """Read from where the file stands."""
        return self._file.read(size)

    def readline(self, size: int = -1) -> bytes:
        """Read a line."""
        return self._file.readline(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; what was written before reaches the disk."""
        try:
            self._file.flush()
        except OSError as error:
            raise disk_trouble(error, self.path) from error
        return self._file.seek(offset, whence)

    @property
    def sha256(self) -> str:
        """Of everything written so far."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close, and remove the file if nobody has moved it away."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class LargeSteps(FormDataParser):
    """Werkzeug's parser of forms, reading more at once."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> ParsedForm:
        """The stream, the fields and the files. A form that is none has neither."""
        boundary = (options or {}).get("boundary", "")
        if mimetype != "multipart/form-data" or not boundary.isascii() or not boundary:
            return super().parse(stream, mimetype, content_length, options)
        parser = MultiPartParser(
            self.stream_factory, self.max_form_memory_size, self.cls, STEP_BYTES, max_form_parts=self.max_form_parts
        )
        try:
            return stream, *parser.parse(stream, boundary.encode(), content_length)
        except ValueError:
            return stream, self.cls(), self.cls()


class ArrivingRequest(Request):
    """A request whose uploaded files are written where they stay."""

    form_data_parser_class = LargeSteps

    @cached_property
    def arriving(self) -> list[ArrivingFile]:
        """The files of this request, also those that did not come to their end."""
        return []

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        """Raises BadRequest with what is wrong, which Flask says only while debugging; None: no JSON was announced."""
        if e is None:
            return super().on_json_loading_failed(e)
        raise BadRequest(f"the body is no JSON: {e}")

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        file = ArrivingFile(storage().incoming())
        self.arriving.append(file)
        return cast("IO[bytes]", file)


class Json(DefaultJSONProvider):
    """JSON that is nested deeper than Python can follow is no JSON either."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse. Raises ValueError."""
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def register(app: Flask) -> None:
    """Let an app take videos."""
    app.request_class = ArrivingRequest
    app.json = Json(app)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = FIELDS_BYTES
    app.config["MAX_FORM_PARTS"] = 32
    app.teardown_request(_close_files)


def _close_files(_error: BaseException | None) -> None:
    for file in cast("ArrivingRequest", request).arriving:
        file.close()


def receive() -> None:
    """Have the body here, in time, before the app reads it; forms with videos and chunks of uploads are read by theirs.

    Raises:
        BadRequest: JSON was announced, and it is none.
        RequestEntityTooLarge: it is larger than anything but a video may be.
        UploadTooSlow, QuotaExceeded, Infrastructure: as `paced`.
    """
    is_form = request.endpoint == "jobs.create" and request.mimetype == "multipart/form-data"
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    if request.endpoint is None or request.endpoint in LARGE_BODIES or is_form:
        return
    if has_body:
        with paced(holder()):
            request.get_data()
    if request.endpoint in JSON_BODIES and request.is_json:
        request.get_json()


def parse_form() -> None:
    """Read the whole form to disk.

    Raises:
        RequestEntityTooLarge: it is larger than a video may be.
        UploadTooSlow, QuotaExceeded, Infrastructure: as `paced`.
    """
    request.max_content_length = settings().max_upload_bytes + FIELDS_BYTES
    with paced(holder()):
        _ = request.files


def arrived_video() -> tuple[ArrivingFile, str]:
    """The form's video and the name its sender gave it. Raises BadInput (`no_file`, `several_files`, `too_large`)."""
    several = request.files.getlist("video")
    if not several:
        raise BadInput("the form has no file `video`", code="no_file")
    if len(several) > 1:
        raise BadInput(f"the form has {len(several)} files `video`; hand them in one by one", code="several_files")
    (sent,) = several
    file = cast("ArrivingFile", sent.stream)
    size = file.path.stat().st_size
    if size > settings().max_upload_bytes:
        raise too_large(size)
    return file, Path(sent.filename or "").name or "video"


def too_large(size: int) -> BadInput:
    """The refusal of a video of that many bytes."""
    most = settings().max_upload_bytes
    return BadInput(f"{size} bytes are more than the {most} bytes that a video may have", code="too_large")
