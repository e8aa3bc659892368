"""Child processes that never outlive the command that started them, however it ends.

The child is started by a few lines of `sh` that leave a watcher behind and then become the child itself. The watcher
reads the lifeline, a socket whose other end only the command holds. When the command lets go or dies, by SIGKILL too,
reading ends: the watcher signals the child and, after the grace time, kills its whole process group and so itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from shared.errors import Infrastructure

GRACE_SECONDS = 2.0
STEP_SECONDS = 0.1

# $1: stop signal, $2: grace in steps, $3: seconds a step, then the child's command line. Standard input: the lifeline.
# In the watcher too, $$ is the child, which leads the process group that `kill 0` reaches.
_SCRIPT = """
stop=$1 steps=$2 step=$3
shift 3
exec 3<&0 </dev/null
(
  trap '' HUP INT QUIT TERM
  cat <&3
  kill -s "$stop" $$
  while [ "$steps" -gt 0 ] && kill -s 0 $$; do
    sleep "$step"
    steps=$((steps - 1))
  done
  kill -s KILL 0
) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""


class Leashed:
    """A running child and the lifeline it hangs on. Dropping the last reference lets go of it as well."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: socket.socket, grace_seconds: float) -> None:
        self._process = process
        self._lifeline = lifeline
        self._held = True
        self._gone = False
        self.grace_seconds = grace_seconds

    def __repr__(self) -> str:
        return f"<Leashed pid={self.pid} returncode={self._process.returncode}>"

    @property
    def pid(self) -> int:
        """The child's own process id, and that of its process group and session."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), None while it runs.

        A child that ended by itself takes what it started with it.
        """
        code = self._process.poll()
        if code is not None and self._held:
            self.kill()
        return code

    def wait(self, timeout_seconds: float) -> int | None:
        """Like `poll`, after waiting for the end of the child for at most `timeout_seconds`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_seconds)
        return self.poll()

    def terminate(self) -> None:
        """Let go: the stop signal now, SIGKILL for the whole group after the grace time. Returns at once."""
        if self._held:
            self._held = False
            with suppress(OSError):  # macOS: the watcher is gone already
                self._lifeline.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """SIGKILL for the whole group now."""
        # The group's id is the child's until the child is reaped, and the watcher's until the lifeline is let go.
        if self._process.returncode is None or self._held:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.terminate()

    def gone(self) -> bool:
        """Whether the child is gone and SIGKILL went to whatever it had left, the watcher among them."""
        if self.poll() is None:
            return False
        with suppress(BlockingIOError):
            if not self._gone and self._lifeline.recv(1) == b"":
                self._gone = True
                self._lifeline.close()
        return self._gone

    def stop(self) -> int | None:
        """Terminate, wait until all is gone, and return the exit code."""
        stop_all([self])
        return self.poll()


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: IO[bytes] | int | None = None,
    grace_seconds: float = GRACE_SECONDS,
    stop_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Iterable[int] = (),
) -> Leashed:
    """Start a command in a session of its own (Ctrl-C in the terminal does not reach it) and on a leash.

    Args:
        argv: the program, found in PATH when it has no slash, and its arguments.
        env: the whole environment; None for that of this process.
        cwd: its working folder.
        stdout: where its output and errors go; None for those of this process.
        grace_seconds: from `stop_signal` to SIGKILL. Descendants that leave the process group are out of reach.
        stop_signal: what asks the child to stop (Celery: SIGQUIT).
        pass_fds: open files that the child inherits, such as a lock it shall hold while it lives.

    Raises:
        Infrastructure: the program does not exist.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise Infrastructure(f"{argv[0]}: no such program", code="program_missing", retryable=False)
    timing = [str(max(1, round(grace_seconds / STEP_SECONDS))), str(STEP_SECONDS)]
    leash = ["/bin/sh", "-c", _SCRIPT, "leash", stop_signal.name.removeprefix("SIG"), *timing]
    lifeline, far_end = socket.socketpair()
    lifeline.settimeout(0)
    with far_end:
        process = subprocess.Popen(  # noqa: S603  (the command line is the caller's own)
            [*leash, str(Path(program).absolute()), *map(str, argv[1:])],
            env=env,
            cwd=cwd,
            stdin=far_end.fileno(),
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    return Leashed(process, lifeline, grace_seconds)


def stop_all(children: Iterable[Leashed]) -> None:
    """Terminate all at once and wait until all is gone, for the longest grace time and half a second at most."""
    waiting = list(children)
    for child in waiting:
        child.terminate()
    deadline = time.monotonic() + 0.5 + max((child.grace_seconds for child in waiting), default=0.0)
    while time.monotonic() < deadline and not all(child.gone() for child in waiting):
        time.sleep(0.02)
    for child in waiting:  # a watcher that was killed itself cannot
        if child.poll() is None:
            child.kill()
