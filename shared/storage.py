"""Where videos, outcomes and documents lie. Keys are relative paths; every write is atomic, its bytes flushed to disk.

This is a folder; `shared/objects.py` has the same in an S3 bucket.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from shared.errors import BadInput, Infrastructure
from shared.locks import FileLock
from shared.log import logger

CHUNK_BYTES = 1 << 20
LOCK_SECONDS = 10.0
VIDEOS = "videos"
JOBS = "jobs"
NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
"""What link(2) says where a file system has no hard links, or none more for this file."""

VIDEO_NAME = re.compile(r"[0-9a-f]{64}")
JOB_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What the sweep takes for a video or a job of ours: whatever else lies there is somebody's."""

log = logger(__name__)

StillHeld = Callable[[], None]
"""Raises Infrastructure where a lock that was taken is no longer held."""


class Storage:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder.resolve()

    def path(self, key: str) -> Path:
        """The local path of a key. Raises ValueError when the key would leave the folder."""
        path = Path(os.path.realpath(self._root / key))
        if not path.is_relative_to(self._root):
            raise ValueError(f"the key {key!r} leaves the storage folder")
        return path

    @contextmanager
    def held(self, key: str) -> Iterator[Path]:
        """The local path of a key, for who reads the file for longer than it takes to open it. Raises ValueError."""
        yield self.path(key)

    def exists(self, key: str) -> bool:
        """Whether something is stored under the key."""
        return self.path(key).is_file()

    def read(self, key: str) -> bytes:
        """The stored bytes. Raises FileNotFoundError."""
        return self.path(key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        """Store bytes under a key, replacing what is there.

        Raises:
            Infrastructure: the disk is full or cannot be written; nothing half-written is left.
        """
        with self._replacing(self.path(key)) as file:
            file.write(content)

    def put_aside(self, key: str, content: bytes) -> None:
        """Store bytes that nobody reads until `move` puts them in their place: what is half-written may be seen here.

        Raises:
            Infrastructure: as `write`.
        """
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise disk_trouble(error, path) from error

    def copy(self, key: str, to: str) -> None:
        """Give what lies under a key a second one, replacing what is there.

        Nobody waits until the new name lasts; where it does, its bytes are all there.

        Raises:
            Infrastructure: the disk cannot be written, or nothing lies under the key.
        """
        path = self.path(to)
        part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link(self.path(key), part)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)  # renaming a link over another of the same file leaves both
        except OSError as error:
            raise disk_trouble(error, path) from error

    def move(self, key: str, to: str) -> None:
        """Give what lies under a key another one, replacing what is there, in one step.

        Raises:
            Infrastructure: the disk cannot be written, or nothing lies under the key.
        """
        path = self.path(to)
        try:
            self.path(key).replace(path)
            _flush(path.parent)
        except OSError as error:
            raise disk_trouble(error, path) from error

    def add_video(self, source: Path) -> str:
        """Copy a video in under its content's sha256 and return that; a second copy costs only the hashing.

        Of a stored one that is damaged it takes the place.

        Raises:
            BadInput: somebody wrote to the video meanwhile (`changed`).
            Infrastructure: the disk is full or cannot be written; nothing half-written is left.
        """
        with source.open("rb") as reader:
            sha256 = hashlib.file_digest(reader, "sha256").hexdigest()
            key = video_key(sha256)
            if not self.holds_video(sha256, os.fstat(reader.fileno()).st_size):
                reader.seek(0)
                copied = hashlib.sha256()
                with self._replacing(self.path(key)) as file:
                    while chunk := reader.read(CHUNK_BYTES):
                        copied.update(chunk)
                        file.write(chunk)
                    if copied.hexdigest() != sha256:
                        raise BadInput(f"{source} changed while it was read", code="changed")
                self.remove(damaged_key(sha256))
        return sha256

    def incoming(self) -> Path:
        """A folder of this file system for what is still arriving, so that `adopt` only renames."""
        folder = self.folder / "incoming"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_trouble(error, folder) from error
        return folder

    @contextmanager
    def settled(self, arrived: Path) -> Iterator[None]:
        """Bring a file that has arrived to the disk, beside what the block does; both are over at its end.

        Raises:
            Infrastructure: the disk cannot be written.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="settle") as aside:
            flushed = aside.submit(_flush, arrived)
            yield
        try:
            flushed.result()
        except OSError as error:
            raise disk_trouble(error, arrived) from error

    def adopt(self, arrived: Path, sha256: str) -> None:
        """Move a video in from the `incoming` folder; its content has that sha256, and was `settled`.

        Where the same is stored already it is thrown away, unless that is damaged: then it takes its place.

        Raises:
            Infrastructure: the disk cannot be written.
        """
        path = self.path(video_key(sha256))
        try:
            if self.holds_video(sha256, arrived.stat().st_size):
                arrived.unlink()
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            arrived.replace(path)
            _flush(path.parent)
        except OSError as error:
            raise disk_trouble(error, path) from error
        self.remove(damaged_key(sha256))

    def holds_video(self, sha256: str, size_bytes: int) -> bool:
        """Whether a video is stored that no other copy need replace: all its bytes are there, none known to be wrong.

        They are not hashed here: a decode pass does that.
        """
        key = video_key(sha256)
        return self.exists(key) and self.path(key).stat().st_size == size_bytes and not self.exists(damaged_key(sha256))

    def note_damaged(self, sha256: str) -> None:
        """Let the next copy of a stored video take its place: what lies here is not what was handed in.

        Raises:
            Infrastructure: the disk is full or cannot be written.
        """
        self.write(damaged_key(sha256), b"")

    def remove_video(self, sha256: str) -> None:
        """Delete a stored video. Raises Infrastructure."""
        self.remove(video_key(sha256))
        self.remove(damaged_key(sha256))

    def remove(self, key: str) -> None:
        """Delete what lies under a key, a folder with all that is in it; nothing there is fine."""
        path = self.path(key)
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:  # somebody else was faster
            return
        except OSError as error:
            raise disk_trouble(error, path) from error

    def download_url(
        self, key: str, *, seconds: int, name: str = "", mimetype: str = "", head: bool = False
    ) -> str | None:
        """An address that anybody may read the blob from for so long; None where only this service can serve it.

        It is good for GET alone, or with `head` for HEAD alone.
        """
        return None

    def check(self) -> None:
        """Ask whether blobs can be stored here now. Raises Infrastructure or OSError."""
        probe = self.incoming() / f"probe-{uuid4().hex}.part"
        try:
            probe.write_bytes(b"ready")
        finally:
            probe.unlink(missing_ok=True)

    def old_videos(self, seconds: float) -> Iterator[str]:
        """Sha256 of stored videos that nobody has written or read for so long."""
        for path in (self.folder / VIDEOS).glob("??/*"):
            if VIDEO_NAME.fullmatch(path.name) and idle_seconds(path) > seconds:
                yield path.name

    def job_ids(self) -> Iterator[str]:
        """Ids of the jobs that something lies here for."""
        for path in (self.folder / JOBS).glob("*"):
            if JOB_NAME.fullmatch(path.name):
                yield path.name

    def is_old_job(self, job_id: str, seconds: float) -> bool:
        """Whether what lies here for a job is there, and was written so long ago."""
        return idle_seconds(self.folder / JOBS / job_id) > seconds

    @contextmanager
    def videos_held(self, *, exclusive: bool = False) -> Iterator[StillHeld]:
        """No video is removed while this is held; `exclusive` is for the one that removes.

        Between storing a video and noting its job, the video would look like one that no job needs. Who removes calls
        what is yielded right before: a lock may be lost while its holder is stopped.

        Raises:
            Infrastructure: others have held it for too long (`storage_busy`).
        """
        lock = FileLock(self.incoming() / ".videos.lock", shared=not exclusive)
        give_up = time.monotonic() + LOCK_SECONDS
        while not lock.take():
            if time.monotonic() > give_up:
                raise Infrastructure("videos are being stored or removed; try again soon", code="storage_busy")
            time.sleep(0.005)
        with lock:
            yield _kept

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[BinaryIO]:
        """A file that takes `path`'s place when the block ends well and vanishes when it does not."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
                part = Path(file.name)
                try:
                    yield file  # type: ignore[misc]
                    file.flush()
                    os.fsync(file.fileno())
                    part.replace(path)
                    _flush(path.parent)
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise disk_trouble(error, path) from error


def _link(path: Path, to: Path) -> None:
    """Give a flushed file a second name; a flushed copy where there are no links."""
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(path, to)
        _flush(to)


def _flush(path: Path) -> None:
    """Make a file's bytes last, or the names in a folder: a rename lasts when its folder is flushed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def idle_seconds(path: Path) -> float:
    """Seconds since a path, or anything directly in it, was last written; 0 when it is gone or cannot be looked at."""
    try:
        parts = [path, *path.iterdir()] if path.is_dir() else [path]
        return time.time() - max(part.stat().st_mtime for part in parts)
    except FileNotFoundError:
        return 0.0
    except OSError as error:
        log.warning("not_looked_at", path=str(path), error=str(error))
        return 0.0


def disk_trouble(error: OSError, path: Path) -> Infrastructure:
    """What kept a path from being written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Infrastructure(f"the disk of {path.parent} is full", code="disk_full")
    return Infrastructure(f"{path.parent} cannot be written: {error.strerror}", code="disk_error")


def _kept() -> None:
    """Nothing: a file's lock is kept until it is let go."""


def video_key(sha256: str) -> str:
    """Where a video lies."""
    return f"{VIDEOS}/{sha256[:2]}/{sha256}"


def damaged_key(sha256: str) -> str:
    """What is there when a stored video was found damaged."""
    return f"{VIDEOS}/{sha256[:2]}/.{sha256}.damaged"


def outcome_key(job_id: str, analyzer: str) -> str:
    """Where a job's outcome of one analyzer lies."""
    return f"{JOBS}/{job_id}/outcomes/{analyzer}.json"


def cache_key(fingerprint: str) -> str:
    """Where a good outcome lies for later jobs with the same inputs."""
    return f"cache/{fingerprint[:2]}/{fingerprint}.json"


def job_key(job_id: str) -> str:
    """The folder of all that lies here for a job."""
    return f"{JOBS}/{job_id}"


def document_key(job_id: str) -> str:
    """Where a job's document lies."""
    return f"{JOBS}/{job_id}/document.json"
