"""Media read in a process that may die alone: a file on which FFmpeg crashes, hangs or swells costs that process alone.

Each process that reads media has one media server (`shared/media_server.py`), started when it is first needed, and
that forks a child for each piece of work. It ends with this process, however that ends.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from shared import errors
from shared.digests import sha256_of
from shared.errors import BadInput, Cancelled, Infrastructure, ReelgraphError
from shared.media import Limits
from shared.media_work import (
    ALIVE,
    DONE,
    EXIT_CODE,
    LENGTH,
    REFUSED,
    Decoding,
    Errand,
    Picturing,
    Probing,
    Refusal,
    Work,
)
from shared.renditions import Rendition
from shared.schema import MediaInfo
from shared.settings import settings

SERVER_DIED = "media_server_died"
DECODER_KILLED = "decoder_killed"
KILLED = frozenset({SERVER_DIED, DECODER_KILLED})
"""Ends from outside, after which the same work may end well."""

SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A process with threads must not be forked."""

LOOK_SECONDS = 0.5

SILENT_SECONDS = 60.0
"""A decode pass that comes no further for so long is ended: its longest step is one packet."""

STOP_SECONDS = 5.0
"""What a pass that was told to stop gets to remove what it has begun."""

PICTURE_SECONDS = 60.0

PROBE_SHARE = 4
"""A probe decodes one picture: it gets this part of the memory that a decode pass gets."""


class _Slots:
    """Probes and pictures of this process, so many at once as the settings say: others wait, for the sake of memory."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._taken < settings().media_at_once)
            self._taken += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify()


_slots = _Slots()


def probe(path: Path, *, sha256: str | None = None) -> MediaInfo:
    """The facts about a video, within the limits of the settings.

    Raises:
        BadInput: as `shared.media.probe`, and for a file that crashes FFmpeg (`decoder_crashed`) or takes too long
            (`too_slow`) or too much memory (`too_much_memory`).
        Infrastructure: no process can be started, or it was killed twice (`decoder_killed`, `media_server_died`).
    """
    chosen = settings()
    limits = Limits(pixels=chosen.max_video_pixels, frames=chosen.max_video_frames, seconds=chosen.max_video_seconds)
    work = Probing(video=os.fsencode(path), sha256=sha256 or "", limits=limits)
    info = MediaInfo.model_validate_json(_at_once(work, chosen.probe_seconds))
    return info if sha256 else info.model_copy(update={"sha256": sha256_of(path)})


def thumbnail(path: Path, info: MediaInfo, t: float, *, width: int) -> bytes:
    """The picture shown at `t` seconds as a JPEG: `shared.thumbnail.thumbnail`. Raises as that, and as `probe`."""
    return _at_once(Picturing(video=os.fsencode(path), info=info, t=t, width=width), PICTURE_SECONDS)


def decoding(video: Path, info: MediaInfo, folder: Path, missing: Sequence[Rendition], lock: int) -> Call:
    """Begin `shared.decode.decode_pass`. The file `lock` stays open, and so locked, while its process lives."""
    work = Decoding(
        video=os.fsencode(video.absolute()), info=info, folder=os.fsencode(folder.absolute()), missing=tuple(missing)
    )
    return Call(work, silent_seconds=SILENT_SECONDS, files=(lock,))


def warm_up() -> None:
    """Start this process's media server, so that the first call need not wait for it."""
    _server.start()


class Call:
    """Work that a process of its own does now. Leaving the `with` block ends that process."""

    def __init__(self, work: Work, *, silent_seconds: float, files: Sequence[int] = ()) -> None:
        self._name, self._silent_seconds = work.path, silent_seconds
        self._stopped_at = math.inf
        errand = Errand(
            work=work,
            folder=_working_folder(),
            memory_bytes=settings().media_memory_bytes // (PROBE_SHARE if isinstance(work, Probing) else 1),
            log_level=logging.getLogger().getEffectiveLevel(),
        )
        message = errand.model_dump_json().encode()
        self._connection = _server.connect()
        self._connection.settimeout(LOOK_SECONDS)
        try:
            socket.send_fds(self._connection, [LENGTH.pack(len(message))], files)
            self._connection.sendall(message)
        except OSError as error:
            self._connection.close()
            raise _gone() from error

    def stop(self) -> None:
        """Ask the work to end; `answer` raises Cancelled then."""
        self._stopped_at = min(self._stopped_at, time.monotonic())
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def answer(self, look: Callable[[], None] = lambda: None) -> bytes:
        """What the work brought, waited for. `look` is called meanwhile, at least every LOOK_SECONDS; it may `stop`.

        Raises:
            ReelgraphError: what the work raised.
            BadInput: its process died (`decoder_crashed`) or was silent too long (`too_slow`).
            Cancelled: it was told to stop.
            Infrastructure: its process was killed (`decoder_killed`), or the media server ended (`media_server_died`).
        """
        while (kind := self._read(1, look)) == ALIVE:
            look()
        if kind not in (DONE, REFUSED):
            raise self._died(kind + self._read(EXIT_CODE.size - 1))
        length = self._read(LENGTH.size)
        body = self._read(LENGTH.unpack(length)[0]) if len(length) == LENGTH.size else b""
        if len(length) < LENGTH.size or len(body) < LENGTH.unpack(length)[0]:
            raise self._died((length + body)[-EXIT_CODE.size :])
        if kind == REFUSED:
            refusal = Refusal.model_validate_json(body)
            raise getattr(errors, refusal.kind)(refusal.message, code=refusal.code, retryable=refusal.retryable)
        return body

    def _read(self, count: int, look: Callable[[], None] = lambda: None) -> bytes:
        """So many bytes, fewer at the end; what comes late raises."""
        data, heard = bytearray(), time.monotonic()
        while len(data) < count:
            try:
                more = self._connection.recv(count - len(data))
            except TimeoutError:
                look()
                now = time.monotonic()
                if now - self._stopped_at > STOP_SECONDS:
                    raise Cancelled("The decode pass was stopped.") from None
                if now - heard > self._silent_seconds:
                    raise self._refused(f"no end in {self._silent_seconds:.0f} s", "too_slow") from None
                continue
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
            heard = time.monotonic()
        return bytes(data)

    def _died(self, code: bytes) -> ReelgraphError:
        """The error for a process that ended without an answer; nobody tells its exit code when the server died."""
        if self._stopped_at < math.inf:
            return Cancelled("The decode pass was stopped.")
        if len(code) < EXIT_CODE.size:
            return _gone()
        (ended,) = EXIT_CODE.unpack(code)
        if ended == -signal.SIGKILL:  # no decoder does that to itself
            message = "The process that read the video was killed (SIGKILL), as a system does that runs out of memory."
            return Infrastructure(message, code=DECODER_KILLED)
        reason = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
        return self._refused(f"its decoder crashed ({reason})", "decoder_crashed")

    def _refused(self, reason: str, code: str) -> BadInput:
        return BadInput(f"{self._name}: it cannot be read, {reason}.", code=code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()


class _Server:
    """The media server of this process: started when needed, and again when it has died or this process is a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        os.register_at_fork(after_in_child=self._forget)

    def connect(self) -> socket.socket:
        """A connection to a new child, its near end. Raises Infrastructure."""
        near, far = socket.socketpair()
        with far, self._lock:
            for attempt in range(2):
                try:
                    socket.send_fds(self._running(), [b"+"], [far.fileno()])
                except OSError as error:
                    self._process = None
                    if attempt:
                        near.close()
                        raise _gone() from error
                else:
                    break
        return near

    def start(self) -> None:
        """Start it if it does not run."""
        with self._lock:
            self._running()

    def _running(self) -> socket.socket:
        if self._control is None or self._process is None or self._process.poll() is not None:
            if self._control is not None:
                self._control.close()
            self._control, far = socket.socketpair()
            with far:
                self._process = subprocess.Popen(  # noqa: S603  (this very Python)
                    [sys.executable, "-m", "shared.media_server", str(far.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, **settings().environment(), **SINGLE_THREADED},
                    # Ctrl-C in the terminal is for its client
                    start_new_session=True,
                    pass_fds=(far.fileno(),),
                )
        return self._control

    def _forget(self) -> None:
        """A fork shares the socket with its parent, and must not speak through it."""
        self._lock = threading.Lock()
        self._control = self._process = None


_server = _Server()


def _at_once(work: Work, seconds: float) -> bytes:
    with _slots:
        try:
            return _once(work, seconds)
        except Infrastructure as error:
            if error.code not in KILLED:
                raise
            return _once(work, seconds)  # by another process


def _once(work: Work, seconds: float) -> bytes:
    with Call(work, silent_seconds=seconds) as call:
        return call.answer()


def _gone() -> Infrastructure:
    return Infrastructure("The process that reads videos was ended.", code=SERVER_DIED)


def _working_folder() -> bytes:
    try:
        return os.fsencode(Path.cwd())
    except FileNotFoundError:  # it was removed
        return b"/"
