"""Threads that make the attempts at webhooks: no receiver keeps the control queue waiting, no API key the others.

They end with their process, whatever they do: what was handed over stands in the ledger, too.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from shared.errors import ReelgraphError
from shared.log import logger

THREADS = 10
EACH = 2
"""Attempts under way at one receiver: one that hangs leaves most of the threads to the others."""
EACH_KEY = 8
"""Attempts under way for one API key: whatever receivers it names, some threads are left to the others."""
PLACES, PLACES_KEY, PLACES_EACH = 256, 128, 32
"""For all, for one API key, and in its line at one receiver."""

log = logger(__name__)


class _Line(NamedTuple):
    """Whose webhooks, to whom."""

    key: str | None
    receiver: str


class Couriers:
    """A few threads and the lines before them, one for each API key and receiver. Next is one of the key that has the
    fewest attempts under way; its lines, and those of keys with as many, get their turns in rotation.
    """

    def __init__(self, attempt: Callable[[str], None]) -> None:
        """No thread is started yet. `attempt` takes a webhook's id."""
        self._attempt = attempt
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._lines: dict[_Line, deque[str]] = {}
        self._at_receiver: Counter[str] = Counter()
        self._of_key: Counter[str | None] = Counter()
        self._known: dict[str, str | None] = {}
        """The API key of all that waits or is under way."""

    def take(self, webhook_id: str, receiver: str, key: str | None = None) -> bool:
        """Have an attempt made soon; False when there is no place for it. What waits already is not taken twice."""
        with self._changed:
            if webhook_id in self._known:
                return True
            which = _Line(key, receiver)
            line = self._lines.get(which, deque())
            places = Counter(self._known.values())
            if len(self._known) >= PLACES or places[key] >= PLACES_KEY or len(line) >= PLACES_EACH:
                return False
            self._start_one()
            line.append(webhook_id)
            self._lines[which] = line
            self._known[webhook_id] = key
            self._changed.notify()
            return True

    def _start_one(self) -> None:
        if len(self._threads) < THREADS:
            thread = threading.Thread(target=self._work, name=f"courier-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while True:
            webhook_id, line = self._next()
            try:
                self._attempt(webhook_id)
            except ReelgraphError as error:  # the ledger's: the attempt is made again after its lease
                log.warning("webhook_attempt_lost", webhook=webhook_id, code=error.code, error=error.message)
            except Exception:  # whatever is wrong with one webhook must not end the thread
                log.exception("webhook_attempt_broke", webhook=webhook_id)
            finally:
                self._ended(webhook_id, line)

    def _next(self) -> tuple[str, _Line]:
        """Wait for what may be attempted: a webhook's id, and its line, which goes behind the others."""
        with self._changed:
            while not (open_lines := [one for one in self._lines if self._may_go(one)]):
                self._changed.wait()
            which = min(open_lines, key=lambda one: self._of_key[one.key])
            line = self._lines.pop(which)
            webhook_id = line.popleft()
            if line:
                self._lines[which] = line
            self._at_receiver[which.receiver] += 1
            self._of_key[which.key] += 1
            return webhook_id, which

    def _may_go(self, line: _Line) -> bool:
        return self._at_receiver[line.receiver] < EACH and self._of_key[line.key] < EACH_KEY

    def _ended(self, webhook_id: str, line: _Line) -> None:
        with self._changed:
            del self._known[webhook_id]
            self._at_receiver -= Counter([line.receiver])  # what comes to nothing is dropped
            self._of_key -= Counter([line.key])
            self._changed.notify()
