"""A picture in a band or between pillars is looked at alone: what stands beside it hides no fade and no dissolve."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.transitions.pictures import luma, thumbnail
from tasks.transitions.window import FRAMES, WHOLE, Changing, Window
from tests.support.looked import Looked
from tests.support.media import run
from tests.support.models import nothing
from tests.support.moving import Picture, texture, window, write_video

FPS = 30


def shot(seed: int, frames: int, size: tuple[int, int]) -> list[Picture]:
    """A slow pan over a texture of strong contrast."""
    found = []
    for i in range(frames):
        frame = window(texture(seed, 500, 900), 200 + i, 200, 1.0, *size)
        found.append(np.asarray((4.0 * (frame - frame.mean()) + 128).clip(0, 255), np.uint8))
    return found


def reel(pictures: list[Picture], level: int, *, upright: bool) -> list[Picture]:
    """Each in the middle third of an upright frame, or of a wide one, with a title that stands beside it."""
    found = []
    for picture in pictures:
        height, width = picture.shape[:2]
        frame = np.full((320, 180, 3) if upright else (180, 320, 3), level, np.uint8)
        top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
        frame[top : top + height, left : left + width] = picture
        for line, at in (("MY MORNING", (10, 40)), ("PART TWO", (10, 160 if not upright else 290))):
            cv2.putText(frame, line, at, cv2.FONT_HERSHEY_DUPLEX, 0.5, (255 - level,) * 3, 1, cv2.LINE_AA)
        found.append(frame)
    return found


def events(frames: list[Picture], folder: Path) -> list[tuple[str, float]]:
    analyzer = CutAnalysis()
    analyzer.load(nothing())
    result = run(analyzer, write_video(folder / "v.mp4", frames, fps=FPS), folder / "store")
    return [(event.type, event.t) for event in result.cuts.items]


LAYOUTS = [(0, True), (255, True), (0, False), (255, False)]
IDS = ["black band", "white band", "black pillars", "white pillars"]


@pytest.mark.parametrize(("level", "upright"), LAYOUTS, ids=IDS)
def test_fades_in_a_part_of_the_frame_are_found(tmp_path: Path, level: int, upright: bool) -> None:
    """Both ends are within two frames, though two thirds of the frame are no blacker than before."""
    size = (102, 180) if upright else (180, 106)
    light = np.concatenate([np.ones(20), np.linspace(1, 0, 13), np.zeros(3), np.linspace(0, 1, 13), np.ones(20)])
    pictures = [*shot(2, 34, size), *shot(3, len(light) - 34, size)]
    faded = [np.asarray(picture * share, np.uint8) for picture, share in zip(pictures, light, strict=True)]
    found = events(reel(faded, level, upright=upright), tmp_path)
    assert [kind for kind, _ in found] == ["fade_out", "fade_in"]
    assert [t for _, t in found] == pytest.approx([32 / FPS, 36 / FPS], abs=2 / FPS)


def test_a_fade_in_a_white_frame_is_named_after_what_it_leads_to(tmp_path: Path) -> None:
    """Most cells of the frame are partly white; the picture fades to black."""
    light = np.concatenate([np.ones(20), np.linspace(1, 0, 13), np.zeros(20)])
    pictures = shot(2, len(light), (102, 180))
    faded = [np.asarray(picture * share, np.uint8) for picture, share in zip(pictures, light, strict=True)]
    film = write_video(tmp_path / "v.mp4", reel(faded, 255, upright=True), fps=FPS)
    effects = Looked(film, tmp_path).result.effects
    assert [effect.label for effect in effects.items if effect.label.startswith("fade")] == ["fade_out_to_black"]


@pytest.mark.parametrize(("level", "upright"), LAYOUTS, ids=IDS)
def test_dissolves_in_a_part_of_the_frame_are_found(tmp_path: Path, level: int, upright: bool) -> None:
    """Where most cells stand still, those that do not mix two pictures evenly."""
    size = (102, 180) if upright else (180, 106)
    a, b = shot(2, 45, size), shot(3, 45, size)
    shares = np.linspace(0, 1, 17)[1:-1]
    mixed = [np.asarray(x * (1 - s) + y * s, np.uint8) for x, y, s in zip(a[30:], b, shares, strict=False)]
    found = events(reel([*a[:30], *mixed, *b[15:]], level, upright=upright), tmp_path)
    assert [kind for kind, _ in found] == ["dissolve"]
    assert found[0][1] == pytest.approx(37.5 / FPS, abs=0.1)


def seen(frames: list[Picture]) -> Window:
    changing = Changing()
    for frame in frames:
        changing.add(luma(frame))
    return changing.window([thumbnail(frame) for frame in frames])


def test_the_window_is_where_all_changes() -> None:
    """To the pixel, whatever stands around it; a whole frame that changes has none."""
    moving = shot(2, 40, (102, 180)) + [255 - frame for frame in shot(3, 40, (102, 180))]
    assert seen(reel(moving, 255, upright=True)) == (slice(109, 211), slice(0, 180))
    assert seen(moving) == WHOLE


def test_what_is_laid_on_a_picture_that_stands_is_no_window() -> None:
    """A photograph that comes on a slide, and goes, changes a third of it: in two frames, not in many."""
    slide = np.full((180, 320, 3), 250, np.uint8)
    shown = slide.copy()
    shown[30:150, 80:240] = 0
    assert seen([slide] * FRAMES + [shown] * FRAMES + [slide] * FRAMES) == WHOLE


def test_words_that_change_on_a_plain_ground_are_no_window() -> None:
    """Letters leave much of their place as it was."""
    frames = []
    for number in range(60):
        frame = np.zeros((180, 320, 3), np.uint8)
        cv2.putText(frame, str(number * 7919 % 1000), (60, 140), cv2.FONT_HERSHEY_DUPLEX, 4, (255, 255, 255), 6)
        frames.append(frame)
    assert seen(frames) == WHOLE
