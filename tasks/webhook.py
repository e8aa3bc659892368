"""Telling others that a job has ended: one signed POST per attempt, attempts kept in the ledger."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import redis
from kombu.exceptions import OperationalError

from shared.errors import ReelgraphError, Unreachable, UrlRefused
from shared.groups import CONTROL
from shared.guard import Guard, networks
from shared.log import logger
from shared.outgoing import exchange, web_url
from shared.schema import Frozen, JobState, Status
from shared.settings import settings
from shared.signing import sign
from shared.tables import Job
from shared.webhooks import ATTEMPTS, Webhook, Webhooks, secret_of
from tasks.celery import PRIORITIES, app
from tasks.couriers import Couriers
from tasks.node import ledger

ATTEMPT_SECONDS = 10.0
"""Of an attempt: connecting, sending and the head of the answer. The body is not read."""
GONE = 410
"""By the specification: the receiver wants nothing more."""

log = logger(__name__)


class EndedJob(Frozen):
    """What a receiver learns; the result itself is fetched by who may."""

    id: str
    state: JobState
    video_sha256: str
    source_name: str | None
    submitted_at: str
    finished_at: str
    analyzers: dict[str, Status | None]


class Notice(Frozen):
    """The body of a delivery; the same bytes at each attempt."""

    type: Literal["job.ended"] = "job.ended"
    timestamp: str
    data: EndedJob


@app.task(name="webhook", ignore_result=True)
def deliver(webhook_id: str) -> None:
    """Hand a webhook to threads of this process: the control queue waits for no receiver."""
    if (hook := Webhooks(ledger()).find(webhook_id)) is not None:
        _hand_over(hook)


def attempt(webhook_id: str) -> None:
    """Make one attempt, if it is due and nobody else makes it. Called from any thread.

    Raises:
        Infrastructure: the ledger cannot be used; an attempt that was made is made again.
    """
    hooks = Webhooks(ledger())
    hook = hooks.claim(webhook_id)
    if hook is None:
        return
    job = ledger().job(hook.job_id)
    try:
        if hook.attempts > ATTEMPTS:
            raise Unreachable("its attempts were begun and never ended")
        _post(hook, job)
    except ReelgraphError as error:
        final = isinstance(error, UrlRefused) or error.code == f"http_{GONE}"
        next_at = hooks.missed(hook, error.message, final=final)
        log.warning(
            "webhook_missed", job=job.id, attempt=hook.attempts, code=error.code, error=error.message, next_at=next_at
        )
    else:
        hooks.delivered(hook)
        log.info("webhook_delivered", job=job.id, attempt=hook.attempts)


def deliver_soon(job_id: str) -> None:
    """Queue the deliveries of a job that has just ended. One that cannot be queued is found by the reconciler."""
    for hook in Webhooks(ledger()).of(job_id):
        _queue(hook.id)


def deliver_due() -> None:
    """Hand over every delivery whose time has come. What finds no place here is still due the next time."""
    due = Webhooks(ledger()).due(settings().deployment)
    waiting = sum(not _hand_over(hook) for hook in due)
    if waiting:
        log.info("webhooks_wait", webhooks=waiting)


def _hand_over(hook: Webhook) -> bool:
    return _couriers(os.getpid()).take(hook.id, hook.receiver, hook.owner)


@cache
def _couriers(_process: int) -> Couriers:
    """One a process: its threads do not survive a fork."""
    return Couriers(attempt)


def _queue(webhook_id: str) -> None:
    try:
        deliver.si(webhook_id).apply_async(queue=CONTROL, priority=PRIORITIES - 1, expires=30)
    except (redis.RedisError, OperationalError) as error:
        log.warning("webhook_not_queued", webhook=webhook_id, error=str(error))


def notice(job: Job) -> Notice:
    """What is told of a job that has ended."""
    ended = _time(job.finished_at)
    data = EndedJob.model_validate(
        {
            "id": job.id,
            "state": job.state,
            "video_sha256": job.video_sha256,
            "source_name": job.source_name,
            "submitted_at": _time(job.submitted_at),
            "finished_at": ended,
            "analyzers": {name: run.status for name, run in sorted(ledger().runs(job.id).items())},
        }
    )
    return Notice(timestamp=ended, data=data)


def _time(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds or 0.0, UTC).isoformat(timespec="milliseconds")


def _post(hook: Webhook, job: Job) -> None:
    """Raises UrlRefused, Unreachable (also for any answer but 2xx: redirects are not followed), DeadlineExceeded."""
    body = notice(job).model_dump_json().encode()
    signed = sign(secret_of(settings(), job.owner), message_id=hook.id, timestamp=int(time.time()), body=body)
    url = web_url(hook.url)
    with exchange(
        "POST",
        url,
        guard=Guard(networks(settings().reachable_networks)),
        until=time.monotonic() + ATTEMPT_SECONDS,
        silence_seconds=ATTEMPT_SECONDS,
        headers={"Content-Type": "application/json", **signed},
        content=body,
    ) as answer:
        if not 200 <= answer.status < 300:
            message = f"{url.shown} answers with HTTP status {answer.status}"
            raise Unreachable(message, code=f"http_{answer.status}")
