"""Whether this process can serve: broker, ledger and storage, within one deadline for all of them.

Each is asked in a thread of its own, because a connection that hangs outlasts its socket timeout (a name lookup, a
kernel that resends). A thread that still hangs is not joined by another one: what it asks counts as not answering.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import redis
import sqlalchemy as sa
from pydantic import Field
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import Infrastructure
from shared.log import logger
from shared.schema import Frozen
from shared.settings import settings
from tasks.node import ledger, storage

DEADLINE_SECONDS = 1.8
"""For all of it; with the answer's own way it stays under 2 s."""

FIRST_SECONDS = 10.0
"""For the first time, before a process answers anybody: the libraries that a check needs are imported in it."""

SILENT = "it does not answer in time"

log = logger(__name__)


class Readiness(Frozen):
    """Whether this process can serve, and what each thing it stands on says: `ok` or why not."""

    ready: bool
    checks: dict[str, str] = Field(description="`ok`, or what is wrong")


@dataclass(slots=True)
class _Check:
    """One thing that is asked, by one thread at a time."""

    ask: Callable[[], None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    said: str = ""

    def begin(self) -> threading.Thread:
        """The thread that asks: a new one, or the one that still hangs."""
        with self.lock:
            if self.thread is None or not self.thread.is_alive():
                self.said = SILENT
                self.thread = threading.Thread(target=self._run, daemon=True)
                self.thread.start()
            return self.thread

    def _run(self) -> None:
        try:
            self.ask()
        except (Infrastructure, OSError, redis.RedisError, sa.exc.SQLAlchemyError) as error:
            log.warning("not_ready", error=str(error))
            self.said = _said(error)
        else:
            self.said = "ok"


def _said(error: Exception) -> str:
    """What is wrong, for everybody: the error's own words may hold addresses, they are in the log."""
    match error:
        case redis.AuthenticationError():
            return "it refuses the user name or password"
        case TimeoutError() | redis.TimeoutError():
            return SILENT
        case redis.ConnectionError():
            return "it cannot be reached"
        case Infrastructure():
            return f"it does not work ({error.code})"
        case OSError():
            return "it cannot be read or written"
        case _:
            return "it answers with an error"


def _ask_broker() -> None:
    with redis.Redis.from_url(
        settings().broker, socket_timeout=1.5, socket_connect_timeout=1.5, retry=Retry(NoBackoff(), 0)
    ) as client:
        client.ping()


def _ask_ledger() -> None:
    with ledger().session() as session:
        session.execute(sa.text("SELECT 1 FROM jobs LIMIT 1"))


_checks: Mapping[str, _Check] = {
    "broker": _Check(_ask_broker),
    "ledger": _Check(_ask_ledger),
    "storage": _Check(lambda: storage().check()),
}


def readiness(seconds: float = DEADLINE_SECONDS) -> Readiness:
    """Ask everything at once; the answer comes within so long whatever hangs."""
    give_up = time.monotonic() + seconds
    threads = {name: check.begin() for name, check in _checks.items()}
    for thread in threads.values():
        thread.join(max(0.0, give_up - time.monotonic()))
    said = {name: SILENT if thread.is_alive() else _checks[name].said for name, thread in threads.items()}
    return Readiness(ready=all(word == "ok" for word in said.values()), checks=said)
