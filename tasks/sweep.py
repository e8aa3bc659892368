"""Taking away what nobody needs any more: old jobs, uploads that nobody went on with, what killed processes have left.

Beat sends `sweep` to the control queue every few minutes; running it twice at once does no harm. What it removes is
decided by the ledger, by locks and by age, never by what a broker holds.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from shared.errors import Infrastructure
from shared.listing import is_needed, unneeded, without_job
from shared.log import logger
from shared.settings import settings
from shared.storage import idle_seconds, job_key
from tasks.celery import app
from tasks.node import frame_store, ledger, storage
from tasks.retention import AT_ONCE, KEPT, expire

LEFT_SECONDS = 3600.0
"""A write or an upload of this machine takes less; what is older was left by a process that was killed."""

LEFTOVER = re.compile(r"\..*\.part|.*\.json\.[0-9a-f]{32}")

FoundT = TypeVar("FoundT", Path, str)

log = logger(__name__)


@app.task(name="sweep", ignore_result=True, send_events=False)
def sweep() -> None:
    """Apply the retention, then clean uploads, storage and frame store."""
    parts = {
        "jobs": _expire,
        "uploads": lambda: _remove_all(_orphaned_uploads(), _remove),
        "leftovers": lambda: _remove_all(_leftovers(), _remove),
        "folders": _orphaned_jobs,
        "videos": _orphaned_videos,
        "frames": lambda: frame_store().sweep(lambda sha256: is_needed(ledger(), sha256)),
    }
    log.info("swept", **{name: _removed(name, part) for name, part in parts.items()})


def _removed(name: str, part: Callable[[], int]) -> int:
    """How much a part of the sweep removed; what it cannot judge, or reach now, costs the other parts nothing."""
    try:
        return part()
    except Infrastructure as error:
        log.warning("not_swept", part=name, code=error.code, error=error.message)
        return 0
    except (OSError, ValueError):
        log.exception("not_swept", part=name)
        return 0


def _expire() -> int:
    """Delete jobs that ended longer ago than they are kept; the control queue waits meanwhile, so a part at a time."""
    days, removed = settings().keep_days, 0
    if days is None:
        return removed
    try:
        for _ in islice(expire(days), AT_ONCE):
            removed += 1
    except Infrastructure as error:  # what can be cleaned is cleaned all the same; the rest the next time
        log.warning("jobs_not_removed", error=error.message)
    return removed


def _orphaned_uploads() -> Iterator[Path]:
    patience = settings().upload_hours * 3600
    for path in storage().incoming().iterdir():
        is_upload = path.name.startswith("upload-") or path.suffix == ".part"
        if is_upload and idle_seconds(path) > patience:
            yield path


def _leftovers() -> Iterator[Path]:
    for path in storage().folder.rglob("*"):
        is_ours = LEFTOVER.fullmatch(path.name) and storage().incoming() not in path.parents
        if is_ours and path.is_file() and idle_seconds(path) > LEFT_SECONDS:
            yield path


def _orphaned_jobs() -> int:
    """Remove what lies there for no job: a task that ran while its job was deleted has made it anew."""
    gone = without_job(ledger(), tuple(storage().job_ids()))
    old = (job_id for job_id in sorted(gone) if storage().is_old_job(job_id, LEFT_SECONDS))
    return _remove_all(old, lambda job_id: storage().remove(job_key(job_id)))


def _orphaned_videos() -> int:
    """Remove videos that no job is on: somebody was killed between storing one and noting its job."""
    old = tuple(dict.fromkeys(storage().old_videos(LEFT_SECONDS)))
    return _remove_all(sorted(unneeded(ledger(), old)), _remove_unneeded)


def _remove_unneeded(sha256: str) -> None:
    with storage().videos_held(exclusive=True) as still_held:
        if not is_needed(ledger(), sha256):  # still: one may have been noted since
            still_held()
            storage().remove_video(sha256)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_all(found: Iterable[FoundT], remove: Callable[[FoundT], None]) -> int:
    """How many were removed. What cannot be is passed over, AT_ONCE of them: a link that leads elsewhere, a file of
    somebody else's, an object that is locked.
    """
    removed = refused = 0
    for one in list(found):
        try:
            remove(one)
            removed += 1
        except (OSError, ValueError) as error:
            log.warning("not_removed", what=str(one), error=str(error))
        except Infrastructure as error:
            refused += 1
            if error.code not in KEPT or refused == AT_ONCE:  # what does not answer would be waited for at each
                raise
            log.warning("not_removed", what=str(one), error=error.message)
    return removed
