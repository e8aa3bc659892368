"""Tests of cuts and dissolves in films of few frames a second, and of one frame for seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import SIZE
from tests.support.looked import Looked, look
from tests.support.moving import Picture, texture, window, write_video
from tests.test_cut_analysis import FIRST, SECOND

H, W = SIZE
SECONDS = 4


def shot(seed: int, frames: int, speed: float = 0.0) -> list[Picture]:
    """A picture, or a camera that moves over it by so many pixels a frame; blurred the more, the odder the seed."""
    picture = texture(seed, H + 60, W + 200)
    if seed % 2:
        picture = cv2.GaussianBlur(picture, (0, 0), 3).astype(np.uint8)
    return [window(picture, 180 + speed * i, 110, 1.0, H, W) for i in range(frames)]


@pytest.mark.parametrize("speed", [0.0, 2.0])
@pytest.mark.parametrize("fps", [1, 2, 3, 5])
def test_hard_cuts_are_cuts_at_any_rate(tmp_path: Path, fps: int, speed: float) -> None:
    """Shots of 4 s with detail and without are cut where the next one is first shown; one step is no dissolve."""
    film = [frame for seed in (1, 2, 3, 4, 5) for frame in shot(seed, SECONDS * fps, speed)]
    seen = look(tmp_path, film, fps=fps)
    assert seen.events == [("cut", t) for t in (4.0, 8.0, 12.0, 16.0)]
    assert seen.cuts.transitions.items == ()


@pytest.mark.parametrize("fps", [4, 5, 8])
def test_a_dissolve_at_a_low_rate_is_one(tmp_path: Path, fps: int) -> None:
    """A second of frames that mix two shots is a dissolve still, within a frame and a half."""
    before, after = shot(2, 4 * fps, 1.0), shot(4, 4 * fps, 1.0)
    shares = [(number + 1) / (fps + 1) for number in range(fps)]
    mixed = [
        np.round(one * (1 - share) + other * share).astype(np.uint8)
        for one, other, share in zip(before[-fps:], after[:fps], shares, strict=True)
    ]
    seen = look(tmp_path, [*before[:-fps], *mixed, *after[fps:]], fps=fps)
    assert [kind for kind, _ in seen.events] == ["dissolve"]
    (span,) = seen.cuts.transitions.items
    assert (span.start, span.end) == pytest.approx((3.0, 4.0), abs=1.5 / fps + 0.001)


@pytest.mark.parametrize("seconds", [2.0, 2.5, 5.0])
def test_photographs_of_one_frame_each_are_cut(tmp_path: Path, seconds: float) -> None:
    """Four photographs, each a single frame that stands for seconds, have three cuts between them."""
    photographs = [shot(seed, 1)[0] for seed in (1, 2, 4, 6)]
    video = write_video(tmp_path / "v.mp4", photographs, times=[seconds * number for number in range(4)])
    seen = Looked(video, tmp_path / "store")
    assert seen.events == [("cut", seconds), ("cut", 2 * seconds), ("cut", 3 * seconds)]


@pytest.mark.parametrize("frames", [1, 5])
def test_slides_of_few_frames_are_turned(tmp_path: Path, frames: int) -> None:
    """Pages of a talk with a frame each 2 s, or with five a second apart, are cut where they are turned."""
    lengths = 2.0 if frames == 1 else 1.0
    film = [page for page in (FIRST, SECOND, FIRST, SECOND) for _ in range(frames)]
    seen = look(tmp_path, film, fps=1 / lengths)
    assert seen.events == [("cut", frames * lengths * number) for number in (1, 2, 3)]


def nearing(frames: int) -> list[Picture]:
    """A camera that moves in on a picture, by a fifth from frame to frame."""
    picture = texture(3, 400, 600)
    return [window(picture, 300, 200, 0.7 * 1.2**number, H, W) for number in range(frames)]


@pytest.mark.parametrize("times", [3, 6])
def test_what_comes_near_in_repeated_frames_is_no_cut(tmp_path: Path, times: int) -> None:
    """Film of 10 fps in a file of 30 or 60 fps: each step is large beside the repeated frames, and is motion."""
    film = [frame for frame in nearing(12) for _ in range(times)]
    assert look(tmp_path, film, fps=10 * times).events == []


@pytest.mark.parametrize("times", [3, 6])
def test_cuts_in_repeated_frames_are_found(tmp_path: Path, times: int) -> None:
    """The same with a cut to a picture that the camera pans over quickly, and one back: both are found."""
    picture = texture(2, H, W + 600)
    pan = [window(picture, 180 + 20 * number, 90, 1.0, H, W) for number in range(12)]
    film = [frame for one in (nearing(10), pan, nearing(10)) for frame in one for _ in range(times)]
    seen = look(tmp_path, film, fps=10 * times)
    assert seen.events == [("cut", 1.0), ("cut", 2.2)]
