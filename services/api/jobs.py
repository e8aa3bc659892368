"""Jobs: hand in, list, look, cancel, run again, delete."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

import structlog
from flask import Response, request, url_for
from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from services.api.access import caller, visible_job
from services.api.answers import JobPage, JobView
from services.api.arriving import arrived_video, parse_form
from services.api.documentation import ACCEPTED, TAG_JOBS, blueprint
from services.api.fetching import fetched
from services.api.problems import checked
from services.api.uploads import finished_upload
from services.api.views import summary, view
from services.submit import DEFAULT_PRIORITY, Order, accept_arrived, again, queue
from shared import traces
from shared.errors import BadInput
from shared.guard import Guard, networks
from shared.listing import page
from shared.log import logger
from shared.outgoing import web_url
from shared.schema import Frozen, JobState
from shared.settings import settings
from shared.tables import OPEN_STATES, Job
from tasks.aggregate import aggregate
from tasks.node import ledger
from tasks.registry import parse_options, select
from tasks.removal import remove

ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
KEY_CHARACTERS = 255

log = logger(__name__)

api = blueprint("jobs", __name__, TAG_JOBS, url_prefix="/v1/jobs")


class JobPath(Frozen):
    """Which job."""

    job_id: str = Field(pattern=ID, description="id of a job")


Names = Annotated[tuple[str, ...], AfterValidator(lambda names: tuple(dict.fromkeys(names)))]
"""Each once: with the unknown ones refused, there are no more than analyzers."""


class Wishes(Frozen):
    """What is wanted of a video."""

    analyzers: Names = Field((), description="run these and what they require; none means all")
    options: dict[str, dict[str, JsonValue]] = Field(default_factory=dict, description="options by analyzer")
    priority: int = Field(DEFAULT_PRIORITY, ge=0, le=9, description="0 is first, 9 is last")
    deadline_seconds: float | None = Field(
        None, ge=1, le=604_800, description="close the job by then with what there is"
    )

    webhook_url: str | None = Field(None, max_length=8192, description="http(s) address that is told of the job's end")

    @field_validator("priority", "deadline_seconds", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("is no number")  # noqa: TRY004  (pydantic makes refusals of ValueError only)
        return value

    @field_validator("analyzers", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("options", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            parsed: object = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is no JSON: {error}") from error
        return parsed

    def order(self, *, what: str, rerun_of: Job | None = None, fresh: tuple[str, ...] = ()) -> Order:
        """An order in the caller's name. Raises BadInput for an unknown analyzer or option."""
        select(self.analyzers or None)
        if self.webhook_url is not None:
            Guard(networks(settings().reachable_networks)).check_literal(web_url(self.webhook_url).host)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= KEY_CHARACTERS:
            raise BadInput(f"an Idempotency-Key has 1 to {KEY_CHARACTERS} characters", code="bad_idempotency_key")
        return Order(
            analyzers=self.analyzers,
            options=parse_options(self.options),
            priority=self.priority,
            deadline_seconds=self.deadline_seconds,
            webhook_url=self.webhook_url,
            fresh=fresh,
            rerun_of=rerun_of.id if rerun_of else None,
            owner=caller().owner,
            open_jobs_limit=caller().open_jobs_limit,
            idempotency_key=key,
            request_digest=_digest(what, self) if key is not None else None,
        )


class NewJob(Wishes):
    """A job on a video that an address leads to, or on a finished upload."""

    url: str | None = Field(
        None, max_length=8192, description="http(s) address of a video, or of a page that shows one"
    )
    upload: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", description="id of a finished upload")

    @model_validator(mode="after")
    def _one_video(self) -> NewJob:
        if (self.url is None) == (self.upload is None):
            raise ValueError("give either url or upload")
        return self


class Rerun(Frozen):
    """Which analyzers run again. What depends on them runs again as well; all else comes from the cache."""

    analyzers: Names = Field(min_length=1)
    options: dict[str, dict[str, JsonValue]] | None = Field(None, description="null: those of the first job")

    @model_validator(mode="after")
    def _known(self) -> Rerun:
        select(self.analyzers)
        return self


class ListQuery(Frozen):
    """Which jobs."""

    state: Literal[JobState, "open", "ended"] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = Field(None, max_length=100, description="`next` of the page before")


@api.post("", responses=ACCEPTED)
def create() -> Response:
    """Hand in a video.

    As a multipart form with the file `video`, or as JSON with a `url` or a finished `upload`. The answer comes as soon
    as the video is stored and readable; the work goes on behind it. The same `Idempotency-Key` with the same request is
    the same job.
    """
    match request.mimetype:
        case "multipart/form-data":
            noted = _from_form()
        case "application/json":
            noted = _from_elsewhere(checked(NewJob, request.get_json()))
        case other:
            message = f"send multipart/form-data with a file `video`, or application/json, not {other or 'nothing'}"
            raise BadInput(message, code="unsupported_media_type")
    return accepted(*noted)


@api.get("", responses={200: JobPage})
def list_jobs(query: ListQuery) -> Response:
    """The jobs of the caller, newest first."""
    states: Mapping[str | None, tuple[str, ...]] = {
        None: (),
        "open": OPEN_STATES,
        "ended": ("completed", "completed_with_errors", "failed", "cancelled"),
    }
    chosen = states.get(query.state, (query.state,) if query.state else ())
    before = _id_of(query.cursor) if query.cursor is not None else None
    found = page(ledger(), owners=caller().owners, states=chosen, before=before, limit=query.limit + 1)
    shown = found[: query.limit]
    following = _cursor(shown[-1]) if len(found) > query.limit else None
    return _json(JobPage(jobs=tuple(map(summary, shown)), next=following))


@api.get("/<job_id>", responses={200: JobView})
def show(path: JobPath) -> Response:
    """How far a job is."""
    return _json(view(visible_job(path.job_id)))


@api.post("/<job_id>/cancel", responses={200: JobView})
def cancel(path: JobPath) -> Response:
    """Stop a job; models stay loaded. What was found so far is in its result. A job that has ended stays as it is."""
    job = visible_job(path.job_id)
    if ledger().cancel(job.id):
        try:
            aggregate(job.id)
        except Exception:  # what was asked for stands in the ledger: the reconciler closes the job
            log.exception("not_closed_yet", job=job.id)
    return _json(view(ledger().job(job.id)))


@api.post("/<job_id>/rerun", responses=ACCEPTED)
def rerun(path: JobPath, body: Rerun) -> Response:
    """Run analyzers again on a job's video, as a new job. All that does not depend on them comes from the cache."""
    first = visible_job(path.job_id)
    requested = tuple(dict.fromkeys((*first.requested, *body.analyzers))) if first.requested else ()
    options = body.options if body.options is not None else first.options
    wishes = Wishes(analyzers=requested, options=options, priority=first.priority)
    what = f"rerun:{first.id}:{','.join(sorted(body.analyzers))}"
    return accepted(*again(first, wishes.order(what=what, rerun_of=first, fresh=body.analyzers)))


@api.delete("/<job_id>", responses={204: None})
def delete(path: JobPath) -> Response:
    """Delete an ended job: its results and, unless another job needs it, its video and what was cached of it."""
    remove(visible_job(path.job_id))
    return Response(status=204)


def accepted(job: Job, is_new: bool) -> Response:  # noqa: FBT001  (as `submit.note` gives it)
    """The answer to a job that was handed in. A new one is queued once the answer is out: nobody waits for the broker.

    Should this process end in between, the reconciler queues it.
    """
    traces.current().note(job=job.id)
    structlog.contextvars.bind_contextvars(job=job.id)
    response = _json(view(job), status=202)
    response.headers["Location"] = url_for("jobs.show", job_id=job.id)
    if is_new:
        response.call_on_close(partial(_queue, job, traces.carrier()))
    return response


def _queue(job: Job, carried: Mapping[str, str]) -> None:
    with traces.continued(carried):
        queue(job)


def _from_form() -> tuple[Job, bool]:
    parse_form()
    file, name = arrived_video()
    wishes = checked(Wishes, {key: ",".join(request.form.getlist(key)) for key in request.form})
    return accept_arrived(file.path, file.sha256, name, wishes.order(what=f"video:{file.sha256}"))


def _from_elsewhere(new: NewJob) -> tuple[Job, bool]:
    order = new.order(what="elsewhere")
    if order.idempotency_key is not None:
        known = ledger().find(order.idempotency_key, owner=order.owner, request_digest=order.request_digest)
        if known is not None:
            return known, False
    brought = fetched(new.url, order.owner) if new.url is not None else finished_upload(str(new.upload))
    with brought as (path, sha256, name):
        return accept_arrived(path, sha256, name, order)


def _digest(what: str, wishes: Wishes) -> str:
    asked = {"what": what, **wishes.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _cursor(job: Job) -> str:
    return base64.urlsafe_b64encode(job.id.encode()).decode().rstrip("=")


def _id_of(cursor: str) -> str:
    try:
        named = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        named = ""
    if not re.fullmatch(ID, named):
        raise BadInput("the cursor is not one that a page gave as `next`", code="bad_cursor")
    return named


def _json(model: Frozen, *, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status=status, mimetype="application/json")
