"""Signs of editing in time: fades, flashes, changes of speed, spans without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.schema import Event
from tasks.effects.signals import LIT_SHARE, Finding, Signals, runs
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
SPEED_CELLS, SPEED_HALF = 0.6, 0.5
"""Least share of the cells that change their speed as the whole does, by half of its ratio (its logarithm) or more. Our
own measurement: pans 1; credits that roll steadily, of which more lines come into view, 0.19 to 0.5."""
SPEED_NOTHING = 0.02
"""Share of the fastest cell's speed that is added to each: a cell in which nothing moves has no ratio."""
SPEED_PAUSE = 3.0
"""A frame that came after so many times the median of the intervals around it follows a pause of the recorder, or a
held frame: how much of that time it moved in nobody knows, and it is left out."""
MONOCHROME_SHARE, MONOCHROME_SECONDS = 0.01, 1.0
"""Most pixels with colour in a black and white frame, and shortest span. Our own measurement: H.264 that predicts a
grey shot from the coloured one before it leaves colour in 0.4 to 0.8 % of the pixels, a snowstorm graded almost to grey
has it in more than 40 %."""


MOST_LEFT = 0.5
"""Of a picture that is all but faded, or of which a first frame is seen, at most this share is left: more is noise."""
CHANGED, MOSTLY = 8, 0.5
"""Levels by which a cell changes that takes part in a fade, and the share of what the one does that changes most."""


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
        if colour == "colour":
            colour = _named(signals.cells()[[top, end]].astype(np.float64))
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


def _named(ends: NDArray[np.float64]) -> str:
    """The colour that a ramp leads to, though it may stop on the way: of its whole and its last picture's cells.

    What is left of the picture is how far its cells are apart still; it has gone the rest of the way to that colour.
    Bars do not change, and a cell that is partly one changes less than those beside it.
    """
    change = np.abs(ends[0] - ends[1]).max(-1)
    whole, last = ends[:, change > max(CHANGED, MOSTLY * change.max())]
    if not len(whole):
        return "colour"
    spread = whole - whole.mean(0)
    left = min(max(float((spread * last).sum() / max((spread**2).sum(), 1.0)), 0.0), MOST_LEFT)
    colour = np.median((last - left * whole) / (1 - left), axis=0)
    if colour.max() <= BLANK:
        return "black"
    return "white" if colour.min() >= 255 - BLANK else "colour"


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

    `faded`: what rises in a fade, and falls in the next, is a dip to white; white that is cut to and that a picture
    fades in from is no flash either.
    """
    cells = signals.cells()
    light = luminance(cells)
    index = 1
    while index < len(light):
        after = _flash(signals.times, cells, light, index)
        if after is None or any(_faded(signals.times[index], signals.times[after], one) for one in faded):
            index += 1
            continue
        rise = light[index:after].max(0) - light[index - 1]
        measure = float(rise[rise >= FLASH_RISE].mean())
        yield Finding("flash", signals.times[index], signals.times[after], measure, FLASH_RISE)
        index = after + 1


def _faded(start: float, end: float, fade: Finding) -> bool:
    """Whether light that came at `start` and was gone at `end` is that of a fade: its ramp, or what it comes from."""
    held = fade.label.startswith("fade_in") and not fade.label.endswith("black") and start < fade.start <= end
    return held or fade.start <= start <= fade.end


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
    if last >= len(times) or first < inner.start or last > inner.stop:
        return 0.0
    near = np.arange(first, last)
    elapsed = times[near] - times[near - 1]
    steady = elapsed <= SPEED_PAUSE * np.median(elapsed)
    sides = [steady & (near < index), steady & (near >= index)]
    if min(side.sum() for side in sides) < 4:
        return 0.0
    speeds, ways = [], []
    for side in sides:
        low, middle, high = quartiles(moved[near[side]] / elapsed[side])
        if middle < SPEED_LEAST or high - low > SPEED_STEADY * middle:
            return 0.0
        speeds.append(float(moved[near[side]].sum() / elapsed[side].sum()))
        ways.append(flow[near[side]].astype(np.float64).sum(0) / elapsed[side].sum())
    a, b = (way.ravel() for way in ways)
    alike = float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
    ratio = float(np.log(speeds[1] / speeds[0]))
    return ratio if alike >= SPEED_ALIKE and _everywhere(ways, ratio) >= SPEED_CELLS else 0.0


def _everywhere(ways: Sequence[NDArray[np.float64]], ratio: float) -> float:
    """Share of the cells whose own speed changes as the whole's does; `ways`: their motion before and after."""
    before, after = (np.linalg.norm(way, axis=1) for way in ways)
    least = max(float(before.max()), float(after.max())) * SPEED_NOTHING
    own = np.log((after + least) / (before + least))
    return float((own * np.sign(ratio) >= SPEED_HALF * abs(ratio)).mean())


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
