"""File locks that the kernel releases when their holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock exclusively; no right to write is needed. Whoever cannot look sees nobody."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class FileLock:
    """An flock on `path`, shared or exclusive, taken without waiting by `take`.

    The lock is bound to the open file: two locks on one path exclude each other inside one process as well. A path
    that was deleted or replaced between opening and locking does not count as locked.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._fd: int | None = None

    def take(self) -> bool:
        """Whether the lock was free and is now held. Raises FileNotFoundError when the folder is gone."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, self._mode | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), self.path.stat()):
                self._fd, fd = fd, -1
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            if fd >= 0:
                os.close(fd)
        return self._fd is not None

    @property
    def descriptor(self) -> int:
        """The open file: whoever has it too holds the lock too. Raises ValueError when the lock is not held."""
        if self._fd is None:
            raise ValueError(f"{self.path} is not locked")
        return self._fd

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()
