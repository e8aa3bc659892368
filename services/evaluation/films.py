"""Films with exact truth: known camera motions, and shots cut together with motion and flashes between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from services.evaluation.pictures import Picture, texture, window

FPS = 30
HEIGHT, WIDTH = 270, 360
SHAKE_PIXELS = 3.0
"""Standard deviation of a shake: 0.3 short sides a second at 30 fps, as a hand-held camera that walks."""

Pose = tuple[float, float, float]
"""x and y of the camera over the picture in pixels, zoom."""

SPEEDS: dict[str, Pose] = {
    # Per frame: pixels right, pixels down, factor. 2 px of 270 are 0.22 short sides a second; 1.003 is 9 % a second.
    "static": (0.0, 0.0, 1.0),
    "pan_right": (2.0, 0.0, 1.0),
    "pan_left": (-2.0, 0.0, 1.0),
    "tilt_down": (0.0, 1.5, 1.0),
    "tilt_up": (0.0, -1.5, 1.0),
    "zoom_in": (0.0, 0.0, 1.003),
    "zoom_out": (0.0, 0.0, 1 / 1.003),
}
ALL_MOTIONS = ("static", "pan_right", "static", "zoom_in", "pan_left", "tilt_down", "shake", "tilt_up", "zoom_out")


def path(motion: str, frames: int, start: Pose = (500, 400, 1.0), seed: int = 0, pace: float = 1.0) -> list[Pose]:
    """Where the camera stands in every frame of that motion; `shake` jitters by 3 pixels around one place."""
    x, y, zoom = start
    if motion == "shake":
        jitter = np.random.default_rng(seed).normal(0, SHAKE_PIXELS * pace, (frames, 2))
        return [(x + float(dx), y + float(dy), zoom) for dx, dy in jitter]
    right, down, factor = SPEEDS[motion]
    return [(x + pace * right * i, y + pace * down * i, zoom * factor ** (pace * i)) for i in range(frames)]


def film(poses: Sequence[Pose], seed: int = 21) -> list[Picture]:
    """What a camera sees on that way over one picture; beyond 1000 x 800 pixels it would see a mirror."""
    picture = texture(seed, 800, 1000)
    return [window(picture, x, y, zoom, HEIGHT, WIDTH) for x, y, zoom in poses]


def moving_shot(
    motions: Sequence[str] = ALL_MOTIONS, seed: int = 21, pace: float = 1.0, frames: int = 75
) -> tuple[list[Picture], list[str]]:
    """One shot of many motions, `frames` each, and the true motion of every frame."""
    poses: list[Pose] = []
    truth: list[str] = []
    for number, motion in enumerate(motions):
        start = poses[-1] if poses else (420.0, 400.0, 1.0)
        poses += path(motion, frames, start, seed + number, pace)
        truth += [motion] * frames
    return film(poses, seed), truth


def softened(frames: Sequence[Picture], contrast: float, seed: int = 31) -> list[Picture]:
    """The film out of focus (a blur of 2 pixels), with that share of its contrast, and a sensor's noise of 2 levels.

    As photographs of rooms are, enlarged: few corners, and those weak.
    """
    rng = np.random.default_rng(seed)
    found = []
    for frame in frames:
        blurred = cv2.GaussianBlur(frame, (0, 0), 2).astype(np.float64)
        noisy = 128 + (blurred - 128) * contrast + rng.normal(0, 2, frame.shape)
        found.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return found


def crossed(frames: Sequence[Picture], share: float, speed: float, seed: int = 22) -> list[Picture]:
    """The film with a textured thing in front that covers this share of the picture and walks to and fro in it."""
    width = round(WIDTH * share * HEIGHT / (HEIGHT - 40))
    thing, room = texture(seed, HEIGHT - 40, width), WIDTH - width
    found = []
    for index, frame in enumerate(frames):
        way = speed * index % (2 * room)
        x = round(min(way, 2 * room - way))
        picture = frame.copy()
        picture[20:-20, x : x + width] = thing
        found.append(picture)
    return found


# --- cuts ------------------------------------------------------------------------------------------------------

CUT_HEIGHT, CUT_WIDTH = 180, 320
Joint = Literal["cut", "fade", "dissolve"]
BLACK_FRAMES = 12
FADE_FRAMES = 24
DISSOLVE_FRAMES = (9, 60)
"""Shortest and longest dissolve: 0.3 to 2 s."""
PURE_FRAMES = 12
"""What is left of a shot on each side of a dissolve, at least."""
FLASH_CUTS = 0.2
"""Share of the cuts that white frames cover."""


@dataclass(slots=True)
class Edit:
    """Frames, and what was done between them. Numbers are those of frames."""

    frames: list[Picture] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    """The first frame of a new picture."""
    fades_out: list[int] = field(default_factory=list)
    """The first black frame."""
    fades_in: list[int] = field(default_factory=list)
    """The first frame that is not black."""
    dissolves: list[tuple[int, int]] = field(default_factory=list)
    """First and one past the last frame that mixes two pictures."""


def edited(seed: int, shots: int = 14, *, shortest: float = 0.4, joints: Sequence[Joint] = ("cut",)) -> Edit:
    """Shots of random length cut together, each with one camera motion; some have a flash, a shake, or a thing.

    Neighbours have different pictures; every second pair has the same colours, as two shots of one place have. Films
    with dissolves have no flashes: nobody mixes one.
    """
    rng = np.random.default_rng(seed)
    edit = Edit()
    for number in range(shots):
        joint = joints[int(rng.integers(len(joints)))] if number else None
        frames = round(float(rng.uniform(shortest, 2.4)) * FPS)
        flashed = None if "dissolve" in joints else joint == "cut"
        shot = list(_shot(rng, 1000 * seed + number, frames, flashed=flashed))
        if joint == "cut":
            edit.cuts.append(len(edit.frames))
        elif joint == "fade":
            _fade(edit, shot)
        elif joint == "dissolve":
            shot = _dissolved(edit, shot, int(rng.integers(DISSOLVE_FRAMES[0], DISSOLVE_FRAMES[1] + 1)))
        edit.frames += shot
    return edit


def _shot(rng: np.random.Generator, seed: int, frames: int, *, flashed: bool | None) -> Iterator[Picture]:
    """Draw one shot; `flashed`: a flash may open it, or only stand in it; None: there is none."""
    picture = texture(seed, 500, 900)
    if seed % 2:
        other = texture(seed - 1, 500, 900).mean((0, 1))
        picture = np.clip(picture - picture.mean((0, 1)) + other, 0, 255).astype(np.uint8)
    speed = float(rng.choice([0, 1, 3, 6, 10])) * float(rng.choice([-1, 1]))
    zoom = float(rng.choice([1.0, 1.0, 1.004, 1 / 1.004]))
    shake = float(rng.choice([0.0, 0.0, 2.0]))
    # Half of the flashes stand in a shot, half open it: what editors call a flash cut.
    flash = int(rng.integers(FADE_FRAMES + 1, frames - 6)) if frames > FADE_FRAMES + 8 and rng.random() < 0.5 else -99
    flash = 0 if flashed and rng.random() < FLASH_CUTS else flash
    flash = -99 if flashed is None else flash
    length = int(rng.integers(1, 5))
    thing = texture(seed + 500, 110, 90) if rng.random() < 0.3 else None
    for i in range(frames):
        dx, dy = rng.normal(0, shake, 2) if shake else (0.0, 0.0)
        x = 450 + speed * (i - frames / 2)
        frame = window(picture, x + dx, 250 + dy, zoom**i, CUT_HEIGHT, CUT_WIDTH)
        if thing is not None:
            way = (20 + 5 * i) % (2 * (CUT_WIDTH - 90))
            left = min(way, 2 * (CUT_WIDTH - 90) - way)
            frame[60:170, left : left + 90] = thing
        yield np.full_like(frame, 250) if flash <= i < flash + length else frame


def _fade(edit: Edit, shot: list[Picture]) -> None:
    """Let the film so far end in black and the shot come out of it, both by ramps that take up to 0.8 s."""
    out, back = min(FADE_FRAMES, len(edit.frames) // 2), min(FADE_FRAMES, len(shot) // 2)
    for i in range(out):
        edit.frames[i - out] = (edit.frames[i - out] * (1 - (i + 1) / (out + 1))).astype(np.uint8)
    edit.fades_out.append(len(edit.frames))
    edit.frames += [np.zeros_like(shot[0])] * BLACK_FRAMES
    edit.fades_in.append(len(edit.frames))
    for i in range(back):
        shot[i] = (shot[i] * ((i + 1) / (back + 1))).astype(np.uint8)


def _dissolved(edit: Edit, shot: list[Picture], length: int) -> list[Picture]:
    """Mix the last frames of the film so far with the first of the shot; the rest of the shot.

    Less than `length` frames where the shots are too short for it.
    """
    joined = max([0, *edit.cuts, *edit.fades_in, *(end for _, end in edit.dissolves)])
    length = max(2, min(length, len(shot) - 2 * PURE_FRAMES, len(edit.frames) - joined - PURE_FRAMES))
    first = len(edit.frames) - length
    for i in range(length):
        share = (i + 1) / (length + 1)
        mixed = edit.frames[first + i] * (1 - share) + shot[i] * share
        edit.frames[first + i] = mixed.astype(np.uint8)
    edit.dissolves.append((first, first + length))
    return shot[length:]
