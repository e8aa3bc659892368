"""Fades: a picture that goes to black, white or another plain colour, or comes out of it, by a ramp.

A fade ends in a monochrome picture and leads to it gradually (Lienhart, Comparison of Automatic Shot Boundary
Detection Algorithms, 1999). Levels are 0..255 and say how far each frame is from the blank picture: how bright it is
for black, how dark for white, how much contrast it has for any colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.pictures import BAR, MIN_CHANGE, luma
from tasks.transitions.signals import FLASH_SECONDS, Levels

BLANK = 16
"""A frame is black when 98 % of its values (0..255) are at most this: black is 0, the rest leaves room for noise.
A small title on black counts as black too."""
FLOOR = 2
"""A faded picture is blank from where it is this close to its span's least level, in values of 0..255."""
FADE_SECONDS = (0.5, 2.0)
"""How far beside a blank span to look for the ramp; farther where it has not left the blank yet: a fade of a faint
picture is slow. Shorter ramps count too."""
FADE_LARGEST_STEP = 0.5
"""In a fade no single frame takes more than this share of the change of brightness; else it is a cut."""
QUICK_LARGEST_STEP = 0.55
"""The same where the picture is known to mix with the plain colour: three frames of FFmpeg's `fadewhite` have 0.51."""
CUT_SHORT = 0.2
"""A ramp to white that a cut ends is a fade when at most this share of the way to white is left."""
STILL_FALLING, JUMP = 0.5, 0.5
"""Such a ramp falls to its end: by this share of its mean step at least. What comes then differs from it by at least
this share of all that the ramp has changed: light that dies away falls by less."""
LEAST_FRAMES = 3
FLAT_SHARE = 0.25
"""The ramp is over when the next three frames climb less than this share of its slope so far."""
BOTTOM = 0.5
"""The blank picture is reached when the mean is this near (in levels, half a step) to the least of the blank span."""

CLIMB_SECONDS = 4.0
"""How far beside the blank picture a ramp is followed: twice as far as it is looked for."""

GROWING, GROWN = 0.25, 0.75
"""Of a whole picture, where it is half there: clear of noise, and of what it becomes."""
MOST_OTHER = 0.25
"""In a fade the half-faded picture is the whole one mixed with the plain colour: most difference of the two once they
are made equally strong, as a share. Our own measurement: real shots that fade 0.02 to 0.06, a trailer's through grey
0.23; a camera that leaves made pictures for a plain wall, softly or not, 0.26 to 0.9."""
MOST_MOVED = 0.46
"""The same for a ramp from or to black, on which the picture may move. Our own measurement: fades of 12 and 25 frames
of real shots, somebody walks into two of them, 0.43 at most; letters and a logo that slide in over black 0.53 to
0.95."""
FADED_CELL, LEAST_FADED = 0.05, 0.5
"""A cell takes part in a fade when it changes by this share of the picture's contrast, and at least this share of the
cells do in a fade-in that nothing faded out before: a title that appears on a plain page is no new picture. Beside
black, of the cells that are lit: of credits that roll one line enters at a time."""
LEFT = 0.1
"""Most of the picture that is left on a dark plain one. Our own measurement: fades 0 to 0.06, lights that die away in a
dark scene 0.13 to 0.78."""
SOON_HALF = 0.4
"""Light that dies away is half gone after this share of its time at most, a picture that an editor fades after half."""
SAME_SCENE = 0.75
"""Least likeness of two pictures that are the same scene in other light. Our own measurement: scenes that lights flash
in 0.79 to 1, different shots 0.63 at most."""
MOST_CUT_OFF, STEPS_AWAY = 2, 4.0
"""A ramp that a cut, or the film's end, takes before black has at most so many dark frames, so many steps from it."""
SOON_BRIGHT = 0.9
"""What is small, as letters, and half there has at most this share of its brightest pixel's light: letters that enter
at the border have all of it at once."""
RETURN = 0.35
"""A plain picture of less than `FLASH_SECONDS` out of which the picture before it comes back, to within this share of
its difference, was a flash that dies away. What is back differs less, too, than the parts of the picture among
themselves: two dark shots are near to one another beside white."""

OF_THE_RAMP, LEAST_GOING_ON = 3.0, 0.6
"""A cell goes on that changes by at most so many times its median step on the ramp, and a picture of which at least
this share of the cells does: captions of two lines are in a quarter of them, a cut changes them all."""

FAINT_SHARE = 0.75
"""Share of a ramp, from the blank picture on, that holds no end of a dissolve: captions on a faint picture have most of
its edges, and words come and go. What is left lets a dissolve follow at once."""

Kind = Literal["fade_out", "fade_in"]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a blank span that is reached or left by a ramp."""

    frame: int
    """A fade-out's first blank frame, a fade-in's first that is not."""
    kind: Kind
    dim: range
    """Frames of the ramp near the blank picture, in which any step is large beside what is left of it."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A span of blank frames, and its ends that are fades."""

    frames: range
    ends: tuple[End, ...]


def blanks(times: Sequence[float], levels: Sequence[float], largest_step: float = FADE_LARGEST_STEP) -> Iterator[Blank]:
    """Yield the spans of blank frames, in order; `largest_step`: of a ramp, as a share of it."""
    values = np.asarray(levels)
    blank = np.concatenate([[False], values <= BLANK, [False]])
    edges = np.flatnonzero(blank[1:] != blank[:-1])
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        deepest = start + np.flatnonzero(values[start:stop] <= values[start:stop].min() + FLOOR)
        ends = []
        if start > 0 and is_ramp(times, levels, range(start, -1, -1), largest_step):
            first = start - next((i for i in range(start) if values[start - i - 1] > 2 * BLANK), start)
            ends.append(End(int(deepest[0]), "fade_out", range(first, int(deepest[0]) + 1)))
        if stop < len(values) and is_ramp(times, levels, range(stop - 1, len(values)), largest_step):
            last = next((i for i in range(stop, len(values)) if values[i] > 2 * BLANK), len(values) - 1)
            ends.append(End(min(int(deepest[-1]) + 1, stop), "fade_in", range(int(deepest[-1]), last + 1)))
        yield Blank(range(start, stop), tuple(ends))


def fades(levels: Levels) -> Iterator[End]:
    """Yield the ends of fades: of every black span, and of a plain one of any colour that the picture mixes with.

    A picture of one colour may be a blank page on which something grows, or a wall that the camera turns to. White is
    measured as black is: the contrast of a dark picture jumps where it becomes brighter than bars are. A logo may stand
    over a fade to black, so that it is seen twice: black is the one.
    """
    dark = black(levels)
    yield from dark
    yield from white(levels)
    short = list(cut_short(levels))
    yield from short
    pale = {index for blank in blanks(levels.times, levels.pale, QUICK_LARGEST_STEP) for index in blank.frames}
    pale.update(end.frame for end in short)
    ramps = [(end.kind, climb(levels, end)) for end in dark]
    for blank, end, light in _evened(levels):
        known = any(end.kind == kind and end.frame in on for kind, on in ramps)
        if not light and not known and pale.isdisjoint(blank.frames):
            yield end


def black(levels: Levels) -> list[End]:
    """The ends of fades to and from black."""
    return [end for end, light in _darkened(levels) if not light]


def flared(levels: Levels) -> set[int]:
    """Dark frames of light that dies away, or comes again: any step is large beside what is left, and none a cut."""
    ends = [*_darkened(levels), *((end, light) for _, end, light in _evened(levels))]
    return {index for end, light in ends if light for index in end.dim}


def _darkened(levels: Levels) -> Iterator[tuple[End, bool]]:
    """Yield the ends of ramps to and from black, each with whether it is of light."""
    slow = {end for blank in blanks(levels.times, levels.bright) for end in blank.ends}
    for blank in blanks(levels.times, levels.bright, QUICK_LARGEST_STEP):
        for end in blank.ends:
            mixed = end in slow or is_mixed(levels, levels.bright, blank, end.kind)
            if mixed and lights_up(levels, blank, end.kind):
                yield end, _is_light(levels, levels.bright, blank, end.kind)


def _evened(levels: Levels) -> Iterator[tuple[Blank, End, bool]]:
    """Yield the ends of ramps to and from spans of one colour but black, each with whether it is of light."""
    for blank in blanks(levels.times, levels.contrast, QUICK_LARGEST_STEP):
        if min(levels.bright[index] for index in blank.frames) > BLANK:
            for end in blank.ends:
                if is_mixed(levels, levels.contrast, blank, end.kind):
                    yield blank, end, _is_light(levels, levels.contrast, blank, end.kind)


def _is_light(levels: Levels, measure: Sequence[float], blank: Blank, kind: Kind) -> bool:
    """Whether a ramp beside a plain span is that of light: the picture is there still, or flared up before."""
    return not is_gone(levels, measure, blank, kind) or (kind == "fade_out" and flares(levels, blank))


def white(levels: Levels) -> list[End]:
    """The ends of fades to and from white that reach it."""
    return [
        end
        for blank in blanks(levels.times, levels.pale, QUICK_LARGEST_STEP)
        for end in blank.ends
        if is_mixed(levels, levels.pale, blank, end.kind)
    ]


def cut_short(levels: Levels) -> Iterator[End]:
    """Yield the ends of ramps to white that a cut, or the film's end, takes before white is reached."""
    pale = np.array(levels.pale)
    falls = np.diff(pale, prepend=pale[:1]) < 0
    for last in np.flatnonzero(falls & (pale > BLANK) & (pale <= CUT_SHORT * 255)).tolist():
        after = last + 1
        if after < len(pale) and pale[after] <= pale[last]:
            continue
        _, top = ramp(levels.pale, last, -1, int(np.searchsorted(levels.times, levels.times[last] - CLIMB_SECONDS)))
        way = pale[top] - pale[last]
        steep = is_ramp(levels.times, levels.pale, range(last, -1, -1), QUICK_LARGEST_STEP)
        falling = last > top and pale[last - 1] - pale[last] >= STILL_FALLING * way / (last - top)
        if not steep or not falling or pale[last] > CUT_SHORT * pale[top] or not _leaps(levels, top, last):
            continue
        first = next(i for i in range(last, -1, -1) if i == 0 or pale[i - 1] > 2 * pale[last])
        end = End(last, "fade_out", range(first, after))
        if is_mixed(levels, levels.pale, Blank(range(last, after), (end,)), "fade_out"):
            yield end


def _leaps(levels: Levels, top: int, last: int) -> bool:
    """Whether another picture than that at `top` follows the frame at once, or none at all."""
    if last + 1 == len(levels.times):
        return True
    way, leap, back = (
        float(np.abs(_offset(levels, *pair)).mean()) for pair in ((top, last), (last + 1, last), (last + 1, top))
    )
    return leap >= JUMP * way and back > RETURN * way


@dataclass(frozen=True, slots=True)
class Course:
    """How the picture beside a plain span, at one of its ends, comes out of the plain one."""

    top: int
    """The frame of the whole picture."""
    whole: NDArray[np.float64]
    """How far its cells are from the plain ones, rgb."""
    half: tuple[int, ...]
    """Frames of half-faded pictures."""
    others: tuple[float, ...]
    """How much each of these differs from the whole picture, once both are equally strong, as a share."""

    @property
    def other(self) -> float | None:
        """The median of these; None where no picture is half-faded."""
        return float(np.median(self.others)) if self.others else None


def course(levels: Levels, measure: Sequence[float], blank: Blank, kind: Kind) -> Course:
    """Compare the pictures on the way to the plain span, or out of it, with the whole one.

    `measure`: how far each frame is from plain, as the span was found by.
    """
    frames = blank.frames
    foot = frames.start if kind == "fade_out" else frames.stop - 1
    away = range(foot, -1, -1) if kind == "fade_out" else range(foot, len(levels.times))
    near = beside(levels.times, measure, away)
    top = max(near, key=lambda i: measure[i])
    plain = min(frames, key=lambda i: measure[i])
    whole = _offset(levels, top, plain)
    parts = {i: _offset(levels, i, plain) for i in near if abs(i - foot) < abs(top - foot)}
    shares = {i: float((part * whole).sum() / (whole**2).sum()) for i, part in parts.items()}
    half = {i: parts[i] / share for i, share in shares.items() if GROWING <= share <= GROWN}
    others = (float(np.linalg.norm(one - whole) / np.linalg.norm(whole)) for one in half.values())
    return Course(top, whole, tuple(half), tuple(others))


def is_mixed(levels: Levels, measure: Sequence[float], blank: Blank, kind: Kind) -> bool:
    """Whether the picture beside a plain span, at the end of that kind, is mixed with its colour as a whole."""
    way = course(levels, measure, blank, kind)
    if kind == "fade_in" and len(blank.ends) == 1:
        faded = np.abs(way.whole).max(-1) >= FADED_CELL * levels.contrast[way.top]
        if faded.mean() < LEAST_FADED or _flashed(levels, blank.frames, way.top):
            return False
    return way.other is not None and way.other <= MOST_OTHER


def is_gone(levels: Levels, measure: Sequence[float], blank: Blank, kind: Kind) -> bool:
    """Whether nothing of the picture is left on a dark plain one, where neither light nor contrast tells.

    A ramp may be cut off, or a film begin or end on it, before it is at its end.
    """
    top = course(levels, measure, blank, kind).top
    foot = blank.frames[0] if kind == "fade_out" else blank.frames[-1]
    plain = [i for i in blank.frames if abs(levels.times[i] - levels.times[foot]) <= FADE_SECONDS[0]]
    whole = levels.thumbnails[top].reshape(-1, 3).astype(np.float64)
    lit = whole.max(-1) > BLANK
    darkest = levels.thumbnails[min(plain, key=lambda i: levels.bright[i])]
    if not lit.any() or (luma(darkest).ravel()[lit] <= BAR).mean() < LEAST_FADED:
        return True
    spread = whole[lit] - whole[lit].mean(0)

    def left(index: int) -> float:
        cells = levels.thumbnails[index].reshape(-1, 3)[lit]
        shape = float((spread * cells).sum() / max(float((spread**2).sum()), 1.0))
        # what stands there is in few cells, and black that is not quite black has no shape
        return min(shape, float(np.median(cells.max(-1) / whole[lit].max(-1))))

    least = min(map(left, plain))
    if least <= LEFT or len(blank.frames) > MOST_CUT_OFF:
        return least <= LEFT
    last, inward = (blank.frames[0], 1) if kind == "fade_in" else (blank.frames[-1], -1)
    step = (left(min(max(last + inward * LEAST_FRAMES, 0), len(levels.times) - 1)) - left(last)) / LEAST_FRAMES
    return least <= STEPS_AWAY * step


def flares(levels: Levels, blank: Blank) -> bool:
    """Whether what darkens before a plain span is light that came out of the dark at once, and dies away since.

    An editor cuts to a picture out of black, too, and eases it out: then nothing of it is seen in the dark before, nor
    is it lit again.
    """
    bright = levels.bright
    top = course(levels, bright, blank, "fade_out").top
    floor = min(bright[index] for index in blank.frames)
    foot = next(index for index in blank.frames if bright[index] <= floor + FLOOR)
    way = bright[top] - floor
    came = np.diff(bright[max(0, top - LEAST_FRAMES) : top + 1]).max(initial=0.0) >= FADE_LARGEST_STEP * way
    near = [i for i in range(top) if levels.times[top] - levels.times[i] <= FADE_SECONDS[0]]
    dark = [i for i in near if bright[i] <= floor + BLANK]
    if way <= BLANK or not came or not dark:
        return False
    half = next((i for i in range(top, foot) if bright[i] - floor <= way / 2), foot)
    if levels.times[foot] - levels.times[dark[-1]] < FLASH_SECONDS:
        return True
    others = [*range(dark[-1]), *range(blank.frames.stop, len(bright))]
    near = [i for i in others if abs(levels.times[i] - levels.times[top]) <= CLIMB_SECONDS]
    lit = [i for i in near if bright[i] >= floor + way / 2]
    there = _seen(levels, dark) or any(_likeness(levels, top, i) >= SAME_SCENE for i in lit)
    return half - top <= SOON_HALF * (foot - top) and there


def _seen(levels: Levels, dark: Sequence[int]) -> bool:
    """Whether a scene is seen in each of these dark frames, however dimly: the cells of black are all alike."""
    return all(bool(np.ptp(luma(levels.thumbnails[index]))) for index in dark)


def _likeness(levels: Levels, one: int, other: int) -> float:
    """How alike two pictures are, -1..1, however bright each is: the correlation of their cells."""
    a, b = (luma(levels.thumbnails[index]).astype(np.float64) for index in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1.0))


def lights_up(levels: Levels, blank: Blank, kind: Kind) -> bool:
    """Whether all that is lit gets brighter where black ends, or darker: what enters at the border does not.

    Where a cut hides the way, nothing in black may shine brighter than the picture did: letters do that are cut to.
    """
    way = course(levels, levels.bright, blank, kind)
    least = FADED_CELL * levels.contrast[way.top]
    lit = levels.thumbnails[way.top].max(-1) >= least
    faded = np.abs(way.whole).max(-1) >= least
    if faded.sum() < LEAST_FADED * lit.sum():
        return False
    if way.other is None:
        return min(levels.peak[index] for index in blank.frames) <= levels.peak[way.top]
    peaks = [levels.peak[index] for index in way.half]
    bright = faded.mean() < LEAST_FADED and float(np.median(peaks)) > SOON_BRIGHT * levels.peak[way.top]
    return way.other <= MOST_MOVED and not bright


def climb(levels: Levels, end: End) -> range:
    """All frames of a fade's ramp, and a few beside it: from the blank picture to the whole one."""
    direction = -1 if end.kind == "fade_out" else 1
    plain = end.frame if direction < 0 else max(end.frame - 1, 0)
    near = [i for i, t in enumerate(levels.times) if abs(t - levels.times[plain]) <= CLIMB_SECONDS]
    means = [float(np.abs(_offset(levels, i, plain)).mean()) for i in near]
    foot, top = ramp(means, end.frame - near[0], direction, 0 if direction < 0 else len(near) - 1)
    first, last = sorted((foot, top))
    return range(near[0] + first, min(near[0] + last + 1, near[-1]) + 1)


def goes_on(levels: Levels, ramp: range, index: int) -> bool:
    """Whether most cells of the picture change with that frame of a ramp as they do with the others."""
    if len(ramp) < LEAST_FRAMES:
        return False
    cells = np.stack([levels.thumbnails[i] for i in ramp]).astype(np.int16)
    step = np.abs(np.diff(cells, axis=0, prepend=cells[:1])).mean(-1)
    usual = np.maximum(MIN_CHANGE, OF_THE_RAMP * np.median(step[1:], axis=0))
    return bool((step[index - ramp.start] <= usual).mean() >= LEAST_GOING_ON)


def faint(levels: Levels, ends: Iterable[End]) -> set[int]:
    """The frames of these ends' ramps that are mostly faded: no dissolve begins or ends there."""
    found: set[int] = set()
    for end in ends:
        ramp = climb(levels, end)
        most = max(1, round(FAINT_SHARE * len(ramp)))
        found.update(ramp[-most:] if end.kind == "fade_out" else ramp[:most])
    return found


def _offset(levels: Levels, index: int, plain: int) -> NDArray[np.float64]:
    """How far the cells of a frame are from those of the plain one, rgb."""
    return levels.thumbnails[index].astype(np.float64) - levels.thumbnails[plain]


def _flashed(levels: Levels, blank: range, top: int) -> bool:
    """Whether the plain span is short and the picture before it comes back after it."""
    before = blank.start - 1
    if before < 0 or levels.times[blank.stop - 1] - levels.times[blank.start] >= FLASH_SECONDS:
        return False
    gone, back = _offset(levels, blank.start, before), _offset(levels, top, before)
    cells = levels.thumbnails[before].astype(np.float64)
    unlike = np.abs(cells - cells.mean((0, 1))).mean()
    return bool(np.abs(back).mean() <= min(RETURN * np.abs(gone).mean(), unlike))


def is_ramp(times: Sequence[float], levels: Sequence[float], away: range, largest_step: float) -> bool:
    """Whether levels rise gradually along `away`, frames that lead out of the blank."""
    rising = np.array([levels[i] for i in beside(times, levels, away)])
    # up to the highest: a short shot may be on its way back to blank within that time
    rising = rising[: int(rising.argmax()) + 1]
    if len(rising) < LEAST_FRAMES:
        return False
    rise = rising[-1] - rising[0]
    return bool(rise > BLANK and np.diff(rising).max() <= largest_step * rise)


def beside(times: Sequence[float], levels: Sequence[float], away: range) -> list[int]:
    """The frames of `away` in which to look for a ramp out of the blank."""
    near: list[int] = []
    for seconds in FADE_SECONDS:
        near = list(takewhile(lambda i: abs(times[i] - times[away[0]]) <= seconds, away))  # noqa: B023
        if max(levels[i] for i in near) - levels[near[0]] > BLANK:
            break
    return near


def ramp(means: Sequence[float], end: int, direction: int, stop: int) -> tuple[int, int]:
    """Frames of a ramp's two ends: the last wholly blank one's neighbour to the picture, and the first at full level.

    `means`: mean level of every frame. `end`: the frame of an `End`. `direction`: -1 for a fade-out (the picture lies
    before it), 1 for a fade-in. `stop`: the last frame in that direction that may belong to the ramp.
    """
    foot = end
    while 0 <= foot - direction < len(means) and means[foot - direction] < means[foot] - BOTTOM:
        foot -= direction
    top = end
    while top != stop:
        ahead = min(top + LEAST_FRAMES, stop) if direction > 0 else max(top - LEAST_FRAMES, stop)
        frames, so_far = abs(ahead - top), abs(top - foot)
        slope = (means[top] - means[foot]) / so_far if so_far else 0.0
        if means[ahead] - means[top] <= FLAT_SHARE * slope * frames:
            break
        top += direction
    return foot, top
