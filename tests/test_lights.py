"""Tests of lights that flash or die away in a dark scene, which are no fades, and of dim pictures that fade still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift
from tests.support.looked import look
from tests.support.moving import Picture

COLOURS = np.array([(1, 0.3, 0.3), (0.3, 1, 0.3), (0.4, 0.4, 1)])
FLASHES = (30, 36, 90, 130, 133)


def lit(levels: Sequence[float], seed: int = 3, period: int = 0) -> list[Picture]:
    """One shot in light of these levels; with a period, in frames, the light changes its colour with each."""
    film = []
    for number, (frame, level) in enumerate(zip(drift(seed, len(levels)), levels, strict=True)):
        colour = COLOURS[(number + 13) // period % 3] if period else np.ones(3)
        film.append((frame * colour * level).clip(0, 255).astype(np.uint8))
    return film


def lightning(dark: float) -> list[float]:
    """The light of a night with five flashes, of which two come soon after another; each dies away."""
    levels = np.full(180, dark)
    for start in FLASHES:
        levels[start : start + 12] += 0.9 * np.exp(-np.arange(12) / 2.5)
    return [float(level) for level in levels.clip(0, 1.2)]


@pytest.mark.parametrize("dark", [0.06, 0.15])
def test_coloured_lights_that_flash_do_not_fade(tmp_path: Path, dark: float) -> None:
    """A club: every half second another light comes at once and dies away; what is lit is seen throughout."""
    seen = look(tmp_path, lit([dark + (1 - dark) * 0.8 ** (number % 15) for number in range(13, 163)], period=15))
    assert [event for event in seen.events if event[0] != "cut"] == []
    assert [label for label in seen.labels if label.startswith("fade_")] == []


@pytest.mark.parametrize("dark", [0.03, 0.15])
def test_lightning_does_not_fade(tmp_path: Path, dark: float) -> None:
    """Flashes over a dark scene, black or not between them: no fade, and no cut where they die away."""
    seen = look(tmp_path, lit(lightning(dark)))
    assert {(kind, round(t * FPS)) for kind, t in seen.events} <= {("cut", start) for start in FLASHES}
    assert [label for label in seen.labels if label.startswith("fade_")] == []


def test_a_light_that_turns_does_not_fade(tmp_path: Path) -> None:
    """A siren: light comes and goes once a second, and the scene is seen between, dimly."""
    seen = look(tmp_path, lit([0.2 + 0.6 * max(0.0, np.sin(number / 5)) for number in range(5, 135)]))
    assert seen.events == []


@pytest.mark.parametrize("light", [1.0, 0.5, 0.3])
def test_a_dim_shot_that_fades_out_and_in_again_fades(tmp_path: Path, light: float) -> None:
    """An editor's dip to black within one shot, bright or dim, is both fades."""
    levels = np.interp(np.arange(150), [45, 60, 66, 81], [1, 0, 0, 1]) * light
    seen = look(tmp_path, lit([float(level) for level in levels]))
    assert [kind for kind, _ in seen.events] == ["fade_out", "fade_in"]
    assert [t * FPS for _, t in seen.events] == pytest.approx([60, 67], abs=2.5)
    assert seen.labels == ["fade_out_to_black", "fade_in_from_black"]


def test_a_dark_shot_that_fades_behind_a_logo_fades(tmp_path: Path) -> None:
    """Of a night in blue little has any luma; a logo that stands in the corner is no part of it that is left."""
    night = np.clip([frame * (0.06, 0.1, 0.4) for frame in lit([1.0] * 60)], 0, 255)
    shares = np.interp(np.arange(60), [40, 56], [1, 0])[:, None, None, None]
    film = [*(night * shares).astype(np.uint8), *[np.zeros((*SIZE, 3), np.uint8)] * 10, *lit([1.0] * 30, 5)]
    for frame in film:
        cv2.circle(frame, (SIZE[1] - 30, 26), 18, (255, 255, 255), -1)
        cv2.circle(frame, (SIZE[1] - 30, 26), 11, (255, 90, 10), -1)
    seen = look(tmp_path, film)
    assert [(kind, round(t * FPS)) for kind, t in seen.events] == [
        ("fade_out", pytest.approx(56, abs=2.5)),
        ("cut", 70),
    ]


@pytest.mark.parametrize(("held", "length"), [(0, 15), (4, 12), (10, 24)])
def test_a_picture_that_black_is_cut_to_fades_out_at_once(tmp_path: Path, held: int, length: int) -> None:
    """Pictures that come out of black by a cut, and fade evenly, are no lights that die away: a trailer's."""
    black = [np.zeros((*SIZE, 3), np.uint8)] * 20
    film, ends = list(black), []
    for seed in (4, 5, 6):
        shares = [*[1.0] * held, *(1 - (number + 1) / length for number in range(length))]
        film += lit(shares, seed)
        ends.append(len(film) - 1)
        film += black
    seen = look(tmp_path, film)
    assert [t * FPS for kind, t in seen.events if kind == "fade_out"] == pytest.approx(ends, abs=2.5)


@pytest.mark.parametrize(("power", "held", "length"), [(2, 0, 12), (3, 0, 24), (3, 2, 20), (4, 4, 30)])
def test_a_picture_that_black_is_cut_to_and_that_eases_out_fades(
    tmp_path: Path, power: int, held: int, length: int
) -> None:
    """It dies away as light does, but nothing of it is seen in the black before, and no other shot is like it."""
    black = [np.zeros((*SIZE, 3), np.uint8)] * 15
    shares = [*[1.0] * held, *((1 - (number + 1) / length) ** power for number in range(length))]
    film = list(black)
    for seed in (4, 5, 6):
        film += [*lit(shares, seed), *black]
    seen = look(tmp_path, film)
    assert [kind for kind, _ in seen.events] == ["cut", "fade_out"] * 3
    assert [label for label in seen.labels if label.startswith("fade_")] == ["fade_out_to_black"] * 3
