"""A decode pass in the background of the process that won the video's write lock."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.decode import decode_pass
from shared.digests import sha256_of
from shared.errors import Cancelled, Infrastructure
from shared.eviction import RESERVED, USE_LOCK, make_room, reserve
from shared.locks import FileLock
from shared.renditions import Rendition, estimate_bytes
from shared.schema import MediaInfo
from shared.storage import disk_trouble
from shared.windows import remove_incomplete

logger = logging.getLogger(__name__)

_running: weakref.WeakSet[BackgroundPass] = weakref.WeakSet()


class BackgroundPass:
    """Decodes in a thread while its reader reads what is committed already.

    Holds the write lock until it ends, however it ends, and the video's use lock. A pass goes on when its reader has
    finished, because others wait for it; `stop` ends it, and the next reader takes over.
    """

    def __init__(
        self,
        lock: FileLock,
        video: Path,
        info: MediaInfo,
        folder: Path,
        missing: Sequence[Rendition],
        budget_bytes: int,
    ) -> None:
        self._lock, self._video, self._info, self._folder = lock, video, info, folder
        self._missing, self._budget_bytes = tuple(missing), budget_bytes
        self._stop = threading.Event()
        self.error: Exception | None = None
        # a daemon: a process that must end does not wait for a two-hour video
        self._thread = threading.Thread(target=self._run, name=f"decode-{info.sha256[:8]}", daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        _running.add(self)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it still decodes."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def stop(self) -> None:
        """End the pass before its next packet and wait for that."""
        self._stop.set()
        self.join()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled("The decode pass was stopped.")

    def _run(self) -> None:
        in_use = FileLock(self._folder / USE_LOCK, shared=True)
        try:
            in_use.take()
            wanted_bytes = sum(estimate_bytes(need, self._info) for need in self._missing)
            _check_bytes(self._video, self._info.sha256)
            reserve(self._folder, 0)
            make_room(self._folder.parent, wanted_bytes, self._budget_bytes)
            with _as_infrastructure(self._folder):
                reserve(self._folder, wanted_bytes)
            decode_pass(self._video, self._info, self._folder, self._missing, self._check)
        except Cancelled:
            logger.info("decode_pass_stopped", extra={"video": self._info.sha256})
        except Exception as error:  # noqa: BLE001  (a thread's end: the reader raises it)
            self.error = error
            logger.warning("decode_pass_failed", extra={"video": self._info.sha256, "reason": str(error)})
            if isinstance(error, Infrastructure):
                remove_incomplete(self._folder, [need.key for need in self._missing])
        finally:
            (self._folder / RESERVED).unlink(missing_ok=True)
            self._lock.release()
            in_use.release()


@contextmanager
def _as_infrastructure(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_trouble(error, folder / RESERVED) from error


def _check_bytes(video: Path, sha256: str) -> None:
    """Raises Infrastructure: the video cannot be read, or has other bytes than were handed in."""
    try:
        actual = sha256_of(video)
    except FileNotFoundError:
        return  # said by who opens it
    except OSError as error:
        message = f"the stored video {video.name} cannot be read: {error.strerror}"
        raise Infrastructure(message, code="video_unreadable") from error
    if actual != sha256:
        message = f"the stored video is not the one that was handed in: its sha256 is {actual}, not {sha256}"
        raise Infrastructure(message, code="video_damaged", retryable=False)


@atexit.register
def _stop_all() -> None:
    """End running passes while the interpreter is still whole."""
    for running in list(_running):
        running.stop()
