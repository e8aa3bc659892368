"""Tests of the sweep over a real ledger, storage and frame store: what nobody needs goes, all else stays."""

import os
import time
from pathlib import Path

import pytest

import tasks.sweep
from shared.eviction import USE_LOCK
from shared.locks import FileLock
from shared.storage import document_key, job_key, outcome_key, video_key
from shared.tables import Job, new_id
from tasks.node import frame_store, ledger, storage
from tasks.sweep import sweep
from tests.support.node import node

LONG_AGO = time.time() - 100 * 86_400


@pytest.fixture(autouse=True)
def here(tmp_path):
    with node(tmp_path / "data", keep_days=30, deployment="test") as settings:
        yield settings


def a_job(sha256, *, finished_at=None, state="completed", deployment="test"):
    job = Job(
        id=new_id(),
        state=state,
        deployment=deployment,
        profile="local",
        video_sha256=sha256,
        media={},
        requested=[],
        options={},
        priority=5,
        submitted_at=LONG_AGO,
        deadline_at=time.time() + 60,
    )
    job.finished_at = finished_at
    return ledger().create(job).id


def old(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def stored(sha256):
    old(storage().path(video_key(sha256)))
    return sha256


def test_old_jobs_go_with_all_that_only_they_need():
    """An ended job past its time goes with document and video, that of a run of `analyze` (its own deployment) too;
    open and young ones stay, whosever they are.
    """
    only, shared_one = stored("a" * 64), stored("b" * 64)
    gone = a_job(only, finished_at=LONG_AGO)
    also_gone = [a_job(shared_one, finished_at=LONG_AGO, deployment=one) for one in ("test", "another")]
    kept = [
        a_job(shared_one, finished_at=time.time()),
        a_job(shared_one, state="running"),
        a_job(shared_one, finished_at=time.time(), deployment="another"),
        a_job(shared_one, state="running", deployment="another"),
    ]
    for job in (gone, *kept):
        storage().write(document_key(job), b"{}")
    sweep()
    sweep()
    assert {job.id for job in ledger().open_jobs()} == {kept[1], kept[3]}
    assert [ledger().job(job).id for job in kept] == kept
    for job in (gone, *also_gone):
        with pytest.raises(Exception, match="there is no job"):
            ledger().job(job)
    assert not storage().exists(document_key(gone))
    assert all(storage().exists(document_key(job)) for job in kept)
    assert [storage().exists(video_key(one)) for one in (only, shared_one)] == [False, True]


def test_a_job_that_cannot_be_removed_keeps_no_other(tmp_path):
    """A job whose folder leads elsewhere stays, and is tried again at each sweep; younger ones go all the same."""
    bad, good = (a_job(stored(letter * 64), finished_at=LONG_AGO + number) for number, letter in enumerate("ab"))
    (tmp_path / "elsewhere").mkdir()
    folder = storage().folder / job_key(bad)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        sweep()
        assert ledger().job(bad).id == bad
        with pytest.raises(Exception, match="there is no job"):
            ledger().job(good)
    folder.unlink()
    sweep()
    with pytest.raises(Exception, match="there is no job"):
        ledger().job(bad)


def test_nothing_expires_unless_it_is_asked_for(tmp_path):
    """Without a retention jobs are kept for ever."""
    with node(tmp_path / "for-ever", deployment="test", keep_days=None):
        job = a_job(stored("a" * 64), finished_at=LONG_AGO)
        sweep()
        assert ledger().job(job).id == job


def test_what_killed_processes_left_goes():
    """Abandoned uploads, halves of writes, staged outcomes and a video without a job go; young ones stay."""
    incoming = storage().incoming()
    left = [
        old(incoming / "form-x.part"),
        old(storage().folder / "videos/aa/.x.part"),
        old(storage().path(outcome_key("j", "a") + "." + "0" * 32)),
        old(storage().path(video_key("c" * 64))),
    ]
    folder = incoming / ("upload-" + "0" * 32)
    old(folder / "data")
    os.utime(folder, (LONG_AGO, LONG_AGO))
    young = [incoming / "form-y.part", storage().path(video_key("d" * 64)), storage().path("jobs/j/.y.part")]
    for path in young:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    document = old(storage().path(document_key("j")))
    sweep()
    assert not any(path.exists() for path in (*left, folder))
    assert all(path.exists() for path in (*young, document))


def test_a_path_that_cannot_be_removed_is_passed_over(tmp_path):
    """A link among the videos that leads out of the storage stays, with what it leads to; all else is swept."""
    outside = old(tmp_path / "outside")
    link = storage().path(video_key("a" * 64))
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    left = [old(storage().path(video_key(one * 64))) for one in "bc"] + [old(storage().folder / "videos/ab/.x.part")]
    frames = frame_store().folder / ("d" * 64)
    frames.mkdir(parents=True)
    sweep()
    assert not any(path.exists() for path in (*left, frames))
    assert link.is_symlink()
    assert outside.exists()


def test_a_folder_whose_job_is_deleted_goes():
    """What a task made anew of a deleted job's folder goes once it is old; a young one and those of jobs stay."""
    job = a_job(stored("a" * 64), finished_at=time.time())
    deleted, young = new_id(), new_id()
    folders = {name: storage().folder / "jobs" / name for name in (job, deleted, young)}
    for name, folder in folders.items():
        (folder / "outcomes").mkdir(parents=True)
        for path in (folder / "outcomes", folder) if name != young else ():
            os.utime(path, (LONG_AGO, LONG_AGO))
    sweep()
    assert {name for name, folder in folders.items() if folder.exists()} == {job, young}


def test_a_storage_that_is_away_costs_the_other_parts_nothing(monkeypatch):
    """Where the storage cannot be used, each part that needs it is told of in one line, and all else is swept."""
    told = []
    monkeypatch.setattr(tasks.sweep.log, "warning", lambda event, **given: told.append((event, given.get("part"))))
    unknown = frame_store().folder / ("b" * 64)
    unknown.mkdir(parents=True)
    storage().folder.mkdir(exist_ok=True)
    (storage().folder / "incoming").write_bytes(b"no folder")
    kept = stored("c" * 64)
    sweep()
    assert not unknown.exists()
    assert {("not_swept", "uploads"), ("not_removed", None)} <= {*told}
    assert storage().exists(video_key(kept))  # the lock that its removal needs is in that folder


def test_frames_that_nobody_needs_go():
    """Frames of a video without a job go, unless somebody reads them; those of a job stay."""
    needed, unknown, read = stored("a" * 64), "b" * 64, "c" * 64
    a_job(needed, finished_at=time.time())
    for sha256 in (needed, unknown, read):
        (frame_store().folder / sha256).mkdir(parents=True)
    (frame_store().folder / ".trash-1").mkdir()
    lock = FileLock(frame_store().folder / read / USE_LOCK, shared=True)
    assert lock.take()
    with lock:
        sweep()
    assert sorted(path.name for path in frame_store().folder.iterdir()) == sorted([needed, read])
