"""Taking away what nobody needs any more: old jobs, uploads that nobody went on with, what killed processes have left.

Beat sends `sweep` to the control queue every few minutes; running it twice at once does no harm. What it removes is
decided by the ledger, by locks and by age, never by what a broker holds.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from shared.errors import Infrastructure
from shared.listing import is_needed, without_job
from shared.log import logger
from shared.settings import settings
from shared.storage import JOBS, VIDEOS
from tasks.celery import app
from tasks.node import frame_store, ledger, storage
from tasks.retention import AT_ONCE, expire

LEFT_SECONDS = 3600.0
"""A write or an upload of this machine takes less; what is older was left by a process that was killed."""

LEFTOVER = re.compile(r"\..*\.part|.*\.json\.[0-9a-f]{32}")

log = logger(__name__)


@app.task(name="sweep", ignore_result=True, send_events=False)
def sweep() -> None:
    """Apply the retention, then clean uploads, storage and frame store."""
    old = _expire()
    uploads = _remove_all(_orphaned_uploads())
    leftovers = _remove_all(_leftovers()) + _remove_all(_orphaned_jobs())
    videos = _orphaned_videos()
    frames = frame_store().sweep(lambda sha256: is_needed(ledger(), sha256))
    log.info("swept", jobs=old, uploads=uploads, leftovers=leftovers, videos=videos, frames=frames)


def _expire() -> int:
    """Delete jobs that ended longer ago than they are kept; the control queue waits meanwhile, so a part at a time."""
    here, removed = settings(), 0
    if here.keep_days is None:
        return removed
    try:
        for _ in islice(expire(here.keep_days, deployment=here.deployment), AT_ONCE):
            removed += 1
    except Infrastructure as error:  # what can be cleaned is cleaned all the same; the rest the next time
        log.warning("jobs_not_removed", error=error.message)
    return removed


def _orphaned_uploads() -> Iterator[Path]:
    patience = settings().upload_hours * 3600
    for path in storage().incoming().iterdir():
        is_upload = path.name.startswith("upload-") or path.suffix == ".part"
        if is_upload and _age(path) > patience:
            yield path


def _leftovers() -> Iterator[Path]:
    for path in storage().folder.rglob("*"):
        is_ours = LEFTOVER.fullmatch(path.name) and storage().incoming() not in path.parents
        if is_ours and path.is_file() and _age(path) > LEFT_SECONDS:
            yield path


def _orphaned_jobs() -> Iterator[Path]:
    """Folders without a job: a task that ran while its job was deleted has made one anew."""
    young_no_more = {path.name: path for path in (storage().folder / JOBS).glob("*") if _age(path) > LEFT_SECONDS}
    for job_id in without_job(ledger(), tuple(young_no_more)):
        yield young_no_more[job_id]


def _orphaned_videos() -> int:
    """Remove videos that no job is on: somebody was killed between storing one and noting its job."""
    removed = 0
    with storage().videos_held(exclusive=True):
        for path in (storage().folder / VIDEOS).glob("??/*"):
            if not path.name.startswith(".") and _age(path) > LEFT_SECONDS and not is_needed(ledger(), path.name):
                storage().remove_video(path.name)
                removed += 1
    return removed


def _age(path: Path) -> float:
    """Seconds since anything in it was last written; 0 when it is gone."""
    with suppress(FileNotFoundError):
        parts = [path, *path.iterdir()] if path.is_dir() else [path]
        return time.time() - max(part.stat().st_mtime for part in parts)
    return 0.0


def _remove_all(paths: Iterator[Path]) -> int:
    removed = 0
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed += 1
    return removed
