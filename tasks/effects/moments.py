"""Signs of editing in time: fades, flashes, frozen pictures, changes of speed, spans without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.schema import Event
from tasks.effects.signals import LIT_SHARE, STILL_MEAN, Finding, Signals, runs
from tasks.transitions.fades import BLANK, ramp

CUTS = "cut_analysis/cuts"

FLASH_RISE, FLASH_DARKER, FLASH_AREA = 0.1, 0.8, 0.25
"""WCAG 2.2's general flash: relative luminance rises by 0.1 of full scale and falls again, the darker picture is below
0.8, over at least a quarter of the field (there a field of vision, here the picture)."""
FLASH_SECONDS, FLASH_RETURN = 0.3, 0.35
"""How soon the picture must be back, and how much of the flash's difference may be left then: as in cut_analysis."""
FLASH_DROPS = 0.05
"""A flash adds light; when more of the picture than this gets darker, another picture came."""
FLASH_WHITE = 0.6
"""Relative luminance (all cells) from which a flash hides whether the picture is back: a white flash over a cut."""
FREEZE_SECONDS = 0.5
"""Least length of a frozen picture: 15 frames at 30 fps, beyond what cadences (animation on threes) repeat."""
FREEZE_RATIO, FREEZE_LEAST, FREEZE_ABRUPT = 5.0, 1.5, 0.5
"""How many times as much must change per frame in the half second beside a still (the cell that changes most), and
least, in levels; how much of it the three frames next to the still must have: bodies slow down before they stop. Our
own measurement: a held frame of a pan 30, of a signer 30; no still of seven real clips passes the other two at all."""
FREEZE_BUSY = 65
"""Percentile of the changes beside a still: one jump (the next slide) is no motion, film at 12 on 30 fps is."""
FREEZE_NOISE = 0.1
"""Change per frame, in levels, that is taken for nothing."""
SPEED_SECONDS, SPEED_RATIO = 0.5, 2.0
"""Motion is compared over half a second before and after; it has changed speed when it is twice as fast or slow. Our
own measurement: a pan made three times as fast 2.9; real clips as they were shot 1.6 at most (a hand slows down)."""
SPEED_LEAST = 0.05
"""Short sides per second, median over the picture: half of it must move, and not too slowly to be measured."""
SPEED_LIGHT = 0.1
"""Most change of brightness, as a share, from before to after: fades look like motion."""
SPEED_ALIKE = 0.8
"""Least cosine between the motion before and after: the same motion, faster or slower."""
SPEED_STEADY = 0.5
"""Most spread (interquartile range over median) of the speed on both sides: jerky motion has no speed to change."""
MONOCHROME_SHARE, MONOCHROME_SECONDS = 0.01, 1.0
"""Most pixels with colour in a black and white frame, and shortest span. Our own measurement: H.264 that predicts a
grey shot from the coloured one before it leaves colour in 0.4 to 0.8 % of the pixels, a snowstorm graded almost to grey
has it in more than 40 %."""


def fades(signals: Signals, cuts: Sequence[Event]) -> Iterator[Finding]:
    """Yield the ramp of each fade that cut_analysis found; measure: levels it spans."""
    bounds = {signals.index_at(event.t) for event in cuts if event.type == "cut"}
    for event in cuts:
        if event.type not in {"fade_in", "fade_out"}:
            continue
        end = signals.index_at(event.t)
        outward = -1 if event.type == "fade_out" else 1
        blank = end if outward < 0 else max(0, end - 1)
        colour, levels = _away(signals, blank)
        stop = max((b for b in bounds if b <= end), default=0)
        if outward > 0:
            stop = min((b - 1 for b in bounds if b > end), default=len(signals.times) - 1)
        foot, top = ramp(levels.tolist(), end, outward, stop)
        first, last = sorted((foot, top))
        label = f"{event.type}_{'to' if outward < 0 else 'from'}_{colour}"
        span = _span(signals, colour, foot, top)
        evidence = (f"{CUTS}/{event.id}",)
        yield Finding(label, signals.times[first], signals.times[last], span, BLANK, evidence=evidence)


def _away(signals: Signals, blank: int) -> tuple[str, NDArray[np.floating]]:
    """The colour of a blank frame, and how far all frames are from it in the mean, in levels."""
    if signals.bright[blank] <= BLANK:
        return "black", np.asarray(signals.luma)
    cells = signals.cells()
    # The median: bars stay black when the picture between them fades.
    if np.median(cells[blank].min(-1)) >= 255 - BLANK:
        return "white", 255 - np.asarray(signals.luma)
    return "colour", np.abs(cells.astype(np.int16) - cells[blank]).mean((1, 2))


def _span(signals: Signals, colour: str, foot: int, top: int) -> float:
    """Levels that a ramp spans: of the brightest parts from black, else of contrast or of the cell that changes most.

    Bars that stay black leave a picture between them without a change of its darkest parts.
    """
    brighter, darker = abs(signals.bright[top] - signals.bright[foot]), abs(signals.dark[top] - signals.dark[foot])
    if colour == "black":
        return brighter
    cells = signals.cells()
    return max(brighter + darker, float(np.abs(cells[top].astype(np.int16) - cells[foot]).max()))


def flashes(signals: Signals, faded: Sequence[Finding]) -> Iterator[Finding]:
    """Yield flashes; measure: the mean rise of relative luminance where it rose.

    `faded`: what rises in a fade, and falls in the next, is a dip to white.
    """
    cells = signals.cells()
    light = luminance(cells)
    index = 1
    while index < len(light):
        after = _flash(signals.times, cells, light, index)
        if after is None or any(one.start <= signals.times[index] <= one.end for one in faded):
            index += 1
            continue
        rise = light[index:after].max(0) - light[index - 1]
        measure = float(rise[rise >= FLASH_RISE].mean())
        yield Finding("flash", signals.times[index], signals.times[after], measure, FLASH_RISE)
        index = after + 1


def _flash(times: Sequence[float], cells: NDArray[np.uint8], light: NDArray[np.float32], index: int) -> int | None:
    """Find the frame at which a flash that begins at `index` is over; None when there is no flash."""
    base = light[index - 1]
    rose = (light[index] - base >= FLASH_RISE) & (base < FLASH_DARKER)
    if rose.mean() < FLASH_AREA or (base - light[index] >= FLASH_RISE).mean() > FLASH_DROPS:
        return None
    change = _difference(cells[index - 1], cells[index])
    peak = light[index].copy()
    for after in range(index + 1, len(light)):
        if times[after] - times[index] > FLASH_SECONDS:
            break
        back = _difference(cells[index - 1], cells[after]) <= FLASH_RETURN * change
        fell = (peak - light[after])[rose] >= FLASH_RISE
        if fell.sum() >= FLASH_AREA * len(base) and (back or peak.min() >= FLASH_WHITE):
            return after
        np.maximum(peak, light[after], out=peak)
        change = max(change, _difference(cells[index - 1], cells[after]))
    return None


def luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Relative luminance 0..1 of sRGB values `(..., 3)` (IEC 61966-2-1, as WCAG defines it)."""
    table = np.arange(256) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4).astype(np.float32)
    light: NDArray[np.float32] = linear[rgb] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return light


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())


def freezes(signals: Signals, bounds: Sequence[int]) -> Iterator[Finding]:
    """Yield spans in which a moving picture stands still; measure: how many times as much changes
    per frame in the half second beside it.

    `bounds`: first frames of shots. A shot that is still throughout (a slide, a photograph) is not frozen: nothing in
    it says that it ever moved.
    """
    step = np.asarray(signals.step)
    for begun, last in signals.stills:
        opening = max((b for b in bounds if b <= begun), default=0)
        first = begun
        # A codec sharpens a held picture over its first frames, which makes it differ from what it becomes.
        while first > opening and step[first] <= STILL_MEAN:
            first -= 1
        start, end = signals.times[first], signals.end_of(last)
        if end - start < FREEZE_SECONDS or signals.blank(first):
            continue
        closing = min((b for b in bounds if b > last), default=len(signals.times))
        before = [i for i in range(first, opening, -1) if start - signals.times[i] < FREEZE_SECONDS]
        after = [i for i in range(last + 1, closing) if signals.times[i] - end < FREEZE_SECONDS]
        sides = [side for side in (before, after) if len(side) >= 5]
        abrupt = all(step[side[:3]].mean() >= FREEZE_ABRUPT * step[side].mean() for side in sides)
        moved = [float(np.percentile(step[side], FREEZE_BUSY)) for side in sides]
        within = max(float(np.percentile(step[first + 1 : last + 1], FREEZE_BUSY)), FREEZE_NOISE)
        if moved and abrupt and min(moved) >= max(FREEZE_LEAST, FREEZE_RATIO * within):
            yield Finding("freeze", start, end, min(moved) / within, FREEZE_RATIO)


def speed_changes(signals: Signals, bounds: Sequence[int]) -> Iterator[Finding]:
    """Yield moments where the same motion goes on faster or slower; measure: the ratio of the speeds, 1 or more.

    Whether the footage was slowed down or what it shows slowed down, motion alone cannot tell.
    """
    times, moved = np.asarray(signals.times), np.asarray(signals.speed, np.float64)
    flow = signals.motion()
    for opening, closing in zip(bounds, [*bounds[1:], len(times)], strict=True):
        # The first frame of a shot has moved from another picture.
        inner = range(opening + 1, closing)
        ratios = {i: _ratio(times, moved, flow, inner, i) for i in inner if _steady_light(signals, i)}
        while ratios:
            best = max(ratios, key=lambda i: abs(ratios[i]))
            if abs(ratios[best]) < np.log(SPEED_RATIO):
                break
            label = "faster" if ratios[best] > 0 else "slower"
            t = float(times[best - 1])
            yield Finding(label, t, t, float(np.exp(abs(ratios[best]))), SPEED_RATIO)
            ratios = {i: r for i, r in ratios.items() if abs(times[i] - times[best]) > 2 * SPEED_SECONDS}


def _ratio(
    times: NDArray[np.float64],
    moved: NDArray[np.float64],
    flow: NDArray[np.float16],
    inner: range,
    index: int,
) -> float:
    """Natural logarithm of the speed from `index` on over the speed before; 0 where they cannot be compared."""
    first, last = np.searchsorted(times, (times[index] - SPEED_SECONDS, times[index] + SPEED_SECONDS - 1e-6))
    whole = last < len(times) and first >= inner.start and last <= inner.stop
    if not whole or min(index - first, last - index) < 4:
        return 0.0
    sides = [slice(int(first), index), slice(index, int(last))]
    speeds = []
    for side in sides:
        elapsed = times[side] - times[side.start - 1 : side.stop - 1]
        low, middle, high = quartiles(moved[side] / elapsed)
        if middle < SPEED_LEAST or high - low > SPEED_STEADY * middle:
            return 0.0
        speeds.append(float(moved[side].sum() / elapsed.sum()))
    a, b = (flow[side].astype(np.float64).sum(0).ravel() for side in sides)
    alike = float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
    return float(np.log(speeds[1] / speeds[0])) if alike >= SPEED_ALIKE else 0.0


def quartiles(values: NDArray[np.float64]) -> list[float]:
    """What `numpy.percentile` gives for 25, 50 and 75, without what it spends on arrays of more than one axis."""
    ordered = np.sort(values).tolist()
    found = []
    for quarter in (1, 2, 3):
        below, part = divmod(quarter * (len(ordered) - 1), 4)
        first, second = ordered[below], ordered[below + (part > 0)]
        share = part / 4
        found.append(first + (second - first) * share if share < 0.5 else second - (second - first) * (1 - share))
    return found


def _steady_light(signals: Signals, index: int) -> bool:
    t = signals.times[index]
    before = signals.luma[signals.index_at(max(0.0, t - SPEED_SECONDS))]
    after = signals.luma[signals.index_at(t + SPEED_SECONDS)]
    return abs(after - before) <= SPEED_LIGHT * max(after, before)


def monochrome(signals: Signals) -> Iterator[Finding]:
    """Yield spans of pictures without colour; measure: the largest share of pixels with colour in a frame of it.

    Frames without a picture (blank, or nearly all black, as at the end of a fade) have no colour to lose: they go on
    with what was before, and what is seen between them must last long enough by itself.
    """
    gray = np.asarray(signals.colour) <= MONOCHROME_SHARE
    judged = np.asarray(signals.lit) >= LIT_SHARE
    judged &= np.array([not signals.blank(i) for i in range(len(gray))], np.bool_)
    for first, end in runs(gray | ~judged):
        seen = (np.flatnonzero(judged[first:end]) + first).tolist()
        if sum(signals.end_of(i) - signals.times[i] for i in seen) < MONOCHROME_SECONDS:
            continue
        colour = float(max(signals.colour[i] for i in seen))
        yield Finding("black_and_white", signals.times[seen[0]], signals.end_of(seen[-1]), colour, MONOCHROME_SHARE)
