"""Tests of credits, titles and logos that enter a black picture, or leave it: nothing fades."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift, towards
from tests.support.looked import look
from tests.support.moving import Picture, texture

H, W = SIZE
WHITE = (255, 255, 255)
FACE = cv2.FONT_HERSHEY_SIMPLEX


NAMES = ("Director", "Jane Miller", "Camera", "Robert Young", "Music", "Clara Stone", "Thanks to", "Everybody")
SECTIONS = ("Director", "Jane Miller", "", "Camera", "Robert Young", "", "Music", "Clara Stone", "", "Thanks to all")


def rolling(speed: int, names: Sequence[str] = NAMES, gap: int = 50, stroke: int = 2) -> list[Picture]:
    """Lines of white letters that roll over black, from below the picture until all are above it."""
    sheet = np.zeros((2 * H + gap * len(names), W, 3), np.uint8)
    for number, name in enumerate(names):
        cv2.putText(sheet, name, (80, H + 40 + gap * number), FACE, 0.8, WHITE, stroke, cv2.LINE_AA)
    return [np.ascontiguousarray(sheet[top : top + H]) for top in range(0, len(sheet) - H, speed)]


@pytest.mark.parametrize("speed", [1, 2, 3, 5])
def test_credits_that_roll_do_not_fade(tmp_path: Path, speed: int) -> None:
    """Credits that enter from below at 1 to 5 pixels a frame, and leave above, are one shot without a fade."""
    seen = look(tmp_path, rolling(speed))
    assert seen.events == []
    assert [label for label in seen.labels if label.startswith("fade_")] == []


@pytest.mark.parametrize("speed", [1, 2, 3])
def test_credits_with_blank_lines_are_letters_that_roll(tmp_path: Path, speed: int) -> None:
    """Sections with a blank line between, 1 to 3 pixels a frame: no dissolve, no bars beside them, no other speed."""
    seen = look(tmp_path, rolling(speed, SECTIONS, 70))
    assert (seen.events, seen.labels, seen.moments) == ([], [], [])


def test_credits_over_a_photograph_do_not_dissolve(tmp_path: Path) -> None:
    """A dimmed photograph stands behind credits that roll: it is one shot, and nothing in it changes its speed."""
    behind = texture(5, H, W) // 2
    seen = look(tmp_path, [np.maximum(behind, frame) for frame in rolling(3, SECTIONS, 70)])
    assert (seen.events, seen.labels, seen.moments) == ([], [], [])


def test_credits_that_are_cut_to_do_not_fade(tmp_path: Path) -> None:
    """A picture gives way to credits that are in view at once, and roll: a cut, though they leave black between."""
    film = rolling(3, SECTIONS, 70, stroke=1)[(H + 20) // 3 :]
    seen = look(tmp_path, [texture(5, H, W)] * 40 + film)
    assert seen.events == [("cut", pytest.approx(40 / FPS, abs=0.001))]
    assert seen.labels == []


def entering(what: str) -> list[Picture]:
    """Black, into which something slides within 30 frames, and stands."""
    film = []
    for number in range(80):
        frame = np.zeros((H, W, 3), np.uint8)
        left = min(number, 30)
        if what == "title":
            cv2.putText(frame, "CHAPTER", (-230 + 10 * left, 100), FACE, 1.5, WHITE, 3, cv2.LINE_AA)
        else:
            cv2.circle(frame, (W // 2, 220 - 4 * left), 35, (255, 200, 30), -1)
        film.append(frame)
    return film


@pytest.mark.parametrize("what", ["title", "logo"])
def test_what_slides_in_over_black_neither_fades_nor_dissolves(tmp_path: Path, what: str) -> None:
    """A title that slides in from the left, and a disc from below, begin no shot: the next picture is cut to."""
    seen = look(tmp_path, entering(what) + drift(1, 30))
    ((kind, t),) = seen.events
    assert kind == "cut"
    assert t == pytest.approx(80 / FPS, abs=0.001)


@pytest.mark.parametrize("speed", [0.0, 6.0, 12.0])
def test_a_moving_picture_fades_still(tmp_path: Path, speed: float) -> None:
    """A picture that comes out of black and goes back to it while the camera pans quickly fades twice."""
    film = towards(towards(drift(2, 90, (speed,)), 25, 0, 0), 60, 85, 0)
    seen = look(tmp_path, film)
    assert [kind for kind, _ in seen.events] == ["fade_in", "fade_out"]


def test_a_title_fades_still(tmp_path: Path) -> None:
    """Letters that come out of black as a whole, and go back to it, fade, though little of the picture is lit."""
    title = np.zeros((H, W, 3), np.uint8)
    cv2.putText(title, "THE END", (25, 110), FACE, 2.0, WHITE, 8, cv2.LINE_AA)
    film = [np.zeros((H, W, 3), np.uint8)] * 10 + towards(towards([title] * 80, 20, 0, 0), 55, 75, 0)
    assert [kind for kind, _ in look(tmp_path, film).events] == ["fade_in", "fade_out"]
