"""Deleting a job and all that was kept only for it."""

from __future__ import annotations

from shared.errors import BadInput
from shared.listing import is_needed, needed_fingerprints
from shared.storage import cache_key, job_key
from shared.tables import Job
from tasks.node import events, frame_store, ledger, storage


def remove(job: Job) -> None:
    """Delete an ended job: ledger first, so that nobody finds what is being removed.

    The video, its frames and its cached outcomes go with its last job. A worker elsewhere evicts its own frames.

    Raises:
        BadInput: the job has not ended (`job_open`).
        Infrastructure: the disk cannot be written; the job is gone from the ledger, the rest may be left.
    """
    marks = [run.fingerprint for run in ledger().runs(job.id).values() if run.fingerprint is not None]
    if not ledger().delete(job.id):
        raise BadInput(f"job {job.id} has not ended; cancel it first", code="job_open")
    storage().remove(job_key(job.id))
    for mark in set(marks) - needed_fingerprints(ledger(), marks):
        storage().remove(cache_key(mark))
    with storage().videos_held(exclusive=True):
        if not is_needed(ledger(), job.video_sha256):
            storage().remove_video(job.video_sha256)
            frame_store().forget(job.video_sha256)
    events().forget(job.id)
