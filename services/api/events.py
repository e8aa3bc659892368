"""Server-sent events: what happens in a job, as it happens.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from flask import Response, request

from services.api.access import caller, visible_job
from services.api.documentation import EVENT_ID, EVENTS, TAG_JOBS, blueprint
from services.api.following import START, Heartbeat, Told, follow, has_seen_the_end
from services.api.jobs import JobPath
from services.api.pace import sending
from services.api.places import Places
from shared.errors import BadInput
from shared.settings import settings

RETRY_MS = 1000

api = blueprint("events", __name__, TAG_JOBS, url_prefix="/v1/jobs")


_followers = Places("connections follow events", code="too_many_followers")
"""Each holds a thread of the server, and others must be left for all else: one key gets half of these places."""


@api.get("/<job_id>/events", responses=EVENTS, operation_id="follow_job")
def stream(path: JobPath) -> Response:
    """Follow a job until it has ended.

    The events `planned`, `started`, `progress`, `finished` and `closed` have ids: a client that comes back with the
    last one in `Last-Event-ID` misses nothing and sees nothing twice. A `snapshot` says how the job stands where events
    were lost. A client that has seen `closed` is answered 204, which tells a browser to stay away.
    """
    job = visible_job(path.job_id)
    after = request.headers.get("Last-Event-ID") or START
    if not re.fullmatch(EVENT_ID, after):
        raise BadInput(f"Last-Event-ID {after!r} is no id of an event", code="invalid_request")
    if has_seen_the_end(job, after):
        return Response(status=204)
    owner, most = caller().owner, settings().api_followers
    _followers.enter(owner, most=most, most_of_one=-(-most // 2))
    connection = sending.get()
    has_left = connection.has_left if connection else lambda: False
    response = Response(_written(job.id, after, has_left), mimetype="text/event-stream")
    response.call_on_close(partial(_followers.leave, owner))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    return response


def _written(job_id: str, after: str, has_left: Callable[[], bool]) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    for one in follow(job_id, after, has_left):
        yield ": still here\n\n" if isinstance(one, Heartbeat) else _frame(one)


def _frame(told: Told) -> str:
    """One event. JSON has no line breaks, so one `data` line is all."""
    number = f"id: {told.id}\n" if told.id else ""
    return f"{number}event: {told.type}\ndata: {told.data}\n\n"
