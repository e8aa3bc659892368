"""Tests of bars that have letters in them, and of letters on black, which have no bars."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift
from tests.support.looked import look
from tests.support.moving import Picture

H, W = SIZE
BAR = 24
SAID = ["I was there that day.", "", "They said the same thing", "and then it was over."]
SUNG = [
    "Hello darkness my old friend",
    "I have come to talk with you",
    "because a vision creeping",
    "left its seeds here",
]
SHOUTED = [
    "NOW HELLO DARKNESS MY OLD",
    "WE HAVE COME TO TALK TO YOU",
    "BECAUSE A VISION CREEPS",
    "HAS LEFT SEEDS WHILE ASLEEP",
]


def write(frame: Picture, line: str, middle: int, scale: float, left: int | None = None, thick: int = 1) -> Picture:
    """Write a line of white letters whose middle is at that row."""
    (width, height), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    at = ((frame.shape[1] - width) // 2 if left is None else left, middle + height // 2)
    cv2.putText(frame, line, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA)
    return frame


def shaded(seed: int, height: int, width: int, light: float = 1.0) -> list[Picture]:
    """A shot of which the left quarter is black: its border is not lit all along."""
    shade = np.where(np.arange(width) < width // 4, 0.05, light)[:, None]
    return [(frame * shade).astype(np.uint8) for frame in drift(seed, 30, size=(height, width))]


def barred(seeds: Sequence[int], *, bar: int = BAR, size: tuple[int, int] = SIZE, light: float = 1.0) -> list[Picture]:
    """Shots between black bars above and below."""
    height, width = size
    shots = [shaded(seed, height - 2 * bar, width, light) for seed in seeds]
    return [np.pad(frame, ((bar, bar), (0, 0), (0, 0))) for shot in shots for frame in shot]


def subtitled(frames: list[Picture], middle: int) -> list[Picture]:
    """A line of what is said for half a second each."""
    return [write(frame, SAID[number // 15 % len(SAID)], middle, 0.5) for number, frame in enumerate(frames)]


@pytest.mark.parametrize("light", [1.0, 0.5], ids=["light", "dark"])
@pytest.mark.parametrize("middle", [H - 12, H - BAR], ids=["in the bar", "across its edge"])
def test_subtitles_do_not_hide_the_bar_below(tmp_path: Path, middle: int, light: float) -> None:
    """The letterbox lasts over all shots, and the edges of its bars are no overlays."""
    seen = look(tmp_path, subtitled(barred((41, 42, 43, 44), light=light), middle))
    bars = seen.one("letterbox")
    assert (bars.start, bars.end) == pytest.approx((0, 4.0), abs=0.001)
    assert bars.box == pytest.approx((0, BAR / H, 1, 1 - 2 * BAR / H), abs=1 / 90)
    assert not {"overlay", "vignette", "pillarbox"} & set(seen.labels)


def test_a_title_and_a_name_in_the_bars_of_a_reel(tmp_path: Path) -> None:
    """A 16:9 band between a title above and a name below, as far from it: the band is the picture."""
    height, width = 320, 180
    frames = barred((45, 46, 47), bar=110, size=(height, width))
    frames = [write(write(frame, "POV: your cat", 60, 0.6), "@maker", 260, 0.5) for frame in frames]
    bars = look(tmp_path, frames).one("letterbox")
    assert bars.box == pytest.approx((0, 110 / height, 1, 100 / height), abs=1 / 90)


def test_a_logo_in_the_corner_of_a_bar(tmp_path: Path) -> None:
    """What stands in a bar for the whole film is none of the picture."""
    frames = [write(frame, "acme", 12, 0.5, left=W - 60) for frame in barred((48, 49, 50))]
    bars = look(tmp_path, frames).one("letterbox")
    assert (bars.start, bars.end) == pytest.approx((0, 3.0), abs=0.001)
    assert bars.box == pytest.approx((0, BAR / H, 1, 1 - 2 * BAR / H), abs=1 / 90)


def on_black(lines: Sequence[str], middles: Sequence[int], scale: float, size: tuple[int, int] = SIZE) -> list[Picture]:
    """Each line for a second on black, in each of the places."""
    frames = []
    for line in lines:
        frame = np.zeros((*size, 3), np.uint8)
        for middle in middles:
            write(frame, line, middle, scale, thick=2 if scale > 1 else 1)
        frames += [frame] * FPS
    return frames


BLACK: dict[str, Callable[[], list[Picture]]] = {
    "lines": lambda: on_black(SUNG, (86,), 0.6),
    "capitals": lambda: on_black(SHOUTED, (88,), 0.7),
    "large": lambda: on_black(("STOP IT NOW", "THIS IS IT", "ALWAYS SO"), (85,), 1.6),
    "paragraphs": lambda: on_black(SUNG[:2], tuple(range(46, 140, 15)), 0.55),
    "a reel": lambda: on_black(("HELLO DARK", "OLD FRIEND", "COME TO ME", "WITH YOU"), (160,), 0.8, (320, 180)),
}


@pytest.mark.parametrize("film", BLACK.values(), ids=BLACK)
def test_lines_that_follow_one_another_on_black_have_no_bars(tmp_path: Path, film: Callable[[], list[Picture]]) -> None:
    """Together they are lit from border to border, as a picture between bars."""
    assert [label for label in look(tmp_path, film()).labels if label.endswith("box")] == []


def laid(frames: Sequence[Picture], box: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> list[Picture]:
    """The frames in a box (x, y, width, height) on black."""
    x, y, width, height = box
    film = [np.zeros((*size, 3), np.uint8) for _ in frames]
    for page, frame in zip(film, frames, strict=True):
        page[y : y + height, x : x + width] = cv2.resize(frame, (width, height))
    return film


def card(box: tuple[int, int, int, int], *lines: tuple[str, int, int | None], still: bool = True) -> list[Picture]:
    """A picture in a box on black, with lines of text (letters, middle row, left column or centred)."""
    film = laid(drift(51, 40, (0.0,) if still else (1.0,)), box)
    for line, middle, left in lines:
        film = [write(frame, line, middle, 0.6, left) for frame in film]
    return film


def closing() -> list[Picture]:
    """Two pictures beside one another between two lines."""
    left, right = (laid(drift(seed, 40), (x, 44, 142, 90)) for seed, x in ((52, 12), (53, 166)))
    film = [np.maximum(a, b) for a, b in zip(left, right, strict=True)]
    return [write(write(frame, "THANKS FOR WATCHING", 24, 0.8), "SUBSCRIBE FOR MORE", 156, 0.8) for frame in film]


CARDS: dict[str, Callable[[], list[Picture]]] = {
    "between two lines": lambda: card((110, 40, 100, 100), ("Midnight Train", 22, None), ("The Examples", 160, None)),
    "above a line": lambda: card((110, 40, 100, 100), ("Midnight Train", 160, None)),
    "a film": lambda: card((70, 40, 180, 100), ("EPISODE 12", 22, None), ("with Jane", 160, None), still=False),
    "a title at the left": lambda: card((70, 40, 180, 100), ("What we saw", 22, 20), ("at home", 160, 20)),
    "not in the middle": lambda: card((24, 40, 150, 100), ("What we saw", 22, 24), ("at home", 160, 24)),
    "between two words": lambda: card((110, 20, 100, 140), ("before", 90, 14), ("after", 90, 240)),
    "two pictures": closing,
    "after a film": lambda: (
        drift(54, 40) + card((110, 40, 100, 100), ("MY CHANNEL", 22, None), ("next week", 160, None))
    ),
}


@pytest.mark.parametrize("film", CARDS.values(), ids=CARDS)
def test_a_picture_on_a_card_has_no_bars(tmp_path: Path, film: Callable[[], list[Picture]]) -> None:
    """Black on all four sides, and letters that stay beside the picture: the page is black, and not the bars."""
    assert [label for label in look(tmp_path, film()).labels if label.endswith("box")] == []


@pytest.mark.parametrize("what", ["nothing", "subtitles", "a logo", "one title in one shot of three"])
def test_a_film_with_black_on_all_four_sides(tmp_path: Path, what: str) -> None:
    """Its bars are bars where nothing stays beside the picture in every shot."""
    frames = [frame for seed in (55, 56, 57) for frame in laid(drift(seed, 30), (40, 24, 240, 132))]
    if what == "subtitles":
        frames = [write(frame, SAID[2 + number // 10 % 2], H - 12, 0.5) for number, frame in enumerate(frames)]
    if what == "a logo":
        frames = [write(frame, "tv", 12, 0.5, left=W - 30) for frame in frames]
    if what == "one title in one shot of three":
        frames[30:60] = [write(frame, "PART TWO", 12, 0.5) for frame in frames[30:60]]
    seen = look(tmp_path, frames)
    assert seen.one("letterbox").box == pytest.approx((0, 24 / H, 1, 132 / H), abs=1 / 90)
    assert seen.one("pillarbox").box == pytest.approx((40 / W, 0, 240 / W, 1), abs=1 / 90)
    assert {(bars.start, bars.end) for bars in (seen.one("letterbox"), seen.one("pillarbox"))} == {(0, 3.0)}
