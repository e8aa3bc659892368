"""A job's events from its Redis stream, with the ledger's truth wherever the stream has a gap.

Redis is disposable: its stream may be wiped, trimmed or out of reach while a job goes on. The stream's own count of
entries tells whether any were lost since the last look; then, and at the end, the ledger says how the job stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import redis

from services.api.answers import Reason, Snapshot
from services.api.views import view
from shared.errors import BadInput
from shared.events import Event, Events
from shared.log import logger
from shared.tables import OPEN_STATES, Job
from tasks.node import events, ledger

START = "0-0"
BATCH = 500
WAIT_SECONDS = 1.0
"""How long one look waits for news; a job's end is seen in the ledger after that much at the latest."""
HEARTBEAT_SECONDS = 10.0
OUTAGE_SECONDS = 1.0

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Something to send. No `id`: it is not in the stream, so a client that resumes goes on from what was before."""

    type: str
    data: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has happened for a while."""


@dataclass(slots=True)
class _Stream:
    """Reading one job's stream without missing that something is missing."""

    events: Events
    key: str
    seen: str
    count: int | None = None
    """How many entries the stream had ever been given when it was read up to `seen`; None before the first look."""

    def look(self, *, has_begun: bool, wait_seconds: float) -> tuple[list[tuple[str, Event]], bool]:
        """New events, and whether others were lost before them.

        Raises:
            RedisError: no answer.
        """
        if wait_seconds:
            self.events.client.xread({self.key: self.seen}, count=1, block=int(wait_seconds * 1000))
        pipe = self.events.client.pipeline(transaction=True)
        pipe.exists(self.key)
        pipe.xrange(self.key, f"({self.seen}", "+", count=BATCH)
        pipe.xinfo_stream(self.key)
        exists, entries, info = pipe.execute(raise_on_error=False)
        if exists:
            return self._account(entries, info)
        before, self.count = self.count, 0
        return [], bool(before) or (before is None and (has_begun or self.seen != START))

    def _account(
        self, entries: list[tuple[bytes, dict[bytes, bytes]]], info: dict[str, Any]
    ) -> tuple[list[tuple[str, Event]], bool]:
        if _order(info["last-generated-id"].decode()) < _order(self.seen):  # not the stream that the client saw
            self.seen, self.count = START, None
            return [], True
        told = [(entry.decode(), Event.model_validate_json(fields[b"event"])) for entry, fields in entries]
        if told:
            self.seen = told[-1][0]
        before = self.count
        if len(told) < BATCH:
            self.count = info["entries-added"]
        if before is None or len(told) == BATCH:
            first = info["first-entry"]
            is_from_start = bool(told) and first is not None and told[0][0] == first[0].decode()
            return told, is_from_start and told[0][1].type != "planned"
        return told, info["entries-added"] - before != len(told)


@dataclass(slots=True)
class _Asked:
    """The job as the ledger had it; None when it is deleted."""

    job_id: str
    job: Job | None = None
    at: float = 0.0

    def again(self) -> Job | None:
        """As it is now."""
        self.job, self.at = _find(self.job_id), time.monotonic()
        return self.job

    def now_and_then(self) -> Job | None:
        """As it was a second ago at most: news say more than the ledger."""
        return self.job if time.monotonic() - self.at < WAIT_SECONDS else self.again()


def follow(job_id: str, after: str, has_left: Callable[[], bool] = lambda: False) -> Iterator[Told | Heartbeat]:
    """What happens in a job after the event with id `after` (`START`: from its start) until it has ended.

    The last one is the job's `closed`, or a snapshot of the ended job. It ends within a second or so as well once
    `has_left` says that nobody listens any more.
    """
    stream = _Stream(events(), Events.key(job_id), after)
    told_at, is_out, wait_seconds = time.monotonic(), False, 0.0
    asked = _Asked(job_id)
    news: list[tuple[str, Event]] = []
    while not has_left() and (job := asked.again() if not news else asked.now_and_then()) is not None:
        has_ended = job.state not in OPEN_STATES
        news, lost = [], False
        try:
            wait_seconds = 0.0 if has_ended else wait_seconds
            news, lost = stream.look(has_begun=job.state != "queued", wait_seconds=wait_seconds)
            was_out, is_out = is_out, False
            lost = lost or was_out
        except redis.RedisError as error:
            log.warning("events_unreachable", job=job_id, error=str(error))
            if not is_out and not has_ended:
                yield _snapshot(job, "broker_unreachable")
            is_out = True
            time.sleep(0.0 if has_ended else OUTAGE_SECONDS)
        if lost and not has_ended:
            yield _snapshot(asked.again() or job, "events_lost")
        for event_id, event in news:
            yield Told(event.type, event.model_dump_json(exclude_none=True), event_id)
            if event.type == "closed":
                return
        if has_ended and not news and not lost:
            yield _snapshot(job, "ended")
            return
        wait_seconds = WAIT_SECONDS
        if news or lost:
            told_at = time.monotonic()
        elif time.monotonic() - told_at >= HEARTBEAT_SECONDS:
            told_at = time.monotonic()
            yield Heartbeat()


def has_seen_the_end(job: Job, after: str) -> bool:
    """Whether the event with that id is the job's last, so that there is nothing to follow."""
    if job.state in OPEN_STATES or after == START:
        return False
    try:
        last = events().client.xrevrange(Events.key(job.id), count=1)
    except redis.RedisError:
        return False  # following says how the job ended
    return bool(last) and cast("list[tuple[bytes, object]]", last)[0][0].decode() == after


def _snapshot(job: Job, reason: Reason) -> Told:
    return Told("snapshot", Snapshot(reason=reason, job=view(job)).model_dump_json())


def _find(job_id: str) -> Job | None:
    """The job; None when it was deleted meanwhile."""
    try:
        return ledger().job(job_id)
    except BadInput:
        return None


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
