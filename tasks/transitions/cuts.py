"""Hard cuts: from one frame to the next there is another picture, and it stays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.fades import BLANK, End, climb, goes_on
from tasks.transitions.overlaid import overlaid
from tasks.transitions.pictures import MIN_CHANGE, Look, small, unexplained
from tasks.transitions.signals import (
    AROUND_SECONDS,
    FLASH_SECONDS,
    FLASH_UNEXPLAINED,
    STILL_AROUND,
    STILL_RATIO,
    UNEXPLAINED,
    Signals,
)

UNEXPLAINED_RATIO, AROUND = 3.0, 4
"""How many times the median of the frames around a cut's unexplained share must be, and how many frames on each side
those are. A trailer: a cut in a fight 4.6 times, a monster that runs through the picture (0.36) 2.1 times."""
REPLACED, TOUCHED = 0.12, 0.25
"""Least share of edges replaced and of cells touched when a still picture is another one. Pages turned in the same
frame: 0.15 and 0.27, 0.27 and 0.50; captions that come, go or change: up to 0.01 and 0.16; a knock against the camera,
up to 4 % of the width: 0.08 and 0.97."""
FLASH_RETURN = 0.35
"""A picture is back when it differs from the one before by at most this share of the interruption's difference; white
frames may hide a cut."""
MIN_SHOT_SECONDS = 0.2
"""Cuts closer than this are one: six frames at 30 fps, under the shortest shots that editors use."""
CADENCE_SECONDS = 0.25
"""How far apart the steps are of film of 5 fps and more that was written at a higher rate: between them it is repeated,
or the hand that holds the camera moves it a little."""


def torn(signals: Signals) -> set[int]:
    """Frames of which motion explains far less than of those around them."""
    shares = np.array(signals.unexplained)
    return {
        int(index)
        for index in np.flatnonzero(shares >= UNEXPLAINED)
        if shares[index] >= UNEXPLAINED_RATIO * np.median(_around(signals.times, shares, int(index), AROUND))
    }


def stepping(signals: Signals, candidates: Collection[int], ratio: float) -> set[int]:
    """Candidates that motion explains, and before and after which the picture makes steps like theirs.

    So it is where film of a low rate is repeated, and the detector sees each step between frames of which none differs.
    `ratio`: how many times as much a cut changes, as the detector asks of it.
    """
    times, step = np.array(signals.times), np.array(signals.step)
    found = set()
    for index in candidates:
        first, last = np.searchsorted(times, (times[index] - CADENCE_SECONDS, times[index] + CADENCE_SECONDS))
        sides = [step[first:index], step[index + 1 : last]]
        # before the first steps of a film there is nothing to compare with
        sides = sides[1:] if times[index] - times[0] <= CADENCE_SECONDS else sides
        alike = all(side.size and side.max() * ratio >= step[index] for side in sides)
        if alike and signals.unexplained[index] < UNEXPLAINED:
            found.add(index)
    return found


def turned(signals: Signals) -> set[int]:
    """Frames with which a still picture is replaced, as a page is turned: two slides are mostly the same white."""
    steps = np.array(signals.step)
    other = (np.array(signals.replaced) >= REPLACED) & (np.array(signals.touched) >= TOUCHED)
    return {
        int(index)
        for index in np.flatnonzero(other)
        if steps[index] >= STILL_RATIO * _around(signals.times, steps, int(index), STILL_AROUND).max()
    }


def mixing(signals: Signals, faded: Collection[End]) -> set[int]:
    """Frames of fades that merely mix the frame before further with a plain colour: the picture is the same.

    A cut inside a ramp brings another picture, and is none of them; nor is one on the far side of the plain frames.
    A caption that changes on a ramp is no other picture: most of it goes on as before.
    """
    return {
        index
        for end, ramp in ((end, climb(signals, end)) for end in faded)
        for index in ramp
        if (index <= end.frame if end.kind == "fade_out" else index >= end.frame)
        and (
            signals.unexplained[index] < UNEXPLAINED
            or min(signals.contrast[max(0, index - 1) : index + 1]) <= BLANK
            or goes_on(signals, ramp, index)
        )
    }


def _around(times: Sequence[float], values: NDArray[np.float64], index: int, reach: int) -> NDArray[np.float64]:
    """The values at most `reach` frames, and `AROUND_SECONDS`, away, without the one in the middle; else zero."""
    near = [i for i in range(max(0, index - reach), min(len(values), index + reach + 1)) if i != index]
    near = [i for i in near if abs(times[i] - times[index]) <= AROUND_SECONDS]
    return values[near] if near else np.zeros(1)


def confirmed(candidates: Collection[int], pages: Collection[int], signals: Signals, look: Look) -> Iterator[int]:
    """Yield the candidates after which the picture really is another one, and stays so, in order.

    A caption or a bar that comes or goes leaves the picture what it was.

    `pages`: those of `turned`, which may change little.
    """
    times = signals.times
    flash = range(0)
    last = -MIN_SHOT_SECONDS
    for index in sorted({*candidates, *pages}):
        change = signals.change(index - 1, index)
        alike = change < MIN_CHANGE and index not in pages
        if index <= flash.stop or alike or times[index] - last < MIN_SHOT_SECONDS:
            continue
        back = signals.back(index, FLASH_RETURN * change)
        begun = returned(index, flash, signals, look) if back is None else index
        if begun is not None:
            flash = range(begun, back or index)
            continue
        if overlaid(small(look(index - 1)), small(look(index))):
            continue
        last = times[index]
        yield index


def returned(index: int, flash: range, signals: Signals, look: Look) -> int | None:
    """The first frame, less than `FLASH_SECONDS` ago, of what interrupted the picture that is shown from `index` on.

    It need not have been a candidate: two leaps so near to one another hide each other from a detector that compares a
    leap with its neighbours. Where the camera moved on meanwhile, motion must explain the picture. `flash`: frames of
    the last interruption, which a white page may resemble.
    """
    leap, other = signals.change(index - 1, index), signals.unexplained[index]
    for begun in range(index - 1, 0, -1):
        if signals.times[index] - signals.times[begun] > FLASH_SECONDS:
            return None
        if begun - 1 in flash:
            continue
        if signals.change(begun - 1, index) <= FLASH_RETURN * leap:
            return begun
        if other < UNEXPLAINED:
            continue
        if unexplained(small(look(begun - 1)), small(look(index))) <= FLASH_UNEXPLAINED * other:
            return begun
    return None
