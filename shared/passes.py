"""A decode pass beside the process that won the video's write lock, in one of its own."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.digests import sha256_of
from shared.errors import BadInput, Cancelled, Infrastructure
from shared.eviction import DECODING_LOCK, RESERVED, is_read, make_room, reserve
from shared.isolated import DECODER_KILLED, Call, decoding
from shared.locks import FileLock
from shared.media import TOO_SPARSE
from shared.renditions import Rendition, estimate_bytes
from shared.schema import Frozen, MediaInfo
from shared.storage import disk_trouble
from shared.windows import remove_incomplete

logger = logging.getLogger(__name__)

REFUSED = "refused.json"
REFUSED_SECONDS = 3600.0
VIDEO_DAMAGED = "video_damaged"
COSTLY = frozenset({"decoder_crashed", DECODER_KILLED, "too_slow", "too_much_memory", TOO_SPARSE})

AT_ONCE = 2
"""Passes of this process, for the sake of memory: of its reader's video, and one that goes on for others."""

UNREAD_SECONDS = 10.0
"""So long a pass goes on that nobody reads: the next analyzer of its job may come."""

_slots = threading.BoundedSemaphore(AT_ONCE)
_running: weakref.WeakSet[BackgroundPass] = weakref.WeakSet()


class _Noted(Frozen):
    """Why a pass over a video ended, for the passes that would end so as well."""

    code: str
    message: str
    retryable: bool = False


def note_refusal(folder: Path, error: Exception) -> None:
    """Note that a video crashes its decoder or takes too much, so that no other process tries the same at once."""
    if isinstance(error, BadInput) and error.code in COSTLY:
        noted = _Noted(code=error.code, message=error.message, retryable=error.retryable)
        part = folder / f"{REFUSED}.{uuid.uuid4().hex}"
        part.write_text(noted.model_dump_json())
        part.replace(folder / REFUSED)


def noted_refusal(folder: Path) -> BadInput | None:
    """What was noted of a video in the last hour; later it is tried again."""
    try:
        if time.time() - (folder / REFUSED).stat().st_mtime > REFUSED_SECONDS:
            return None
        noted = _Noted.model_validate_json((folder / REFUSED).read_text())
    except FileNotFoundError:
        return None
    return BadInput(noted.message, code=noted.code, retryable=noted.retryable)


class Place:
    """A place among the passes of this process, to be held while one runs. Given back when nobody holds it any more."""

    def __init__(self) -> None:
        self._slots: threading.BoundedSemaphore | None = None

    def take(self) -> bool:
        """Whether there was one; where there is none, passes that nobody reads are asked to give way."""
        if _slots.acquire(blocking=False):
            self._slots = _slots
            return True
        for running in list(_running):
            running.give_way()
        return False

    def release(self) -> None:
        """Give it back; does nothing when none is held."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()

    def __del__(self) -> None:
        self.release()


class BackgroundPass:
    """Decodes in another process while its reader reads what is committed already; a thread waits for it.

    Holds the write lock, a lock against eviction and one of this process's places until it ends, however it ends. A
    pass goes on when its reader has left, while others read the video; unread it ends after UNREAD_SECONDS, or at once
    where a reader of another video needs its place. `stop` ends it, too; whoever still reads takes over.
    """

    def __init__(
        self,
        place: Place,
        lock: FileLock,
        video: Path,
        info: MediaInfo,
        folder: Path,
        missing: Sequence[Rendition],
        budget_bytes: int,
    ) -> None:
        self._place, self._lock = place, lock
        self._video, self._info, self._folder = video, info, folder
        self._missing, self._budget_bytes = tuple(missing), budget_bytes
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._read_at = time.monotonic()
        self._call: Call | None = None
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
        if self._call is not None:
            self._call.stop()
        self.join()

    def give_way(self) -> None:
        """Let another pass have this one's place, if nobody reads what it decodes. Does not wait for that."""
        self._wanted.set()

    def _decode(self) -> None:
        renditions = tuple(need.key for need in self._missing)
        logger.info("decode_pass_opened", extra={"video": self._info.sha256, "renditions": renditions})
        with decoding(self._video, self._info, self._folder, self._missing, self._lock.descriptor) as call:
            self._call = call
            if self._stop.is_set():
                call.stop()
            call.answer(self._look)

    def _look(self) -> None:
        """Stop where nobody reads: whose time was up, or who needed no more, has left."""
        now = time.monotonic()
        if is_read(self._folder):
            self._read_at = now
            self._wanted.clear()
        elif self._call is not None and (self._wanted.is_set() or now - self._read_at > UNREAD_SECONDS):
            logger.info("decode_pass_unread", extra={"video": self._info.sha256})
            self._call.stop()

    def _run(self) -> None:
        in_use = FileLock(self._folder / DECODING_LOCK, shared=True)
        try:
            with _as_infrastructure(self._folder):
                in_use.take()
            wanted_bytes = sum(estimate_bytes(need, self._info) for need in self._missing)
            _check_bytes(self._video, self._info.sha256)
            reserve(self._folder, 0)
            make_room(self._folder.parent, wanted_bytes, self._budget_bytes)
            with _as_infrastructure(self._folder):
                reserve(self._folder, wanted_bytes)
            self._decode()
        except Cancelled:
            logger.info("decode_pass_stopped", extra={"video": self._info.sha256})
        except Exception as error:  # noqa: BLE001  (a thread's end: the reader raises it)
            self.error = error
            note_refusal(self._folder, error)
            logger.warning("decode_pass_failed", extra={"video": self._info.sha256, "reason": str(error)})
            if isinstance(error, Infrastructure):
                remove_incomplete(self._folder, [need.key for need in self._missing])
        finally:
            (self._folder / RESERVED).unlink(missing_ok=True)
            self._lock.release()
            in_use.release()
            self._place.release()


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
        what = f"its sha256 is {actual}, not {sha256}"
        message = f"the stored video is not the one that was handed in: {what}; hand it in again"
        raise Infrastructure(message, code=VIDEO_DAMAGED, retryable=False)


@atexit.register
def _stop_all() -> None:
    """End running passes while the interpreter is still whole."""
    for running in list(_running):
        running.stop()
