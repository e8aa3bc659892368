"""Tests of fades and dissolves behind what stands through them: subtitles, captions word by word, a logo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift, towards
from tests.support.looked import look
from tests.support.moving import Picture, texture

H, W = SIZE
FACE = cv2.FONT_HERSHEY_SIMPLEX
WORDS = ("STOP", "WAITING", "YOU GROW")
RAMP, HELD = 18, 5


def lettered(frame: Picture, words: str, y: int, size: float) -> Picture:
    """White letters with a black outline, in the middle of the width."""
    frame = frame.copy()
    width = cv2.getTextSize(words, FACE, size, 2)[0][0]
    for colour, stroke in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.putText(frame, words, ((W - width) // 2, y), FACE, size, colour, stroke, cv2.LINE_AA)
    return frame


def subtitled(frame: Picture, number: int) -> Picture:
    """Two lines of subtitles; others every two seconds."""
    lines = ("I never thought that it", "would go this far.") if number // 60 % 2 else ("But then we met", "her again.")
    for y, line in zip((145, 168), lines, strict=True):
        frame = lettered(frame, line, y, 0.6)
    return frame


def captioned(frame: Picture, number: int) -> Picture:
    """A caption that changes every half second, ramp or not."""
    return lettered(frame, WORDS[number // 15 % len(WORDS)], 110, 0.9)


def branded(frame: Picture, number: int) -> Picture:
    """A ring in the corner."""
    frame = frame.copy()
    cv2.circle(frame, (270, 45), 28, (255, 255, 255), 6, cv2.LINE_AA)
    cv2.circle(frame, (270, 45), 20, (255, 80, 0), 4, cv2.LINE_AA)
    return frame


def ticking(frame: Picture, number: int) -> Picture:
    """White letters on a dark band that run to the left."""
    frame = frame.copy()
    frame[140:170] = (90, 10, 20)
    line = "MARKETS CLOSE HIGHER TODAY AFTER A LONG WEEK OF LOSSES - RAIN IN THE WEST "
    for start in (0, 1150):
        cv2.putText(frame, line, (20 + start - 3 * number, 162), FACE, 0.7, (255, 255, 255), 2, cv2.LINE_AA)
    return frame


def framed(frame: Picture, number: int) -> Picture:
    """A border as thick as a fifteenth of the height."""
    frame = frame.copy()
    cv2.rectangle(frame, (0, 0), (W - 1, H - 1), (255, 200, 0), 24)
    return frame


def marked(frame: Picture, number: int) -> Picture:
    """A watermark of large letters, of which two fifths cover the picture."""
    letters = cv2.putText(frame.copy(), "SAMPLE", (40, 110), FACE, 2.0, (255, 255, 255), 9, cv2.LINE_AA)
    return cv2.addWeighted(frame, 0.6, letters, 0.4, 0).astype(np.uint8)


def faded(level: int, shots: int = 4) -> tuple[list[Picture], list[tuple[str, float]]]:
    """Shots that fade through a plain picture, and the ends of the fades."""
    film: list[Picture] = []
    ends: list[tuple[str, float]] = []
    for number in range(shots):
        shot = drift(number + 40, 60)
        if number:
            ends.append(("fade_in", len(film) / FPS))
            shot = towards(shot, RAMP, 0, level)
        if number < shots - 1:
            shot = towards(shot, len(shot) - 1 - RAMP, len(shot) - 1, level)
        film += shot
        if number < shots - 1:
            ends.append(("fade_out", (len(film) - 1) / FPS))
            film += [np.full((H, W, 3), level, np.uint8)] * HELD
    return film, ends


@pytest.mark.parametrize(
    ("stand", "level"),
    [
        (subtitled, 0),
        *[(stand, level) for stand in (captioned, branded, framed) for level in (0, 255)],
        (ticking, 0),
        (marked, 0),
    ],
)
def test_fades_behind_what_stands_are_fades(
    tmp_path: Path, stand: Callable[[Picture, int], Picture], level: int
) -> None:
    """Subtitles, captions word by word, a ring and a watermark that stand: every fade, within two frames, no more."""
    film, ends = faded(level)
    seen = look(tmp_path, [stand(frame, number) for number, frame in enumerate(film)])
    assert [kind for kind, _ in seen.events] == [kind for kind, _ in ends]
    assert [t for _, t in seen.events] == pytest.approx([t for _, t in ends], abs=2.01 / FPS)
    colour = "white" if level else "black"
    named = [label for label in seen.labels if label.startswith("fade_")]
    assert sorted(named) == sorted(f"{kind}_{'to' if kind == 'fade_out' else 'from'}_{colour}" for kind, _ in ends)


def test_a_title_on_black_that_is_cut_to_leaves_its_cut(tmp_path: Path) -> None:
    """A shot gives way to subtitles on black at once; another comes out of the black behind them: a cut, a fade-in."""
    film = [*drift(1, 45), *[np.zeros((H, W, 3), np.uint8)] * 20, *towards(drift(2, 60), RAMP, 0, 0)]
    seen = look(tmp_path, [subtitled(frame, 0) for frame in film])
    assert [kind for kind, _ in seen.events] == ["cut", "fade_in"]
    assert [t for _, t in seen.events] == pytest.approx([45 / FPS, 65 / FPS], abs=2.01 / FPS)


def night() -> Picture:
    """A dark street with lamps."""
    dark = (texture(9, H, W) * 0.01).astype(np.uint8)
    for x in range(30, W, 60):
        cv2.circle(dark, (x, 60 + x % 40), 14, (240, 220, 170), -1, cv2.LINE_AA)
    return dark


def mixed(before: Sequence[Picture], after: Sequence[Picture], length: int) -> list[Picture]:
    """The last frames of the one dissolve into the first of the other."""
    shares = (np.arange(length) + 1) / (length + 1)
    parts = zip(before[-length:], after[:length], shares, strict=True)
    return [
        *before[:-length],
        *(cv2.addWeighted(a, 1 - share, b, share, 0).astype(np.uint8) for a, b, share in parts),
        *after[length:],
    ]


@pytest.mark.parametrize("stand", [subtitled, branded])
@pytest.mark.parametrize("length", [12, 24, 36])
def test_dissolves_behind_what_stands_have_their_span(
    tmp_path: Path, stand: Callable[[Picture, int], Picture], length: int
) -> None:
    """Soft pictures of which a ring or subtitles have most of the edges dissolve into one another, each in its span."""
    film: list[Picture] = []
    spans = []
    for number in range(3):
        shot = [cv2.GaussianBlur(frame, (0, 0), 1.5).astype(np.uint8) for frame in drift(number + 70, 100)]
        film = mixed(film, shot, length) if film else shot
        spans.append((len(film) - len(shot), len(film) - len(shot) + length))
    seen = look(tmp_path, [stand(frame, number % 60) for number, frame in enumerate(film)])
    assert [kind for kind, _ in seen.events] == ["dissolve", "dissolve"]
    found = [time * FPS for one in seen.cuts.transitions.items for time in (one.start, one.end)]
    assert found == pytest.approx([float(end) for span in spans[1:] for end in span], abs=4.5)


def room(seed: int = 73) -> Picture:
    """A soft picture of things of one colour each: edges that the light does not make."""
    rng = np.random.default_rng(seed)
    picture = texture(seed, H, W)
    for x, y, width, height in rng.integers(0, (W, H, 60, 60), (40, 4)).tolist():
        colour = rng.integers(0, 255, 3).tolist()
        cv2.rectangle(picture, (x, y), (x + 8 + width, y + 8 + height), colour, -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1), np.uint8)


@pytest.mark.parametrize("reach", [30.0, 60.0])
def test_a_torch_that_moves_in_the_dark_is_no_dissolve(tmp_path: Path, reach: float) -> None:
    """What it leaves goes dark, what it comes to is lit, all evenly: where it shines before and after, edges stay."""
    rows, columns = np.mgrid[:H, :W]
    film = []
    for number in range(150):
        x, y = W / 2 + 110 * np.sin(number / 25), H / 2 + 45 * np.cos(number / 17)
        light = 0.05 + 1.1 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * reach**2))
        film.append(np.clip(room() * light[..., None], 0, 255).astype(np.uint8))
    assert look(tmp_path, film).events == []


@pytest.mark.parametrize("speed", [3, 5])
def test_a_pan_into_the_dark_is_no_dissolve(tmp_path: Path, speed: int) -> None:
    """A camera turns from a lit room to a dark one: its pixels are in one of both, few between them."""
    wide = np.concatenate([room(), (room(93) * 0.05).astype(np.uint8)], 1)
    seen = look(tmp_path, [np.ascontiguousarray(wide[:, x : x + W]) for x in range(0, W, speed)])
    assert [kind for kind, _ in seen.events if kind == "dissolve"] == []


def test_a_dissolve_to_a_street_at_night_is_none(tmp_path: Path) -> None:
    """Lamps that shine where it is dark shone nowhere by day: nothing stands, and nothing fades."""
    seen = look(tmp_path, mixed(drift(3, 60), [night()] * 60, 20))
    assert [kind for kind, _ in seen.events if kind.startswith("fade_")] == []


@pytest.mark.parametrize("level", [0, 255])
def test_lines_that_fade_in_below_a_standing_one_are_no_picture(tmp_path: Path, level: int) -> None:
    """A heading stands, lines come softly below it, one after the other."""
    film = []
    for number in range(150):
        frame = lettered(np.full((H, W, 3), level, np.uint8), "Our plan", 35, 0.8)
        for line, y in enumerate((80, 115, 150)):
            share = float(np.clip((number - 20 - 40 * line) / 15, 0, 1))
            full = lettered(frame, "and then the next", y, 0.6)
            frame = cv2.addWeighted(frame, 1 - share, full, share, 0).astype(np.uint8)
        film.append(frame)
    seen = look(tmp_path, film)
    assert [kind for kind, _ in seen.events if kind.startswith("fade_")] == []
