"""Deleting a job and all that was kept only for it."""

from __future__ import annotations

from shared.errors import BadInput
from shared.listing import is_needed, needed_fingerprints
from shared.storage import cache_key, job_key
from shared.tables import OPEN_STATES, Job
from tasks.node import events, frame_store, ledger, storage


def remove(job: Job) -> None:
    """Delete an ended job, and before it what was kept for it: what fails on the way is done by removing it again.

    The video, its frames and its cached outcomes go with its last job. A worker elsewhere evicts its own frames.

    Raises:
        BadInput: the job has not ended (`job_open`), or is gone (`unknown_job`).
        Infrastructure: the ledger or the storage does not answer, or others hold videos for too long
            (`storage_busy`); the job is still in the ledger, some of its results may be gone.
    """
    if ledger().job(job.id).state in OPEN_STATES:  # an ended one stays so
        raise BadInput(f"job {job.id} has not ended; cancel it first", code="job_open")
    marks = [run.fingerprint for run in ledger().runs(job.id).values() if run.fingerprint is not None]
    storage().remove(job_key(job.id))
    for mark in set(marks) - needed_fingerprints(ledger(), marks, but=job.id):
        storage().remove(cache_key(mark))
    with storage().videos_held(exclusive=True) as still_held:
        is_last = not is_needed(ledger(), job.video_sha256, but=job.id)
        if is_last:
            still_held()
            storage().remove_video(job.video_sha256)
        ledger().delete(job.id)  # while the lock is held: of two jobs on a video, removed at once, one is the last
    if is_last:
        frame_store().forget(job.video_sha256)
    events().forget(job.id)
