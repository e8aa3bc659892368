"""The frame store among processes: decode once, survive a killed writer, stay inside the budget, stay small."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import isolated, passes
from shared.errors import BadInput, Cancelled, Infrastructure
from shared.eviction import make_room
from shared.frames import PASSES, WRITE_LOCK, Audio, FrameReader, Frames, FrameStore
from shared.locks import is_locked
from shared.media import probe
from shared.schema import MediaInfo
from tests.support.clips import click, make_clip, number_of
from tests.support.openings import decode_openings
from tests.support.reading_process import WANTED, finish, start

GIB = 1 << 30
GRAY = WANTED[1].key


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MediaInfo]:
    """Three minutes of 320x240 at 20 fps with sound: a quarter of a gigabyte when decoded to gray."""
    folder = tmp_path_factory.mktemp("long")
    video = make_clip(folder / "long.mp4", frames=3600, fps=20, size=(320, 240), sound=click(180, [1, 179]))
    return video, probe(video)


def until(happened: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_processes_that_ask_at_once_decode_once(tmp_path: Path) -> None:
    """Three processes that want the same renditions at once open the video once among them, and read the same bytes."""
    video = make_clip(tmp_path / "a.mp4", frames=200, fps=10, size=(320, 240), sound=click(20, [3]))
    log = tmp_path / "openings"
    readings = [finish(process) for process in [start(video, tmp_path / "store", probe(video), log) for _ in range(3)]]
    assert len({reading.digest for reading in readings}) == 1
    assert sorted(reading.passes for reading in readings) == [0, 0, 1]
    assert len(decode_openings(log)) == 1
    assert all(reading.spans[0] == (0.0, pytest.approx(20, abs=0.05)) for reading in readings)


@pytest.mark.parametrize(("kills", "ends_well"), [(1, True), (PASSES, False)])
def test_a_media_server_that_is_killed_costs_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, ends_well: bool
) -> None:
    """A pass whose server is killed is begun anew by the same reader, with every frame; after three it is an error."""
    video, left = make_clip(tmp_path / "a.mp4", frames=200, fps=10, size=(320, 240)), [kills]

    def killed(*arguments: Any) -> isolated.Call:
        if not left[0]:
            return isolated.decoding(*arguments)
        left[0] -= 1
        isolated.warm_up()
        server = isolated._server._process
        assert server is not None
        server.send_signal(signal.SIGSTOP)  # no pass can end before its server does
        call = isolated.decoding(*arguments)
        server.kill()
        server.wait()
        return call

    info = probe(video)
    monkeypatch.setattr(passes, "decoding", killed)
    with FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, info, (Frames(),)) as reader:
        if ends_well:
            assert sum(len(batch.times) for batch in reader.frames(Frames())) == 200
        else:
            with pytest.raises(Infrastructure) as raised:
                list(reader.frames(Frames()))
            assert raised.value.code == isolated.SERVER_DIED
        assert reader.stats.decode_passes == min(kills + 1, PASSES)


class TimeIsUp(Exception):
    """As the soft time limit, it comes anywhere in a reader's block."""


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """This process's media server, stopped: no pass ends by itself. It goes on at the end."""
    monkeypatch.setattr(isolated, "SILENT_SECONDS", 3600.0)
    monkeypatch.setattr(isolated, "STOP_SECONDS", 0.2)
    until(lambda: not decoding(), 120)  # passes of other tests
    isolated.warm_up()
    server = isolated._server._process
    assert server is not None
    server.send_signal(signal.SIGSTOP)
    yield server
    server.send_signal(signal.SIGCONT)
    until(lambda: not decoding(), 120)


def decoding() -> set[str]:
    """The passes of this process."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("decode-")}


def left(reader: FrameReader) -> str:
    """Begin to decode and leave; the name of the pass."""
    before = decoding()
    with suppress(TimeIsUp), reader:
        reader._take_over(Frames())
        raise TimeIsUp
    (begun,) = decoding() - before
    return begun


def test_a_pass_that_nobody_reads_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: subprocess.Popen[bytes]
) -> None:
    """A pass whose only reader has left ends; its place is free, and the next reader decodes anew."""
    monkeypatch.setattr(passes, "UNREAD_SECONDS", 0.2)
    video, store = make_clip(tmp_path / "a.mp4"), FrameStore(tmp_path / "store", budget_bytes=GIB)
    left(store.open(video, probe(video), (Frames(),)))
    until(lambda: not decoding(), 120)
    standing.send_signal(signal.SIGCONT)
    with store.open(video, probe(video), (Frames(),)) as reader:
        assert sum(len(batch.times) for batch in reader.frames(Frames())) == 20


def test_a_pass_that_another_reads_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: subprocess.Popen[bytes]
) -> None:
    """A pass whose own reader has left goes on for another, who gets every frame of it."""
    monkeypatch.setattr(passes, "UNREAD_SECONDS", 0.0)
    video, store = make_clip(tmp_path / "a.mp4"), FrameStore(tmp_path / "store", budget_bytes=GIB)
    with store.open(video, probe(video), (Frames(),)) as other:
        left(store.open(video, probe(video), (Frames(),)))
        time.sleep(2 * isolated.LOOK_SECONDS)
        standing.send_signal(signal.SIGCONT)
        assert sum(len(batch.times) for batch in other.frames(Frames())) == 20
        assert other.stats.decode_passes == 0


def test_a_waiting_reader_gets_the_place_of_a_pass_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: subprocess.Popen[bytes]
) -> None:
    """Readers whose time was up leave passes in all places of a process; they give way to a reader of another video,
    who while it waits keeps no other process from decoding that one."""
    monkeypatch.setattr(passes, "UNREAD_SECONDS", 3600.0)
    store = FrameStore(tmp_path / "store", budget_bytes=GIB)
    clips = [make_clip(tmp_path / f"{number}.mp4", frames=10 + number) for number in range(passes.AT_ONCE + 1)]
    *unread, video = [(clip, probe(clip)) for clip in clips]
    begun = {left(store.open(*one, (Frames(),))) for one in unread}
    assert decoding() == begun
    with store.open(*video, (Frames(),)) as reader:
        reader._take_over(Frames())
        assert reader.stats.decode_passes == 0
        assert not is_locked(reader.folder / WRITE_LOCK)
        until(lambda: not decoding(), 120)
        standing.send_signal(signal.SIGCONT)
        assert sum(len(batch.times) for batch in reader.frames(Frames())) == 10 + passes.AT_ONCE


def test_a_later_process_decodes_nothing(tmp_path: Path) -> None:
    """What is in the store is read without opening the video, which may even be gone."""
    video = make_clip(tmp_path / "a.mp4")
    info, log = probe(video), tmp_path / "openings"
    first = finish(start(video, tmp_path / "store", info, log))
    video.unlink()
    second = finish(start(video, tmp_path / "store", info, log))
    assert (first.digest, first.passes, second.passes) == (second.digest, 1, 0)
    assert len(decode_openings(log)) == 1


def test_only_what_is_missing_is_written(tmp_path: Path) -> None:
    """A job that wants one rendition more costs one pass, which leaves the others untouched."""
    video, store = make_clip(tmp_path / "a.mp4"), FrameStore(tmp_path / "store", budget_bytes=GIB)
    info, old, new = probe(video), Frames(4, 60), Frames(2, 60, "gray")
    with store.open(video, info, (old,)) as reader:
        list(reader.frames(old))
        before = {file: file.stat().st_mtime_ns for file in (reader.folder / old.key).iterdir()}
    with store.open(video, info, (old, new)) as reader:
        assert [number_of(frame) for batch in reader.frames(new) for frame in batch.frames] == [0, 5, 10, 15]
        list(reader.frames(old))
        assert reader.stats.decode_passes == 1
        assert {file: file.stat().st_mtime_ns for file in (reader.folder / old.key).iterdir()} == before


def test_reading_begins_before_writing_ends(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """The first batch comes while the video is still being decoded."""
    video, info = long_clip
    need = Frames(None, None, "gray")
    with FrameStore(tmp_path, budget_bytes=GIB).open(video, info, (need,)) as reader:
        first = next(reader.frames(need))
        assert number_of(first.frames[0]) == 0
        assert not (reader.folder / need.key / "ended.json").exists()
        reader.frame_at(need, 180)


def test_a_killed_writer_is_succeeded(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """After SIGKILL in mid-write the next process keeps the committed windows, and ends with the bytes that an
    undisturbed process writes; a process that was waiting takes over as well."""
    video, info = long_clip
    log, store = tmp_path / "openings", tmp_path / "store"
    folder = store / info.sha256 / GRAY
    writer = start(video, store, info, log)
    until((folder / "00003.spans.npy").exists)
    waiting = start(video, store, info, log)
    writer.kill()
    writer.wait()
    assert not (folder / "ended.json").exists()
    kept = {name: (folder / name).stat().st_ino for name in ("00000.npy", "00003.npy")}
    readings = [finish(waiting), finish(start(video, store, info, log))]
    undisturbed = finish(start(video, tmp_path / "other", info, tmp_path / "other.log"))
    assert {reading.digest for reading in readings} == {undisturbed.digest}
    assert [reading.passes for reading in readings] == [1, 0]
    assert len(decode_openings(log)) == 2
    assert {name: (folder / name).stat().st_ino for name in kept} == kept
    assert not list(store.rglob("*.partial"))


def test_a_window_without_its_mark_is_not_believed(tmp_path: Path) -> None:
    """Frames that a crashed writer renamed, but did not mark, are written again."""
    video, store, need = make_clip(tmp_path / "a.mp4"), FrameStore(tmp_path / "store", budget_bytes=GIB), Frames()
    folder = store.folder / probe(video).sha256 / need.key
    folder.mkdir(parents=True)
    np.save(folder / "00000.npy", np.full((10, 120, 160, 3), 7, np.uint8))
    (folder / "00001.npy.partial").write_bytes(b"half")
    with store.open(video, probe(video), (need,)) as reader:
        assert [number_of(frame) for batch in reader.frames(need) for frame in batch.frames] == list(range(20))
    assert not list(store.folder.rglob("*.partial"))


def test_a_cancelled_reader_stops_and_another_goes_on(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """`check` is asked while waiting; when it raises, the pass ends at once, and another reader finishes it."""
    video, info = long_clip
    store, need = FrameStore(tmp_path, budget_bytes=GIB), Frames(1, None, "gray")

    def cancel() -> None:
        if (store.folder / info.sha256 / need.key / "00001.npy").exists():
            raise Cancelled("The job was cancelled.")

    with store.open(video, info, (need,), check=cancel) as reader, pytest.raises(Cancelled):
        reader.frame_at(need, 180)
    assert not any(thread.name.startswith("decode-") for thread in threading.enumerate())
    with store.open(video, info, (need,)) as reader:
        times = np.concatenate([batch.times for batch in reader.frames(need)])
        assert times == pytest.approx(np.arange(180))
        assert reader.stats.decode_passes == 1


def test_a_failed_pass_is_raised_by_its_reader(tmp_path: Path) -> None:
    """A video that vanished after its probe ends in BadInput, without a second try or a hang."""
    video = make_clip(tmp_path / "a.mp4")
    info, need = probe(video), Frames()
    video.unlink()
    with FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, info, (need,)) as reader:
        with pytest.raises(BadInput) as caught:
            list(reader.frames(need))
        assert caught.value.code == "not_found"
        assert reader.stats.decode_passes == 1


def test_a_full_disk_is_named_and_cleaned_up(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """When a write fails for space (here: a limit on file size) the reader says disk_full, and nothing stays."""
    video, info = long_clip
    reading = finish(start(video, tmp_path / "store", info, tmp_path / "log", file_limit=4_000_000))
    assert reading.error == "disk_full"
    assert not list((tmp_path / "store").rglob("*.npy*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_really_full_disk(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """The same on a file system of 8 MiB."""
    video, info = long_clip
    (tmp_path / "small").mkdir()
    if os.system(f"mount -t tmpfs -o size=8m tmpfs {tmp_path / 'small'} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        reading = finish(start(video, tmp_path / "small", info, tmp_path / "log"))
        assert reading.error == "disk_full"
        assert not list((tmp_path / "small").rglob("*.npy*"))
    finally:
        os.system(f"umount -l {tmp_path / 'small'}")


def test_a_disk_that_is_full_at_once(tmp_path: Path) -> None:
    """A file system without room for the first mark: the reader says disk_full, not what Python calls it."""
    video, small = make_clip(tmp_path / "a.mp4"), tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {small} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        with (small / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        need = Frames()
        with (
            pytest.raises(Infrastructure) as caught,
            FrameStore(small, budget_bytes=GIB).open(video, probe(video), (need,)) as reader,
        ):
            list(reader.frames(need))
        assert caught.value.code == "disk_full"
    finally:
        os.system(f"umount -l {small}")


def test_old_frames_leave_a_disk_that_is_full(tmp_path: Path) -> None:
    """On a file system smaller than the budget, the video of before makes room for the next one's frames."""
    small, need = tmp_path / "small", Frames(None, None, "gray")
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {small} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        store = FrameStore(small, budget_bytes=GIB)
        for name in "ab":
            video = make_clip(tmp_path / f"{name}.mp4", frames=30 + ord(name) % 2)
            with store.open(video, probe(video), (need,)) as reader:
                assert sum(len(batch.times) for batch in reader.frames(need)) >= 30
        assert [path.name for path in small.iterdir()] == [reader.info.sha256]
    finally:
        os.system(f"umount -l {small}")


def test_memory_stays_bounded(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """Decoding and reading 280 MB of frames (mapped pages included) raises peak memory by less than 130 MiB."""
    video, info = long_clip
    reading = finish(start(video, tmp_path / "store", info, tmp_path / "log"))
    written = sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.npy"))
    assert written > 270e6
    assert reading.peak_growth_mib < 130


def test_the_least_recently_used_video_leaves(tmp_path: Path) -> None:
    """With room for two videos the one that was used longest ago goes, and arrays from it stay readable."""
    need = Frames(None, None, "gray")
    videos = {name: make_clip(tmp_path / f"{name}.mp4", frames=20 + at) for at, name in enumerate("abc")}
    infos = {name: probe(video) for name, video in videos.items()}
    store = FrameStore(tmp_path / "store", budget_bytes=2 * 22 * 160 * 120 + 20_000)
    mapped = {}
    for name in "abac":
        with store.open(videos[name], infos[name], (need,)) as reader:
            mapped[name] = next(reader.frames(need)).frames
            reader.frame_at(need, 99)
    assert {path.name for path in store.folder.iterdir()} == {infos["a"].sha256, infos["c"].sha256}
    assert [number_of(frame) for frame in mapped["b"]] == list(range(16))


def test_a_video_in_use_stays(tmp_path: Path) -> None:
    """A video that a reader holds is not evicted, even over the budget; when closed, it is."""
    video, need = make_clip(tmp_path / "a.mp4"), Frames()
    store = FrameStore(tmp_path / "store", budget_bytes=GIB)
    with store.open(video, probe(video), (need,)) as reader:
        list(reader.frames(need))
        make_room(store.folder, 0, 0)
        assert len(list(reader.frames(need))) == 2
    make_room(store.folder, 0, 0)
    assert not list(store.folder.iterdir())


def test_a_dead_reader_holds_nothing(tmp_path: Path, long_clip: tuple[Path, MediaInfo]) -> None:
    """A process that was killed while it read does not keep its video from eviction."""
    video, info = long_clip
    process = start(video, tmp_path, info, tmp_path / "log")
    until((tmp_path / info.sha256 / GRAY / "00000.spans.npy").exists)
    make_room(tmp_path, 0, 0)
    assert (tmp_path / info.sha256).exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    make_room(tmp_path, 0, 0)
    assert not (tmp_path / info.sha256).exists()


def test_sound_alone_reads_no_pictures(tmp_path: Path) -> None:
    """A job that wants only sound writes no frames."""
    video = make_clip(tmp_path / "a.mp4", sound=click(2, [1]))
    with FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, probe(video), (Audio(),)) as reader:
        assert len(reader.audio(Audio())) >= 32_000
    assert [path.name for path in reader.folder.iterdir() if path.is_dir()] == [Audio().key]
    shutil.rmtree(tmp_path / "store")
