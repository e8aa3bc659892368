"""Where a video has sound and no picture, nothing is said of pictures."""

from pathlib import Path

import numpy as np
import pytest

from services.evaluation.media import look
from shared.schema import TrackSet
from tests.support.clips import Sound, click, make_clip
from tests.support.remux import without_first_key_frame

SEGMENTS = {
    "cut_analysis": "shots",
    "camera_analysis": "motion",
    "color_analysis": "palette",
    "composition_analysis": "shots",
    "scene_segmentation": "scenes",
}


def still(_number: int, width: int, height: int) -> np.ndarray:
    """One picture full of corners, all the time."""
    blocks = np.random.default_rng(1).integers(0, 256, (height // 10, width // 10), np.uint8)
    return np.repeat(blocks.repeat(10, axis=0).repeat(10, axis=1)[..., None], 3, axis=2)


def longer_sound(folder: Path) -> Path:
    sound = Sound(click(6, [1.0]).samples, codec="flac")
    return make_clip(folder / "a.mkv", frames=20, picture=still, sound=sound)


def late_key_frame(folder: Path) -> Path:
    return without_first_key_frame(make_clip(folder / "whole.ts", frames=30, picture=still), folder / "a.ts")


@pytest.mark.parametrize(("make", "start", "end"), [(longer_sound, 0.0, 2.0), (late_key_frame, 0.9, 2.9)])
@pytest.mark.parametrize("names", [list(SEGMENTS), ["composition_analysis", "color_analysis"]], ids=["shots", "none"])
def test_what_is_said_of_pictures_lies_where_they_are(make, start: float, end: float, names, tmp_path: Path) -> None:
    """Shots and all that is measured shot by shot, or without shots, span the pictures and nothing else."""
    found = look(make(tmp_path), tmp_path / "frames", names)
    assert set(found) == set(names)
    for name, result in found.items():
        assert isinstance(result, TrackSet), name
        items = getattr(result, SEGMENTS[name]).items
        assert (items[0].start, items[-1].end) == pytest.approx((start, end), abs=0.011), name
        for span in result.analysed or ():
            assert start - 0.011 <= span[0] <= span[1] <= end + 0.011, name
