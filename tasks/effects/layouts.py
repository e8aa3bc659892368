"""Signs of editing in space: vignettes, overlays, split screens, from sums over the frames of each shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shared.schema import Box
from tasks.boxes import overlaps
from tasks.effects.signals import BESIDE, Finding, Levels, Lines, Sums
from tasks.transitions.pictures import Look

VIGNETTE_SHOTS, VIGNETTE_CORNER, VIGNETTE_EACH = 4, 0.7, 0.85
"""Least number of shots that share it (one can be lit so), most light in the corners against the middle by the fitted
falloff (half a stop is 0.71), and most in each corner by itself (a quarter of a stop is 0.84). Our own choice."""
VIGNETTE_FIT, VIGNETTE_RINGS, RINGS = 0.3, 0.9, 12
"""Least share of the variance that a falloff with the square of the radius explains: of the mean picture, and of its
means over rings. Our own measurement: 0.42 and 0.99 over nine shots of a trailer under a mask and 0.02 and 0.88 without
it, where the corners keep 0.86 of the light; 0.26 and 0.80 over three shots of a talk lit in the middle."""
OVERLAY_SHOTS = 3
"""Least number of neighbouring shots in which the same edges stand. The idea is Dekel, Rubinstein, Liu and Freeman,
On the Effectiveness of Visible Watermarks, 2017: the median gradient over pictures is the watermark's."""
OVERLAY_EDGE, OVERLAY_ALIKE = 8.0, 0.6
"""Least gradient in levels per pixel of the median, and most that a shot may be off it, as a share of it. Our own
measurement: a logo over real shots 33, over made ones 65 to 75; shots without one 6.7 at most, in a trailer."""
OVERLAY_PIXELS, OVERLAY_LARGEST = 12, 0.3
"""Least number of edge pixels (at 90 pixels of short side) and largest share of the picture. Our own choice."""
OVERLAY_STANDS, OVERLAY_ALONG = 0.5, 0.8
"""An overlay that was found goes on through neighbouring shots while so large a share of its edge pixels have an edge
of its direction (least cosine, either way): what is behind it may hide the rest. Our own measurement: shots under two
boxes 0.8 to 1, but 0.21 to 0.35 where a box is as bright as what is behind it; shots before and after a logo 0."""
OVERLAY_HELD, OVERLAY_BOTH, OVERLAY_HELD_BOTH = 0.5, 0.2, 0.35
"""Least share of its edge pixels that have such an edge in single frames of a shot, too, which a pan only smears into
one; and the share where at least so much of its edges' energy runs the one way and the other: letters that change. Our
own measurement: most of what was laid over 0.54 to 1, captions that change each half second 0.43 to 0.52, lines of
bars over busy shots down to 0.2; lines of panned photographs that their means share 0.01 to 0.6, nearly all one way."""
OVERLAY_FRAMES = 9
"""Single frames of a shot that are looked at."""
OTHER_PICTURE = 8.0
"""Least median difference of the mean pictures of neighbouring shots: else the scene persists, not an overlay. Where
one fades it is what is left once both are made equally strong: a ramp's frames are in the mean. Our own choice."""
SEAM_SHARE, SEAM_SHARPER, SEAM_MARGIN = 0.7, 1.8, 0.15
"""Share of pixels along a seam with a step across it, in the mean over a shot; how many times the same share a few
pixels beside it; nearest it may be to the border. Our own measurement: halves with
nothing in common step in 0.8 to 1.0 of the pixels."""
SEAM_MOTION, SEAM_REACH = 1.0, 12
"""Least change per frame, in levels, within so many pixels on either side of a seam: a post before a wall has none. Our
own choice."""
SEAM_FRAMES = 10
SEAM_TOGETHER = 0.15
"""From this correlation of the changes on both sides of a seam on it is one scene: who walks across a skirting board
moves on both sides of it. Our own measurement: at most 0.05 where two of five real clips, or two made ones, were put
side by side; 0.33 and 0.89 at the skirting board of a room that somebody walks through."""


SEAM_SWAYS, SEAM_BESIDE = 1.7, 5
"""From so many times the change around on, a line this near to a seam, in pixels, moves across itself: a hand-held
camera sways over a skirting board. A seam, and a line beside it, stand still. Our own measurement, nine shots of rooms
with grain whose two sides change apart: 2.26 to 4.5; five made split screens, two of them with grain: 1.13 at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A shot of which something could be seen."""

    start: float
    end: float
    evidence: str
    sums: Sums
    frames: tuple[int, ...] = ()
    """Numbers of some of its frames, neither blank nor mixed with others."""
    fades: bool = False
    """Whether frames of it are mixed with a plain colour."""


def vignette(shots: Sequence[Seen], inside: Box) -> Iterator[Finding]:
    """Yield one finding over all shots when their mean picture falls off towards all four corners alike.

    Measure: light in the corners against the middle of the fitted falloff, 1 for none. `inside`: without bars.
    """
    if len(shots) < VIGNETTE_SHOTS:
        return
    x, y, w, h = inside
    height, width = shots[0].sums.mean.shape
    top, left = round(y * height) + 1, round(x * width) + 1
    part = slice(top, round((y + h) * height) - 1), slice(left, round((x + w) * width) - 1)
    # Each shot weighs the same, however bright it is.
    mean = np.mean([shot.sums.mean[part] / max(float(shot.sums.mean[part].mean()), 1.0) for shot in shots], axis=0)
    rows, columns = (np.linspace(-1, 1, n) for n in mean.shape)
    radius = (rows[:, None] ** 2 + columns[None] ** 2) / 2
    slope, base = np.polyfit(radius.ravel(), mean.ravel(), 1)
    explained = _explained(mean, base + slope * radius)
    # What is in the pictures differs along a ring, a mask does not.
    number = np.minimum((radius * RINGS).astype(np.intp), RINGS - 1)
    ring = np.bincount(number.ravel(), mean.ravel(), RINGS) / np.maximum(
        np.bincount(number.ravel(), minlength=RINGS), 1
    )
    place = (np.arange(RINGS) + 0.5) / RINGS
    even = _explained(ring, np.polyval(np.polyfit(place, ring, 1), place))
    quarters = [mean[::s, ::t][: len(rows) // 6, : len(columns) // 6] for s in (1, -1) for t in (1, -1)]
    middle = mean[len(rows) // 3 : -len(rows) // 3, len(columns) // 3 : -len(columns) // 3].mean()
    all_dark = max(float(corner.mean()) for corner in quarters) <= VIGNETTE_EACH * middle
    corner = float((base + slope) / base) if base > 0 else 1.0
    if explained >= VIGNETTE_FIT and even >= VIGNETTE_RINGS and all_dark and corner <= VIGNETTE_CORNER:
        yield Finding("vignette", shots[0].start, shots[-1].end, max(corner, 0.0), VIGNETTE_CORNER)


def _explained(values: NDArray[np.floating], model: NDArray[np.floating]) -> float:
    """Share of the variance that the model explains."""
    return 1 - float((values - model).var() / max(float(values.var()), 1e-9))


@dataclass(frozen=True, slots=True)
class Graphic:
    """A group of edges that pictures share."""

    box: NDArray[np.float64]
    """Left, top, right, bottom in pixels."""
    strength: float
    """Mean gradient, levels per pixel."""
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Rows and columns of the edges."""
    edges: Levels
    """Their gradients, `(2, pixels)`."""

    def stands(self, gradient: tuple[Levels, Levels]) -> bool:
        """Whether it is in the picture of one shot: its edges run the same way, however strong they are."""
        there = np.array([one[self.pixels] for one in gradient])
        size = np.hypot(*there)
        along = np.abs((there * self.edges).sum(0)) / np.maximum(size * np.hypot(*self.edges), 1e-9)
        return float(((size >= OVERLAY_EDGE) & (along >= OVERLAY_ALONG)).mean()) >= OVERLAY_STANDS

    def held(self, frames: Sequence[tuple[Levels, Levels]]) -> float:
        """Share of its edge pixels that have their edge in single frames of a shot; their gradients."""
        there = np.array([[one[self.pixels] for one in frame] for frame in frames])
        size = np.hypot(there[:, 0], there[:, 1])
        along = (there * self.edges).sum(1) / np.maximum(size * np.hypot(*self.edges), 1e-9)
        return float(((size >= OVERLAY_EDGE) & (along >= OVERLAY_ALONG)).mean())

    @property
    def held_least(self) -> float:
        """What `held` must be in each shot."""
        ways = (self.edges**2).sum(1)
        return OVERLAY_HELD_BOTH if ways.min() >= OVERLAY_BOTH * ways.sum() else OVERLAY_HELD


@dataclass(slots=True)
class Mark:
    """An overlay while it is followed over shots."""

    graphic: Graphic
    first: int
    last: int
    """Numbers of the first and the last shot with it."""
    strength: float

    def same(self, other: Graphic) -> bool:
        """Whether the other is in its place."""
        return bool(overlaps(self.graphic.box[None], other.box[None])[0, 0] >= 0.3)


def overlays(shots: Sequence[Seen], inside: Box, look: Look) -> Iterator[Finding]:
    """Yield graphics that stand in one place while the pictures change: edges common to neighbouring shots.

    They are in the mean of each shot, and in single frames: a pan leaves of a shot what runs along with it.

    Measure: their mean gradient, levels per pixel; box: around them. `inside`: without bars, whose edges persist too.
    """
    gradients = [_gradient(shot.sums.mean) for shot in shots]

    @lru_cache(maxsize=OVERLAY_SHOTS)
    def single(number: int) -> list[tuple[Levels, Levels]]:
        return [_gradient(look(frame).astype(np.float32)) for frame in shots[number].frames]

    marks: list[Mark] = []
    for first in range(len(shots) - OVERLAY_SHOTS + 1):
        last = first + OVERLAY_SHOTS - 1
        window = shots[first : last + 1]
        if not all(_other(a, b) for i, a in enumerate(window) for b in window[i + 1 :]):
            continue
        for graphic in _common(gradients[first : last + 1], inside):
            if any(graphic.held(single(number)) < graphic.held_least for number in range(first, last + 1)):
                continue
            known = next((m for m in marks if m.last >= first and m.same(graphic)), None)
            if known is None:
                marks.append(_through(gradients, Mark(graphic, first, last, graphic.strength)))
            else:
                known.last, known.strength = max(known.last, last), min(known.strength, graphic.strength)
                _through(gradients, known)
    height, width = shots[0].sums.mean.shape if shots else (1, 1)
    for mark in marks:
        left, top, right, bottom = mark.graphic.box / (width, height, width, height)
        evidence = tuple(shot.evidence for shot in shots[mark.first : mark.last + 1])
        place = (float(left), float(top), float(right - left), float(bottom - top))
        span = shots[mark.first].start, shots[mark.last].end
        yield Finding("overlay", *span, mark.strength, OVERLAY_EDGE, place, evidence)


def _other(a: Seen, b: Seen) -> bool:
    """Whether the shots show different pictures."""
    one, other = a.sums.mean, b.sums.mean
    if a.fades or b.fades:
        strongest = max(float(one.std()), float(other.std()))
        one, other = ((mean - mean.mean()) * (strongest / max(float(mean.std()), 1e-3)) for mean in (one, other))
    return float(np.median(np.abs(one - other))) >= OTHER_PICTURE


def _through(gradients: Sequence[tuple[Levels, Levels]], mark: Mark) -> Mark:
    """Follow a mark, in place, through the neighbouring shots in which it stands."""
    while mark.first > 0 and mark.graphic.stands(gradients[mark.first - 1]):
        mark.first -= 1
    while mark.last + 1 < len(gradients) and mark.graphic.stands(gradients[mark.last + 1]):
        mark.last += 1
    return mark


def _gradient(mean: Levels) -> tuple[Levels, Levels]:
    down, right = np.gradient(mean)
    return np.asarray(right, np.float32), np.asarray(down, np.float32)


def _common(gradients: Sequence[tuple[Levels, Levels]], inside: Box) -> Iterator[Graphic]:
    """Yield each group of edges that all pictures share."""
    import cv2

    stacked = np.array(gradients)  # (shots, 2, height, width)
    middle = np.median(stacked, axis=0)
    strength = np.hypot(*middle)
    off = np.hypot(*(stacked - middle).transpose(1, 0, 2, 3)).max(0)
    mask = (strength >= OVERLAY_EDGE) & (off <= OVERLAY_ALIKE * strength)
    height, width = mask.shape
    x, y, w, h = inside
    kept = np.zeros_like(mask)
    part = (
        slice(round(y * height) + 2, round((y + h) * height) - 2),
        slice(round(x * width) + 2, round((x + w) * width) - 2),
    )
    kept[part] = mask[part]
    grown = cv2.dilate(kept.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, labels = cv2.connectedComponents(grown)
    for label in range(1, count):
        rows, columns = np.nonzero(kept & (labels == label))
        if len(rows) < OVERLAY_PIXELS:
            continue
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)
        if (box[2] - box[0]) * (box[3] - box[1]) <= OVERLAY_LARGEST * mask.size:
            edges = np.asarray(middle[:, rows, columns], np.float32)
            yield Graphic(box, float(strength[rows, columns].mean()), (rows, columns), edges)


def split_screens(shots: Sequence[Seen], inside: Box) -> Iterator[Finding]:
    """Yield shots with a straight seam from border to border and motion on both sides of it that is not the same.

    Measure: share of the seam with a step across it; box: the part left of it or above it.
    """
    x, y, w, h = inside
    for shot in shots:
        sums = shot.sums
        if sums.frames < SEAM_FRAMES:
            continue
        height, width = sums.activity.shape
        rows = slice(round(y * height), round((y + h) * height))
        columns = slice(round(x * width), round((x + w) * width))
        activity = sums.activity[rows, columns] / np.float32(sums.frames - 1)
        for lines, part, moved, upright in (
            (sums.columns, columns, activity, True),
            (sums.rows, rows, activity.T, False),
        ):
            share = lines.edges[part] / sums.frames
            at = _seam(share, moved)
            if at is None or _together(lines, part.start + at, moved, at, sums.frames - 1) >= SEAM_TOGETHER:
                continue
            position, strength = (at + 0.5) / len(share), float(share[at])
            box = (x, y, w * position, h) if upright else (x, y, w, h * position)
            yield Finding("split_screen", shot.start, shot.end, min(strength, 1.0), SEAM_SHARE, box, (shot.evidence,))


def _seam(share: NDArray[np.float64], moved: Levels) -> int | None:
    """Column of the seam; None when there is none. `share` is per column, `moved` `(rows, columns)` in levels."""
    margin = max(SEAM_REACH, round(SEAM_MARGIN * len(share)))
    if len(share) <= 2 * margin:
        return None
    at = margin + int(share[margin:-margin].argmax())
    beside = max(float(np.median(share[at - 8 : at - 3])), float(np.median(share[at + 4 : at + 9])))
    left, right = (moved[:, at - SEAM_REACH : at - 2].mean(), moved[:, at + 3 : at + 1 + SEAM_REACH].mean())
    seamed = share[at] >= SEAM_SHARE and share[at] >= SEAM_SHARPER * beside
    sways = moved[:, at - SEAM_BESIDE : at + SEAM_BESIDE + 1].mean(0).max() >= SEAM_SWAYS * max(left, right)
    return at if seamed and min(left, right) >= SEAM_MOTION and not sways else None


def _together(lines: Lines, line: int, moved: Levels, at: int, changes: int) -> float:
    """Correlation of what changes on both sides of a line, over its pixels and all frames; 1 where it has none.

    `line` counts in the whole picture, `at` in `moved`, the mean changes `(pixels along the line, lines)`. Bars outside
    of `moved` change by nothing, so that the sums over whole lines are those of the part.
    """
    before, after = (float(moved[:, at + side].mean()) for side in (-BESIDE, BESIDE))
    count = changes * len(moved)
    both = lines.products[line] / count - before * after
    spread = [lines.squares[line + side] / count - mean**2 for side, mean in ((-BESIDE, before), (BESIDE, after))]
    return float(both / np.sqrt(spread[0] * spread[1])) if min(spread) > 0 else 1.0
