"""What was found: the document, one analyzer's outcome, a moment, the exports."""

from __future__ import annotations

from typing import Annotated, Self, cast

from flask import Response, request
from pydantic import BeforeValidator, Field, model_validator

from services.api.access import visible_job
from services.api.documentation import DOCUMENT, OUTCOME, TAG_RESULTS, blueprint
from services.api.jobs import JobPath
from services.api.moments import KINDS, Excerpt, Kind, excerpt
from services.api.stored import stored_result
from shared.errors import BadInput
from shared.schema import Frozen, Outcome
from shared.storage import document_key, outcome_key
from shared.tables import OPEN_STATES, Job
from tasks.node import ledger
from tasks.registry import asked_for

api = blueprint("results", __name__, TAG_RESULTS, url_prefix="/v1/jobs")

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


def _split(given: object) -> object:
    """Names between commas, given once or several times, as single names."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)):
        return texts
    return tuple(name.strip() for text in texts for name in str(text).split(","))


class AnalyzerPath(JobPath):
    """Which analyzer of which job."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$", description="name of an analyzer")


class AtQuery(Frozen):
    """A moment `t`, or a span `from` and `to`. All in seconds. A span goes to the video's end at most."""

    t: Seconds | None = None
    start: Seconds | None = Field(None, alias="from")
    end: Seconds | None = Field(None, alias="to")
    kinds: Annotated[tuple[Kind, ...], BeforeValidator(_split)] = Field(
        KINDS, description="given several times, or between commas"
    )
    within: Annotated[float, Field(ge=0, le=60)] = Field(0.5, description="how far an event may be off the moment t")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        is_span = self.start is not None and self.end is not None
        if (self.t is None) == (self.start is None and self.end is None) or (self.t is None and not is_span):
            raise ValueError("give t, or both from and to")
        if is_span and cast("float", self.start) >= cast("float", self.end):
            raise ValueError("from must be before to")
        return self


@api.get("/<job_id>/result", responses=DOCUMENT, operation_id="show_result")
def result(path: JobPath) -> Response:
    """The document of a job that has ended."""
    job = visible_job(path.job_id)
    if job.state in OPEN_STATES:
        raise BadInput(f"job {job.id} has not ended; its analyzers' outcomes are there one by one", code="job_open")
    response = _stored(document_key(job.id), job)
    response.set_etag(f"{job.id}-{job.finished_at}")
    response.headers["Cache-Control"] = "private, no-cache"
    return cast("Response", response.make_conditional(request))


@api.get("/<job_id>/analyzers/<name>", responses=OUTCOME, operation_id="show_outcome")
def outcome(path: AnalyzerPath) -> Response:
    """What one analyzer of a job found, as soon as it has ended."""
    job = visible_job(path.job_id)
    run = ledger().runs(job.id).get(path.name)
    if run is None and job.state == "queued" and path.name in {one.name for one in asked_for(job.requested)}:
        raise BadInput(f"{path.name} has not begun: job {job.id} is not planned yet", code="analyzer_open")
    if run is None:
        raise BadInput(f"job {job.id} has no analyzer {path.name}", code="unknown_outcome")
    if run.status is None:
        raise BadInput(f"{path.name} has not ended", code="analyzer_open")
    if not run.has_result:
        return Response(Outcome(report=run.outcome).model_dump_json(), mimetype="application/json")
    return _stored(outcome_key(job.id, path.name), job)


@api.get("/<job_id>/at", responses={200: Excerpt}, operation_id="show_moment")
def at(path: JobPath, query: AtQuery) -> Response:
    """What every analyzer says about a moment or a span, from those that have ended so far."""
    job = visible_job(path.job_id)
    duration = float(job.media["duration_seconds"])
    start, end = (query.t, query.t) if query.t is not None else (query.start or 0.0, query.end or 0.0)
    if start > duration or (query.t is None and start == duration):
        raise BadInput(f"{start} s is beyond the video's end at {duration} s", code="beyond_end")
    found = excerpt(job, start, min(end, duration), within=query.within, kinds=query.kinds)
    return Response(found.model_dump_json(), mimetype="application/json")


def _stored(key: str, job: Job) -> Response:
    return Response(stored_result(key, job), mimetype="application/json")
