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
