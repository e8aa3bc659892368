"""The ledger's tables. Times (`_at`) are seconds since the epoch: they cross processes.

Ticks are seconds of one kernel's clock (shared/clock.py): only processes of the `boot` beside them may compare them.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.clock import seconds_since
from shared.schema import AnalyzerReport, JobState, MediaInfo, Status

OPEN_STATES: tuple[JobState, ...] = ("queued", "running")

WITH_RESULT: tuple[Status, ...] = ("ok", "partial")
"""How a run may end that has tracks."""


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {dict[str, Any]: sa.JSON, list[str]: sa.JSON}  # noqa: RUF012  (SQLAlchemy's own pattern)


class Job(Base):
    """One analysis of one video."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(index=True)
    level: Mapped[int] = mapped_column(default=-1)
    deployment: Mapped[str]
    profile: Mapped[str]
    video_sha256: Mapped[str] = mapped_column(index=True)
    source_name: Mapped[str | None]
    media: Mapped[dict[str, Any]]
    requested: Mapped[list[str]]
    options: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any] | None]
    priority: Mapped[int]
    submitted_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float] = mapped_column(index=True)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    fresh: Mapped[list[str] | None]
    """Analyzers that run again whatever is in the cache, and with them what depends on them."""
    rerun_of: Mapped[str | None]
    owner: Mapped[str | None] = mapped_column(index=True)
    """Id of the API key that submitted it; None where no key was needed."""
    boot: Mapped[str | None]
    submitted_ticks: Mapped[float | None]
    """When it was submitted, and on which run of a kernel, by a clock that nobody sets (shared/clock.py)."""

    @property
    def video(self) -> MediaInfo:
        """What was probed; what a newer version adds is passed over: while pods are replaced, both run."""
        return MediaInfo.model_validate(self.media, extra="ignore")

    @property
    def age_seconds(self) -> float:
        """Since it was submitted."""
        return seconds_since(self.boot, self.submitted_ticks, self.submitted_at)

    @property
    def remaining_seconds(self) -> float:
        """Until its deadline; below 0 after it."""
        return self.deadline_at - self.submitted_at - self.age_seconds


class Run(Base):
    """One analyzer's run in a job and, once `status` is set, the outcome it ended in."""

    __tablename__ = "outcomes"

    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    analyzer: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int]
    status: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """Starts of its work, whatever became of them."""
    holder: Mapped[str | None]
    """Name of the worker that works on it now."""
    beat: Mapped[int] = mapped_column(default=0, server_default="0")
    """Changes every few seconds while its holder lives; nobody's clock is compared with another's."""
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    """Processes that ended in the middle of it."""
    died_of: Mapped[str | None]
    """What ended the last of them: a signal's name or an exit code."""
    decode_passes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counted when they begin, so that those of killed attempts are in it."""
    queued_at: Mapped[float | None]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    limit_at: Mapped[float | None]
    fingerprint: Mapped[str | None] = mapped_column(index=True)
    report: Mapped[dict[str, Any] | None]

    @property
    def has_result(self) -> bool:
        """Whether it has ended with tracks."""
        return self.status in WITH_RESULT

    @property
    def outcome(self) -> AnalyzerReport:
        """The report of a finished run."""
        return AnalyzerReport.model_validate(self.report, extra="ignore")


class DeletedRuns(Base):
    """Ended runs of one kind whose jobs were deleted: what is counted by runs never falls."""

    __tablename__ = "deleted_runs"

    analyzer: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    cached: Mapped[bool] = mapped_column(primary_key=True)
    """Whether the cache answered."""
    runs: Mapped[int]
    seconds: Mapped[float]
    """From start to end, summed."""


class IdempotencyKey(Base):
    """A caller's own name for a job, so that a repeated request finds the first one. Every owner has its own names."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    """The owner of its job; "" for none, since no part of a primary key is null."""
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"))
    request_digest: Mapped[str | None]
    """What was asked for, as the caller digests it; None when it does not."""
    created_at: Mapped[float]


class Installation(Base):
    """Which ledger this is: one row, made with the table."""

    __tablename__ = "installation"

    id: Mapped[str] = mapped_column(primary_key=True)


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random; sorts by time."""
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
