"""Odd pictures: every codec, size, shape, turn and rate gives the right frames at the right times and colours."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from shared.errors import BadInput
from shared.frames import Frames
from shared.media import probe
from tests.support.clips import COLOURS, FAST, make_clip, numbered, plain
from tests.support.project import ROOT
from tests.support.reading import opened, seen
from tests.support.remux import replaced, without_first_key_frame

ALL = Frames(None, None)
TENTHS = [(number, number / 10) for number in range(12)]
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"}

CODECS = {
    "10-bit HEVC": ("mp4", "libx265", "yuv420p10le", FAST),
    "12-bit HEVC": ("mkv", "libx265", "yuv420p12le", FAST),
    "10-bit H.264": ("mp4", "libx264", "yuv420p10le", FAST),
    "VP8": ("webm", "libvpx", "yuv420p", VP9),
    "VP9": ("webm", "libvpx-vp9", "yuv420p", VP9),
    "VP9 with alpha": ("webm", "libvpx-vp9", "yuva420p", VP9),
    "AV1": ("mp4", "libsvtav1", "yuv420p", {"preset": "12", "crf": "20"}),
    "10-bit AV1": ("mkv", "libsvtav1", "yuv420p10le", {"preset": "12", "crf": "20"}),
    "ProRes": ("mov", "prores_ks", "yuv422p10le", {}),
    "MPEG-2": ("ts", "mpeg2video", "yuv420p", {"b": "4000000"}),
    "MPEG-4 part 2": ("avi", "mpeg4", "yuv420p", {"b": "4000000"}),
    "MJPEG": ("avi", "mjpeg", "yuvj420p", {"qmin": "1", "q": "2"}),
    "full-range 4:4:4": ("mp4", "libx264", "yuvj444p", FAST),
    "rgb": ("mkv", "ffv1", "bgr0", {}),
}


@pytest.mark.parametrize("case", CODECS)
def test_a_codec_gives_its_frames_times_and_colours(case: str, tmp_path: Path) -> None:
    """Every frame of a codec comes once, at its time, in the colours that were drawn."""
    ending, codec, pix_fmt, encoder = CODECS[case]
    path = tmp_path / f"a.{ending}"
    video = make_clip(path, frames=12, size=(192, 128), codec=codec, pix_fmt=pix_fmt, encoder=encoder)
    reader = opened(video, ALL)
    assert seen(reader, ALL) == TENTHS
    _, frame = reader.frame_at(ALL, 0.5)
    centres = [frame[96, 24 + 48 * bar].astype(int) for bar in range(4)]
    assert np.abs(np.array(centres) - COLOURS).max() < 24, centres


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="ranks of threads are Linux's")
def test_making_a_clip_leaves_this_thread_as_it_was(tmp_path: Path) -> None:
    """An encoder that takes a real-time rank for the thread that calls it does not keep it."""
    ending, codec, pix_fmt, encoder = CODECS["AV1"]
    before = os.sched_getscheduler(0)
    make_clip(tmp_path / f"a.{ending}", frames=2, codec=codec, pix_fmt=pix_fmt, encoder=encoder)
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("size", [(321, 243), (8, 8), (1, 1), (2000, 2), (3, 1001)], ids=str)
def test_an_odd_size_is_kept_to_the_pixel(size: tuple[int, int], tmp_path: Path) -> None:
    """Odd, tiny and thin pictures come pixel for pixel, and in a smaller rendition with at least one pixel a side."""
    rng = np.random.default_rng(5)
    drawn = rng.integers(0, 256, (4, size[1], size[0], 3), np.uint8)
    video = make_clip(
        tmp_path / "a.mkv",
        frames=4,
        size=size,
        picture=lambda number, width, height: drawn[number],
        codec="ffv1",
        pix_fmt="bgr0",
        encoder={},
    )
    small = Frames(4, 90, "gray")
    reader = opened(video, ALL, small)
    assert np.array_equal(np.concatenate([batch.frames for batch in reader.frames(ALL)]), drawn)
    short = min(90, *size)
    assert min(reader.frame_at(small, 0)[1].shape) == short


@pytest.mark.parametrize(("codec", "pix_fmt"), [("libvpx-vp9", "yuv420p"), ("libx264", "yuv444p")])
def test_an_odd_size_survives_a_lossy_codec(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    """321x243 is that size after VP9 and H.264, with all its numbers."""
    encoder = VP9 if "vp9" in codec else FAST
    video = make_clip(tmp_path / "a.mkv", frames=12, size=(321, 243), codec=codec, pix_fmt=pix_fmt, encoder=encoder)
    reader = opened(video, ALL)
    assert (reader.info.width, reader.info.height) == (321, 243)
    assert seen(reader, ALL) == TENTHS


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_every_display_matrix_is_undone(rotation: int, mirrored: bool, tmp_path: Path) -> None:
    """A picture stored turned and mirrored is shown upright: all eight positions."""

    def stored(number: int, width: int, height: int) -> np.ndarray:
        shown = (height, width) if rotation % 180 else (width, height)
        upright = numbered(number, *shown)
        return np.ascontiguousarray(np.rot90(upright[:, ::-1] if mirrored else upright, -(rotation // 90)))

    video = make_clip(tmp_path / "a.mp4", size=(240, 180), picture=stored, rotation=rotation, mirrored=mirrored)
    reader = opened(video, ALL)
    assert (reader.info.rotation, reader.info.mirrored) == (rotation, mirrored)
    assert seen(reader, ALL) == [(number, number / 10) for number in range(20)]
    _, frame = reader.frame_at(ALL, 0)
    expected = numbered(0, *((180, 240) if rotation % 180 else (240, 180)))
    assert np.abs(frame.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("shape", "shown"), [(Fraction(64, 45), (228, 120)), (Fraction(8, 9), (142, 120)), (Fraction(1, 100), (2, 120))]
)
def test_anamorphic_pixels_are_made_square(shape: Fraction, shown: tuple[int, int], tmp_path: Path) -> None:
    """A picture of wide or narrow pixels has the width that a player shows, and all its frames."""
    video = make_clip(tmp_path / "a.mkv", pixel_shape=shape)
    reader = opened(video, ALL)
    assert (reader.info.width, reader.info.height) == shown
    _, frame = reader.frame_at(ALL, 0)
    assert frame.shape == (shown[1], shown[0], 3)
    if shown[0] > 12:
        assert [number for number, _ in seen(reader, ALL)] == list(range(20))


def test_pixels_of_an_absurd_shape_are_refused(tmp_path: Path) -> None:
    """A header that makes each pixel 100 wide would need a gigabyte a frame: too large."""
    video = make_clip(tmp_path / "a.mkv", frames=1, size=(2000, 2000), pixel_shape=Fraction(100))
    with pytest.raises(BadInput, match="200000x2000") as caught:
        probe(video)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "gif"])
def test_one_frame_is_a_video(ending: str, tmp_path: Path) -> None:
    """A video of one frame has that frame at 0 s and a length that is not zero."""
    options = {"codec": "gif", "pix_fmt": "rgb8", "encoder": {}} if ending == "gif" else {}
    reader = opened(make_clip(tmp_path / f"a.{ending}", frames=1, **options), ALL)
    assert 0 < reader.info.duration_seconds <= 0.1
    assert seen(reader, ALL) == [(0, 0.0)]
    assert reader.stats.spans == [(0.0, pytest.approx(reader.info.duration_seconds, abs=0.001))]


@pytest.mark.parametrize("fps", [1, 240])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_slow_and_fast_frames_keep_their_times(fps: int, ending: str, tmp_path: Path) -> None:
    """1 and 240 frames a second: every frame at its time to the container's tick, and a sample of them where due."""
    some = Frames(10, None, "gray")
    reader = opened(make_clip(tmp_path / f"a.{ending}", frames=2 * fps + 3, fps=fps), ALL, some)
    assert reader.info.fps == f"{fps}/1"
    assert reader.info.vfr is False
    frames = seen(reader, ALL)
    assert [number for number, _ in frames] == list(range(2 * fps + 3))
    assert [time for _, time in frames] == pytest.approx([number / fps for number in range(2 * fps + 3)], abs=0.001)
    step = max(1, fps // 10)
    assert [number for number, _ in seen(reader, some)] == list(range(0, 2 * fps + 3, step))


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("libx264", "ts"), ("libx265", "ts"), ("libvpx-vp9", "webm"), ("mpeg2video", "ts"), ("mpeg4", "avi")],
)
def test_a_stream_without_its_first_key_frame_begins_at_the_second(codec: str, ending: str, tmp_path: Path) -> None:
    """What cannot be decoded is not shown: no grey pictures, the first frame is the next whole one, at its own time."""
    encoder = {"libx264": FAST, "libx265": FAST, "libvpx-vp9": VP9}.get(codec, {"b": "4000000"})
    whole = make_clip(tmp_path / f"whole.{ending}", frames=30, codec=codec, encoder=encoder)
    reader = opened(without_first_key_frame(whole, tmp_path / f"cut.{ending}"), ALL)
    frames = seen(reader, ALL)
    assert [number for number, _ in frames] == list(range(10, 30))
    offset = frames[0][1]
    assert 0.4 <= offset <= 1.0
    assert [time for _, time in frames] == pytest.approx([offset + number / 10 for number in range(20)], abs=0.001)
    assert reader.stats.spans == [(pytest.approx(offset, abs=0.001), pytest.approx(offset + 2, abs=0.001))]


def test_a_gif_keeps_its_delays_and_colours(tmp_path: Path) -> None:
    """An animated GIF plays once: each frame at the sum of the delays before it; the rate is called variable."""
    delays = [0, 100, 200, 600, 700]
    path = tmp_path / "a.gif"
    video = make_clip(path, frames=5, pts_ms=delays, codec="gif", pix_fmt="rgb8", encoder={})
    reader = opened(video, ALL)
    assert reader.info.vfr is True
    assert seen(reader, ALL) == [(number, delay / 1000) for number, delay in enumerate(delays)]
    _, frame = reader.frame_at(ALL, 0)
    centres = [frame[90, 20 + 40 * bar].astype(int) for bar in range(4)]
    assert np.abs(np.array(centres) - COLOURS).max() < 24


def test_a_change_of_size_in_mid_stream_keeps_the_frames(tmp_path: Path) -> None:
    """Frames after a change of size are scaled to the size that the video began with, none is lost."""
    parts = []
    for name, size, first in (("one", (160, 120), 0), ("two", (320, 240), 20)):
        stamps = [100 * (first + number) for number in range(20)]
        path = tmp_path / f"{name}.ts"
        drawn = lambda number, width, height, first=first: numbered(first + number, width, height)  # noqa: E731
        parts.append(make_clip(path, size=size, pts_ms=stamps, picture=drawn).read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    reader = opened(joined, ALL)
    assert seen(reader, ALL) == [(number, number / 10) for number in range(40)]
    assert {batch.frames.shape[1:] for batch in reader.frames(ALL)} == {(120, 160, 3)}


def test_black_is_black(tmp_path: Path) -> None:
    """A black video is all there and all zero."""
    reader = opened(make_clip(tmp_path / "a.mp4", picture=plain(0)), ALL)
    frames = np.concatenate([batch.frames for batch in reader.frames(ALL)])
    assert frames.shape == (20, 120, 160, 3)
    assert frames.max() <= 1


def jpeg_video(path: Path, width: int, height: int, *, jpeg: bytes | None = None) -> Path:
    """A Matroska file of two JPEG pictures: grey ones, numbered 5 and 6, or what is given."""
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("mjpeg", rate=10, width=width, height=height)
        for number in range(2):
            picture = jpeg or cv2.imencode(".jpg", numbered(number + 5, width, height)[..., 1])[1].tobytes()
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_a_picture_of_16384x16384_is_refused(tmp_path: Path) -> None:
    """More pixels than any codec level allows are refused, before memory is taken for them."""
    small = cv2.imencode(".jpg", numbered(5, 16, 16)[..., 1])[1].tobytes()
    size = small.index(b"\xff\xc0") + 5
    large = small[:size] + (16_384).to_bytes(2, "big") * 2 + small[size + 4 :]
    with pytest.raises(BadInput, match="missing or too large"):
        probe(jpeg_video(tmp_path / "a.mkv", 16_384, 16_384, jpeg=large))


READ = """
import sys
from pathlib import Path
from tests.support.processes import peak_mib
from tests.support.reading import opened, seen
from shared.frames import Frames
need = Frames(None, 90, "gray")
print(seen(opened(Path(sys.argv[1]), need), need), peak_mib())
"""


def test_the_largest_picture_takes_bounded_memory(tmp_path: Path) -> None:
    """16384x8192, 134 million pixels, is read right with less than 1.5 GiB of memory (measured 1.2 GiB)."""
    video = jpeg_video(tmp_path / "a.mkv", 16_384, 8192)
    command = [sys.executable, "-c", READ, str(video)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    frames, mib = done.stdout.rsplit(" ", 1)
    assert frames == "[(5, 0.0), (6, 0.1)]"
    assert int(mib) < 1536


def test_a_codec_that_nobody_knows_is_named(tmp_path: Path) -> None:
    """Pictures without a decoder are refused with a sentence that says so."""
    video = make_clip(tmp_path / "a.mp4")
    with pytest.raises(BadInput, match="format that cannot be decoded") as caught:
        probe(replaced(video, tmp_path / "b.mp4", b"avc1", b"zz9z"))
    assert caught.value.code == "undecodable"
