"""Places for what holds a thread of the server for long: some for all callers together, fewer of them for one key."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import Full, QuotaExceeded


class Places:
    """So many at once in this process; nobody waits for one, since waiting would hold a thread as well.

    `what` completes the sentence "too many …", as in "videos are being fetched"; `code` is that of both refusals.
    """

    def __init__(self, what: str, *, code: str) -> None:
        self._what, self._code = what, code
        self._lock = threading.Lock()
        self._taken = 0
        self._of: Counter[str] = Counter()

    def enter(self, owner: str | None, *, most: int, most_of_one: int) -> None:
        """Take a place, which `leave` gives back. Who needs no key is alone and may have all.

        Raises:
            QuotaExceeded: this owner has as many as one may have.
            Full: all are taken.
        """
        with self._lock:
            if owner is not None and self._of[owner] >= most_of_one:
                message = f"{most_of_one} {self._what} for this key; try again soon"
                raise QuotaExceeded(message, code=self._code, retryable=True)
            if self._taken >= most:
                raise Full(f"too many {self._what}; try again soon", code=self._code)
            self._taken += 1
            if owner is not None:
                self._of[owner] += 1

    def leave(self, owner: str | None) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1
            if owner is not None:
                self._of[owner] -= 1
                self._of += Counter()  # forgets who has none

    @contextmanager
    def place(self, owner: str | None, *, most: int, most_of_one: int) -> Iterator[None]:
        """A place for the length of the block. Raises as `enter`."""
        self.enter(owner, most=most, most_of_one=most_of_one)
        try:
            yield
        finally:
            self.leave(owner)
