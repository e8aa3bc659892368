"""Tests of storage in a bucket, against a real S3 server process: the same promises as a folder, over several hosts."""

import hashlib
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from contextlib import nullcontext, suppress

import pytest
import sqlalchemy as sa
from botocore.exceptions import ClientError
from s3fs import S3FileSystem
from s3fs.errors import translate_boto_error

from shared import objects
from shared.advisory import VIDEOS, advisory_lock
from shared.bucket import Bucket, Patience
from shared.errors import Infrastructure
from shared.ledger import Ledger
from shared.objects import PART_BYTES, Hosts, ObjectStorage
from shared.storage import LOCK_SECONDS, Storage, video_key
from shared.tables import new_id
from tests.support.postgres import postgres
from tests.support.s3 import BUCKET, READER, s3_server, seaweedfs, signed_methods

ROOM = 1 << 30


@pytest.fixture(scope="module", params=[s3_server, seaweedfs])
def server(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(server, request):
    """A prefix of the test's own."""
    return Bucket(f"s3://{BUCKET}/{abs(hash(request.node.nodeid))}", server.endpoint)


@pytest.fixture
def storage(bucket, tmp_path):
    return ObjectStorage(tmp_path / "one", bucket, copies_bytes=ROOM)


@pytest.fixture
def elsewhere(bucket, tmp_path):
    """The same bucket from another host."""
    return ObjectStorage(tmp_path / "two", bucket, copies_bytes=ROOM)


@pytest.fixture
def clip(tmp_path):
    file = tmp_path / "clip.mp4"
    file.write_bytes(os.urandom(300_000))
    return file


def names(server, storage):
    """What lies in the bucket."""
    prefix = storage.bucket.place.partition("/")[2] + "/"
    listed = server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [one["Key"].removeprefix(prefix) for one in listed]


def head(server, storage, key):
    prefix = storage.bucket.place.partition("/")[2]
    return server.client.head_object(Bucket=BUCKET, Key=f"{prefix}/{key}")


def test_what_is_written_is_read_elsewhere(storage, elsewhere, server):
    """Bytes come back on another host, also when they replace others; what was never written does not exist."""
    storage.write("a/b.json", b"one")
    storage.write("a/b.json", b"two")
    assert elsewhere.read("a/b.json") == b"two"
    assert elsewhere.exists("a/b.json")
    assert not elsewhere.exists("a")
    assert not elsewhere.exists("c")
    with pytest.raises(FileNotFoundError):
        elsewhere.read("c")
    assert names(server, storage) == ["a/b.json"]


def test_what_is_moved_replaces_what_was_there(storage, elsewhere, server):
    """A blob written aside takes another's place, seen from every host, and leaves nothing behind."""
    storage.write("a/b.json", b"old")
    storage.write("a/b.json.aside", b"new")
    storage.move("a/b.json.aside", "a/b.json")
    assert elsewhere.read("a/b.json") == b"new"
    assert names(server, storage) == ["a/b.json"]
    with pytest.raises(Infrastructure):
        storage.move("a/b.json.aside", "a/b.json")
    assert elsewhere.read("a/b.json") == b"new"


def test_a_copy_is_there_elsewhere(storage, elsewhere):
    """An object under a second key is read elsewhere and outlives the first; nothing has no copy."""
    storage.put_aside("a/b.json", b"one")
    storage.copy("a/b.json", "c/d.json")
    storage.write("a/b.json", b"two")
    assert (elsewhere.read("a/b.json"), elsewhere.read("c/d.json")) == (b"two", b"one")
    with pytest.raises(Infrastructure):
        storage.copy("nothing", "e")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "nul\0"])
def test_no_key_leaves_the_prefix(storage, server, key):
    """A key that climbs out of the prefix is refused by every method, before the server is asked."""
    before = server.log.read_text()
    for action in (storage.path, storage.exists, storage.read, storage.remove, lambda key: storage.write(key, b"")):
        with pytest.raises(ValueError, match=r"leaves the storage folder|null"):
            action(key)
    assert server.log.read_text() == before


def test_a_video_is_uploaded_once_and_brought_once(storage, elsewhere, server, clip):
    """A second upload of a video costs no upload; eight threads of another host that ask for it cost one download."""
    sha256 = storage.add_video(clip)
    assert sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert storage.add_video(clip) == elsewhere.add_video(clip) == sha256
    assert (names(server, storage), server.asked("PUT", sha256)) == ([video_key(sha256)], 1)
    elsewhere.folder.joinpath(video_key(sha256)).unlink()
    before, found = server.asked("GET", sha256), []
    threads = [threading.Thread(target=lambda: found.append(elsewhere.path(video_key(sha256)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked("GET", sha256) == before + 1
    assert {path.read_bytes() for path in found} == {clip.read_bytes()}
    assert [path.name for path in elsewhere.incoming().iterdir()] == []


def test_an_arrived_video_is_adopted(storage, elsewhere, server):
    """A file of the incoming folder goes to the bucket, is this host's copy afterwards without being fetched back, and
    no longer incoming.
    """
    arrived = storage.incoming() / "upload.part"
    arrived.write_bytes(b"a video")
    sha256 = hashlib.sha256(b"a video").hexdigest()
    storage.adopt(arrived, sha256)
    assert not arrived.exists()
    assert (server.asked("PUT", sha256), server.asked("GET", sha256)) == (1, 0)
    assert Storage(storage.folder).read(video_key(sha256)) == elsewhere.path(video_key(sha256)).read_bytes()


def test_a_large_video_goes_in_parts(storage, elsewhere, server, tmp_path):
    """Above two parts a video is a multipart upload (its ETag says how many), and comes back whole."""
    large = tmp_path / "large.mp4"
    large.write_bytes(os.urandom(2 * PART_BYTES + 1000))
    sha256 = storage.add_video(large)
    assert head(server, storage, video_key(sha256))["ETag"].strip('"').endswith("-3")
    assert elsewhere.path(video_key(sha256)).read_bytes() == large.read_bytes()


@pytest.mark.parametrize(
    ("encryption", "found"),
    [("AES256", ("AES256", None)), ("aws:kms", ("aws:kms", None)), ("aws:kms:my-key", ("aws:kms", "my-key"))],
)
def test_every_object_is_encrypted_as_asked(server, tmp_path, encryption, found):
    """Small blobs, moved ones, whole videos and those in parts ask the server for the encryption of the settings."""
    if encryption != "AES256" and server.program == "weed":
        pytest.skip("SeaweedFS encrypts with keys of KMS only beside a KMS")
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(2 * PART_BYTES + 1))
    storage = ObjectStorage(
        tmp_path / "one", Bucket(f"s3://{BUCKET}/{found}", server.endpoint, encryption), copies_bytes=ROOM
    )
    storage.write("small", b"x")
    storage.write("aside", b"x")
    storage.move("aside", "moved")
    for key in ("small", "moved", video_key(storage.add_video(large))):
        said = head(server, storage, key)
        assert said["ServerSideEncryption"] == found[0]
        assert found[1] is None or said["SSEKMSKeyId"].endswith(found[1])


def test_without_encryption_none_is_asked_for(storage, server):
    """By default the bucket's own rule decides."""
    storage.write("small", b"x")
    assert "ServerSideEncryption" not in head(server, storage, "small")


def test_a_signed_address_serves_one_object_for_a_while(storage, clip):
    """Whoever has the address reads the video without credentials, under its name; it is signed and says its end."""
    sha256 = storage.add_video(clip)
    url = storage.download_url(video_key(sha256), seconds=60, name='my "réel".mp4', mimetype="video/mp4")
    assert url is not None
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in url
    assert "X-Amz-Expires=60&" in url
    assert signed_methods(url) == {"GET"}
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == clip.read_bytes()
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''my%20%22r%C3%A9el%22.mp4"
        assert answer.headers["Content-Type"] == "video/mp4"


@pytest.fixture
def somebody_else(server, storage, tmp_path, monkeypatch):
    """The same bucket with other credentials, which moto would take for good ones."""
    if server.program != "weed":
        pytest.skip("moto checks neither signatures nor rights")

    def known_as(**changed):
        for name, value in changed.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        return ObjectStorage(tmp_path / "other", storage.bucket, copies_bytes=ROOM)

    yield known_as
    S3FileSystem.clear_instance_cache()


def test_a_wrong_signature_is_refused(storage, somebody_else, clip):
    """An address that was changed opens nothing; with a wrong secret everything is an error that names the bucket."""
    sha256 = storage.add_video(clip)
    url = storage.download_url(video_key(sha256), seconds=60)
    assert url is not None
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"), timeout=30)
    assert caught.value.code == 403
    other = somebody_else(AWS_SECRET_ACCESS_KEY="stolen")
    for action in (other.read, other.exists, lambda key: other.write(key, b""), lambda _: other.check()):
        with pytest.raises(Infrastructure, match=f"{storage.bucket.url} failed") as refused:
            action(video_key(sha256))
        assert refused.value.code == "storage_error"


def test_who_may_only_read_is_not_ready(storage, somebody_else):
    """Where nothing can be stored, the check says so, though listing and reading work; it leaves nothing behind."""
    storage.write("a", b"x")
    reader = somebody_else(AWS_ACCESS_KEY_ID=READER)
    assert reader.read("a") == b"x"
    for _ in range(2):
        with pytest.raises(Infrastructure, match="failed") as refused:
            reader.check()
        assert refused.value.code == "storage_error"


def test_a_check_writes_seldom_and_leaves_nothing(storage, server, monkeypatch):
    """Of many checks the first writes an object and removes it, and later ones only list, until that was long ago."""
    for _ in range(3):
        storage.check()
    place = f"{storage.bucket.place.partition('/')[2]}/check"
    assert (server.asked("PUT", place), names(server, storage)) == (1, [])
    monkeypatch.setattr(objects, "STORED_SECONDS", -1)
    storage.check()
    assert (server.asked("PUT", place), names(server, storage)) == (2, [])


def test_a_server_that_stands_still_is_waited_for_so_long(storage, server, clip, monkeypatch):
    """Nothing that is sent to it waits for good: neither what readiness stores, nor a result, nor a video."""
    storage.check()
    monkeypatch.setattr(objects, "USUAL", Patience(connect_seconds=1, read_seconds=1, attempts=1))
    sending = (storage.check, lambda: storage.write("a.json", b"{}"), lambda: storage._upload(clip, "0" * 64))
    monkeypatch.setattr(storage, "holds_video", lambda *_: False)
    server.process.send_signal(signal.SIGSTOP)
    try:
        for send in sending:
            storage._stored_at = None
            began = time.monotonic()
            with pytest.raises(Infrastructure) as caught:
                send()
            assert caught.value.code == "storage_error"
            assert time.monotonic() - began < 30
    finally:
        server.process.send_signal(signal.SIGCONT)
    storage.write("a.json", b"{}")


def test_a_folder_has_no_address(tmp_path):
    """What lies in a folder can only be had from the service."""
    assert Storage(tmp_path).download_url("a", seconds=60) is None


def test_a_removed_job_is_gone_with_all_its_blobs(storage, elsewhere, server, clip):
    """Removing a folder takes what is below it alone, removing a video this host's copy too; twice is fine."""
    sha256 = storage.add_video(clip)
    for key in ("jobs/1/document.json", "jobs/1/outcomes/a.json", "jobs/10/document.json"):
        storage.write(key, b"{}")
    for _ in range(2):
        storage.remove("jobs/1")
        storage.remove(video_key(sha256))
    assert names(server, storage) == ["jobs/10/document.json"]
    assert not storage.path(video_key(sha256)).exists()
    assert not elsewhere.path(video_key(sha256)).exists()


def test_a_damaged_video_is_refused(storage, elsewhere, clip):
    """An object whose bytes are not those of its name is an error, and no copy of it is kept."""
    sha256 = storage.add_video(clip)
    storage.write(video_key(sha256), b"something else")
    with pytest.raises(Infrastructure, match="not what was stored") as caught:
        elsewhere.path(video_key(sha256))
    assert caught.value.code == "storage_damaged"
    assert not [file for file in elsewhere.folder.rglob("*") if file.is_file()]


def test_a_damaged_video_is_replaced_by_a_good_copy(storage, elsewhere, server, clip):
    """An object that is shorter than the video, or that a host has found damaged, is mended by the next hand-in; a
    host's own copy is thrown away and brought again.
    """
    sha256, content = storage.add_video(clip), clip.read_bytes()
    for wrong in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        storage.write(video_key(sha256), wrong)
        with pytest.raises(Infrastructure, match="hand the video in again"):
            elsewhere.path(video_key(sha256))
        storage.add_video(clip)
        assert elsewhere.path(video_key(sha256)).read_bytes() == content
        elsewhere.path(video_key(sha256)).write_bytes(b"a flipped copy")
        elsewhere.note_damaged(sha256)
        assert elsewhere.path(video_key(sha256)).read_bytes() == content
        elsewhere.note_damaged(sha256)
    assert names(server, storage) == [video_key(sha256)]


@pytest.fixture
def ledgers(bucket, tmp_path):
    """The bucket as a ledger of that name sees it."""

    def named(name):
        hosts = Hosts(lambda exclusive: nullcontext(lambda: None), lambda: name)
        return ObjectStorage(tmp_path / name, bucket, copies_bytes=ROOM, hosts=hosts)

    return named


def refusal(action):
    """The code of what is raised."""
    with pytest.raises(Infrastructure) as refused:
        action()
    return refused.value.code


def test_of_two_new_ledgers_one_takes_the_bucket(ledgers, storage, server, monkeypatch):
    """Between another ledger's look and its writing one has taken the bucket: the other is told that it is not its."""
    one, other, call = ledgers("one"), ledgers("other"), S3FileSystem.call_s3

    def overtaken(self, method, *arguments, **given):
        if given.get("IfNoneMatch"):
            monkeypatch.setattr(S3FileSystem, "call_s3", call)
            one.check()
        return call(self, method, *arguments, **given)

    monkeypatch.setattr(S3FileSystem, "call_s3", overtaken)
    assert refusal(other.check) == "foreign_storage"
    assert storage.read("ledger") == b"one"
    one.check()
    with one.videos_held():
        assert refusal(other.videos_held().__enter__) == "foreign_storage"


def test_a_server_that_writes_on_no_condition_is_taken_all_the_same(ledgers, storage, monkeypatch):
    """Where the server does not know `If-None-Match`, the first that asks takes the bucket without."""
    call, conditions = S3FileSystem.call_s3, []

    def unknowing(self, method, *arguments, **given):
        if given.get("IfNoneMatch"):
            conditions.append(method)
            said = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
            raise translate_boto_error(ClientError(said, "PutObject"))
        return call(self, method, *arguments, **given)

    monkeypatch.setattr(S3FileSystem, "call_s3", unknowing)
    ledgers("one").check()
    assert conditions == ["put_object"]
    assert storage.read("ledger") == b"one"
    assert refusal(ledgers("other").check) == "foreign_storage"


def test_a_take_over_is_noticed(ledgers, storage, monkeypatch):
    """Once another ledger has the bucket, the one that had it takes no video after a minute at most, nor after a check
    that said so, and is not ready; it goes on where it gets the bucket back.
    """
    one, other = ledgers("one"), ledgers("other")
    one.check()
    with one.videos_held():
        pass
    storage.remove("ledger")
    other.check()
    with monkeypatch.context() as later:
        later.setattr(objects, "OURS_SECONDS", -1)
        assert refusal(one.videos_held().__enter__) == "foreign_storage"
    assert refusal(one.check) == "foreign_storage"
    assert refusal(one.videos_held().__enter__) == "foreign_storage"
    storage.remove("ledger")
    one.check()
    with one.videos_held():
        pass


def stored(storage, folder, number):
    """Keys of so many new videos of 100,000 bytes, each a second older than the next."""
    keys = []
    for one in range(number):
        file = folder / f"{one}.mp4"
        file.write_bytes(os.urandom(100_000))
        keys.append(video_key(storage.add_video(file)))
    return keys


def aged(storage, keys, seconds):
    """Say of the copies that are here that they were wanted so long ago, and each later than the one before."""
    for place, key in enumerate(keys):
        copy = storage.folder / key
        if copy.exists():
            os.utime(copy, (copy.stat().st_mtime - seconds + place,) * 2)


def test_old_copies_make_room(bucket, tmp_path):
    """Above the limit the copies that were wanted longest ago go; the bucket keeps all."""
    storage = ObjectStorage(tmp_path / "one", bucket, copies_bytes=350_000)
    made = stored(storage, tmp_path, 3)
    copies = [storage.folder / key for key in made]
    assert all(copy.exists() for copy in copies)
    aged(storage, made, 9000)
    storage.copies.most_bytes = 250_000
    stored(storage, tmp_path, 1)
    assert [copy.exists() for copy in copies] == [False, False, True]
    assert storage.path(made[0]).stat().st_size == 100_000


def test_copies_of_a_full_hour_keep_to_the_limit(bucket, storage, elsewhere, tmp_path):
    """However many videos are taken in or read in one hour, a host holds no more copies than the limit says; the last
    one that it brought is there even where the limit is less than that.
    """
    storage.copies.most_bytes = elsewhere.copies.most_bytes = 250_000
    made = stored(storage, tmp_path, 8)
    assert sum((storage.folder / key).exists() for key in made) == 2
    for key in made:
        assert elsewhere.path(key).stat().st_size == 100_000
        assert sum((elsewhere.folder / one).exists() for one in made) <= 2
    elsewhere.copies.most_bytes = 0
    assert elsewhere.path(made[0]).stat().st_size == 100_000
    assert [key for key in made if (elsewhere.folder / key).exists()] == [made[0]]


def test_copies_in_use_stay(storage, elsewhere, tmp_path):
    """A copy that somebody reads now is not removed to make room, whoever makes it; afterwards it is."""
    made = stored(storage, tmp_path, 4)
    other = ObjectStorage(elsewhere.folder, elsewhere.bucket, copies_bytes=100_000)
    with elsewhere.held(made[0]) as copy:
        aged(elsewhere, made[:1], 7200)
        for key in made[1:]:
            other.path(key)
        assert copy.read_bytes() == storage.path(made[0]).read_bytes()
    other.path(made[1])
    (other.folder / made[1]).unlink()
    other.path(made[1])
    assert not copy.exists()


def test_what_is_not_in_the_bucket_is_held_as_nothing(storage):
    """Who holds a video that is gone finds no file, as in a folder."""
    with storage.held(video_key("0" * 64)) as copy:
        assert not copy.exists()


def test_a_bucket_that_is_not_there_is_an_error(server, tmp_path):
    """A bucket that nobody made: Infrastructure with its name, for reading as for writing."""
    storage = ObjectStorage(tmp_path, Bucket("s3://nobody-made-it/x", server.endpoint), copies_bytes=ROOM)
    for action in (
        storage.read,
        storage.exists,
        lambda key: storage.write(key, b""),
        lambda key: storage.copy(key, "b"),
        lambda key: storage.move(key, "b"),
        lambda _: storage.holds_video("0" * 64, 1),
        lambda _: storage.check(),
    ):
        with pytest.raises(Infrastructure, match="s3://nobody-made-it/x failed") as caught:
            action("a")
        assert (caught.value.code, caught.value.retryable) == ("storage_error", True)


@pytest.mark.parametrize("url", ["s3://acme-bucket/media", f"s3://{BUCKET}/bucket-x"])
def test_a_name_with_the_word_bucket_is_a_name(server, tmp_path, url):
    """Whatever bucket or prefix are called, what is not there is no error of the bucket."""
    client = server.client
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket="acme-bucket")
    storage = ObjectStorage(tmp_path, Bucket(url, server.endpoint), copies_bytes=ROOM)
    storage.check()
    assert not storage.exists("jobs/x")
    assert not storage.holds_video("a" * 64, 3)
    assert not storage.path(video_key("a" * 64)).exists()
    storage.remove("jobs/none")
    with pytest.raises(FileNotFoundError):
        storage.read("jobs/x/y.json")
    for action in (storage.copy, storage.move):
        with pytest.raises(Infrastructure, match="is not in the storage"):
            action("a", "b")


def test_a_server_that_is_not_there_is_an_error(tmp_path, server, monkeypatch):
    """No server at the address: Infrastructure, after a bounded number of attempts."""
    nowhere = Bucket(f"s3://{BUCKET}/x", "http://127.0.0.1:1")
    storage = ObjectStorage(tmp_path, nowhere, copies_bytes=ROOM)
    for action in (storage.read, storage.exists, lambda key: storage.write(key, b""), lambda _: storage.check()):
        with pytest.raises(Infrastructure, match="failed") as caught:
            action("a")
        assert caught.value.code == "storage_error"


def test_hosts_hold_videos_together(tmp_path):
    """Sharers of any host hold the lock at once and keep out the one that removes, until all have gone."""
    with postgres() as url:
        engines = [Ledger(url).engine for _ in range(3)]

        def held(number, *, exclusive, seconds=0.2):
            return advisory_lock(engines[number], VIDEOS, exclusive=exclusive, seconds=seconds)

        removing = held(2, exclusive=True)
        with held(0, exclusive=False), held(1, exclusive=False), pytest.raises(Infrastructure, match="try again soon"):
            removing.__enter__()
        with held(2, exclusive=True), pytest.raises(Infrastructure, match="try again soon"), held(0, exclusive=False):
            pass
        with held(0, exclusive=False, seconds=LOCK_SECONDS):
            pass


def test_the_lock_is_a_transactions():
    """Behind a pooler that hands out connections by transaction a session's lock would stay with the next client: the
    lock is held by a transaction that idles, by nobody while it is waited for, and by nothing afterwards.
    """
    held = sa.text(
        "SELECT mode, state FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    )
    idle = sa.text("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    with postgres() as url:
        ledgers = [Ledger(url).engine for _ in range(3)]

        def seen(question):
            with ledgers[2].connect() as connection:
                return [tuple(row) for row in connection.execute(question)]

        with advisory_lock(ledgers[0], VIDEOS, exclusive=False, seconds=LOCK_SECONDS):
            assert seen(held) == [("ShareLock", "idle in transaction")]
            with (
                pytest.raises(Infrastructure, match="try again soon"),
                advisory_lock(ledgers[1], VIDEOS, exclusive=True, seconds=0.1),
            ):
                pass
            assert seen(idle) == [(1,)]
        assert seen(held) == []
        assert seen(idle) == [(0,)]
        with ledgers[0].connect() as connection:
            assert connection.connection.driver_connection.prepare_threshold is None


def test_a_dead_database_refuses_the_lock():
    """No ledger: an error in a sentence, never a video that is stored unprotected."""
    engine = Ledger("postgresql+psycopg://me@127.0.0.1:1/x").engine
    with (
        pytest.raises(Infrastructure, match="cannot be reached"),
        advisory_lock(engine, VIDEOS, exclusive=True, seconds=1),
    ):
        pass


def test_the_lock_of_the_hosts_is_the_one_that_is_used(bucket, tmp_path):
    """`videos_held` takes the lock that it was given, and without one the file lock of this host."""
    asked = []

    def hold(exclusive):
        asked.append(exclusive)
        return nullcontext(asked.clear)

    with ObjectStorage(tmp_path, bucket, copies_bytes=0, hosts=Hosts(hold, new_id)).videos_held(exclusive=True) as held:
        assert asked == [True]
        held()
    assert asked == []
    with ObjectStorage(tmp_path, bucket, copies_bytes=0).videos_held():
        assert (objects.Storage(tmp_path).incoming() / ".videos.lock").exists()
