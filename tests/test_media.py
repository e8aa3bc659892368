"""Probing: the facts about a file, and one sentence about every file that is no video."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.stream import Disposition

from shared.errors import BadInput
from shared.frames import Frames
from shared.media import Limits, probe
from tests.support.clips import click, make_clip, numbered
from tests.support.hostile import boxes
from tests.support.reading import opened, seen
from tests.support.real import real_clip


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def folder(path: Path) -> Path:
    (path / "folder.mp4").mkdir()
    return path / "folder.mp4"


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        (path / name).write_bytes(content)
        return path / name

    return write


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n"

BAD = {
    "missing": (lambda path: path / "missing.mp4", "not_found"),
    "folder": (folder, "not_a_file"),
    "empty": (written("empty.mp4", b""), "empty_file"),
    "text": (written("text.mp4", b"This is a shopping list.\n" * 100), "not_a_video"),
    "noise": (written("noise.mp4", np.random.default_rng(0).bytes(50_000)), "not_a_video"),
    "playlist": (written("playlist.mp4", PLAYLIST), "not_a_video"),
    "script": (written("script.mp4", b"ffconcat version 1.0\nfile '/etc/hostname'\n"), "not_a_video"),
    "index last, cut": (lambda path: cut(make_clip(path / "a.mp4"), 0.5), "truncated"),
    "index last, one byte lost": (lambda path: cut(make_clip(path / "a.mp4"), 0.9999), "truncated"),
    "index first, cut": (
        lambda path: cut(make_clip(path / "b.mp4", options={"movflags": "faststart"}), 0.7),
        "truncated",
    ),
    "fragments, cut": (
        lambda path: cut(make_clip(path / "c.mp4", options={"movflags": "frag_keyframe+empty_moov"}), 0.9),
        "truncated",
    ),
    "matroska, cut": (lambda path: cut(make_clip(path / "d.mkv"), 0.7), "truncated"),
    "avi, cut": (lambda path: cut(make_clip(path / "e.avi", codec="mpeg4"), 0.7), "truncated"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_video_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    """Every kind of bad file ends in BadInput with its code and one sentence that names the file."""
    make, code = BAD[case]
    path = make(tmp_path)
    with pytest.raises(BadInput) as caught:
        probe(path)
    assert caught.value.code == code
    assert caught.value.message.startswith(f"{path}: ")
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert ". " not in caught.value.message.removeprefix(str(path))


def test_no_connection_is_made_for_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the place of a path is a missing file: nothing connects to the server it names."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BadInput, match="no such file"):
            probe(Path(f"http://127.0.0.1:{server.getsockname()[1]}/clip.mp4"))
        with pytest.raises(TimeoutError):
            server.accept()


def test_protocol_names_in_a_file_name_mean_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose name looks like FFmpeg's concat protocol is opened as the file it is."""
    monkeypatch.chdir(tmp_path)
    path = make_clip(tmp_path / "plain.mp4").rename(tmp_path / "concat:plain.mp4|other.mp4")
    assert probe(Path(path.name)).duration_seconds == 2.0


def test_facts_of_a_plain_clip(tmp_path: Path) -> None:
    """Duration, size, rate and streams of a made clip are what it was made with."""
    info = probe(make_clip(tmp_path / "a.mp4", frames=30, fps=15, size=(320, 180), sound=click(2, [1], channels=2)))
    assert (info.duration_seconds, info.width, info.height) == (2.0, 320, 180)
    assert (info.fps, info.vfr, info.rotation, info.start_seconds) == ("15/1", False, 0, 0.0)
    assert [(stream.kind, stream.codec, stream.chosen) for stream in info.streams] == [
        ("video", "h264", True),
        ("audio", "aac", True),
    ]
    assert (info.streams[1].sample_rate, info.streams[1].channels) == (48_000, 2)
    assert len(info.sha256) == 64


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_rate_is_found(container: str, tmp_path: Path) -> None:
    """A clip whose frames come at uneven times is called variable, one at 30 fps rounded to milliseconds is not."""
    uneven = [0, 40, 80, 500, 510, 900, *range(1000, 2400, 100)]
    assert probe(make_clip(tmp_path / f"uneven.{container}", pts_ms=uneven)).vfr is True
    rounded = [round(number * 1000 / 30) for number in range(60)]
    assert probe(make_clip(tmp_path / f"rounded.{container}", frames=60, fps=30, pts_ms=rounded)).vfr is False
    assert probe(make_clip(tmp_path / f"even.{container}", frames=60, fps=30)).vfr is False


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_one_long_pause_is_variable(container: str, tmp_path: Path) -> None:
    """A call at 25 fps that stands still for 6 s has no constant rate; one lost picture does not make a rate vary."""
    pause = [*range(0, 3000, 40), *range(9000, 12_000, 40)]
    assert probe(make_clip(tmp_path / f"pause.{container}", frames=150, fps=25, pts_ms=pause)).vfr is True
    lost = [40 * number for number in range(151) if number != 70]
    assert probe(make_clip(tmp_path / f"lost.{container}", frames=150, fps=25, pts_ms=lost)).vfr is False


def test_a_header_that_counts_ticks_is_not_variable(tmp_path: Path) -> None:
    """The header of DV names a rate of 60,000, its clock's: 25 even frames a second are 25, and do not vary."""
    info = probe(make_clip(tmp_path / "a.dv", frames=5, fps=25, size=(720, 576), codec="dvvideo", encoder={}))
    assert (info.fps, info.vfr, info.duration_seconds) == ("25/1", False, 0.2)


def test_a_late_change_of_rate_is_found(tmp_path: Path) -> None:
    """Frames that keep one distance for the packets that are scanned, and another afterwards, are variable as well."""
    stamps = [*range(0, 4000, 10), *range(4000, 14_000, 100)]
    assert probe(make_clip(tmp_path / "late.mp4", frames=500, size=(64, 48), pts_ms=stamps)).vfr is True


@pytest.mark.parametrize(("rotation", "size"), [(90, (120, 160)), (180, (160, 120)), (270, (120, 160))])
def test_rotation_is_part_of_the_size(rotation: int, size: tuple[int, int], tmp_path: Path) -> None:
    """Width and height are those of the displayed picture."""
    info = probe(make_clip(tmp_path / "a.mp4", rotation=rotation))
    assert (info.rotation, (info.width, info.height)) == (rotation, size)


def test_pixel_shape_is_part_of_the_size(tmp_path: Path) -> None:
    """A picture of 160x120 pixels that are 4:3 wide is shown 213 wide."""
    info = probe(make_clip(tmp_path / "a.mp4", pixel_shape=Fraction(4, 3)))
    assert (info.width, info.height) == (213, 120)


def test_a_duration_that_no_header_names_is_measured(tmp_path: Path) -> None:
    """Matroska written as a live stream has no duration: the packets say it."""
    path = make_clip(tmp_path / "live.mkv", options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration_seconds == 2.0


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    """The cover of a sound file is listed and not chosen."""
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=48_000)
        cover = out.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(numbered(1, 64, 64), "rgb24")
        packets = [*cover.encode(picture), *cover.encode(None)]
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        silence.sample_rate = 48_000
        packets += [*sound.encode(silence), *sound.encode(None)]
        for packet in packets:
            out.mux(packet)
    info = probe(path)
    assert (info.has_video, info.has_audio, info.width, info.fps) == (False, True, None, None)
    assert {stream.kind for stream in info.streams} == {"video", "audio"}


def test_limits_refuse_before_decoding(tmp_path: Path) -> None:
    """A picture or a length above the limits is refused with a code of its own."""
    path = make_clip(tmp_path / "a.mp4")
    with pytest.raises(BadInput) as caught:
        probe(path, limits=Limits(pixels=160 * 120 - 1))
    assert caught.value.code == "too_large"
    with pytest.raises(BadInput) as caught:
        probe(path, limits=Limits(seconds=1.9))
    assert caught.value.code == "too_long"


def test_a_decode_pass_is_announced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Opening for a decode pass logs the event that operators count; a probe does not."""
    path = make_clip(tmp_path / "a.mp4")
    with caplog.at_level(logging.INFO, logger="shared"):
        reader = opened(path, Frames())
        assert not caplog.records
        with reader:
            assert len(seen(reader, Frames())) == 20
    (record,) = caplog.records
    assert (record.message, record.video) == ("decode_pass_opened", reader.info.sha256)


def test_a_real_reel_is_probed() -> None:
    """What a 1080x1920 reel is, is known."""
    info = probe(real_clip("reel.mp4"), sha256="0")
    assert (info.duration_seconds, info.width, info.height, info.fps, info.vfr) == (12.0, 1080, 1920, "30/1", False)


def test_what_a_file_says_of_itself_is_bounded(tmp_path: Path) -> None:
    """A language of a megabyte is none; of 150 streams the first 128 are told, and those that are analysed."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        sounds = [container.add_stream("pcm_s16le", rate=8000) for _ in range(150)]
        sounds[0].metadata["language"] = "x" * 1_000_000
        sounds[1].metadata["language"] = "de"
        sounds[-1].disposition = Disposition.default
        frame = AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(sounds[-1].encode(frame))
    info = probe(tmp_path / "a.mkv")
    assert [stream.index for stream in info.streams] == [*range(128), 149]
    assert [stream.index for stream in info.streams if stream.chosen] == [149]
    assert [stream.language for stream in info.streams[:3]] == [None, "de", None]
    assert len(info.model_dump_json()) < 64_000


def with_edits(path: Path, count: int) -> Path:
    """The clip with so many edits of a tenth of a second, each of its beginning."""
    data = bytearray(path.read_bytes())
    found = list(boxes(bytes(data)))
    ((start, length),) = ((start, length) for start, length, name in found if name == b"elst")
    listed = struct.pack(">II", 0, count) + struct.pack(">IiI", 100, 0, 0x10000) * count
    for outer, size, name in found:
        if outer <= start < outer + size and name != b"mdat":
            data[outer : outer + 4] = (size - length + 8 + len(listed)).to_bytes(4, "big")
    data[start + 8 : start + length] = listed
    path.write_bytes(data)
    return path


def test_an_edit_list_that_would_take_minutes_is_refused(tmp_path: Path) -> None:
    """A thousand edits are taken; of 10,001 the number is said at once, before FFmpeg begins with them."""
    assert probe(with_edits(make_clip(tmp_path / "a.mp4"), 1000)).has_video
    with pytest.raises(BadInput, match="its 10001 edits are more than the 10000 allowed") as caught:
        probe(with_edits(make_clip(tmp_path / "b.mp4"), 10_001))
    assert caught.value.code == "too_slow"
