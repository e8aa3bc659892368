"""Thumbnails of videos that the test makes, whose every frame is known."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.exports.thumbnail import thumbnail
from shared.errors import BadInput
from shared.media import probe
from tests.support.clips import make_clip, plain

GREYS = (30, 80, 130, 180, 230)


def write_steps(path: Path, *, start: int = 0, pixel_shape: Fraction | None = None) -> Path:
    """One grey a second at 10 fps, one key frame in all, upper left quarter white. `start` in tenths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "999", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 80, "yuv420p"
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        for index in range(10 * len(GREYS)):
            picture = np.full((80, 160, 3), GREYS[index // 10], np.uint8)
            picture[:40, :80] = 255
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = start + index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, out: Path, rotation: int) -> Path:
    """The same video with a display rotation written into its header, in degrees counter-clockwise."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    matrix = np.array([cos, -sin, 0, sin, cos, 0, 0, 0, 1], dtype=">i4") * 65536
    matrix[8] = 1 << 30
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = matrix.astype(">i4").tobytes()
    out.write_bytes(content)
    return out


def picture(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("L")).astype(int)


def test_it_shows_the_frame_of_that_moment(tmp_path: Path) -> None:
    """In the middle of a long group of pictures, at its start and after the end, the frame on screen is taken."""
    video = write_steps(tmp_path / "steps.mp4")
    info = probe(video)
    for t, grey in {0.0: 30, 0.95: 30, 1.0: 80, 2.5: 130, 4.9: 230, 99.0: 230}.items():
        shown = picture(thumbnail(video, info, t, width=80))
        assert shown.shape == (40, 80)
        assert shown[30, 60] == pytest.approx(grey, abs=4), t


def test_times_count_from_the_start_of_the_container(tmp_path: Path) -> None:
    """A stream whose clock starts late gives the same pictures at the same seconds."""
    video = write_steps(tmp_path / "late.mkv", start=70)
    info = probe(video)
    assert info.start_seconds == pytest.approx(7.0)
    assert picture(thumbnail(video, info, 2.5, width=80))[30, 60] == pytest.approx(130, abs=4)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-5, 5)), (180, (-5, -5)), (270, (5, -5))])
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    """A turned video's thumbnail stands upright: its white corner is where a player shows it."""
    video = turn(write_steps(tmp_path / "steps.mp4"), tmp_path / "turned.mp4", rotation)
    info = probe(video)
    assert info.rotation == rotation
    shown = picture(thumbnail(video, info, 0.5, width=40))
    assert shown.shape == ((20, 40) if rotation == 180 else (80, 40))
    assert shown[corner] > 240
    assert (shown > 200).mean() == pytest.approx(0.25, abs=0.05)


def test_pixel_shape_is_applied(tmp_path: Path) -> None:
    """Pixels twice as wide as high make the thumbnail twice as wide for its height."""
    video = write_steps(tmp_path / "wide.mp4", pixel_shape=Fraction(2, 1))
    assert picture(thumbnail(video, probe(video), 0.5, width=80)).shape == (20, 80)


@pytest.mark.parametrize("size", [(3, 2000), (2000, 3)])
def test_thin_pictures_have_thumbnails(tmp_path: Path, size: tuple[int, int]) -> None:
    """A strip, upright or lying, has a thumbnail in its proportions, at most four times as high as the width asked."""
    video = make_clip(tmp_path / "thin.mkv", frames=2, size=size, picture=plain(130), pix_fmt="yuv444p")
    shown = picture(thumbnail(video, probe(video), 0, width=80))
    assert shown.shape == ((320, 1) if size[0] == 3 else (1, 80))
    assert shown.mean() == pytest.approx(130, abs=4)


def test_video_that_breaks_gives_what_was_last_seen_or_an_error(tmp_path: Path) -> None:
    """Without any picture that can be decoded there is an error with a code, not a grey square."""
    video = write_steps(tmp_path / "steps.mp4")
    info = probe(video)
    content = bytearray(video.read_bytes())
    first = content.index(b"mdat") + 4
    content[first : content.index(b"moov") - 4] = bytes(content.index(b"moov") - 4 - first)
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        thumbnail(tmp_path / "broken.mp4", info, 1.0, width=80)
    assert caught.value.code == "undecodable"
