"""Threads that make the attempts at webhooks, so that no receiver keeps the control queue waiting.

They end with their process, whatever they do: what was handed over stands in the ledger, too.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from shared.errors import ReelgraphError
from shared.log import logger

THREADS = 8
EACH = 2
"""Attempts under way at one receiver: one that hangs leaves most of the threads to the others."""
PLACES, PLACES_EACH = 256, 32
"""For all, and in the line of one receiver."""

log = logger(__name__)


class Couriers:
    """A few threads and the lines before them, one a receiver, which get their turns in rotation."""

    def __init__(self, attempt: Callable[[str], None]) -> None:
        """No thread is started yet. `attempt` takes a webhook's id."""
        self._attempt = attempt
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._lines: dict[str, deque[str]] = {}
        self._under_way: Counter[str] = Counter()
        self._known: set[str] = set()

    def take(self, webhook_id: str, receiver: str) -> bool:
        """Have an attempt made soon; False when there is no place for it. What waits already is not taken twice."""
        with self._changed:
            if webhook_id in self._known:
                return True
            line = self._lines.get(receiver, deque())
            if len(self._known) >= PLACES or len(line) >= PLACES_EACH:
                return False
            self._start_one()
            line.append(webhook_id)
            self._lines[receiver] = line
            self._known.add(webhook_id)
            self._changed.notify()
            return True

    def _start_one(self) -> None:
        if len(self._threads) < THREADS:
            thread = threading.Thread(target=self._work, name=f"courier-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while True:
            webhook_id, receiver = self._next()
            try:
                self._attempt(webhook_id)
            except ReelgraphError as error:  # the ledger's: the attempt is made again after its lease
                log.warning("webhook_attempt_lost", webhook=webhook_id, code=error.code, error=error.message)
            except Exception:  # whatever is wrong with one webhook must not end the thread
                log.exception("webhook_attempt_broke", webhook=webhook_id)
            finally:
                self._ended(webhook_id, receiver)

    def _next(self) -> tuple[str, str]:
        """Wait for what may be attempted: a webhook's id, and its receiver, whose line goes behind the others."""
        with self._changed:
            while (receiver := next((one for one in self._lines if self._under_way[one] < EACH), None)) is None:
                self._changed.wait()
            line = self._lines.pop(receiver)
            webhook_id = line.popleft()
            if line:
                self._lines[receiver] = line
            self._under_way[receiver] += 1
            return webhook_id, receiver

    def _ended(self, webhook_id: str, receiver: str) -> None:
        with self._changed:
            self._known.discard(webhook_id)
            self._under_way[receiver] -= 1
            if not self._under_way[receiver]:
                del self._under_way[receiver]
            self._changed.notify()
