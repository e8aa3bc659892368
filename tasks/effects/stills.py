"""Freeze frames: motion that stops within a shot, and goes on or ends in a cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.effects.signals import STILL_MEAN, Finding, Signals
from tasks.transitions.overlaid import BAR, KEPT, ROW, SAME_LEVELS
from tasks.transitions.pictures import Gray, Look, between_bars, edges, small, unexplained
from tasks.transitions.signals import UNEXPLAINED

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
FREEZE_FRAMES = 5
"""Least number of frames beside a still that show motion."""
FREEZE_SPREAD = 0.4
"""Least share of the cells in which something moved in the half second before: a picture stops as a whole, its noise
too. Our own measurement: seven held frames of real shots, one of which somebody walks through, 0.70 to 0.95; bullets,
typed text, a pointer and letters that come to rest on a page or on black 0.05 to 0.31."""
PAGE, PAGE_LEVELS = 0.75, 2
"""From this share of a picture on, within so many levels of one, it is a page, which may scroll, zoom and stop as a
whole. Our own measurement: pages 0.85 to 0.98; real shots 0.05 to 0.54, bars included."""
TITLE_SECONDS = 1.0
"""Longest time in which a title comes, or goes, over a picture that is held before and after it."""
TITLE_REST, TITLE_EDGES, TITLE_SIDED = 0.25, 10, 0.25
"""What a title leaves free changes by at most so many levels in the mean; it brings, or takes, so many pixels of edges
at least, and the other way at most this share of them. Our own measurement: titles, single words and a bar over held
frames 0.07 levels at most, 13 to 463 pixels and none the other way (a bar hides some); 43 pairs of neighbouring stills
of four real clips in which somebody moves or stands 0.03 to 4.4 levels, and either fewer pixels or many both ways."""
WIPE_SECONDS = 2.0
"""Longest time in which one held picture gives way to another, in whatever way."""
CARRIED = 0.15
"""From this share of its corners on, found again elsewhere, a picture was carried on by motion, not wiped away. Our own
measurement: of 330 pairs of photographs that give way to one another by FFmpeg's 55 `xfade`s in 0.3 to 1.5 s, two;
30 pans and zooms from one freeze to the next 0.42 to 0.99."""
CORNERS, CORNER_LEAST, CORNER_APART = 120, 0.02, 4
"""Most corners that are followed, least strength of one as a share of the strongest's, least distance in pixels."""
PATCH, CORNER_ALIKE = 11, 0.8
"""Pixels on a side of what is followed, and least correlation of what is found with what was left."""

Span = tuple[float, float]
"""Seconds."""


def freezes(signals: Signals, bounds: Sequence[int], mixed: Sequence[Span], look: Look) -> Iterator[Finding]:
    """Yield spans in which a moving picture stands still; measure: how many times as much changes per frame in the half
    second before it, and in that after it where the shot goes on.

    `bounds`: first frames of shots. `mixed`: dissolves and ramps of fades: what changes there is no motion. A picture
    that never moved before it stood (a slide, a photograph, whether it was cut, faded, dissolved or wiped to) is not
    frozen, nor is one in which little moved, or a page. A title may come and go over it.
    """
    step, times = np.asarray(signals.step), np.asarray(signals.times)
    moving = np.ones(len(times), np.bool_)
    for start, end in mixed:
        moving[(times >= start - 0.001) & (times <= end + 0.001)] = False
    for begun, last in _held(signals, bounds, look):
        opening = max((b for b in bounds if b <= begun), default=0)
        first = begun
        # A codec sharpens a held picture over its first frames, which makes it differ from what it becomes.
        while first > opening and step[first] <= STILL_MEAN:
            first -= 1
        start, end = signals.times[first], signals.end_of(last)
        if end - start < FREEZE_SECONDS or signals.blank(first):
            continue
        closing = min((b for b in bounds if b > last), default=len(times))
        before = [i for i in range(first, opening, -1) if start - times[i] < FREEZE_SECONDS and moving[i]]
        after = [i for i in range(last + 1, closing) if times[i] - end < FREEZE_SECONDS and moving[i]]
        if len(before) < FREEZE_FRAMES:
            continue
        sides = [before, after] if len(after) >= FREEZE_FRAMES else [before]
        abrupt = all(step[side[:3]].mean() >= FREEZE_ABRUPT * step[side].mean() for side in sides)
        moved = [float(np.percentile(step[side], FREEZE_BUSY)) for side in sides]
        # of one frame that is held nothing changes
        within = max(float(np.percentile([0, *step[first + 1 : last + 1]], FREEZE_BUSY)), FREEZE_NOISE)
        busy = abrupt and min(moved) >= max(FREEZE_LEAST, FREEZE_RATIO * within)
        whole = busy and signals.spread(before) >= FREEZE_SPREAD and not _page(look(last))
        if whole and not _wiped(signals, first, opening, look):
            yield Finding("freeze", start, end, min(moved) / within, FREEZE_RATIO)


def _held(signals: Signals, bounds: Sequence[int], look: Look) -> Iterator[tuple[int, int]]:
    """Yield the stills (first, last frame); those between which something was laid on the picture, or taken off it, are
    one.
    """
    held: tuple[int, int] | None = None
    for begun, last in signals.stills:
        soon = held is not None and signals.times[begun] - signals.end_of(held[1]) <= TITLE_SECONDS
        if held and soon and not any(held[1] < bound <= begun for bound in bounds):
            one = _titled(small(look(held[1])), small(look(begun)))
            held, done = ((held[0], last), None) if one else ((begun, last), held)
        else:
            held, done = (begun, last), held
        if done:
            yield done
    if held:
        yield held


def _titled(before: Gray, after: Gray) -> bool:
    """Whether two pictures of `FLOW_WIDTH` differ by a title or a bar alone, which one of them has."""
    import cv2

    change = cv2.absdiff(before, after)
    other = change >= SAME_LEVELS
    if 1 - other.mean() < KEPT or change[~other].mean() > TITLE_REST:
        return False
    reach, one, two = np.ones((3, 3), np.uint8), edges(before), edges(after)
    less, more = sorted((int((one > cv2.dilate(two, reach)).sum()), int((two > cv2.dilate(one, reach)).sum())))
    in_rows = other[other.mean(1) > ROW].sum() >= BAR * max(1, other.sum())
    return more >= TITLE_EDGES and (less <= TITLE_SIDED * more or bool(in_rows))


def _page(gray: Gray) -> bool:
    """Whether nearly all of the picture between its bars is of one level."""
    part = gray[between_bars(gray)]
    near = np.convolve(np.bincount(part.ravel(), minlength=256), np.ones(2 * PAGE_LEVELS + 1), "same")
    return bool(near.max() >= PAGE * part.size)


def _wiped(signals: Signals, first: int, opening: int, look: Look) -> bool:
    """Whether another picture, which was held too, gave way to the still that begins at `first`.

    Wipes are no transitions of cut_analysis, which may see a cut amid one. Motion does not explain the one picture by
    the other, nor does the still show elsewhere what the other, or the shot that begins at `opening`, showed before.
    """
    for begun, last in signals.stills:
        gone = signals.times[first] - signals.end_of(last)
        held = signals.end_of(last) - signals.times[begun]
        if last >= first or gone > WIPE_SECONDS or held < FREEZE_SECONDS:
            continue
        if unexplained(small(look(last)), small(look(first))) < UNEXPLAINED:
            continue
        if _carried([look(i) for i in range(max(last, opening), first + 1)]) < CARRIED:
            return True
    return False


def _carried(pictures: Sequence[Gray]) -> float:
    """Share of the corners of the first picture that, followed from each to the next, are elsewhere in the last."""
    import cv2

    corners: Any = cv2.goodFeaturesToTrack(pictures[0], CORNERS, CORNER_LEAST, CORNER_APART)
    if corners is None:
        return 0.0
    places, seen = corners, np.ones(len(corners), np.bool_)
    for one, other in pairwise(pictures):
        there, found, _ = cv2.calcOpticalFlowPyrLK(one, other, places, None, winSize=(PATCH, PATCH))  # type: ignore[call-overload]
        back, returned, _ = cv2.calcOpticalFlowPyrLK(other, one, there, None, winSize=(PATCH, PATCH))  # type: ignore[call-overload]
        seen &= (found > 0).ravel() & (returned > 0).ravel() & (np.abs(back - places).max((1, 2)) < 1)
        places = there
    moved = np.abs(places - corners).max((1, 2)) > 1
    inside = ((places >= 0) & (places < pictures[-1].shape[::-1])).all((1, 2))
    ends = zip(corners[seen & moved & inside, 0].tolist(), places[seen & moved & inside, 0].tolist(), strict=True)
    alike = [_alike(_patch(pictures[0], here), _patch(pictures[-1], there)) >= CORNER_ALIKE for here, there in ends]
    return sum(alike) / len(corners)


def _patch(gray: Gray, place: tuple[float, float]) -> NDArray[np.float64]:
    import cv2

    return cv2.getRectSubPix(gray, (PATCH, PATCH), place).astype(np.float64).ravel()


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation of two patches; 0 where one is plain."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0 else 0.0
