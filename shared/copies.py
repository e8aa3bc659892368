"""A host's copies of videos that lie in a bucket: brought once, dropped where others want the room."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import Infrastructure
from shared.locks import FileLock
from shared.storage import VIDEOS, Storage, disk_trouble

COPY_SECONDS = 1800.0
"""What waiting for another process of this host that brings the same video may take."""


class Copies(Storage):
    """A folder of blobs that can be brought again, of so many bytes together unless more are held."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        super().__init__(folder)
        self.most_bytes = most_bytes

    def brought(self, key: str, fetch: Callable[[Path], None]) -> Path:
        """The copy of a blob, brought here if need be, once, whichever processes of this host ask at the same time.

        `fetch` writes the file that it is given. Where it raises FileNotFoundError no copy is there afterwards.

        Raises:
            ValueError: the key would leave the folder.
            Infrastructure: the disk cannot be written, or another process has not brought the copy in time.
        """
        copy = self.path(key)
        if self._in_use(copy):
            return copy
        lock = FileLock(self.incoming() / f".{copy.name}.lock")
        give_up = time.monotonic() + COPY_SECONDS
        while not lock.take():
            if time.monotonic() > give_up:
                raise Infrastructure(f"{key} has not been brought here within {COPY_SECONDS:.0f} s")
            time.sleep(0.05)
        with lock:
            try:
                if not self._in_use(copy):
                    self._bring(copy, fetch)
            finally:
                lock.path.unlink(missing_ok=True)
        self.make_room(but=copy)
        return copy

    def make_room(self, *, but: Path | None = None) -> None:
        """Remove the copies that nobody has asked for the longest, until the rest fits; held ones and `but` stay."""
        found = []
        for copy in (self.folder / VIDEOS).glob("*/*"):
            try:
                found.append((copy.stat().st_mtime, copy.stat().st_size, copy))
            except FileNotFoundError:  # another process removed it
                continue
        total = sum(size for _, size, _ in found)
        for _, size, copy in sorted(found):
            if total <= self.most_bytes:
                return
            if copy == but or (mine := _locked(copy, fcntl.LOCK_EX)) is None:
                continue
            copy.unlink(missing_ok=True)
            os.close(mine)
            total -= size

    def _in_use(self, copy: Path) -> bool:
        """Whether the copy is here; notes that it is wanted."""
        try:
            os.utime(copy)
        except FileNotFoundError:
            return False
        return True

    def _bring(self, copy: Path, fetch: Callable[[Path], None]) -> None:
        part = self.incoming() / f"{copy.name}-{os.getpid()}.part"
        try:
            fetch(part)
            copy.parent.mkdir(parents=True, exist_ok=True)
            part.replace(copy)
        except FileNotFoundError:
            return  # the caller finds no file, as in a folder
        except OSError as error:
            raise disk_trouble(error, part) from error
        finally:
            part.unlink(missing_ok=True)


def kept(copy: Path) -> int | None:
    """The copy, open, so that nobody removes it to make room until this is closed; None where it is gone."""
    return _locked(copy, fcntl.LOCK_SH)


def _locked(copy: Path, mode: int) -> int | None:
    """The copy, open and locked without waiting; None where it is gone, or locked against that."""
    try:
        descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), copy.stat()):  # else removed or replaced before it was locked
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
