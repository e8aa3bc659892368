"""Tests of removing videos from a bucket: on real S3 servers, with a ledger on a real PostgreSQL."""

import json
import shutil
import threading
from contextlib import contextmanager
from itertools import count

import pytest
from s3fs import S3FileSystem

import tasks.sweep
from services.submit import Order, accept, accept_arrived, note
from shared import advisory, bucket_pages
from shared.bucket_owner import LEDGER_KEY
from shared.digests import sha256_of
from shared.errors import BadInput, Infrastructure
from shared.isolated import probe
from shared.objects import ObjectStorage
from shared.storage import document_key, video_key
from shared.tables import new_id
from tasks import node as opened
from tasks import removal
from tasks.node import ledger, storage
from tasks.removal import remove
from tasks.retention import expire
from tasks.sweep import sweep
from tests.support.moving import texture, write_video
from tests.support.node import node
from tests.support.postgres import postgres
from tests.support.s3 import BUCKET, READER, s3_server, seaweedfs

SEEDS = count(500)


@pytest.fixture(scope="module")
def database():
    with postgres() as url:
        yield url


@pytest.fixture(scope="module", params=[s3_server, seaweedfs])
def server(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(server, database, tmp_path):
    """A prefix of the test's own; what is in it."""
    prefix = new_id()
    url = f"s3://{BUCKET}/{prefix}"
    with node(tmp_path / "data", storage_url=url, storage_endpoint=server.endpoint, ledger_url=database):

        def names():
            listed = server.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
            return {one["Key"].removeprefix(f"{prefix}/") for one in listed} - {LEDGER_KEY}

        yield names


@pytest.fixture
def video(tmp_path):
    """One of the test's own: the ledger is the module's."""
    return write_video(tmp_path / "clip.mp4", [texture(next(SEEDS), 120, 160)] * 10)


def an_ended_job(video):
    """One with a video and a document in the storage."""
    sha256 = storage().add_video(video)
    job, _ = note(probe(video).model_copy(update={"sha256": sha256}), video.name, Order())
    ledger().finish(job.id, "failed")
    storage().write(document_key(job.id), b"{}")
    return ledger().job(job.id)


def test_an_upload_under_way_keeps_nobody_waiting(bucket, video, tmp_path, monkeypatch):
    """While one video is on its long way to the bucket, a job on another one is removed with all that it had."""
    job = an_ended_job(video)
    begun, go_on, send, noted = threading.Event(), threading.Event(), ObjectStorage._upload, []

    def slowly(self, file, sha256):
        begun.set()
        assert go_on.wait(120)
        send(self, file, sha256)

    monkeypatch.setattr(ObjectStorage, "_upload", slowly)
    monkeypatch.setattr(opened, "LOCK_SECONDS", 0.5)
    other = write_video(tmp_path / "other.mp4", [texture(next(SEEDS), 120, 160)] * 10)
    arrived = storage().incoming() / "other.part"
    shutil.copy(other, arrived)
    sha256 = sha256_of(arrived)
    upload = threading.Thread(target=lambda: noted.append(accept_arrived(arrived, sha256, "other.mp4", Order())))
    upload.start()
    assert begun.wait(120)
    remove(job)
    assert bucket() == set()
    go_on.set()
    upload.join(120)
    assert noted[0][1]
    assert bucket() == {video_key(sha256)}


def test_a_removal_that_failed_is_done_again(bucket, video, monkeypatch):
    """Where others hold the videos for too long, a removal is refused, and the job is there to be removed again: then
    nothing of it is left, and a third time there is no such job.
    """
    job = an_ended_job(video)
    monkeypatch.setattr(opened, "LOCK_SECONDS", 0.2)
    with storage().videos_held(), pytest.raises(Infrastructure) as caught:
        remove(job)
    assert caught.value.code == "storage_busy"
    assert video_key(job.video_sha256) in bucket()
    remove(ledger().job(job.id))
    assert bucket() == set()
    with pytest.raises(BadInput, match="there is no job"):
        remove(job)


@pytest.fixture
def refusing(server, monkeypatch):
    """A time in which the server refuses to delete some objects, or all, and says so object by object, in a 200."""

    @contextmanager
    def some(part=""):
        with monkeypatch.context() as patched:
            if server.program == "weed":
                patched.setenv("AWS_ACCESS_KEY_ID", READER)
            else:
                denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}
                policy = {"Statement": [{**denied, "Resource": f"arn:aws:s3:::{BUCKET}/*{part}*"}]}
                server.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
            S3FileSystem.clear_instance_cache()
            try:
                yield
            finally:
                if server.program == "moto":
                    server.client.delete_bucket_policy(Bucket=BUCKET)
        S3FileSystem.clear_instance_cache()

    return some


def test_what_the_bucket_refuses_to_delete_is_said(bucket, video, refusing, monkeypatch):
    """Where the server deletes nothing, no removal, retention or sweep says that it did: all is in the bucket and the
    job in the ledger, to be removed once that is mended.
    """
    monkeypatch.setattr(tasks.sweep, "LEFT_SECONDS", -60)
    with storage().videos_held():  # the bucket is this ledger's
        job = an_ended_job(video)
    storage().write(video_key("0" * 64), b"nobody's")
    before = bucket()
    with refusing():
        with pytest.raises(Infrastructure, match=r"did not delete .*/document.json: AccessDenied") as caught:
            remove(job)
        assert caught.value.code == "storage_refused"
        with pytest.raises(Infrastructure, match=f"job {job.id} was not removed: .* did not delete") as kept:
            list(expire(0))
        assert kept.value.code == "not_removed"
        assert tasks.sweep._orphaned_videos() == 0
        with pytest.raises(Infrastructure) as refused:
            storage().remove_video("0" * 64)
        assert refused.value.code == "storage_refused"
    assert bucket() == before
    assert [one.id for one in expire(0)] == [job.id]
    sweep()
    assert bucket() == set()


def test_one_job_that_is_kept_in_the_bucket_keeps_no_other(server, bucket, video, refusing):
    """The oldest job has an object that the server does not delete: younger ones are removed, and it is named."""
    if server.program == "weed":
        pytest.skip("SeaweedFS's identities are for the whole bucket")
    jobs = [an_ended_job(video) for _ in range(3)]
    removed = []
    with refusing(jobs[0].id), pytest.raises(Infrastructure, match=f"job {jobs[0].id} was not removed"):
        removed.extend(one.id for one in expire(0))
    assert removed == [jobs[1].id, jobs[2].id]
    assert [one.id for one in expire(0)] == [jobs[0].id]
    assert bucket() == set()


def test_a_folder_of_many_objects_goes_page_by_page(server, bucket, monkeypatch):
    """However many objects lie below a key, all go, with two requests a page; one whose name only begins so stays."""
    monkeypatch.setattr(bucket_pages, "KEYS", 3)
    for number in range(7):
        storage().write(f"jobs/1/outcomes/{number}.json", b"{}")
    for other in ("jobs/1", "jobs/1-2.json", "jobs/10/document.json"):
        storage().write(other, b"{}")
    before = server.asked("POST")
    storage().remove("jobs/1")
    assert bucket() == {"jobs/1-2.json", "jobs/10/document.json"}
    assert server.asked("POST") - before <= 4


def test_the_last_of_several_jobs_takes_the_video_along(bucket, video):
    """A video stays as long as a job is on it, and goes with the last one."""
    jobs = [an_ended_job(video) for _ in range(2)]
    remove(jobs[0])
    assert bucket() == {video_key(jobs[0].video_sha256), document_key(jobs[1].id)}
    remove(jobs[1])
    assert bucket() == set()


def test_what_nobody_needs_in_the_bucket_is_swept(bucket, video, tmp_path, monkeypatch):
    """Videos and results without a job go from the bucket once they are old, though this host has no copy of them,
    some at each sweep however many there are; young ones and those of jobs stay.
    """
    monkeypatch.setattr(bucket_pages, "KEYS", 2)
    monkeypatch.setattr(bucket_pages, "PAGES", 1)
    job = an_ended_job(video)
    kept = bucket()
    orphans = [new_id() for _ in range(5)]
    for number, one in enumerate(orphans):
        storage().write(document_key(one), b"{}")
        storage().write(f"jobs/{one}/outcomes/a.json", b"{}")
        storage().write(video_key(f"{number:064}"), b"a video")
    everything = bucket()
    sweep()
    assert bucket() == everything  # within the hour somebody may still note a job on them
    monkeypatch.setattr(tasks.sweep, "LEFT_SECONDS", -60)
    left = [len(everything)]
    for _ in range(6):
        sweep()
        left.append(len(bucket()))
    assert bucket() == kept
    assert left[0] - left[1] <= 2 + 2 * 2
    assert ledger().job(job.id).id == job.id


def test_a_ledger_of_one_host_sweeps_no_others_bucket(server, video, tmp_path, monkeypatch):
    """With a ledger on SQLite, what other hosts have in the bucket is not this ledger's to judge: it stays."""
    monkeypatch.setattr(tasks.sweep, "LEFT_SECONDS", -60)
    url = f"s3://{BUCKET}/{new_id()}"
    with node(tmp_path / "data", storage_url=url, storage_endpoint=server.endpoint):
        storage().write(video_key("a" * 64), b"somebody else's")
        storage().write(document_key(new_id()), b"{}")
        sweep()
        assert storage().exists(video_key("a" * 64))
        assert list(storage().job_ids()) == []


def test_a_video_that_is_removed_before_its_job_is_noted_is_stored_again(bucket, video, monkeypatch):
    """Between storing a video and noting its job another host may sweep it: it is stored anew, and the job has it."""
    store, times = ObjectStorage.add_video, []

    def swept_once(self, source):
        sha256 = store(self, source)
        times.append(sha256)
        if len(times) == 1:
            self.remove_video(sha256)
        return sha256

    monkeypatch.setattr(ObjectStorage, "add_video", swept_once)
    with pytest.raises(Infrastructure, match="broker"):  # there is none; the job stands in the ledger
        accept(video)
    assert len(times) == 2
    assert bucket() == {video_key(times[0])}


@pytest.mark.parametrize("key", ["videos/", "videos/ab/", "videos/ab/notes.txt", "jobs/", "jobs/notes/x"])
def test_what_others_put_in_the_bucket_is_passed_over(server, bucket, video, monkeypatch, key):
    """Consoles mark folders by empty objects, whose names are empty: neither they nor others' files are swept, nor does
    anything of ours go with them.
    """
    an_ended_job(video)
    prefix = storage().bucket.place.partition("/")[2]
    server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=b"")
    monkeypatch.setattr(tasks.sweep, "LEFT_SECONDS", -60)
    before = bucket()
    sweep()
    assert bucket() == before


def test_a_removal_whose_lock_was_lost_removes_no_video(bucket, video, tmp_path, monkeypatch):
    """Stopped under its lock for longer than PostgreSQL lets a transaction idle, a removal gives up: a job that was
    noted meanwhile has its video.
    """
    monkeypatch.setattr(advisory, "HOLD_SECONDS", 1)
    job, asked = an_ended_job(video), removal.is_needed
    looked, go_on, raised = threading.Event(), threading.Event(), []

    def stopped(*arguments, **named):
        found = asked(*arguments, **named)
        looked.set()
        assert go_on.wait(120)
        return found

    def tried():
        try:
            remove(job)
        except Infrastructure as error:
            raised.append(error.code)

    monkeypatch.setattr(removal, "is_needed", stopped)
    remover = threading.Thread(target=tried)
    remover.start()
    assert looked.wait(120)
    arrived = storage().incoming() / "again.part"
    shutil.copy(video, arrived)
    monkeypatch.setattr(opened, "LOCK_SECONDS", 60)
    accept_arrived(arrived, sha256_of(arrived), "again.mp4", Order())
    go_on.set()
    remover.join(120)
    assert raised == ["storage_busy"]
    assert video_key(job.video_sha256) in bucket()
    assert ledger().job(job.id).id == job.id


def test_two_ledgers_do_not_share_a_bucket(server, bucket, video, tmp_path, monkeypatch):
    """An installation that was given another's bucket is not ready, takes no video, and removes nothing there."""
    job = an_ended_job(video)
    storage().check()
    before, url = bucket(), storage().bucket.url
    with (
        postgres() as other,
        node(tmp_path / "second", storage_url=url, storage_endpoint=server.endpoint, ledger_url=other),
    ):
        monkeypatch.setattr(tasks.sweep, "LEFT_SECONDS", -60)
        sweep()
        with pytest.raises(Infrastructure, match="belongs to another ledger"):
            storage().check()
        arrived = storage().incoming() / "new.part"
        shutil.copy(video, arrived)
        with pytest.raises(Infrastructure) as refused:
            accept_arrived(arrived, sha256_of(arrived), "new.mp4", Order())
        assert refused.value.code == "foreign_storage"
        assert not ledger().open_jobs()
        theirs = an_ended_job(video)
        with pytest.raises(Infrastructure) as caught:
            remove(theirs)
        assert caught.value.code == "foreign_storage"
    assert before <= bucket()
    remove(job)


def test_an_old_ledger_removes_no_results_from_a_bucket_that_was_taken_over(server, bucket, video):
    """A job that is removed after another ledger took the bucket stays whole there, until the bucket is its own."""
    with storage().videos_held():
        job, place = an_ended_job(video), f"{storage().bucket.place.partition('/')[2]}/{LEDGER_KEY}"
    owner = storage().read(LEDGER_KEY)
    server.client.put_object(Bucket=BUCKET, Key=place, Body=b"another")
    storage()._ours_at = None  # a minute later
    before = bucket()
    with pytest.raises(Infrastructure) as caught:
        remove(job)
    assert (caught.value.code, bucket()) == ("foreign_storage", before)
    assert ledger().job(job.id).id == job.id
    server.client.put_object(Bucket=BUCKET, Key=place, Body=owner)
    remove(job)
    assert bucket() == set()
