"""Dissolves: one picture is mixed into another over some time.

Of two pictures that have nothing to do with each other, a mix of `1 - a` and `a` has the gradient energy
`(1 - a)^2 A + a^2 B`: a parabola through the energies A and B of the two, half as high as their mean in the middle
(Alattar 1993 and Lienhart 1999 look for it in the variance). Motion in the shots leaves the energy as it is. Where the
course of the energy is that parabola, the pictures at its ends are compared: a camera that loses focus and finds it
again ends in the picture it began with, and light that moves shows the same edges where it shines before and after. And
a mix lies between both everywhere: a car that passes close by does not, nor do letters that come one after the other,
or roll, of which each pixel has either its old value or its new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tasks.transitions.fades import BLANK
from tasks.transitions.pictures import BAR, Gray, Look, between_bars, energy, moved, small, unexplained
from tasks.transitions.signals import Signals

Values = NDArray[np.float64]

GRID_SECONDS = 1 / 15
"""Step of the search; ends are then found among the frames."""
LENGTHS = (4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40)
"""Lengths to search for, in steps: 0.27 to 2.7 s."""
LEAST_DEPTH, MOST_DEPTH = 0.36, 0.75
"""How far the energy sinks, as a share of the mean of both ends: 0.5 when the pictures have nothing in common."""
LEAST_FIT = 0.94
"""Least share of the sag of the energy, squared, that the parabola explains."""
LEAST_ENERGY = 1.0
"""Pictures with a smaller mean squared gradient are blank or out of focus: the sag drowns in noise."""
LEAST_SHARE = 0.04
"""Least energy of one end, as a share of the other's: below 0.02 a mere fade has such a course."""
SHARP, STEPS = 2.0, 4
"""A cut's step is this many times the median of so many before and after it; those of a dissolve are alike."""
LEAST_OTHER = 0.3
"""Least share of the new picture that motion cannot bring over from the old one."""
MOST_RELIT = 0.4
"""How alike both ends may be apart from the light on them. Our own measurement: less in 309 of 310 dissolves of real
shots, dark ones and ones under graphics, too; more in 78 of 85 spans in which light moves over one shot."""
AROUND_PIXELS, DARK = 2.5, 4.0
"""The light on a pixel is the mean of so many around it, of `FLOW_WIDTH` pixels; levels of 0..255 that are noise."""
FLAT, RELIEF = 128, 200
"""The level of a pixel as light as what is around it, and how many levels more one that is twice as light has."""
UNLIT_CHANGE = 0.1
"""How much, squared, the edges of a graphic may change; those of what light moves over change more."""
MOST_NO_MIX = 0.14
"""Most share of the picture that is no mix in the middle. Measured: at most 0.083 in 35 made dissolves of moving shots
and 0.097 in 20 between real ones; 0.21 where two vans pass before the camera."""
NO_MIX_LEVELS = 16
"""Levels of 0..255 by which a cell is brighter or darker than both ends and no mix of them."""
NO_MIX_CELLS = (16, 9)
"""Columns and rows of these cells: coarse, so that motion in the shots stays within them."""
LEAST_BETWEEN, BETWEEN_LEVELS, BETWEEN = 0.36, 16, 0.1
"""Least share of the pixels that differ between the ends, by so many levels, which in the middle are between both: that
share of the way from either, or more. Measured: at least 0.48 in 18 made dissolves of moving shots, 0.67 in 310 between
real ones; at most 0.02 in 279 spans where lines of text are added one by one, or roll; 0.22 in a pan into the dark and
0.35 in a zoom of five times."""
LEAST_SECONDS, LEAST_MIXED = 0.2, 2
"""Shorter ones are not told from what moves past the camera; with fewer frames that mix both pictures they are cuts,
of which a converter may have blended two frames: at 5 fps one step between two frames is as long as a dissolve."""
FLANK_SECONDS = 0.3
"""How much of the shots beside a dissolve its ends are fitted with."""
REACH_SECONDS = 0.3
"""How far its ends are moved to fit best."""
EVEN_CHANGE, EVEN_OFF = 6.0, 0.03
"""Where a graphic has most of the edges, a dissolve is looked for where all cells of the thumbnails go evenly from one
value to another: root mean square of their change, levels of 0..255, at least, and of how far they are off a straight
line between both at most, squared, as a share. Dissolves of six real shots: 11 and more, 0.001 to 0.03."""
STANDING_EDGE, STANDING_CHANGE, LEAST_STANDING = 4.0, 0.5, 0.2
"""Least gradient, levels per pixel, of what stands, how much of it may change, squared, and the share of the energy
that it must have to hide a dissolve."""
ENDS_SECONDS = 0.1
"""How far beside its ends the mix may reach, where the picture steps no more than in it: beside a page of sharp letters
the last step from a soft picture adds no energy to tell the end by."""


@dataclass(frozen=True, slots=True)
class Dissolve:
    """Numbers of frames."""

    start: int
    """The first frame that mixes both pictures."""
    end: int
    """The first frame that is the new picture alone."""
    middle: int
    """The first frame in which the new picture is at least as strong."""


@dataclass(frozen=True, slots=True)
class Sag:
    """A span in which the energy follows the parabola, seconds; the better, the larger the score."""

    start: float
    end: float
    score: float


Candidate = tuple[Sag, NDArray[np.bool_] | None]
"""A span, and the pixels that stand through it where these were left out."""


def dissolves(signals: Signals, cuts: Sequence[int], look: Look, faded: Collection[int] = ()) -> Iterator[Dissolve]:
    """Yield the dissolves that hold no cut and no blank picture, in order.

    `cuts`: first frames of new pictures; `faded`: frames that belong to fades, whatever stands on them.
    """
    times = np.array(signals.times)
    walls = times[sorted({*sharp(signals, cuts), *_blank(signals), *faded})]
    whole = ((sag, None) for sag in sags(times, np.array(signals.energy)))
    taken = _mixes(times, [*whole, *_bare(times, signals, walls, look)], walls, look)
    for sag, standing in sorted(taken, key=lambda one: one[0].start):
        one = fitted(times, sag, walls, look, standing)
        mixed = one.end - one.start
        if mixed >= LEAST_MIXED and times[one.end] - times[one.start] >= LEAST_SECONDS:
            yield one


def _mixes(times: Values, found: Sequence[Candidate], walls: Values, look: Look) -> Iterator[Candidate]:
    """Yield those of them, the best first, that mix two pictures and overlap none before."""
    spans: list[Sag] = []
    for sag, standing in sorted(found, key=lambda one: -one[0].score):
        nearest, beyond = np.searchsorted(walls, (sag.start + 1e-9, sag.end + GRID_SECONDS))
        if nearest < beyond or any(sag.start < one.end and one.start < sag.end for one in spans):
            continue
        mix = between(times, sag, look) >= LEAST_BETWEEN and no_mix(times, sag, look) <= MOST_NO_MIX
        if mix and other(times, sag, look, standing) >= LEAST_OTHER and relit(times, sag, look) <= MOST_RELIT:
            spans.append(sag)
            yield sag, standing


def _bare(times: Values, signals: Signals, walls: Values, look: Look) -> Iterator[Candidate]:
    """Yield sags of the energy without what stands, where it has much of it and one picture goes evenly to another."""
    for start, end in evenly(times, signals.thumbnails):
        nearest, beyond = np.searchsorted(walls, (start + GRID_SECONDS, end - GRID_SECONDS))
        if nearest < beyond:
            continue
        standing = stands(times, Sag(start, end, 0.0), look)
        inside = between_bars(np.max([look(frame) for frame in _ends(times, Sag(start, end, 0.0))], axis=0))
        near = np.flatnonzero((times >= start - REACH_SECONDS) & (times <= end + REACH_SECONDS)).tolist()
        middle = near[len(near) // 2]
        if energy(look(middle), inside, standing) <= (1 - LEAST_STANDING) * energy(look(middle), inside):
            course = np.array([energy(look(frame), inside, standing) for frame in near])
            yield from ((sag, standing) for sag in sags(times[near], course))


def evenly(times: Values, thumbnails: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[float, float]]:
    """Yield spans, in seconds, in which all cells go evenly from one value to another, the longest of each place."""
    if len(times) < 2:
        return
    grid = np.arange(times[0], times[-1] + 1e-9, GRID_SECONDS)
    place = np.interp(grid, times, np.arange(len(times)))
    before = place.astype(int)
    share = (place - before).astype(np.float32)[:, None]
    cells = np.stack([one.mean(-1, dtype=np.float32).ravel() for one in thumbnails])
    course = cells[before] * (1 - share) + cells[np.minimum(before + 1, len(cells) - 1)] * share
    taken: list[tuple[int, int]] = []
    free = np.ones(len(course), np.bool_)
    for length in reversed(LENGTHS):
        if len(course) <= length:
            continue
        first = course[:-length]
        way = course[length:] - first
        change = (way**2).mean(1)
        off = np.zeros(len(first), np.float32)
        for step in range(1, length):
            off += ((course[step : step + len(first)] - first - way * (step / length)) ** 2).mean(1)
        even = (change >= EVEN_CHANGE**2) & (off <= EVEN_OFF * (length - 1) * change)
        for index in sorted(np.flatnonzero(even).tolist(), key=lambda i: off[i] / change[i]):
            if free[index : index + length].all():
                free[index : index + length] = False
                taken.append((index, index + length))
    yield from ((float(grid[start]), float(grid[stop])) for start, stop in sorted(taken))


def stands(times: Values, sag: Sag, look: Look, change: float = STANDING_CHANGE) -> NDArray[np.bool_]:
    """The pixels at and beside edges that are the same at both ends and in the middle, as those of a logo are."""
    import cv2

    ways = [
        np.stack([cv2.Sobel(one, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0)])
        for one in _course(times, sag, look)
    ]
    least = np.min([(way**2).sum(0) for way in ways], axis=0)
    most = np.max([((one - other) ** 2).sum(0) for one, other in pairwise(ways)], axis=0)
    same = (least >= STANDING_EDGE**2) & (most <= change * least)
    return cv2.dilate(same.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)


def apart(signals: Signals, cuts: Sequence[int], mixed: Sequence[Dissolve]) -> Iterator[int]:
    """Yield the cuts that are not part of a dissolve."""
    times, keen = signals.times, set(sharp(signals, cuts))
    for cut in cuts:
        reach = 0.0 if cut in keen else ENDS_SECONDS
        spans = ((times[max(0, one.start - 1)] - reach, times[one.end] + reach) for one in mixed)
        if not any(start - 1e-6 <= times[cut] <= end + 1e-6 for start, end in spans):
            yield cut


def sharp(signals: Signals, cuts: Sequence[int]) -> Iterator[int]:
    """Yield the cuts beside which the picture does not change as much: the others may be part of a dissolve."""
    step = np.array(signals.step)
    for cut in cuts:
        sides = (step[max(1, cut - STEPS) : cut], step[cut + 1 : cut + 1 + STEPS])
        if step[cut] >= SHARP * max((float(np.median(side)) for side in sides if len(side)), default=0.0):
            yield cut


def _blank(signals: Signals) -> set[int]:
    """Frames without a picture to mix: of one colour, or so dark that they belong to a fade."""
    none = (np.array(signals.bright) <= 2 * BLANK) | (np.array(signals.contrast) <= BLANK)
    return {int(index) for index in np.flatnonzero(none)}


def sags(times: Values, energy: Values) -> Iterator[Sag]:
    """Yield all spans in which the energy sags as in a dissolve; they overlap."""
    if len(times) < 2:
        return
    grid = np.arange(times[0], times[-1] + 1e-9, GRID_SECONDS)
    course = np.interp(grid, times, energy)
    for length in LENGTHS:
        if len(course) <= length:
            return
        share = np.linspace(0, 1, length + 1)
        shape = share * (1 - share)
        spans = sliding_window_view(course, length + 1)
        first, last = spans[:, :1], spans[:, -1:]
        mean = (first[:, 0] + last[:, 0]) / 2
        sag = first * (1 - share) + last * share - spans
        scale = sag @ shape / (shape @ shape)
        wrong = ((sag - scale[:, None] * shape) ** 2).sum(1)
        fit = 1 - wrong / np.maximum((sag**2).sum(1), 1e-9)
        depth = scale / 4 / np.maximum(mean, 1e-9)
        ends = np.sort(spans[:, [0, -1]], axis=1)
        good = (depth >= LEAST_DEPTH) & (depth <= MOST_DEPTH) & (fit >= LEAST_FIT) & (mean >= LEAST_ENERGY)
        good &= ends[:, 0] >= LEAST_SHARE * ends[:, 1]
        for index in np.flatnonzero(good).tolist():
            near = 1 - abs(float(depth[index]) - 0.5)
            score = near * float(fit[index]) ** 4 * float(length) ** 0.25
            yield Sag(float(grid[index]), float(grid[index + length]), score)


def other(times: Values, sag: Sag, look: Look, standing: NDArray[np.bool_] | None = None) -> float:
    """Share of the picture at the end that motion does not explain from the one at the start, 0..1.

    `standing`: pixels that are as bright as the mean of each instead.
    """
    first, last = _ends(times, sag)
    before, after = look(first), look(last)
    inside = between_bars(np.maximum(before, after))
    if standing is not None:
        before, after = (np.where(standing, np.uint8(one.mean()), one) for one in (before, after))
    return unexplained(small(before[inside]), small(after[inside]))


def relit(times: Values, sag: Sag, look: Look) -> float:
    """How alike the pictures at both ends are, whatever light falls on them: a correlation, 1 for the same.

    Of what is lit in both, relative to the light around it, moved by the optical flow; graphics do not count.
    """
    import cv2

    before, after = (look(frame) for frame in _ends(times, sag))
    inside = between_bars(np.maximum(before, after))
    before, after = small(before[inside]), small(after[inside])
    covered = stands(times, sag, look, UNLIT_CHANGE)[inside].astype(np.uint8)
    counts = 1 - cv2.resize(covered, after.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32)
    (shape, light), (form, glow) = (_relief(picture, counts) for picture in (before, after))
    one, two = (part.astype(np.float32) - FLAT for part in (moved(shape, form), form))
    weight = counts * np.minimum(light, glow)
    scale = float(np.sqrt((weight * one**2).sum() * (weight * two**2).sum()))
    return float((weight * one * two).sum()) / max(scale, 1e-6)


def _relief(picture: Gray, counts: NDArray[np.float32]) -> tuple[Gray, Values]:
    """How much lighter or darker than what is around each pixel is, as a share of it, and what is around it."""
    import cv2

    near = (cv2.GaussianBlur(one, (0, 0), AROUND_PIXELS) for one in (picture * counts, counts))
    lit, much = (np.asarray(one, np.float64) for one in near)
    light = lit / np.maximum(much, 1e-3)
    share = counts * (picture - light) / (light + DARK)
    return np.asarray(np.clip(FLAT + RELIEF * share, 0, 255), np.uint8), light


def no_mix(times: Values, sag: Sag, look: Look) -> float:
    """Share of the picture in the middle that is brighter or darker than both ends, and so no mix of them, 0..1.

    Of what is lit in any of the three: what slides in over black is small beside it.
    """
    import cv2

    whole = _course(times, sag, look)
    inside = between_bars(np.max(whole, axis=0))
    before, mixed, after = (
        np.asarray(cv2.resize(one[inside], NO_MIX_CELLS, interpolation=cv2.INTER_AREA), np.int16) for one in whole
    )
    off = np.maximum(np.minimum(before, after) - mixed, mixed - np.maximum(before, after))
    lit = np.max([before, mixed, after], axis=0) > BAR
    return float((off > NO_MIX_LEVELS).sum() / max(1, lit.sum()))


def between(times: Values, sag: Sag, look: Look) -> float:
    """Share of the pixels that differ between the ends which are between both in the middle, 0..1; 0 if none does."""
    before, middle, after = (one.astype(np.float32) for one in _course(times, sag, look))
    way = after - before
    other = np.abs(way) >= BETWEEN_LEVELS
    gone = (middle - before)[other] / way[other]
    return float(((gone >= BETWEEN) & (gone <= 1 - BETWEEN)).sum() / max(1, gone.size))


def _course(times: Values, sag: Sag, look: Look) -> list[Gray]:
    """The frame before the span, the one in its middle and the one after it."""
    first, last = _ends(times, sag)
    middle = int(np.searchsorted(times, (sag.start + sag.end) / 2))
    return [look(frame) for frame in (first, middle, last)]


def _ends(times: Values, sag: Sag) -> tuple[int, int]:
    """The last frame before the span, and the first after it."""
    first = max(int(np.searchsorted(times, sag.start, side="right")) - 1, 0)
    return first, min(int(np.searchsorted(times, sag.end)), len(times) - 1)


def fitted(times: Values, sag: Sag, walls: Values, look: Look, standing: NDArray[np.bool_] | None = None) -> Dissolve:
    """Move the ends, frame by frame, to where a parabola between two level stretches fits the energy best.

    The energy of all frames is that between the bars that both pictures have: a page between bars brings edges of its
    own, which the mix has, too. `standing`: pixels that do not count.
    """
    low = max([sag.start - FLANK_SECONDS - REACH_SECONDS, *walls[walls <= sag.start]])
    high = min([sag.end + FLANK_SECONDS + REACH_SECONDS, *(walls[walls >= sag.end] - 1e-6)])
    frames = np.flatnonzero((times >= low - 1e-6) & (times <= high + 1e-6))
    beside = times[frames]
    inside = between_bars(np.max([look(frame) for frame in _ends(times, sag)], axis=0))
    course = np.array([energy(look(frame), inside, standing) for frame in frames.tolist()])
    best = (np.inf, int(frames[0]), int(frames[-1]))
    for first in frames[abs(beside - sag.start) <= REACH_SECONDS].tolist():
        for last in frames[abs(beside - sag.end) <= REACH_SECONDS].tolist():
            if last - first > 1:
                part = (beside >= times[first] - FLANK_SECONDS) & (beside <= times[last] + FLANK_SECONDS)
                wrong = _wrong(beside[part], course[part], times[first], times[last])
                best = min(best, (wrong, first, last))
    _, before, after = best
    middle = int(np.searchsorted(times, (times[before] + times[after]) / 2))
    return Dissolve(before + 1, after, middle)


def _wrong(times: Values, energy: Values, start: float, end: float) -> float:
    """Mean squared error of the best mix from `start` to `end`, whose pictures keep their energy beside it."""
    share = np.clip((times - start) / (end - start), 0, 1)
    terms = np.stack([(1 - share) ** 2, share**2, 2 * share * (1 - share)], 1)
    weights = np.linalg.lstsq(terms, energy, rcond=None)[0]
    return float(((terms @ weights - energy) ** 2).mean())
