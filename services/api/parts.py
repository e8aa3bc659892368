"""Resumable uploads on disk: a folder each, with what was promised and the bytes so far, whose number is the offset."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from pydantic import ValidationError

from shared.errors import BadInput
from shared.locks import FileLock
from shared.schema import Frozen
from shared.settings import settings
from shared.storage import disk_trouble

PREFIX = "upload-"
PROMISE, DATA, LOCK = "promise.json", "data", "lock"
SECONDS_PER_HOUR = 3600


class Part(Frozen):
    """What was promised when an upload began."""

    id: str
    owner: str | None
    name: str
    metadata: str = ""
    """As its sender wrote it."""
    length: int


class Appending:
    """The end of a part's file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._began = file.seek(0, 2)

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def undo(self) -> None:
        """Forget what was appended."""
        self._file.truncate(self._began)


class Parts:
    """The uploads in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, *, length: int, name: str, owner: str | None, metadata: str = "") -> Part:
        """Begin an upload.

        Raises:
            Infrastructure: the disk cannot be written.
        """
        part = Part(id=uuid4().hex, owner=owner, name=name, metadata=metadata, length=length)
        try:
            self._folder(part.id).mkdir()
            self.data(part).touch()
            (self._folder(part.id) / PROMISE).write_text(part.model_dump_json(), encoding="utf-8")
        except OSError as error:
            self.remove(part)
            raise disk_trouble(error, self._folder(part.id)) from error
        return part

    def find(self, upload_id: str) -> Part | None:
        """The upload with that id, 32 hexadecimal digits."""
        try:
            return Part.model_validate_json((self._folder(upload_id) / PROMISE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def data(self, part: Part) -> Path:
        """Where its bytes are."""
        return self._folder(part.id) / DATA

    def offset(self, part: Part) -> int:
        """How many bytes are here. Raises BadInput (`unknown_upload`) when it was removed meanwhile."""
        try:
            return self.data(part).stat().st_size
        except FileNotFoundError as error:
            raise BadInput(f"there is no upload {part.id}", code="unknown_upload") from error

    def expires_at(self, part: Part) -> float:
        """When it is removed unless it goes on until then: its time counts from the last byte.

        Raises:
            BadInput: it was removed meanwhile (`unknown_upload`).
        """
        try:
            return self.data(part).stat().st_mtime + settings().upload_hours * SECONDS_PER_HOUR
        except FileNotFoundError as error:
            raise BadInput(f"there is no upload {part.id}", code="unknown_upload") from error

    @contextmanager
    def locked(self, part: Part) -> Iterator[None]:
        """Keep an upload to oneself. Raises BadInput when it is taken (`upload_locked`) or gone (`unknown_upload`)."""
        lock = FileLock(self._folder(part.id) / LOCK)
        try:
            free = lock.take()
        except FileNotFoundError as error:
            raise BadInput(f"there is no upload {part.id}", code="unknown_upload") from error
        if not free:
            raise BadInput("another request is writing to this upload", code="upload_locked")
        with lock:
            yield

    @contextmanager
    def appending(self, part: Part) -> Iterator[Appending]:
        """Write to the end of an upload. Raises Infrastructure when the disk is full."""
        try:
            with self.data(part).open("r+b") as file:
                yield Appending(file)
        except OSError as error:
            raise disk_trouble(error, self._folder(part.id)) from error

    def remove(self, part: Part) -> None:
        """Throw an upload away."""
        shutil.rmtree(self._folder(part.id), ignore_errors=True)

    def sweep(self) -> None:
        """Remove uploads that nobody went on with, and what requests that died have left."""
        oldest = time.time() - settings().upload_hours * SECONDS_PER_HOUR
        for path in self.folder.glob(f"{PREFIX}*"):
            part = self.find(path.name.removeprefix(PREFIX))
            with suppress(BadInput):  # another request has removed it just now
                if part is not None and time.time() > self.expires_at(part):
                    self.remove(part)
        for path in self.folder.glob("*.part"):
            with suppress(FileNotFoundError):  # its request has ended just now
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _folder(self, upload_id: str) -> Path:
        return self.folder / f"{PREFIX}{upload_id}"
