"""What the API answers, as types: the server makes them, clients read them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.schema import ErrorInfo, Frozen, JobState, MediaInfo, Status

PROBLEM_TYPE = "application/problem+json"

Reason = Literal["events_lost", "broker_unreachable", "ended"]


class AnalyzerState(Frozen):
    """How far one analyzer is in a job. `status` is the outcome's once there is one."""

    name: str
    status: Literal["queued", "running"] | Status
    attempts: int = 0
    cache_hit: bool = False
    seconds: float | None = Field(None, description="from its start to its end")
    error: ErrorInfo | None = None


class JobSummary(Frozen):
    """One line of the list of jobs. Times are RFC 3339 in UTC."""

    id: str
    state: JobState
    source_name: str | None
    duration_seconds: float
    has_video: bool = Field(description="false for sound alone, which has no frames")
    profile: str
    priority: int = Field(description="0 is first, 9 is last")
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str
    cancel_requested: bool
    rerun_of: str | None = Field(description="the job whose analyzers this one runs again")


class JobView(JobSummary):
    """A job: how far it is and, of each analyzer, how it fares."""

    media: MediaInfo
    progress: float = Field(ge=0, le=1, description="share of the expected work that has ended, not cancelled")
    queue_position: int | None = Field(description="1 is next; null once one of its analyzers has begun")
    eta_seconds: float | None = Field(description="from receipts of earlier jobs; null when they do not say")
    analyzers: tuple[AnalyzerState, ...]


class JobPage(Frozen):
    """Jobs, newest first. `next` is the cursor of the page after, null on the last."""

    jobs: tuple[JobSummary, ...]
    next: str | None


class Snapshot(Frozen):
    """How the job stands by the ledger: sent where events were lost. Replace what you know of the job by it."""

    source: Literal["ledger"] = "ledger"
    reason: Reason
    job: JobView


class Invalid(Frozen):
    """One field of a request that is not as it must be."""

    field: str
    message: str


class Problem(Frozen):
    """What went wrong, as RFC 9457 has it. `code` is stable; `detail` is one sentence for a person."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    instance: str = Field(description="path of the request")
    request_id: str
    retryable: bool = False
    errors: tuple[Invalid, ...] = ()
