"""A sign of life in the ledger for as long as a process works on a run, so that nobody else begins it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import Infrastructure
from shared.log import logger
from shared.tables import Run
from tasks.node import ledger

BEAT_SECONDS = 3.0
SILENT_SECONDS = 15.0
"""A holder that says nothing for so long is taken for dead: a ledger that is locked for 10 s is not yet that."""

log = logger(__name__)


class Hold:
    """One attempt, held. Its thread ends with `stop`, or once it has let go of the run for good."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lost, self._done, self._leaving = threading.Event(), threading.Event(), threading.Event()
        # a daemon: a process that must end does not wait for a ledger that does not answer
        self._thread = threading.Thread(target=self._beat, name=f"hold-{run.analyzer}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the run is no longer this attempt's: this process was thought dead, or the run was ended."""
        return self._lost.is_set()

    def stop(self) -> None:
        """Give no more signs."""
        self._done.set()

    def let_go(self) -> None:
        """Free the run for its next attempt and stop; where the ledger is away, as soon as it is back."""
        try:
            ledger().let_go(self.run)
        except Infrastructure as error:
            self._warn(error)
            self._leaving.set()
        else:
            self.stop()

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            try:
                if self._leaving.is_set():
                    ledger().let_go(self.run)
                    return
                if not ledger().keep(self.run):
                    self._lost.set()
                    return
            except Infrastructure as error:
                self._warn(error)

    def _warn(self, error: Infrastructure) -> None:
        log.warning("hold_not_told", job=self.run.job_id, analyzer=self.run.analyzer, error=error.message)


@contextmanager
def held(run: Run) -> Iterator[Hold]:
    """Hold an attempt in the block. Left by an exception, it is free for the next one, and no death is counted: not
    either where the ledger is away just then.
    """
    hold = Hold(run)
    try:
        yield hold
    except BaseException:  # SystemExit too: the worker is told to stop
        hold.let_go()
        raise
    hold.stop()
