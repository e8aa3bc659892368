"""Tests of fades by white that editors make and that are no flashes: cut short, held, very quick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift, towards
from tests.support.looked import look
from tests.support.moving import Picture

H, W = SIZE
FRAME = 1 / FPS


def white(frames: int) -> list[Picture]:
    """A white picture."""
    return [np.full((H, W, 3), 255, np.uint8)] * frames


def smoothstep(low: float, high: float, x: float) -> float:
    """GLSL's: 0 below `low`, 1 above `high`, smooth between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def fadewhite(before: list[Picture], after: list[Picture], length: int) -> list[Picture]:
    """FFmpeg's `xfade=fadewhite`: to white within a fifth of `length` frames, and slowly out of it."""
    mixed = []
    for number, (one, other) in enumerate(zip(before[-length:], after[:length], strict=True)):
        left = 1 - number / length
        out, back = smoothstep(0.8, 1, left), smoothstep(0.2, 1, left)
        faded = (one * out + 255 * (1 - out)) * left + (255 * back + other * (1 - back)) * (1 - left)
        mixed.append(np.round(faded).astype(np.uint8))
    return [*before[:-length], *mixed, *after[length:]]


@pytest.mark.parametrize("steps", [11, 12, 14])
def test_a_fade_that_is_cut_off_just_before_white(tmp_path: Path, steps: int) -> None:
    """A ramp of which the cut takes the last frame, at 91 to 93 % white, is a fade to white, then a cut; no flash."""
    film = towards(drift(1, 45), 44 - steps + 1, 45, 255)[:45] + drift(2, 40)
    seen = look(tmp_path, film)
    assert seen.events == [
        ("fade_out", pytest.approx(44 / FPS, abs=2 * FRAME)),
        ("cut", pytest.approx(45 / FPS, abs=0.001)),
    ]
    assert seen.labels == ["fade_out_to_white"]
    assert seen.moments == []


@pytest.mark.parametrize("held", [1, 2, 3, 5])
def test_a_cut_to_white_that_a_picture_fades_in_from_is_no_flash(tmp_path: Path, held: int) -> None:
    """White is cut to, held for some frames, and another picture comes out of it: a fade-in."""
    dark = [(frame * 0.4).astype(np.uint8) for frame in drift(3, 40)]
    film = dark + white(held) + towards(drift(4, 60), 13, 0, 255)
    seen = look(tmp_path, film)
    assert seen.labels == ["fade_in_from_white"]
    assert seen.moments == []
    assert [kind for kind, _ in seen.events][-1] == "fade_in"


@pytest.mark.parametrize("length", [15, 18, 30])
def test_a_quick_fade_to_white_is_no_flash(tmp_path: Path, length: int) -> None:
    """A fifth of half a second to white and four fifths out of it are two fades, no cut and no flash."""
    film = fadewhite(drift(5, 60), drift(6, 60), length)
    seen = look(tmp_path, film)
    assert [kind for kind, _ in seen.events] == ["fade_out", "fade_in"]
    assert seen.labels == ["fade_out_to_white", "fade_in_from_white"]
    assert seen.moments == []


def test_three_frames_to_white_are_a_fade(tmp_path: Path) -> None:
    """A ramp of which one step is 0.51 of the way, as it was measured of FFmpeg's `fadewhite`, is a fade and no cut."""
    shot = drift(12, 45)
    for number, share in ((42, 0.34), (43, 0.85), (44, 1.0)):
        shot[number] = np.round(shot[number] * (1 - share) + 255 * share).astype(np.uint8)
    seen = look(tmp_path, shot + towards(drift(13, 45), 13, 0, 255))
    assert [kind for kind, _ in seen.events] == ["fade_out", "fade_in"]
    assert seen.labels == ["fade_out_to_white", "fade_in_from_white"]
    assert seen.moments == []


def test_a_fade_from_grey_soon_after_one_from_black(tmp_path: Path) -> None:
    """A picture comes out of black and goes to grey, and another out of that, within two seconds: three fades."""
    first = towards(towards(drift(10, 45), 10, 0, 0), 30, 44, 215)
    seen = look(tmp_path, first + towards(drift(11, 45), 15, 0, 215))
    assert seen.labels == ["fade_in_from_black", "fade_out_to_colour", "fade_in_from_colour"]
    assert seen.moments == []


def test_a_white_flash_over_a_cut_is_one(tmp_path: Path) -> None:
    """Two white frames between two shots are a flash still: neither is mixed with white."""
    seen = look(tmp_path, drift(7, 40) + white(2) + drift(8, 40))
    assert seen.moments == [("flash", pytest.approx(40 / FPS, abs=0.001))]
    assert seen.labels == []


def test_a_flash_that_dies_away_is_one(tmp_path: Path) -> None:
    """A white frame out of which the same picture comes back within 0.3 s is a flash and no fade."""
    shot = drift(9, 90)
    shot[40:48] = towards([*white(1), *shot[41:48]], 7, 0, 255)
    seen = look(tmp_path, shot)
    assert seen.moments == [("flash", pytest.approx(40 / FPS, abs=0.001))]
    assert seen.labels == []
