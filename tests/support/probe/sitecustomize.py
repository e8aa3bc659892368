"""Runs at the start of every worker of a test: counts opened videos and brings in analyzers that misbehave on request.

Python imports it because the test puts this folder in PYTHONPATH; the product does not know of it.
"""

import os
from pathlib import Path

import av

import tasks.analyzers

_open = av.open


def _counted(file, *args, **kwargs):
    with Path(os.environ["REELGRAPH_PROBE_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {file}\n")
    return _open(file, *args, **kwargs)


if "REELGRAPH_PROBE_LOG" in os.environ:
    av.open = _counted
    tasks.analyzers.__path__.append(str(Path(__file__).parent / "analyzers"))

if seconds := os.environ.get("REELGRAPH_PROBE_VISIBILITY"):
    import tasks.celery

    tasks.celery.VISIBILITY_SECONDS = int(seconds)
    tasks.celery.app.conf.broker_transport_options["visibility_timeout"] = int(seconds)

if mark := os.environ.get("REELGRAPH_PROBE_KILL_IN_FINISH"):
    import signal

    import shared.ledger

    _finish = shared.ledger.Ledger.finish

    def _killed_in_finish(ledger, *arguments):
        try:
            Path(mark).unlink()
        except FileNotFoundError:
            return _finish(ledger, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    shared.ledger.Ledger.finish = _killed_in_finish

if namespace := os.environ.get("REELGRAPH_PROBE_NAMESPACE"):
    import ctypes
    import sys

    from shared.groups import worker_of

    _worker, _, _path = namespace.partition("=")
    if any("@" in argument and worker_of(argument) == _worker for argument in sys.orig_argv):
        CLONE_NEWNET = 0x40000000
        _libc = ctypes.CDLL(None, use_errno=True)
        with Path(_path).open() as _file:
            if _libc.setns(_file.fileno(), CLONE_NEWNET):  # os.setns came with Python 3.12
                raise OSError(ctypes.get_errno(), f"setns to {_path}")

if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    import threading
    import time

    # libfaketime 0.9.10 counts the step into clock_nanosleep(CLOCK_MONOTONIC), by which CPython sleeps
    time.sleep = lambda seconds: threading.Event().wait(seconds) and None
