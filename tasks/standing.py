"""How long each sampled picture stands.

A rendition has the first picture of each step of time, and every picture that is held for longer than a step. So where
the next one comes after two steps or more, nothing was shown between: the picture stood, and one look at it says as
much as many looks at a picture that moves. Slides, screen recordings, GIFs and paused calls are made of such pictures.
Where less lies between two looks only the pictures themselves know (`FrameBatch.until`): what stood for a whole step
was all that there was, in a GIF of a picture each 0.3 s as in a slide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.frames import Frames
from shared.schema import Span
from tasks.analyzer import Media
from tasks.boxes import stills

HELD_STEPS = 2
SLOWER = 1.5
"""Pictures are further apart than asked for, not only beside their due time, from this many steps on."""
ROUNDING = 0.0005
"""Seconds: times of a document are rounded to a millisecond, those of frames are not."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of each look, in order: the second until which its picture is known to be shown, and whether it was held."""

    until: tuple[float, ...]
    held: tuple[bool, ...]


def standing(media: Media, need: Frames, times: Sequence[float]) -> Standing:
    """Of the looks at a rendition, at those times. Waits until all of the video is read."""
    return stood(times, step_seconds(media, need), media.shown(need))


def stood(times: Sequence[float], step: float, shown: Sequence[Span]) -> Standing:
    """Of looks at those times, which rise, at a rendition of a picture each `step` seconds; `shown` as `Media.shown`.

    A picture that is not held is taken to last one step, longer where the video has fewer pictures, but never past the
    next look, what could not be read, or the end. The last one is there until the pictures end.
    """
    usual = sampled_every(times, step)
    until, held = [], []
    for number, t in enumerate(times):
        is_last = number == len(times) - 1
        readable = next((end for start, end in shown if start <= t + ROUNDING and t < end), t)
        gone = shown[-1][1] if is_last else min(times[number + 1], readable)
        held.append(gone - t >= HELD_STEPS * step - ROUNDING)
        until.append(max(t, gone if is_last or held[-1] else min(gone, t + usual)))
    return Standing(tuple(until), tuple(held))


def looks(media: Media, need: Frames) -> Iterator[tuple[float, NDArray[np.uint8], bool]]:
    """Every picture of a rendition with its time, and whether it stands for a step: then all of that was seen."""
    step = step_seconds(media, need)
    for t, until, picture in stills(media, need):
        yield t, picture, until - t >= step - ROUNDING


def sampled_every(times: Sequence[float], step: float) -> float:
    """Seconds between two looks: the `step` asked for, more in a slow video; a single look stands for all of it."""
    steps = np.sort(np.diff(times))
    usual = float(steps[(len(steps) - 1) // 2]) if len(steps) else np.inf
    return usual if usual > SLOWER * step else step


def step_seconds(media: Media, need: Frames) -> float:
    """Seconds for which a rendition has one picture; 0 where it has every picture."""
    rate = media.rate(need)
    return 1 / rate if rate else 0.0
