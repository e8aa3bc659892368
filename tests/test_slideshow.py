"""Tests of stills that are cut, faded and dissolved to, of slides, and of titles on black."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.evaluation.effects import FPS, SIZE, drift, towards
from tests.support.looked import look
from tests.support.moving import Picture, texture

H, W = SIZE
FRAME = 1 / FPS


def still(seed: int, frames: int) -> list[Picture]:
    """A photograph."""
    return [texture(seed, H, W)] * frames


def slide(*lines: str) -> Picture:
    """A white page between black bars on all sides, with small sharp letters."""
    picture = np.zeros((H, W, 3), np.uint8)
    picture[20:-20, 40:-40] = 250
    for number, line in enumerate(lines):
        at = (50, 45 + 20 * number)
        cv2.putText(picture, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (15, 15, 15), 1, cv2.LINE_AA)
    return picture


def card(*lines: str, scale: float = 0.9, left: int | None = None) -> Picture:
    """White letters on black."""
    picture = np.zeros((H, W, 3), np.uint8)
    for number, line in enumerate(lines):
        (width, height), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_DUPLEX, scale, 2)
        top = (H + height) // 2 + round((number - (len(lines) - 1) / 2) * 2 * height)
        at = ((W - width) // 2 if left is None else left, top)
        cv2.putText(picture, line, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
    return picture


def dissolved(before: list[Picture], after: list[Picture], length: int) -> list[Picture]:
    """Both shots, the last `length` frames of one mixed with the first of the other."""
    shares = np.arange(1, length + 1) / (length + 1)
    mixed = [
        np.round(one * (1 - share) + other * share).astype(np.uint8)
        for one, other, share in zip(before[-length:], after[:length], shares, strict=True)
    ]
    return [*before[:-length], *mixed, *after[length:]]


@pytest.mark.parametrize("length", [12, 24])
def test_stills_between_dissolves_are_not_frozen(tmp_path: Path, length: int) -> None:
    """Photographs that dissolve into one another never moved: dissolves are all that happens."""
    film = still(1, 50)
    for seed in (2, 3, 4):
        film = dissolved(film, still(seed, 50 + length), length)
    seen = look(tmp_path, film)
    assert seen.labels == []
    assert [kind for kind, _ in seen.events] == ["dissolve"] * 3


def wiped(before: list[Picture], after: list[Picture], length: int) -> list[Picture]:
    """Both shots, the one laid bare from the left under the other within `length` frames."""
    mixed = []
    for number, (one, other) in enumerate(zip(before[-length:], after[:length], strict=True), start=1):
        edge = round(W * number / (length + 1))
        mixed.append(np.concatenate([other[:, :edge], one[:, edge:]], axis=1))
    return [*before[:-length], *mixed, *after[length:]]


ROWS, COLUMNS = np.mgrid[:H, :W]
SEAMS = {
    "from the left": COLUMNS / W,
    "from the right": 1 - (COLUMNS + 1) / W,
    "from above": ROWS / H,
    "from below": 1 - (ROWS + 1) / H,
    "iris": np.hypot(ROWS - H / 2, COLUMNS - W / 2) / np.hypot(H / 2, W / 2),
}
"""From which share of a wipe on each pixel is the new picture's."""


@pytest.mark.parametrize("length", [9, 20, 45])
@pytest.mark.parametrize("seam", SEAMS.values(), ids=SEAMS)
def test_photographs_that_are_wiped_over_one_another_beside_a_pan_are_not_frozen(
    tmp_path: Path, seam: NDArray[np.float64], length: int
) -> None:
    """A pan, a photograph that is cut to, and two that are wiped over it in 0.3 to 1.5 s, then a pan."""
    film = drift(5, 30, (3.0,))
    for seed in (1, 2, 3):
        if seed > 1:
            one, other = texture(seed - 1, H, W), texture(seed, H, W)
            shares = [number / (length + 1) for number in range(1, length + 1)]
            film += [np.where((seam < share)[..., None], other, one) for share in shares]
        film += still(seed, 25)
    assert "freeze" not in look(tmp_path, film + drift(6, 30, (3.0,))).labels


def test_stills_between_wipes_are_not_frozen(tmp_path: Path) -> None:
    """Photographs that are wiped over one another never moved, though cut_analysis knows no wipes."""
    film = still(1, 50)
    for seed in (2, 3):
        film = wiped(film, still(seed, 70), 20)
    assert "freeze" not in look(tmp_path, film).labels


@pytest.mark.parametrize("level", [0, 255])
def test_stills_between_fades_are_not_frozen(tmp_path: Path, level: int) -> None:
    """Photographs that come out of a plain colour and go back to it fade and are not frozen."""
    film = [f for seed in (1, 2, 3) for f in towards(towards(still(seed, 60), 14, 0, level), 45, 59, level)]
    labels = look(tmp_path, film).labels
    assert [label for label in labels if not label.startswith("fade_")] == []
    assert len(labels) == 6


def test_a_still_that_begins_to_move_is_not_frozen(tmp_path: Path) -> None:
    """A photograph that is cut to, stands and is then panned over never stopped moving."""
    film = drift(1, 30) + drift(2, 75, (0.0, 3.0, 3.0)) + drift(3, 30)
    assert look(tmp_path, film).labels == []


def test_motion_that_stops_before_a_dissolve_is_frozen(tmp_path: Path) -> None:
    """A pan that stands still for a second and then gives way to another is frozen until the dissolve begins."""
    frames = drift(11, 31, (3.0,))
    film = dissolved([*frames[:30], *[frames[30]] * 45], drift(12, 60), 15)
    found = look(tmp_path, film).one("freeze")
    assert (found.start, found.end) == pytest.approx((30 / FPS, 60 / FPS), abs=2 * FRAME + 0.001)


@pytest.mark.parametrize("speed", [0.0, 1.5])
def test_dissolves_to_and_from_a_slide_are_no_cuts(tmp_path: Path, speed: float) -> None:
    """A page of sharp letters between bars comes and goes by dissolves: their ends are no cuts."""
    page = slide("What a slide says", "is written small,", "in many lines,", "one below the other", "until it ends")
    film = dissolved(drift(21, 60, (speed,)), [page] * 60, 15)
    film = dissolved(film, drift(22, 60, (speed,)), 15)
    seen = look(tmp_path, film)
    assert [kind for kind, _ in seen.events] == ["dissolve", "dissolve"]
    spans = [(one.start, one.end) for one in seen.cuts.transitions.items]
    assert spans == [pytest.approx((f / FPS, (f + 15) / FPS), abs=3 * FRAME + 0.001) for f in (45, 90)]
    assert "freeze" not in seen.labels


TITLES = {
    "one line": card("THE END"),
    "a wide line": card("A VERY LONG TITLE", scale=1.0),
    "two lines": card("A SHORT", "STORY"),
    "beside the middle": card("LEFT", left=20),
    "small": card("A SMALL LINE", scale=0.5),
    "wide and beside the middle": card("A LONG LINE", left=10),
    "a page": card("Directed by", "Somebody Else", "Music by Another", "Thanks to all", "Made at home", scale=0.6),
}


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_a_title_on_black_has_no_bars(tmp_path: Path, title: Picture) -> None:
    """White letters on black leave black on all sides, but there is no picture between bars."""
    film = [title] * 40 + drift(31, 40) + [title] * 40
    assert [label for label in look(tmp_path, film).labels if label.endswith("box")] == []


def test_a_title_between_letterboxed_shots(tmp_path: Path) -> None:
    """The bars of a film go on through its title, whose letters stay between them."""
    shots = [[np.pad(f, ((24, 24), (0, 0), (0, 0))) for f in drift(seed, 30, size=(H - 48, W))] for seed in (32, 33)]
    seen = look(tmp_path, [*shots[0], *[card("THE NEXT DAY")] * 30, *shots[1]])
    bars = seen.one("letterbox")
    assert (bars.start, bars.end) == pytest.approx((0, 3.0), abs=0.001)
    assert bars.box == pytest.approx((0, 24 / 180, 1, 132 / 180), abs=1 / 90)
    assert "pillarbox" not in seen.labels
