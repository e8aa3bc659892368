"""Tests of the storage: keys stay inside, writes are whole or not there, a full disk is an error in a sentence."""

import contextlib
import errno
import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import threading

import pytest

import tasks.child
from services.api.parts import Parts
from shared.errors import BadInput, Infrastructure
from shared.storage import Storage, video_key
from tasks.child import PRELOAD_FAILED, START


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "storage")


def files(storage):
    return sorted(path.relative_to(storage.folder).as_posix() for path in storage.folder.rglob("*") if path.is_file())


def test_what_is_written_is_read(storage):
    """Bytes come back, also when they replace others; what was never written does not exist."""
    storage.write("a/b.json", b"one")
    storage.write("a/b.json", b"two")
    assert storage.read("a/b.json") == b"two"
    assert storage.exists("a/b.json")
    assert not storage.exists("a")
    assert not storage.exists("c")
    with pytest.raises(FileNotFoundError):
        storage.read("c")
    assert files(storage) == ["a/b.json"]


def without_links(monkeypatch, number):
    def refused(*_):
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refused)


def fill(path):
    """Take all that is free of a disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def fail_to_go_on(code):
    raise SystemExit(code)


def fail_to_flush(_descriptor):
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("number", [None, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS])
def test_a_copy_outlives_what_it_was_made_of(storage, monkeypatch, number):
    """A second key, twice given, has the bytes of then when the first is replaced, with links or without."""
    if number is not None:
        without_links(monkeypatch, number)
    storage.put_aside("a/b.json", b"one")
    for _ in range(2):
        storage.copy("a/b.json", "c/d.json")
    storage.write("a/b.json", b"two")
    assert (storage.read("a/b.json"), storage.read("c/d.json")) == (b"two", b"one")
    assert files(storage) == ["a/b.json", "c/d.json"]
    with pytest.raises(Infrastructure):
        storage.copy("nothing", "e")


def test_a_copy_without_links_is_flushed(storage, monkeypatch):
    """Where a copy's bytes cannot be brought to the disk it is an error in a sentence, and nothing is left of it."""
    storage.put_aside("a/b.json", b"one")
    without_links(monkeypatch, errno.EPERM)
    monkeypatch.setattr(os, "fsync", fail_to_flush)
    with pytest.raises(Infrastructure, match="cannot be written"):
        storage.copy("a/b.json", "c/d.json")
    assert files(storage) == ["a/b.json"]


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a/../../storage-too/x", "link/x", "nul\0"])
def test_no_key_leaves_the_folder(storage, tmp_path, key):
    """A key that climbs out, is absolute, follows a link out or is no path at all is refused by every method."""
    storage.folder.mkdir()
    (storage.folder / "link").symlink_to(tmp_path)
    for action in (storage.path, storage.exists, storage.read, lambda key: storage.write(key, b"")):
        with pytest.raises(ValueError, match=r"leaves the storage folder|null"):
            action(key)
    assert files(storage) == []


def test_what_arrived_is_on_the_disk_before_it_is_taken(storage, monkeypatch):
    """A file is flushed beside the block that looks at it, and a disk that fails then is an error in a sentence."""
    arrived = storage.incoming() / "form.part"
    arrived.write_bytes(b"video")
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    with storage.settled(arrived):
        pass
    assert flushed == [arrived.stat().st_ino]
    monkeypatch.setattr(os, "fsync", fail_to_flush)
    with pytest.raises(Infrastructure, match="cannot be written"), storage.settled(arrived):
        pass


def test_a_video_is_stored_once_under_its_hash(storage, tmp_path):
    """The key is the sha256 of the bytes, and a second copy writes nothing."""
    source = tmp_path / "clip.mp4"
    source.write_bytes(os.urandom(3_000_000))
    sha256 = storage.add_video(source)
    stored = storage.path(video_key(sha256))
    assert sha256 == hashlib.sha256(stored.read_bytes()).hexdigest()
    before = stored.stat()
    assert storage.add_video(shutil.copy(source, tmp_path / "again.mp4")) == sha256
    assert (stored.stat().st_ino, stored.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files(storage) == [video_key(sha256)]


def handed_in(storage, content):
    """Store a video as a request does."""
    arrived = storage.incoming() / "form.part"
    arrived.write_bytes(content)
    storage.adopt(arrived, hashlib.sha256(content).hexdigest())


def test_a_damaged_video_is_replaced_by_a_good_copy(storage, tmp_path):
    """A stored video that was cut short, or in which a pass has found other bytes, is mended by the next hand-in."""
    source, content = tmp_path / "clip.mp4", os.urandom(3000)
    source.write_bytes(content)
    sha256 = storage.add_video(source)
    stored = storage.path(video_key(sha256))
    for again in (lambda: handed_in(storage, content), lambda: storage.add_video(source)):
        stored.write_bytes(content[:2000])
        again()
        assert stored.read_bytes() == content
        stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        storage.note_damaged(sha256)
        again()
        assert stored.read_bytes() == content
        assert files(storage) == [video_key(sha256)]
    storage.note_damaged(sha256)
    storage.remove_video(sha256)
    assert files(storage) == []


def test_a_video_that_changes_meanwhile_is_refused(storage, tmp_path, monkeypatch):
    """A file that is still being written is not stored under the hash of other bytes."""
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"first")

    def grown_since(key):
        with source.open("ab") as file:
            file.write(b" and more")
        return False

    monkeypatch.setattr(storage, "exists", grown_since)
    with pytest.raises(BadInput, match="changed while it was read"):
        storage.add_video(source)
    assert files(storage) == []


def test_readers_never_see_half_a_write(storage):
    """While one thread replaces a blob over and over, every read gives one whole version."""
    versions = [bytes([number]) * 2_000_000 for number in range(3)]
    storage.write("blob", versions[0])
    done = threading.Event()

    def replace():
        for number in range(60):
            storage.write("blob", versions[number % 3])
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not done.is_set():
        content = storage.read("blob")
        assert content in versions
        seen.add(content[0])
    writer.join()
    assert len(seen) > 1
    assert files(storage) == ["blob"]


def _write_and_die(storage, ready):
    with storage._replacing(storage.path("blob")) as file:
        file.write(b"half")
        file.flush()
        ready.set()
        signal.pause()


def test_a_killed_writer_leaves_what_was_there(storage):
    """A process that is killed in the middle of a write has changed nothing that a reader sees."""
    storage.write("blob", b"whole")
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    process = fork.Process(target=_write_and_die, args=(storage, ready))
    process.start()
    assert ready.wait(20)
    process.kill()
    process.join()
    assert storage.read("blob") == b"whole"


def test_a_file_size_limit_is_an_error_that_leaves_nothing(storage):
    """The system's limit on file sizes, hit in the middle of a write: Infrastructure, and the old bytes stand."""
    storage.write("blob", b"whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Infrastructure, match=os.strerror(errno.EFBIG)) as caught:
            storage.write("blob", bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "disk_error"
    assert storage.read("blob") == b"whole"
    assert files(storage) == ["blob"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB. Mounting one takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a full disk is made by mounting a small one, which takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_an_error_that_leaves_nothing(tiny_disk, tmp_path):
    """A full disk: `disk_full`, no half-written file, and small writes work again at once."""
    storage = Storage(tiny_disk / "storage")
    storage.write("blob", b"whole")
    video = tmp_path / "clip.mp4"
    video.write_bytes(os.urandom(1_000_000))
    for action in (lambda: storage.write("blob", bytes(1_000_000)), lambda: storage.add_video(video)):
        with pytest.raises(Infrastructure, match="is full") as caught:
            action()
        assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert files(storage) == ["blob"]
    assert storage.read("blob") == b"whole"
    storage.write("blob", b"other")


def test_a_full_disk_keeps_nothing_half(tiny_disk, monkeypatch):
    """With no byte free, readiness, a new upload and a worker's child that gives up leave no file behind."""
    storage, parts = Storage(tiny_disk / "storage"), Parts(tiny_disk / "storage" / "incoming")
    run = tiny_disk / "run"
    run.mkdir()
    storage.incoming()
    fill(tiny_disk / "filler")
    monkeypatch.setenv(START, "this-start")
    monkeypatch.setattr(tasks.child, "run_folder", lambda: run)
    monkeypatch.setattr(os, "_exit", fail_to_go_on)
    with pytest.raises(OSError, match="No space"):
        storage.check()
    with pytest.raises(Infrastructure, match="is full"):
        parts.create(length=9, name="clip.mp4", owner=None, metadata="m" * 4096)
    with pytest.raises(SystemExit) as ended:
        tasks.child._refuse("the disk is full")
    assert ended.value.code == PRELOAD_FAILED
    assert tasks.child.refused() == ""
    assert [path.name for path in tiny_disk.rglob("*") if path.is_file()] == ["filler"]
    assert not list(storage.incoming().iterdir())


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    """Storage below a plain file: Infrastructure with the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(Infrastructure, match="cannot be written: Not a directory") as caught:
        Storage(tmp_path / "file" / "storage").write("a", b"")
    assert caught.value.code == "disk_error"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(storage):
    """Storage without permission to write: Infrastructure with the reason; reading goes on."""
    storage.write("a", b"there")
    storage.folder.chmod(0o500)
    with pytest.raises(Infrastructure, match="Permission denied"):
        storage.write("b", b"")
    assert storage.read("a") == b"there"


def test_a_read_only_disk_is_an_error(tiny_disk):
    """A disk that was mounted read-only: Infrastructure with the reason; reading goes on."""
    storage = Storage(tiny_disk / "storage")
    storage.write("a", b"there")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(Infrastructure, match="Read-only file system"):
        storage.write("b", b"")
    assert storage.read("a") == b"there"
