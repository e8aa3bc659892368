"""A caption or a bar that is laid on a picture, or taken off it, is no cut."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.transitions.overlaid import shown
from tests.support.media import run
from tests.support.models import nothing
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip

H, W = 180, 320
BARS = {"low": (0.80, 0.88), "high": (0.75, 0.91), "middle": (0.45, 0.53)}
"""Upper and lower edge as shares of the height; all are 90 % wide."""


@pytest.fixture(scope="module")
def cuts() -> CutAnalysis:
    analyzer = CutAnalysis()
    analyzer.load(nothing())
    return analyzer


def barred(frames: list[Picture], rows: tuple[float, float], level: int) -> list[Picture]:
    """The shot with an opaque bar in its middle third."""
    found = [frame.copy() for frame in frames]
    for frame in found[len(found) // 3 : 2 * len(found) // 3]:
        height, width = frame.shape[:2]
        frame[round(rows[0] * height) : round(rows[1] * height), round(0.05 * width) : round(0.95 * width)] = level
    return found


def lettered(frames: list[Picture]) -> list[Picture]:
    """The shot with two lines of large white letters, without a bar, in its middle third."""
    found = [np.ascontiguousarray(frame) for frame in frames]
    for frame in found[len(found) // 3 : 2 * len(found) // 3]:
        scale = frame.shape[1] / 250
        for line, row in (("BIG SALE", 0.5), ("TODAY ONLY", 0.75)):
            at = (round(0.08 * frame.shape[1]), round(row * frame.shape[0]))
            cv2.putText(frame, line, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), round(4 * scale))
    return found


def shown_in(name: str, seconds: float = 4.0) -> list[Picture]:
    """The first seconds of a real clip, 180 pixels on the short side."""
    found = []
    with av.open(str(real_clip(name))) as container:
        for frame in container.decode(video=0):
            if (frame.time or 0.0) >= seconds:
                break
            scale = H / min(frame.width, frame.height)
            size = (round(frame.width * scale / 2) * 2, round(frame.height * scale / 2) * 2)
            found.append(frame.reformat(*size, "rgb24").to_ndarray())
    return found


def shots_and_cuts(cuts: CutAnalysis, frames: list[Picture], folder: Path) -> tuple[int, list[float]]:
    result = run(cuts, write_video(folder / "v.mp4", frames), folder / "store")
    return len(result.shots.items), [event.t for event in result.cuts.items if event.type == "cut"]


@pytest.mark.parametrize("rows", BARS.values(), ids=BARS)
@pytest.mark.parametrize(("level", "speed"), [(0, 0.0), (255, 0.0), (0, 2.0), (255, 2.0)])
def test_a_bar_is_no_cut(
    cuts: CutAnalysis, tmp_path: Path, rows: tuple[float, float], level: int, speed: float
) -> None:
    """A black or white bar that is laid on a picture and taken off it, still or in a pan, parts no shot."""
    picture = texture(4, 400, 900)
    shot = [window(picture, 200 + i * speed, 200, 1.0, H, W) for i in range(60)]
    assert shots_and_cuts(cuts, barred(shot, rows, level), tmp_path) == (1, [])


def test_a_cut_under_a_bar_is_one(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A bar that stays while the picture behind it gives way to another hides no cut."""
    shots = [[window(texture(seed, 400, 900), 200, 200, 1.0, H, W)] * 30 for seed in (1, 2)]
    frames = barred([*shots[0], *shots[0], *shots[1], *shots[1]], BARS["high"], 0)
    assert shots_and_cuts(cuts, frames, tmp_path) == (2, [2.0])


@pytest.mark.parametrize("name", ["bottles.mp4", "faces.mp4", "people.mp4", "sign_book.mkv"])
def test_captions_over_real_clips_are_no_cuts(cuts: CutAnalysis, tmp_path: Path, name: str) -> None:
    """Bars of both colours at three heights, and large letters, over four seconds of a real shot part no shot."""
    shot = shown_in(name)
    clips = [barred(shot, rows, level) for rows in BARS.values() for level in (0, 255)]
    for number, clip in enumerate([*clips, lettered(shot)]):
        (folder := tmp_path / str(number)).mkdir()
        assert shots_and_cuts(cuts, clip, folder) == (1, []), number


def banded(shot: list[Picture], level: int, height: float) -> list[Picture]:
    """The shot across an upright frame of 180 x 320, that share of it high, with a title of two lines above it."""
    found = []
    rows = round(height * 320)
    top = (320 - rows) // 2
    for frame in shot:
        reel = np.full((320, 180, 3), level, np.uint8)
        reel[top : top + rows] = cv2.resize(frame, (180, rows))
        for line, row in (("WHEN YOUR BOSS", 40), ("SAYS HELLO", 64)):
            cv2.putText(reel, line, (14, row), cv2.FONT_HERSHEY_DUPLEX, 0.6, (255 - level,) * 3, 1, cv2.LINE_AA)
        found.append(reel)
    return found


@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
def test_cuts_in_a_band_are_found(cuts: CutAnalysis, tmp_path: Path, level: int) -> None:
    """Shots in a band of an upright frame are cut to, though the bars and the title in them stay as they are."""
    shots = [[window(texture(seed, 400, 900), 200, 200, 1.0, 90, 160)] * 15 for seed in (2, 3, 2, 3)]
    frames = [frame for shot in shots for frame in banded(shot, level, 0.25)]
    assert shots_and_cuts(cuts, frames, tmp_path) == (4, [0.5, 1.0, 1.5])


@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
@pytest.mark.parametrize("rows", [(0.59, 0.62), (0.58, 0.63), (0.48, 0.51), (0.2, 0.3)], ids=[*BARS, "beside"])
def test_a_bar_over_a_band_is_no_cut(cuts: CutAnalysis, tmp_path: Path, rows: tuple[float, float], level: int) -> None:
    """Nor is a bar that is laid on the picture in a band, or on the bar beside it: the picture goes on."""
    frames = banded([window(texture(4, 400, 900), 200 + i, 200, 1.0, 90, 160) for i in range(60)], level, 0.316)
    assert shots_and_cuts(cuts, barred(frames, rows, 128), tmp_path) == (1, [])


@pytest.mark.parametrize(("above", "below", "rows"), [(20, 20, (60, 120)), (235, 235, (60, 120)), (150, 20, (0, 170))])
def test_bars_above_and_below_have_one_level(above: int, below: int, rows: tuple[int, int]) -> None:
    """A plain sky over dark ground is no pair of bars: what flies by in it is judged beside all that stays."""
    before = window(texture(4, 400, 900), 200, 200, 1.0, 170, 96)[..., 1].copy()
    before[:60], before[120:] = above, below
    after = before.copy()
    after[60:120] = 255 - after[60:120]
    assert shown(before, after) == slice(*rows)


@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
@pytest.mark.parametrize("height", [1.0, 0.4], ids=["full", "band"])
def test_a_bar_over_a_third_is_no_cut(cuts: CutAnalysis, tmp_path: Path, height: float, level: int) -> None:
    """What lies behind the bar is gone with its edges; what is beside goes on."""
    shot = banded([window(texture(4, 400, 900), 200 + i, 200, 1.0, 90, 160) for i in range(60)], 10, height)
    middle, rows = 0.5, 0.35 * height
    assert shots_and_cuts(cuts, barred(shot, (middle, middle + rows), level), tmp_path) == (1, [])


def test_another_picture_on_a_photograph_is_a_cut(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A third of the rows, but of many levels: no bar is laid on the photograph that stands around it."""
    around = window(texture(9, 400, 900), 200, 200, 1.0, 320, 180)
    frames = []
    for seed in (2, 3, 2):
        frame, shot = around.copy(), window(texture(seed, 400, 900), 200, 200, 1.0, 100, 180)
        frame[110:210] = (5.0 * (shot - shot.mean()) + 128).clip(0, 255)
        frames += [frame] * 15
    assert shots_and_cuts(cuts, frames, tmp_path) == (3, [0.5, 1.0])


def test_a_bar_ends_where_the_brighter_picture_begins() -> None:
    """A dark picture beside the cut is as black as the bars for most of its rows."""
    before = window(texture(4, 400, 900), 200, 200, 1.0, 170, 96)[..., 1] // 2 + 100
    before[:60] = before[120:] = 0
    after = before.copy()
    after[60:108] = 0
    assert shown(before, after) == slice(60, 120)


def test_dark_clothes_between_black_bars_are_no_bar() -> None:
    """Letters leave most of a bar's row plain; half of a picture's rows may be as dark as the bar."""
    before = window(texture(4, 400, 900), 200, 200, 1.0, 170, 96)[..., 1] // 2 + 100
    before[:60] = before[120:] = before[60:110, 30:75] = 0
    after = before.copy()
    after[90:115] = 128
    assert shown(before, after) == slice(60, 120)
