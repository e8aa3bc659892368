"""What happens in a job, told as it happens: one Redis stream a job. The ledger stays the truth; events may be lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import redis
from pydantic import BaseModel, ConfigDict

from shared.log import logger
from shared.schema import AnalyzerReport, JobState

KEEP_EVENTS = 10_000
KEEP_SECONDS = 24 * 3600
KEEP_ENDED_SECONDS = 300
"""Of a job that has ended: who was cut off resumes within it, and is told the job as it ended after it."""
SILENT_SECONDS = 5.0  # a server that does not answer costs each try its timeout, and an analyzer has events to tell

log = logger(__name__)


class Event(BaseModel):
    """One event. `analyzer` is None for events of the job itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["planned", "started", "progress", "finished", "closed"]
    analyzer: str | None = None
    fraction: float | None = None
    report: AnalyzerReport | None = None
    items: int | None = None
    state: JobState | None = None
    analyzers: tuple[str, ...] = ()


class Events:
    """The event streams on one Redis server."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2)
        self._silent_until = 0.0

    @staticmethod
    def key(job_id: str) -> str:
        """The stream's key."""
        return f"reelgraph:events:{job_id}"

    def publish(self, job_id: str, event: Event) -> None:
        """Append an event; a lost one is logged, since a job must not fail for its display.

        For a while after a loss nothing is sent: a job must not wait for its display either.
        """
        if time.monotonic() < self._silent_until:
            return
        key = self.key(job_id)
        try:
            pipe = self.client.pipeline(transaction=False)
            pipe.xadd(key, {"event": event.model_dump_json(exclude_none=True)}, maxlen=KEEP_EVENTS, approximate=True)
            if event.type == "closed":
                pipe.expire(key, KEEP_ENDED_SECONDS)
            else:
                pipe.expire(key, KEEP_SECONDS, nx=True)  # what comes after the end keeps nothing longer
            pipe.execute()
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            log.warning("event_lost", job=job_id, type=event.type, error=str(error))

    def read(self, job_id: str, after: str = "0", *, block_seconds: float = 1.0) -> Iterator[tuple[str, Event]]:
        """Events after the one with id `after`, waiting up to `block_seconds` for the first; ids go with them."""
        block = max(1, int(block_seconds * 1000))
        answer: object = self.client.xread({self.key(job_id): after}, count=1000, block=block)
        for _, entries in answer or ():  # type: ignore[attr-defined]
            for event_id, fields in entries:
                yield event_id.decode(), Event.model_validate_json(fields[b"event"])

    def forget(self, job_id: str) -> None:
        """Delete a job's events; without a server they go when their time is over."""
        try:
            self.client.delete(self.key(job_id))
        except redis.RedisError as error:
            log.warning("events_not_deleted", job=job_id, error=str(error))
