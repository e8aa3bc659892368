"""Accepting a video: refuse early, store, note in the ledger, then queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.ledger import Job, new_id
from shared.media import probe
from shared.schema import MediaInfo, OptionValue
from shared.settings import settings
from shared.text import one_line
from tasks.node import ledger, storage
from tasks.workflow import submit

BASE_SECONDS = 600.0
SECONDS_PER_SECOND = 20.0
DEFAULT_PRIORITY = 5


def accept(
    video: Path,
    *,
    analyzers: Sequence[str] = (),
    options: Mapping[str, Mapping[str, OptionValue]] | None = None,
    priority: int = DEFAULT_PRIORITY,
    deadline_seconds: float | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """Store a video and queue its analysis; no names means every analyzer.

    Raises:
        BadInput: it is not a video that can be read.
        Infrastructure: the disk, ledger or broker is not there.
    """
    media = probe(video)
    sha256 = storage().add_video(video)
    now = time.time()
    job = Job(
        id=new_id(),
        state="queued",
        deployment=settings().deployment,
        profile=settings().profile,
        video_sha256=sha256,
        source_name=one_line(video.name),
        media=media.model_copy(update={"sha256": sha256}).model_dump(mode="json"),
        requested=list(analyzers),
        options={name: dict(values) for name, values in (options or {}).items()},
        priority=priority,
        submitted_at=now,
        deadline_at=now + (deadline_seconds or settings().deadline_seconds or default_deadline(media)),
    )
    stored = ledger().create(job, idempotency_key=idempotency_key)
    if stored.id == job.id:
        submit(stored)
    return stored


def default_deadline(media: MediaInfo) -> float:
    """Seconds that a job gets when nobody says."""
    return BASE_SECONDS + SECONDS_PER_SECOND * media.duration_seconds
