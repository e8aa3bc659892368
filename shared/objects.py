"""Storage in an S3 bucket, for hosts that share no disk. A host keeps copies of the videos that it works on.

An object is there as a whole or not at all: S3 shows a multipart upload only once it is complete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from shared.bucket import CHECKED, UNDER_LOCK, USUAL, Bucket, Patience
from shared.bucket_errors import refuse_no_bucket
from shared.bucket_owner import LEDGER_KEY, owner
from shared.bucket_pages import Stored, Turns, delete, newest
from shared.copies import Copies, kept
from shared.digests import sha256_of
from shared.errors import Infrastructure
from shared.storage import (
    JOB_NAME,
    JOBS,
    VIDEO_NAME,
    VIDEOS,
    StillHeld,
    Storage,
    damaged_key,
    job_key,
    video_key,
)

PART_BYTES = 16 << 20
"""Of a multipart upload; smaller ones go in one request. S3 takes 5 MiB to 5 GiB, 10000 parts at most."""

SLOWEST_BYTES = 1_000_000
"""A second: an upload that is slower is given up."""

TRIES = 10
"""So often a copy is brought anew that others have removed to make room before it was held."""

STORED_SECONDS = 300.0
"""So long a bucket that took an object is believed to take others: readiness is asked every few seconds."""

OURS_SECONDS = 60.0
"""So long who hands videos in, or removes results, believes that the bucket still is this ledger's: a request each time
is dear."""

CHECK_KEY = "check"
"""What is written and removed to find out; one for all, so that no check leaves more than one behind."""

Hold = Callable[[bool], AbstractContextManager[StillHeld]]
"""A lock of all hosts, shared or (True) exclusive."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """What all hosts of one ledger have in common."""

    hold: Hold
    installation: Callable[[], str]
    """The id of the ledger."""


class ObjectStorage(Storage):
    """A bucket of blobs, with copies of videos in a folder of this host."""

    def __init__(self, folder: Path, bucket: Bucket, *, copies_bytes: int, hosts: Hosts | None = None) -> None:
        """`hosts` where several share a ledger, and so the bucket; else a file lock is used. No connection is made."""
        super().__init__(folder)
        self.bucket = bucket
        self.copies = Copies(folder, copies_bytes)
        self._hosts = hosts
        self._turns = Turns()
        self._stored_at: float | None = None
        self._ours_at: float | None = None

    def path(self, key: str) -> Path:
        """The local copy of a blob, brought here if need be; no file is there when the bucket has none.

        Raises:
            ValueError: the key would leave the folder.
            Infrastructure: the bucket does not answer, or the video is not the one that was stored (`storage_damaged`).
        """
        return self.copies.brought(key, partial(self._fetch, key))

    @contextmanager
    def held(self, key: str) -> Iterator[Path]:
        """The local copy of a blob as `path` has it, which nobody removes to make room while the block runs.

        Raises:
            ValueError, Infrastructure: as `path`; also where others make room faster than the copy is brought.
        """
        for _ in range(TRIES):
            copy = self.path(key)
            held = kept(copy)
            if held is not None or not self.exists(key):
                break
        else:
            raise Infrastructure(f"{key} was removed {TRIES} times before it was read, to make room", code="disk_full")
        try:
            yield copy
        finally:
            if held is not None:
                os.close(held)

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        remote = self._remote(key)
        with self.bucket.asked() as bucket:
            try:
                return bool(bucket.info(remote)["type"] == "file")
            except FileNotFoundError as error:
                refuse_no_bucket(error)
                return False

    def read(self, key: str) -> bytes:
        """The stored bytes. Raises FileNotFoundError."""
        remote = self._remote(key)
        with self.bucket.asked() as bucket:
            content: bytes = bucket.cat_file(remote)
            return content

    def write(self, key: str, content: bytes) -> None:
        """Store bytes under a key, replacing what is there. Raises Infrastructure."""
        remote = self._remote(key)
        with self.bucket.asked() as bucket:
            bucket.pipe_file(remote, content, timeout=USUAL.seconds)

    def put_aside(self, key: str, content: bytes) -> None:
        """As `write`."""
        self.write(key, content)

    def copy(self, key: str, to: str) -> None:
        """Put an object under a second key, too.

        Raises:
            Infrastructure: the bucket does not answer, or has nothing under the key (`storage_damaged`).
        """
        remote, place = self._remote(key), self._remote(to)
        with self.bucket.asked() as bucket:
            try:
                bucket.cp_file(remote, place)
            except FileNotFoundError as error:
                refuse_no_bucket(error)
                raise Infrastructure(f"{key} is not in the storage", code="storage_damaged") from error

    def move(self, key: str, to: str) -> None:
        """Put an object under another key, replacing what is there; buckets copy, so for a moment it has both.

        Raises:
            Infrastructure: the bucket does not answer, or has nothing under the key (`storage_damaged`).
        """
        remote, place = self._remote(key), self._remote(to)
        with self.bucket.asked() as bucket:
            try:
                bucket.cp_file(remote, place)
                bucket.rm_file(remote)
            except FileNotFoundError as error:
                refuse_no_bucket(error)
                raise Infrastructure(f"{key} is not in the storage", code="storage_damaged") from error

    def add_video(self, source: Path) -> str:
        """Upload a video under its content's sha256 and return that; a second one costs only the hashing."""
        for _ in range(TRIES):
            sha256 = self.copies.add_video(source)  # through a copy: what is uploaded cannot change meanwhile
            copy = self.copies.path(video_key(sha256))
            held = kept(copy)
            if held is not None:
                break
        else:
            raise Infrastructure(f"{source} was removed {TRIES} times before it was sent", code="disk_full")
        try:
            self._upload(copy, sha256)
        finally:
            os.close(held)
        self.copies.make_room()
        return sha256

    def adopt(self, arrived: Path, sha256: str) -> None:
        """Upload a video from the `incoming` folder, whose content has that sha256; it becomes this host's copy."""
        self._upload(arrived, sha256)
        self.copies.adopt(arrived, sha256)  # what has just been sent is not fetched back
        self.copies.make_room()

    def holds_video(self, sha256: str, size_bytes: int) -> bool:
        """Whether the bucket has a video that no other copy need replace."""
        remote = self._remote(video_key(sha256))
        with self.bucket.asked() as bucket:
            try:
                stored = int(bucket.info(remote)["size"])
            except FileNotFoundError as error:
                refuse_no_bucket(error)
                return False
        return stored == size_bytes and not self.exists(damaged_key(sha256))

    def note_damaged(self, sha256: str) -> None:
        """Throw this host's copy away; the bucket's bytes are looked at when the next one is brought."""
        self.copies.remove(video_key(sha256))

    def remove(self, key: str) -> None:
        """Delete the object and all below it, and this host's copies; nothing there is fine.

        Raises:
            Infrastructure: the bucket does not answer, refuses to delete one (`storage_refused`), or belongs to another
                ledger (`foreign_storage`).
        """
        self._refuse_foreign()
        self._remove(key, USUAL)

    def remove_video(self, sha256: str) -> None:
        """Delete a stored video, and this host's copy, quickly or not at all: all hosts wait for it."""
        for key in (video_key(sha256), damaged_key(sha256)):
            self._remove(key, UNDER_LOCK)

    def _remove(self, key: str, patience: Patience) -> None:
        remote = self._remote(key)
        with self.bucket.asked(patience=patience) as bucket:
            refused = delete(bucket, remote)
        if refused:
            raise Infrastructure(f"the storage {self.bucket.url} did not delete {refused}", code="storage_refused")
        self.copies.remove(key)

    def download_url(
        self, key: str, *, seconds: int, name: str = "", mimetype: str = "", head: bool = False
    ) -> str | None:
        """An address that anybody may read the object from for so long, as a file of that name and type.

        It is an attachment: browsers ignore `download` in a link to another origin, and players ignore the disposition.
        """
        said = {"ResponseContentType": mimetype} if mimetype else {}
        if name:
            said["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        remote, method = self._remote(key), "head_object" if head else "get_object"
        with self.bucket.asked(self.bucket.public_endpoint) as bucket:
            return str(bucket.sign(remote, expiration=seconds, client_method=method, **said))

    def check(self) -> None:
        """Ask whether this host can keep copies, and the bucket whether it takes and gives up objects now.

        What cost a write is believed for STORED_SECONDS, in which only reading is asked for: probes come often.
        """
        super().check()
        name, _, prefix = self.bucket.place.partition("/")
        with self.bucket.asked(patience=CHECKED) as bucket:
            if self._stored_at is None or time.monotonic() - self._stored_at > STORED_SECONDS:
                self._stored_at = None
                bucket.pipe_file(self._remote(CHECK_KEY), b"ready", timeout=CHECKED.seconds)
                bucket.rm_file(self._remote(CHECK_KEY))
                if self._hosts is not None:
                    self._check_ledger(self._hosts, CHECKED)
                self._stored_at = time.monotonic()
            else:
                bucket.call_s3("list_objects_v2", Bucket=name, Prefix=prefix, MaxKeys=1)

    def old_videos(self, seconds: float) -> Iterator[str]:
        """Sha256 of videos in the bucket that were stored so long ago, and of this host's copies; some at each call.

        Where the ledger is this host's own, other hosts' objects would look like nobody's: only copies are named.
        """
        yield from super().old_videos(seconds)
        for name, stored_at in self._some(VIDEOS, shallow=False):
            if stored_at is not None and VIDEO_NAME.fullmatch(name) and time.time() - stored_at > seconds:
                yield name

    def job_ids(self) -> Iterator[str]:
        """Ids of the jobs that something lies in the bucket for; as `old_videos`."""
        for name, _ in self._some(JOBS, shallow=True):
            if JOB_NAME.fullmatch(name):
                yield name

    def is_old_job(self, job_id: str, seconds: float) -> bool:
        """Whether what lies in the bucket for a job is there, and was stored so long ago."""
        with self.bucket.asked() as bucket:
            stored_at = newest(bucket, self._remote(job_key(job_id)))
        return stored_at is not None and time.time() - stored_at > seconds

    def _some(self, folder: str, *, shallow: bool) -> list[Stored]:
        if self._hosts is None:
            return []
        self._check_ledger(self._hosts)
        with self.bucket.asked() as bucket:
            return self._turns.next(bucket, self._remote(folder), shallow=shallow)

    @contextmanager
    def videos_held(self, *, exclusive: bool = False) -> Iterator[StillHeld]:
        """No host removes a video while this is held; `exclusive` is for the one that removes, as `Storage`'s.

        Raises:
            Infrastructure: others have held it for too long (`storage_busy`), or what lies here belongs to another
                ledger (`foreign_storage`).
        """
        if self._hosts is None:
            with super().videos_held(exclusive=exclusive) as still_held:
                yield still_held
            return
        if exclusive:
            self._check_ledger(self._hosts)
        else:
            self._refuse_foreign()
        with self._hosts.hold(exclusive) as still_held:
            yield still_held

    def _refuse_foreign(self) -> None:
        """As `_check_ledger`, from memory where that was asked for a moment ago."""
        if self._hosts is not None and (self._ours_at is None or time.monotonic() - self._ours_at > OURS_SECONDS):
            self._check_ledger(self._hosts)

    def _check_ledger(self, hosts: Hosts, patience: Patience = USUAL) -> None:
        """Whether what lies here belongs to this ledger: the first that asks takes it. Raises Infrastructure."""
        mine, asked_at, self._ours_at = hosts.installation().encode(), time.monotonic(), None
        with self.bucket.asked(patience=patience) as bucket:
            theirs = owner(bucket, self._remote(LEDGER_KEY), mine, USUAL.seconds)
        if theirs != mine:
            self._stored_at = None  # not ready from the next question on
            message = (
                f"the storage {self.bucket.url} belongs to another ledger: give this one a prefix of its own, "
                f"or remove the object {LEDGER_KEY!r} there if that ledger is gone"
            )
            raise Infrastructure(message, code="foreign_storage", retryable=False)
        self._ours_at = asked_at

    def _remote(self, key: str) -> str:
        """Name of an object, by the same rules as a path: no `..`, no empty or absolute key."""
        path = super().path(key).relative_to(self._root)
        return f"{self.bucket.place}/{path.as_posix()}"

    def _upload(self, file: Path, sha256: str) -> None:
        size = file.stat().st_size
        if not self.holds_video(sha256, size):
            seconds = USUAL.seconds + size / SLOWEST_BYTES
            with self.bucket.asked() as bucket:
                bucket.put_file(file, self._remote(video_key(sha256)), chunksize=PART_BYTES, timeout=seconds)
            if self.exists(damaged_key(sha256)):
                self.remove(damaged_key(sha256))

    def _fetch(self, key: str, part: Path) -> None:
        """Download a blob. Raises FileNotFoundError, and Infrastructure where it is not what was stored."""
        with self.bucket.asked() as bucket:
            bucket.get_file(self._remote(key), str(part))
        name = key.rpartition("/")[2]
        if key == video_key(name) and sha256_of(part) != name:
            self.write(damaged_key(name), b"")
            message = f"{key} in the storage is not what was stored; hand the video in again"
            raise Infrastructure(message, code="storage_damaged")
