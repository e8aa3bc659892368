"""Tests of text that comes line by line, as in a terminal, a log, notes or slides: nothing dissolves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import SIZE
from tests.support.looked import look
from tests.support.moving import Picture

H, W = SIZE
FACE = cv2.FONT_HERSHEY_SIMPLEX
RATE = 25


def screen(count: int, paper: int, ink: int) -> Picture:
    """A window with a title, and the last eleven of so many lines of text."""
    picture: Picture = np.full((H, W, 3), paper, np.uint8)
    picture[:14] = (paper + ink) // 2
    for row, number in enumerate(range(max(0, count - 11), count)):
        line = f"{number:03d} tests/test_{'abcdef'[number % 6] * (2 + number % 5)}.py passed"
        cv2.putText(picture, line, (6, 28 + 14 * row), FACE, 0.4, (ink, ink, ink), 1, cv2.LINE_AA)
    return picture


def slide(title: str, count: int) -> Picture:
    """A page with a title and so many bullets."""
    picture: Picture = np.full((H, W, 3), 250, np.uint8)
    cv2.putText(picture, title, (20, 40), FACE, 0.9, (20, 20, 90), 2, cv2.LINE_AA)
    for number, line in enumerate(("revenue grew", "costs fell in May", "we hired", "we moved to Oslo")[:count]):
        cv2.putText(picture, f"- {line}", (30, 75 + 28 * number), FACE, 0.55, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


@pytest.mark.parametrize(("paper", "ink"), [(24, 215), (252, 20)], ids=["dark", "light"])
@pytest.mark.parametrize("frames", [1, 4, 7])
def test_lines_that_come_one_by_one_do_not_dissolve(tmp_path: Path, frames: int, paper: int, ink: int) -> None:
    """Ten lines come below one another within 0.4 to 2.8 s, each in one frame: the shot goes on."""
    film = [screen(1, paper, ink)] * 40
    film += [screen(count, paper, ink) for count in range(2, 12) for _ in range(frames)]
    seen = look(tmp_path, [*film, *[film[-1]] * 40], fps=RATE)
    assert seen.events == []


def test_a_page_of_another_title_at_a_frame_a_second_does_not_dissolve(tmp_path: Path) -> None:
    """Slides that build up at 1 fps, three seconds a bullet, and the title page of the next: turned in one frame."""
    film = [slide("Results 2026", count) for count in range(5) for _ in range(3)]
    film += [slide("Next steps", count) for count in range(2) for _ in range(3)]
    assert look(tmp_path, film, fps=1).cuts.transitions.items == ()
