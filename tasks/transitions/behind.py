"""Fades behind what stands through them: subtitles, a logo, a ticker.

What shines throughout is never black, and hides that all else is. Where most cells are black, or white, those that are
not are made so, and the picture that is left is judged as any other. The same letters must be there over the whole
picture, or as many that move on: the lamps of a street at night, of which the day before shows nothing, stand through
no fade.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.fades import (
    BLANK,
    CLIMB_SECONDS,
    FADE_SECONDS,
    FADED_CELL,
    FLOOR,
    GROWING,
    LEAST_FADED,
    LEAST_FRAMES,
    End,
    black,
    climb,
    white,
)
from tasks.transitions.pictures import Gray, Look, luma
from tasks.transitions.signals import Levels

LEAST_PLAIN, MOST_STANDING = 0.5, 0.5
"""Least share of the cells that are black, or white, and most that something stands in. Our own measurement: captions,
banners and logos 0.06 to 0.27, subtitles and bars 0.47; dark shots, in which something is seen everywhere, 0.62."""
ONE_MORE = 0.05
"""Share of the cells that may be lit more than at the least, besides letters: the borders of other letters."""
LETTERS = 0.5
"""Letters are at least this share as far from the plain colour as the farthest pixel of their frame."""
LEAP = 64
"""Levels by which the farthest pixel of a cell changes at once where a word comes or goes: a ramp takes its time."""
FAINT = (0.0, 0.25, 0.5)
"""How much of the whole picture there is in those that what stands is looked for in, as long as it outshines them."""
STRONG, SAME, LEAST_SAME = 0.75, 0.125, 0.6
"""What stands is told by its pixels that are this share of the way from black, or white, to its farthest one: at least
that share of them differs from the whole picture by so much of that way at most. Our own measurement: letters of five
sizes over real shots 0.92 to 1; what is half covered, at their borders, is mixed with what is behind."""
WHOLE, SHAPE_PIXELS, LEAST_LEFT, MOST_LEFT = 0.9, 3.0, 0.15, 0.95
"""What is half transparent gets farther from plain as the picture comes, and its shape, which is what differs from the
mean of so many pixels around it, fainter: so much is left of it where this share of the picture is there. Our own
measurement: white marks of 25 to 70 % over real shots 0.3 to 0.67, grey ones over bright shots less or none; lights
that a picture dissolves from 0.07 at most, a grey disc 0.2; what is part of the picture grows with it, 0.99 to 1.05."""
MOVING, AS_MANY, FEW = 0.8, 0.7, 10
"""Letters that move on, as a ticker's, are told by how many pixels are this share of the way from plain to the
farthest: at least so many, and about as many, the less over the more, while the picture is too faint to have any."""


@dataclass(frozen=True, slots=True)
class Way:
    """A fade that something stands through."""

    end: End
    plain: range
    """The frames beside it that are plain but for what stands there."""
    ramp: range
    """From the plain frame to that of the whole picture: no other fade begins or ends there."""

    def hides(self, other: End) -> bool:
        """Whether that end was found by what stands on this fade: words that came, a border as bright as the rest."""
        return other.frame in self.ramp or (other.kind == self.end.kind and other.frame in self.plain)


def behind(levels: Levels, look: Look, found: Sequence[End]) -> Iterator[Way]:
    """Yield the fades to and from black and white that something stands through; `found`: the ends of all others."""
    if not levels.times:
        return
    known = [(one, climb(levels, one)) for one in found]
    cells, extremes = np.stack(levels.thumbnails), np.stack(levels.extremes)
    for colour, away, reach, measure, ends in (
        (0, cells.max(-1), extremes[:, 1], levels.bright, black),
        (255, 255 - cells.min(-1), 255 - extremes[:, 0], levels.pale, white),
    ):
        for span in _plain(away, np.array(measure)):
            standing = _standing(levels.times, away, reach, span)
            if standing.mean() > MOST_STANDING:
                continue
            near = _near(levels.times, span)
            bare = _bare(levels, near, standing, colour)
            there = partial(_from, look, near.start)
            for end in ends(bare):
                foot = near.start + end.frame - (end.kind == "fade_in")
                if foot not in span or not _fades(bare, end, standing, colour):
                    continue
                held = _held(bare.bright if colour == 0 else bare.pale, foot - near.start, near.start)
                moved = End(
                    near.start + end.frame, end.kind, range(near.start + end.dim.start, near.start + end.dim.stop)
                )
                if not any(_is(one, on, moved, held) for one, on in known) and _stands(bare, end, colour, there):
                    ramp = sorted(near.start + index for index in _ends(bare, end))
                    yield Way(moved, held, range(ramp[0], ramp[1] + 1))


def _is(one: End, ramp: range, other: End, held: range) -> bool:
    """Whether that end is this other: what is found on its plain frames, where words came or went, is none."""
    near = abs(one.frame - other.frame) < LEAST_FRAMES
    return one.kind == other.kind and (near or (other.frame in ramp and one.frame not in held))


def _from(look: Look, start: int, index: int) -> Gray:
    """Look at a frame that is counted from another."""
    return look(start + index)


def _plain(away: NDArray[np.uint8], measure: NDArray[np.float64]) -> Iterator[range]:
    """Spans in which most cells are plain, and the picture as a whole is not; `away`: how far each cell is from it.

    Those between which no ramp has room are one: lights that flash.
    """
    plain = ((away <= BLANK).mean((1, 2)) >= LEAST_PLAIN) & (measure > BLANK)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], plain, [False]]).astype(np.int8)))
    apart = np.flatnonzero(edges[2::2] - edges[1:-1:2] >= LEAST_FRAMES)
    starts, stops = edges[::2], edges[1::2]
    if len(starts):
        yield from map(range, starts[[0, *(apart + 1)]].tolist(), stops[[*apart, -1]].tolist())


def _standing(
    times: Sequence[float], away: NDArray[np.uint8], reach: NDArray[np.uint8], span: range
) -> NDArray[np.bool_]:
    """The cells in which something stands while the others are plain, one word after the other, or comes meanwhile.

    `reach`: how far the farthest pixel of each cell is from plain.
    """
    lit, far = away[span.start : span.stop] > 2 * FLOOR, reach[span.start : span.stop]
    letters = far >= LETTERS * far.max((1, 2), keepdims=True)
    rest = (lit & ~letters).mean((1, 2))
    standing = np.asarray(lit[rest <= rest.min() + ONE_MORE].any(0))
    first, last = np.searchsorted(times, (times[span.start] - FADE_SECONDS[0], times[span.stop - 1] + FADE_SECONDS[0]))
    leaps = np.abs(np.diff(reach[first:last].astype(np.int16), axis=0)) >= LEAP
    come = leaps[leaps.mean((1, 2)) <= 1 - LEAST_PLAIN].any(0)
    return standing | come if (standing | come).mean() <= MOST_STANDING else standing


def _near(times: Sequence[float], span: range) -> range:
    """The frames of the span, and of the ramps beside it."""
    low, high = np.searchsorted(times, (times[span.start] - CLIMB_SECONDS, times[span.stop - 1] + CLIMB_SECONDS))
    return range(int(low), int(high))


def _bare(levels: Levels, frames: range, standing: NDArray[np.bool_], colour: int) -> Levels:
    """Levels of these frames with the cells made plain that something stands in; by means of cells, not by pixels."""
    cells = np.where(standing[..., None], np.uint8(colour), np.stack(levels.thumbnails[frames.start : frames.stop]))
    gray = luma(cells.reshape(-1, *cells.shape[2:])).reshape(len(cells), -1)
    highest, lowest = gray.max(1).astype(float), gray.min(1).astype(float)
    return Levels(
        times=levels.times[frames.start : frames.stop],
        bright=cells.max((1, 2, 3)).astype(float).tolist(),
        peak=highest.tolist(),
        pale=(255 - lowest).tolist(),
        contrast=(highest - lowest).tolist(),
        thumbnails=list(cells),
    )


def _fades(bare: Levels, end: End, standing: NDArray[np.bool_], colour: int) -> bool:
    """Whether most of the picture takes part: a line that fades in below another one is no new picture."""
    _, top = _ends(bare, end)
    faded = np.abs(bare.thumbnails[top].astype(np.int16) - colour).max(-1) >= FADED_CELL * bare.contrast[top]
    return bool(faded[~standing].mean() >= LEAST_FADED)


def _ends(bare: Levels, end: End) -> tuple[int, int]:
    """The plain frame and that of the whole picture at the ends of a ramp."""
    ramp = climb(bare, end)
    return (end.frame - 1, ramp[-1]) if end.kind == "fade_in" else (end.frame, ramp[0])


def _stands(bare: Levels, end: End, colour: int, look: Look) -> bool:
    """Whether what is seen on the plain picture, or on a faint one, is seen while more of the whole one comes.

    The less comes, the less may change. Words give way to others on a ramp: it is enough that some stay for a while.
    """
    foot, top = _ends(bare, end)
    way = range(foot, top + 1) if foot < top else range(foot, top - 1, -1)
    parts = [np.abs(bare.thumbnails[i].astype(np.float64) - colour) for i in way]
    shares = [float((part * parts[-1]).sum() / (parts[-1] ** 2).sum()) for part in parts]
    farthest = float(np.abs(look(foot).astype(np.int16) - colour).max())
    for least in FAINT:
        first = next(number for number, share in enumerate(shares) if share >= least or number == len(shares) - 1)
        if shares[first] * 255 >= STRONG * farthest:
            break
        faint = look(way[first])
        if first == 0 and _as_many(faint, farthest, colour, [look(i) for i in _faint(way, shares)]):
            return True
        strong = np.abs(faint.astype(np.int16) - colour) >= STRONG * farthest
        for index, share in zip(way[first:], shares[first:], strict=True):
            more = min(share, 1.0) - shares[first]
            if more >= GROWING and strong.any():
                change = np.abs(look(index).astype(np.int16) - faint)[strong]
                if (change <= SAME * farthest * more).mean() >= LEAST_SAME:
                    return True
    return _shines_through(way, shares, colour, look)


def _shines_through(way: range, shares: Sequence[float], colour: int, look: Look) -> bool:
    """Whether what is seen on the plain picture is a half transparent mark: the picture adds to it, and hides no shape.

    A mark of the share `a` is `a` of its own colour and the rest of the picture's: it never gets nearer to the plain
    colour. What dissolves into a brighter picture does not, either, but nothing of its shape is left there.
    """
    import cv2

    plain, *mixed = (np.abs(look(index).astype(np.float32) - colour) for index in way)
    if not mixed or plain.max() <= 2 * BLANK or shares[0] > GROWING:
        return False
    strong = plain >= STRONG * plain.max()
    near = cv2.dilate(strong.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    shape, *shapes = ((one - cv2.GaussianBlur(one, (0, 0), SHAPE_PIXELS))[near] for one in (plain, *mixed))
    covered = max(float((one[strong] < plain[strong] - SAME * plain.max()).mean()) for one in mixed)
    left = [
        float((one * shape).sum() / max(float((shape**2).sum()), 1.0))
        for one, share in zip(shapes, shares[1:], strict=True)
        if share >= WHOLE
    ]
    return covered <= 1 - STRONG and LEAST_LEFT <= float(np.median(left)) <= MOST_LEFT


def _faint(way: range, shares: Sequence[float]) -> list[int]:
    """The frames of a ramp in which the picture is seen, and cannot reach what outshines it."""
    return [index for index, share in zip(way, shares, strict=True) if FAINT[1] <= share <= FAINT[2]]


def _as_many(plain: Gray, farthest: float, colour: int, mixed: Sequence[Gray]) -> bool:
    """Whether as many pixels are as far from plain while the picture is faint: letters that move on."""
    least = MOVING * max(farthest, 255 * FAINT[2] / MOVING + 1)
    count, *others = (int((np.abs(one.astype(np.int16) - colour) >= least).sum()) for one in (plain, *mixed))
    return count >= FEW and bool(others) and AS_MANY * count <= float(np.median(others)) <= count / AS_MANY


def _held(away: Sequence[float], foot: int, start: int) -> range:
    """The frames around the plain one that are plain, too, counted from `start` on."""
    first = next((i + 1 for i in range(foot, -1, -1) if away[i] > BLANK), 0)
    last = next((i for i in range(foot, len(away)) if away[i] > BLANK), len(away))
    return range(start + first, start + last)
