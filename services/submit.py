"""Accepting a video: refuse early, store, note in the ledger, then queue. The one way in, whoever brings the video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.clock import boot_id, ticks
from shared.errors import BadInput, Infrastructure
from shared.isolated import probe
from shared.log import logger
from shared.schema import MediaInfo, OptionValue
from shared.settings import settings
from shared.storage import video_key
from shared.tables import Job, new_id
from shared.text import one_line
from shared.webhooks import new_webhook
from tasks.node import ledger, storage
from tasks.workflow import submit

BASE_SECONDS = 600.0
SECONDS_PER_SECOND = 20.0
DEFAULT_PRIORITY = 5
NAME_CHARACTERS = 255
TRIES = 10
"""So often a video is stored anew that others have removed, as one without a job, before its job was noted."""

log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants to know about a video. No analyzers means every one."""

    analyzers: Sequence[str] = ()
    options: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=dict)
    priority: int = DEFAULT_PRIORITY
    deadline_seconds: float | None = None
    fresh: Sequence[str] = ()
    """Analyzers that run again, and all that depends on them, whatever earlier jobs have found."""
    rerun_of: str | None = None
    webhook_url: str | None = None
    owner: str | None = None
    open_jobs_limit: int | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None


def accept(
    video: Path,
    *,
    analyzers: Sequence[str] = (),
    options: Mapping[str, Mapping[str, OptionValue]] | None = None,
    priority: int = DEFAULT_PRIORITY,
    deadline_seconds: float | None = None,
    idempotency_key: str | None = None,
    webhook_url: str | None = None,
) -> Job:
    """Copy a video of this machine in and queue its analysis.

    Raises:
        BadInput: it is not a video that can be read.
        Infrastructure: the disk, ledger or broker is not there.
    """
    order = Order(
        analyzers=analyzers,
        options=options or {},
        priority=priority,
        deadline_seconds=deadline_seconds,
        idempotency_key=idempotency_key,
        webhook_url=webhook_url,
    )
    media = probe(video)
    for _ in range(TRIES):
        sha256 = storage().add_video(video)  # which may take minutes: nobody else is kept waiting for it
        with storage().videos_held():
            if storage().exists(video_key(sha256)):
                job, is_new = note(media.model_copy(update={"sha256": sha256}), video.name, order)
                break
    else:
        raise Infrastructure(f"{video} was removed {TRIES} times before its job was noted", code="storage_busy")
    if is_new:
        submit(job)
    return job


def accept_arrived(arrived: Path, sha256: str, name: str, order: Order) -> tuple[Job, bool]:
    """Take a video from the `incoming` folder and note a job on it, which is then to be queued if it is new.

    The file is gone afterwards unless this raises. What the caller is promised stands on the disk and in the ledger:
    the reconciler queues a job that nobody has queued.

    Raises:
        BadInput: it is not a video that can be read, or longer than allowed; the sentence calls it `name`.
        QuotaExceeded: the owner has too many open jobs.
        Infrastructure: the disk or ledger is not there.
    """
    with storage().settled(arrived):
        media = probe_arrived(arrived, sha256, name)
    with storage().videos_held():  # nobody is about to remove it; from the note on nobody will
        job, is_new = note(media, name, order)  # first: a job that the quota refuses leaves no video behind
    try:
        storage().adopt(arrived, sha256)
    except Infrastructure:
        if is_new:  # else it is the job of an earlier request, whose video is there
            ledger().finish(job.id, "failed")
        raise
    return job, is_new


def again(job: Job, order: Order) -> tuple[Job, bool]:
    """Note another job on the video of an earlier one, which is then to be queued if it is new.

    Raises:
        BadInput: the earlier job's video was removed meanwhile (`unknown_job`).
        QuotaExceeded: the owner has too many open jobs.
        Infrastructure: the disk or ledger is not there.
    """
    with storage().videos_held():
        if not storage().exists(video_key(job.video_sha256)):
            raise BadInput(f"the video of job {job.id} is gone", code="unknown_job")
        return note(job.video, job.source_name or "", order)


def probe_arrived(arrived: Path, sha256: str, name: str) -> MediaInfo:
    """The facts about a video in the `incoming` folder. Raises BadInput that calls it by the name its sender knows."""
    try:
        return probe(arrived, sha256=sha256)
    except BadInput as error:
        sentence = error.message.replace(one_line(str(arrived)), shown_name(name) or "the video")
        raise BadInput(sentence, code=error.code) from error


def shown_name(name: str) -> str:
    """A video's name on one line, no longer than a file system takes it."""
    return one_line(name)[:NAME_CHARACTERS]


def note(media: MediaInfo, name: str, order: Order) -> tuple[Job, bool]:
    """Write a job into the ledger; whether it is new, or an earlier one with the same idempotency key."""
    now = time.time()
    job = Job(
        id=new_id(),
        state="queued",
        deployment=settings().deployment,
        profile=settings().profile,
        video_sha256=media.sha256,
        source_name=shown_name(name) or None,
        media=media.model_dump(mode="json"),
        requested=list(order.analyzers),
        options={analyzer: dict(values) for analyzer, values in order.options.items()},
        fresh=list(order.fresh),
        rerun_of=order.rerun_of,
        priority=order.priority,
        submitted_at=now,
        deadline_at=now + (order.deadline_seconds or settings().deadline_seconds or default_deadline(media)),
        owner=order.owner,
        boot=boot_id(),
        submitted_ticks=ticks(),
    )
    stored = ledger().create(
        job,
        idempotency_key=order.idempotency_key,
        request_digest=order.request_digest,
        open_jobs_limit=order.open_jobs_limit,
        also=[new_webhook(job.id, order.webhook_url)] if order.webhook_url else (),
    )
    return stored, stored.id == job.id


def queue(job: Job) -> None:
    """Hand a noted job to the workers; without a broker it waits in the ledger for the reconciler."""
    try:
        submit(job)
    except Infrastructure as error:
        log.warning("job_waits_for_broker", job=job.id, error=error.message)


def default_deadline(media: MediaInfo) -> float:
    """Seconds that a job gets when nobody says."""
    return BASE_SECONDS + SECONDS_PER_SECOND * media.duration_seconds
