"""Films with one effect each, of which the span is known to the frame, and films that only look as if they had one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.evaluation.pictures import Picture, texture, window
from shared.schema import Box

FPS = 30
HEIGHT, WIDTH = 180, 320
SIZE = (HEIGHT, WIDTH)
Span = tuple[int, int]
"""First frame and one past the last."""


@dataclass(frozen=True, slots=True)
class Known:
    """An effect that was put in; a moment has a span without frames."""

    label: str
    span: Span
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Film:
    """Frames, rgb, and all effects in them."""

    frames: list[Picture]
    effects: tuple[Known, ...] = ()


def drift(seed: int, frames: int, speeds: Sequence[float] = (1.5,), size: tuple[int, int] = SIZE) -> list[Picture]:
    """A camera over a picture; `speeds` in pixels a frame, each for an equal share of the frames."""
    picture = texture(seed, size[0] + 100, size[1] + 500)
    steps = [speeds[i * len(speeds) // frames] for i in range(frames)]
    return [window(picture, 200 + float(x), 130, 1.0, *size) for x in np.cumsum(steps)]


def towards(frames: Sequence[Picture], first: int, last: int, level: int) -> list[Picture]:
    """Mix frames with a flat level: not at all at `first`, fully at `last` and beyond (in either direction)."""
    share = np.clip((np.arange(len(frames)) - first) / (last - first), 0, 1)
    return [np.round(f * (1 - s) + level * s).astype(np.uint8) for f, s in zip(frames, share, strict=True)]


def falloff(corner: float) -> NDArray[np.float64]:
    """A vignette `(height, width, 1)`: 1 in the middle, `corner` in the corners."""
    y, x = np.linspace(-1, 1, HEIGHT)[:, None], np.linspace(-1, 1, WIDTH)[None]
    return np.asarray((1 - (1 - corner) * (x**2 + y**2) / 2)[..., None])


def without_colour(frames: Sequence[Picture]) -> list[Picture]:
    """The same in grey."""
    return [np.repeat(f.mean(2, keepdims=True), 3, 2).astype(np.uint8) for f in frames]


def sidelong(seed: int, frames: int) -> list[Picture]:
    """A drifting picture lit from a side of its own, as rooms and landscapes are: up to three times as bright there."""
    angle = 2 * np.pi * np.random.default_rng(seed).random()
    y, x = np.linspace(-1, 1, HEIGHT)[:, None], np.linspace(-1, 1, WIDTH)[None]
    light = 1 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y)[..., None] / np.sqrt(2)
    return [np.clip(f * 0.7 * light, 0, 255).astype(np.uint8) for f in drift(seed, frames)]


def room(seed: int, frames: int) -> list[Picture]:
    """Somebody walks to and fro before a wall over a floor: a skirting board from border to border."""
    picture = (texture(seed, HEIGHT, WIDTH) // 8).astype(np.uint8)
    board = HEIGHT * 3 // 5
    picture[:board] += np.array((200, 205, 210), np.uint8)
    picture[board:] += np.array((150, 90, 40), np.uint8)
    person = texture(seed + 1, 130, 70) // 3
    found = []
    for index in range(frames):
        way = 6 * index % (2 * (WIDTH - 70))
        left = min(way, 2 * (WIDTH - 70) - way)
        frame = picture.copy()
        frame[40:170, left : left + 70] = person
        found.append(frame)
    return found


def stamped(frame: Picture) -> Picture:
    """The frame with a logo of two rings without colour in a corner."""
    cv2.circle(frame, (280, 30), 16, (255, 255, 255), -1)
    cv2.circle(frame, (280, 30), 8, (0, 0, 0), -1)
    return frame


LOGO: Box = (264 / WIDTH, 14 / HEIGHT, 32 / WIDTH, 32 / HEIGHT)


# --- films with one effect each --------------------------------------------------------------------------------


def _faded(seed: int, level: int, colour: str) -> Film:
    frames = towards(drift(seed, 75), 30, 60, level) + towards(drift(seed + 1, 75), 20, 0, level)
    out, back = Known(f"fade_out_to_{colour}", (30, 60)), Known(f"fade_in_from_{colour}", (75, 95))
    return Film(frames, (out, back))


def black_fades(seed: int) -> Film:
    """A second to black, 0.7 s back out of it."""
    return _faded(seed, 0, "black")


def white_fades(seed: int) -> Film:
    """The same through white."""
    return _faded(seed, 255, "white")


def flashes(seed: int) -> Film:
    """Two white frames in a shot, one brighter frame in another, and cuts."""
    frames = drift(seed, 30) + drift(seed + 1, 40) + drift(seed + 2, 30)
    frames[40:42] = [np.full((*SIZE, 3), 255, np.uint8)] * 2
    frames[55] = np.minimum(frames[55].astype(np.int16) + 90, 255).astype(np.uint8)
    return Film(frames, (Known("flash", (40, 40)), Known("flash", (55, 55))))


def frozen(seed: int) -> Film:
    """One frame of a pan held for a second."""
    frames = drift(seed, 90, (3.0,))
    return Film([*frames[:30], *[frames[30]] * 30, *frames[31:61]], (Known("freeze", (30, 60)),))


def hurried(seed: int) -> Film:
    """A pan that triples its speed and goes back to it."""
    return Film(drift(seed, 120, (1.0, 3.0, 1.0)), (Known("faster", (40, 40)), Known("slower", (80, 80))))


def letterboxed(seed: int) -> Film:
    """Bars of 24 of 180 rows over two shots and a black one between."""
    shots = [np.pad(f, ((24, 24), (0, 0), (0, 0))) for s in (seed, seed + 1) for f in drift(s, 30, size=(132, WIDTH))]
    shots[30:30] = [np.zeros((*SIZE, 3), np.uint8)] * 20
    return Film(shots, (Known("letterbox", (0, 80), (0.0, 24 / HEIGHT, 1.0, 132 / HEIGHT)),))


def pillarboxed(seed: int) -> Film:
    """Bars of 40 of 320 columns."""
    frames = [np.pad(f, ((0, 0), (40, 40), (0, 0))) for f in drift(seed, 40, size=(HEIGHT, 240))]
    return Film(frames, (Known("pillarbox", (0, 40), (40 / WIDTH, 0.0, 240 / WIDTH, 1.0)),))


def vignetted(seed: int) -> Film:
    """Corners with 40 % of the light in six shots that are lit from different sides."""
    frames = [f for n in range(6) for f in sidelong(seed + n, 15)]
    return Film([(f * falloff(0.4)).astype(np.uint8) for f in frames], (Known("vignette", (0, 90)),))


def greyed(seed: int) -> Film:
    """A shot without colour between two with it."""
    frames = drift(seed, 30) + without_colour(drift(seed + 1, 45)) + drift(seed + 2, 30)
    return Film(frames, (Known("black_and_white", (30, 75)),))


def with_logo(seed: int) -> Film:
    """A logo over shots 2 to 5 of six."""
    frames = [f for n in range(6) for f in drift(seed + n, 20)]
    stood = [stamped(f) for f in frames[20:100]]
    return Film([*frames[:20], *stood, *frames[100:]], (Known("overlay", (20, 100), LOGO),))


def split(seed: int) -> Film:
    """Two moving pictures: side by side for odd seeds, else one above the other."""
    upright = seed % 2 == 1
    size = (HEIGHT, WIDTH // 2) if upright else (HEIGHT // 2, WIDTH)
    halves = zip(drift(seed, 40, size=size), drift(seed + 1, 40, (-2.0,), size=size), strict=True)
    box = (0.0, 0.0, 0.5, 1.0) if upright else (0.0, 0.0, 1.0, 0.5)
    frames = [np.concatenate(pair, axis=1 if upright else 0) for pair in halves]
    return Film(frames, (Known("split_screen", (0, 40), box),))


# --- films without any -----------------------------------------------------------------------------------------


def plain_cuts(seed: int) -> Film:
    """Three moving shots, the last one bright for eight frames only."""
    bright = [np.minimum(f.astype(np.int16) + 60, 255).astype(np.uint8) for f in drift(seed + 2, 8)]
    return Film(drift(seed, 30) + drift(seed + 1, 30) + bright)


def photograph(seed: int) -> Film:
    """A still picture between two moving ones."""
    return Film(drift(seed, 30) + [texture(seed + 1, *SIZE)] * 40 + drift(seed + 2, 30))


def walked_through(seed: int) -> Film:
    """A room in which somebody walks: its skirting board is no seam of a split screen."""
    return Film(room(seed, 60))


def lit_from_sides(seed: int) -> Film:
    """Six shots lit from different sides: no vignette."""
    return Film([f for n in range(6) for f in sidelong(seed + n, 15)])


def logo_over_black(seed: int) -> Film:
    """A grey logo that stands over a fade to black and 1.5 s of it: no picture in black and white."""
    frames = [stamped(f) for f in [*towards(drift(seed, 75), 15, 30, 0), *drift(seed + 1, 45)]]
    return Film(frames, (Known("fade_out_to_black", (15, 30)),))


WITH: tuple[Callable[[int], Film], ...] = (
    black_fades,
    white_fades,
    flashes,
    frozen,
    hurried,
    letterboxed,
    pillarboxed,
    vignetted,
    greyed,
    with_logo,
    split,
)
WITHOUT: tuple[Callable[[int], Film], ...] = (plain_cuts, photograph, walked_through, lit_from_sides, logo_over_black)
