"""The process that stands ready to fork a child for each piece of work on a media file.

It has FFmpeg's libraries loaded and touches no file itself. Its client (`shared/isolated.py`) sends it one end of a
socket pair for each piece of work; a child forked at once reads the errand from there and answers there: any number of
`ALIVE`, then `DONE` or `REFUSED` with length and bytes. Of a child that died without an answer the server writes the
exit code there, four bytes, negative for a signal. A client that closes its end kills the child; a client that dies
ends the server and all of its children.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from av.codec import CodecContext
from av.error import FFmpegError

from shared.errors import BadInput, Cancelled, ReelgraphError
from shared.log import configure_logging
from shared.media_work import ALIVE, DONE, EXIT_CODE, LENGTH, REFUSED, Errand, Refusal
from shared.settings import settings

logger = logging.getLogger(__name__)

MAX_FILES = 1
"""Open files that may come with an errand."""

ALIVE_SECONDS = 1.0
"""So often a child says that it has come further."""

PR_SET_PDEATHSIG = 1

USUAL_DECODERS = ("h264", "hevc", "vp9", "aac", "mp3")


def main() -> None:
    """Serve the client at the other end of the socket whose number is the first argument."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _warm_up()
        _Server(control).serve()


def _warm_up() -> None:
    """Build once what every child would build anew: settings, and the tables of the usual decoders."""
    configure_logging("WARNING", json=settings().log_json)
    for name in USUAL_DECODERS:
        decoder = CodecContext.create(name, "r")
        # a process with threads must not be forked
        decoder.thread_count = 1
        with suppress(FFmpegError):  # some want headers, and have their tables by then
            decoder.open()


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, socket.socket] = {}
        """By process id."""
        self._ended, self._wake = socket.socketpair()
        self._ended.settimeout(0)
        self._wake.settimeout(0)
        self._poll = select.poll()

    def serve(self) -> None:
        """Until the client has let go."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._ended, select.POLLIN)
        # what is loaded stays shared with the children
        gc.freeze()
        try:
            while True:
                for descriptor, _ in self._poll.poll():
                    if descriptor == self._control.fileno() and not self._take():
                        return
                    if descriptor == self._ended.fileno():
                        self._reap()
                    self._kill_left(descriptor)
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _take(self) -> bool:
        """Fork a child for the next errand; False when there is no client any more."""
        try:
            data, files, *_ = socket.recv_fds(self._control, 1, 1)
        except ConnectionResetError:
            return False
        if not data:
            return False
        if not files:  # this process may open no more; the client sees an end without an answer
            return True
        connection = socket.socket(fileno=files[0])
        try:
            pid = os.fork()
        except OSError as error:
            logger.error("media_fork_failed", extra={"reason": str(error)})  # noqa: TRY400  (no more is known)
            connection.close()
            return True
        if not pid:
            self._become_child(connection)
        self._children[pid] = connection
        # no event asked for: the end of the connection is always told
        self._poll.register(connection, 0)
        return True

    def _become_child(self, connection: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (self._control, self._ended, self._wake, *self._children.values()):
                other.close()
            _work(connection)
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Say of each child that has ended how it did."""
        with suppress(BlockingIOError):
            self._ended.recv(4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                connection = self._children.pop(pid)
                with suppress(KeyError):
                    self._poll.unregister(connection)
                code = os.waitstatus_to_exitcode(status)
                with connection, suppress(OSError):
                    if code:
                        # where there is no room for four bytes, the client sees an end without a code
                        connection.send(EXIT_CODE.pack(code), socket.MSG_DONTWAIT)

    def _kill_left(self, descriptor: int) -> None:
        """Kill the child whose client has closed the connection."""
        for pid, connection in self._children.items():
            if connection.fileno() == descriptor:
                self._poll.unregister(connection)
                os.kill(pid, signal.SIGKILL)


def _work(connection: socket.socket) -> None:
    """Read an errand, do it, answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # a file that comes along stays open, and locked, until this process has ended
    header, *_ = socket.recv_fds(connection, LENGTH.size, MAX_FILES)
    errand = Errand.model_validate_json(_exactly(connection, LENGTH.unpack(header)[0]))
    bound(errand.memory_bytes)
    os.chdir(os.fsdecode(errand.folder))
    configure_logging(logging.getLevelName(errand.log_level), json=settings().log_json)
    try:
        kind, answer = DONE, errand.work.run(_checker(connection))
    except ReelgraphError as error:
        kind, answer = REFUSED, _refusal(error)
    except MemoryError:
        limit = errand.memory_bytes >> 20
        sentence = f"{errand.work.path}: reading it takes more than {limit} MiB of memory."
        kind, answer = REFUSED, _refusal(BadInput(sentence, code="too_much_memory"))
    except Exception as error:
        logger.exception("media_work_failed")
        sentence = f"{errand.work.path}: reading it failed ({type(error).__name__}: {error})."
        kind, answer = REFUSED, _refusal(ReelgraphError(sentence))
    with suppress(BrokenPipeError):
        connection.sendall(kind + LENGTH.pack(len(answer)) + answer)


def bound(memory_bytes: int) -> None:
    """No more memory than this, and no core file."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    least = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (least, least))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return bytes(data)


def _checker(connection: socket.socket) -> Callable[[], None]:
    """What long work calls often: it tells the client that work goes on, and raises Cancelled when told to stop."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    told = time.monotonic()

    def check() -> None:
        nonlocal told
        if poll.poll(0):
            raise Cancelled("The decode pass was stopped.")
        if (now := time.monotonic()) - told > ALIVE_SECONDS:
            told = now
            connection.send(ALIVE)

    return check


def _refusal(error: ReelgraphError) -> bytes:
    refusal = Refusal(kind=type(error).__name__, code=error.code, message=error.message, retryable=error.retryable)
    return refusal.model_dump_json().encode()


if __name__ == "__main__":
    main()
