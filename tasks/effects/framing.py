"""Black bars above and below, or left and right, of the picture: from the brightest that each pixel of a shot ever was.

Bars are what a picture of another shape leaves of the frame, so that its border is seen along them. A title on black
leaves black on all sides, too, but has no border; nor have credits that roll, of which each line ends elsewhere. Lines
of text that follow one another in one place add up to a border: single frames tell letters from a picture. Letters may
stand in bars, too; but a picture on a card, with black on all four sides and letters beside it, has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.effects.cards import laid_out
from tasks.effects.signals import Finding, Lines, Shot
from tasks.transitions.pictures import Gray

BAR_LEVEL = 24
"""Brightest that bars may be, 0..255: the limit of FFmpeg's `cropdetect`."""
BAR_LEAST, BAR_UNEVEN = 0.02, 0.02
"""Least height of a bar and most difference between the two, as shares of the picture. Our own choice: two rows of the
90 looked at, and 1.85:1 in 16:9, the least that films need, has 0.0195."""
BAR_EDGE = 24
"""How many levels brighter the picture beside a bar gets than the bar: dark scenery fades out, bars end. Our
own choice."""
BAR_BORDER, BAR_ALONG = 0.3, 0.7
"""Least share of the frame's width (height) along which a picture is lit beside its bars, in the frames of one shot,
and from which on it does not matter what stands in bars of the other kind. Our own measurement: shots of a trailer
0.36 to 1, the least in a fade; three titles 0.24 to 0.41 of the width, but 0.1 of the height."""
BAR_AT_ONCE = 0.25
"""Least of what is ever lit along a border that is lit in one frame. Our own measurement: nine credits that roll 0.08
to 0.10, shots of a trailer and of a reel 0.92 to 1, a dark one 0.44."""
BAR_STEPS = 0.1
"""Least share of the frame's width (height) along which a picture begins straight beside a bar that has letters in it.
Our own measurement: dark shots 0.10 to 0.44, others up to 1."""
BAR_BETWEEN = 0.25
"""Least share of the height (width) that bars with letters in them leave: 16:9 in a 9:16 reel is 0.32 of it, and what
is between two blocks of text is no picture. Our own choice."""
STROKES, FILLED = 0.2, 0.8
"""From this sum of the steps from pixel to pixel along each row on, as a share of the sum of all levels, what is lit in
up to so large a part is letters: their strokes are narrow. Our own measurement, 90 pixels of short side: text on black
0.32 to 0.94, 0.18 to 0.27 where letters are a quarter of the height; pictures between bars 0.01 to 0.15, dark ones too,
and 0.20 in a fade of which 0.8 and more was lit."""
SEEN, WRITTEN = 0.05, 0.6
"""Least of a picture that must be lit to tell letters from it; most of a bar that letters in it may fill. Our own
choice."""
BORDER = 3
"""Rows (columns) of the picture beside a bar that are looked at: scaling blends the first with the bar."""


Views = Callable[[Shot], Sequence[Gray]]
"""Single frames of a shot."""


@dataclass(frozen=True, slots=True)
class Lit:
    """The light of one shot along one axis of its frame."""

    shot: Shot
    first: int = 0
    """First lit row (column)."""
    after: int = 0
    """The one after the last; 0 where the light does not begin and end at an edge."""
    size: int = 0
    """Rows (columns) of the frame."""
    border: float = 0.0
    """Share of the frame along which the picture is lit at its first and its last row, whichever is less: in the whole
    shot or, if that is far less, in the frame in which it is the most."""

    @property
    def barred(self) -> bool:
        """Whether two bars of the same height remain."""
        bars = self.first, self.size - self.after
        even = abs(bars[0] - bars[1]) <= max(1, BAR_UNEVEN * self.size)
        return self.after > 0 and min(bars) >= BAR_LEAST * self.size and even

    @property
    def apart(self) -> bool:
        """Whether there is black on both sides, of the same height or not."""
        return self.after > 0 and min(self.first, self.size - self.after) >= BAR_LEAST * self.size

    @property
    def bordered(self) -> bool:
        """Whether what has black beside it, if it has, is a picture and not letters."""
        beside = max(self.first, self.size - self.after)
        return self.after == 0 or beside < BAR_LEAST * self.size or self.border >= BAR_BORDER

    def finding(self, label: str) -> Finding:
        """The bars of this shot."""
        start, length = self.first / self.size, (self.after - self.first) / self.size
        box = (0.0, start, 1.0, length) if label == "letterbox" else (start, 0.0, length, 1.0)
        return Finding(label, self.shot.start, self.shot.end, 1 - length, 2 * BAR_LEAST, box, (self.shot.evidence,))

    def between(self, bars: Finding) -> bool:
        """Whether the light stays between the bars; that of a shot without light does."""
        if self.after == 0 or bars.box is None:
            return True
        start, length = (bars.box[1], bars.box[3]) if bars.label == "letterbox" else (bars.box[0], bars.box[2])
        inside = self.first / self.size >= start - BAR_UNEVEN
        return inside and self.after / self.size <= start + length + BAR_UNEVEN


def bars(shots: Sequence[Shot], views: Views) -> Iterator[Finding]:
    """Yield spans with black bars above and below (`letterbox`) or left and right (`pillarbox`).

    Measure: their height (width) as a share of the picture's, both together; box: the picture between them. A span
    goes on through shots that are dark where the bars are, or have letters there: they say nothing against them. In one
    shot at least the picture is lit along all its borders with black, and is no text and no part of a card.
    """
    for label, upright in (("letterbox", True), ("pillarbox", False)):
        lit = [_lit(shot, views, upright=upright) for shot in shots]
        # letters in these bars are no light of the picture
        other = [_lit(one.shot, views, upright=not upright, within=one) for one in lit]
        yield from _spans(label, list(zip(lit, other, strict=True)), views)


def _spans(label: str, seen: Sequence[tuple[Lit, Lit]], views: Views) -> Iterator[Finding]:
    """Yield the spans of one axis; `seen`: the light along it and along the other one."""
    open_: Finding | None = None
    sure = False
    waiting: list[str] = []
    for lit, other in seen:
        found = lit.finding(label) if lit.barred else None
        along = lit.border >= BAR_ALONG or (lit.bordered and other.bordered)
        picture = found is not None and along and _pictured(views(lit.shot), found)
        picture = picture and not _card(lit, other, views(lit.shot), upright=label == "letterbox")
        if open_ and found and _same(open_, found):
            cited = (*open_.evidence, *waiting, lit.shot.evidence)
            open_, waiting, sure = replace(open_, end=lit.shot.end, evidence=cited), [], sure or picture
        elif open_ and not picture and (lit.between(open_) or _written(views(lit.shot), open_)):
            waiting.append(lit.shot.evidence)
        else:
            if open_ and sure:
                yield open_
            open_, waiting, sure = found, [], picture
    if open_ and sure:
        yield open_


def _same(a: Finding, b: Finding) -> bool:
    return a.box is not None and b.box is not None and bool(np.allclose(a.box, b.box, atol=BAR_UNEVEN))


def _lit(shot: Shot, views: Views, *, upright: bool, within: Lit | None = None) -> Lit:
    """The light of a shot from above to below, or from left to right; `within`: between the bars of the other kind."""
    if shot.sums is None:
        return Lit(shot)
    peak, lines = (shot.sums.peak, shot.sums.rows) if upright else (shot.sums.peak.T, shot.sums.columns)
    if within and within.barred:
        peak = peak.copy()
        peak[:, : within.first] = peak[:, within.after :] = 0
    lit = _along(shot, peak, lines, *_edges(peak))
    first, after, share = _steps(peak)
    if share < BAR_STEPS or (lit.barred and share <= _step(peak, lit.first, lit.after)):
        return lit
    # What is lit beyond a straight edge is no part of the picture where it is letters.
    inner = _along(shot, peak, lines, first, after)
    return inner if _written(views(shot), inner.finding("letterbox" if upright else "pillarbox")) else lit


def _along(shot: Shot, peak: NDArray[np.uint8], lines: Lines, first: int, after: int) -> Lit:
    """The light of a shot of which the rows (columns) from `first` to `after` are lit."""
    if not after:
        return Lit(shot)
    beside = slice(first, first + BORDER), slice(after - BORDER, after)
    ever = min(float((peak[rows].max(0) > BAR_LEVEL).mean()) for rows in beside)
    at_once = min(float(lines.lit[rows].max()) for rows in beside)
    return Lit(shot, first, after, len(peak), ever if at_once >= BAR_AT_ONCE * ever else at_once)


def _steps(peak: NDArray[np.uint8]) -> tuple[int, int, float]:
    """First row and the row after the last one between two bars of the same height that the most pixels step out of,
    and the share of pixels that do on both sides; 0 of all where there are none.
    """
    size, least = len(peak), round(BAR_LEAST * len(peak))
    above, below = _stepped(peak), _stepped(peak[::-1])
    most = 0, 0, 0.0
    uneven = int(max(1, BAR_UNEVEN * size))
    for first in range(max(1, least), size // 2):
        for under in range(max(1, least, first - uneven), min(first + uneven, size // 2 - 1) + 1):
            share = min(above[first], below[under])
            # the inner one of two rows that do alike
            if share > 0 and share >= most[2] and size - under - first >= BAR_BETWEEN * size:
                most = first, size - under, share
    first, after, share = most
    if not after:
        return most
    return first + _blended(peak, first), after - _blended(peak[::-1], size - after), share


def _step(peak: NDArray[np.uint8], first: int, after: int) -> float:
    """Share of pixels that step at these edges or a row beside them."""
    above, below = _stepped(peak), _stepped(peak[::-1])
    under = len(peak) - after
    return min(max(above[max(0, first - 1) : first + 2]), max(below[max(0, under - 1) : under + 2]))


def _blended(peak: NDArray[np.uint8], row: int) -> int:
    """1 where most of a row at an edge is bar: it belongs to the bar."""
    beside = peak[row + 1] > BAR_LEVEL
    return int(bool(beside.any()) and np.median(peak[row, beside]) < np.median(peak[row + 1, beside]) / 2)


def _stepped(peak: NDArray[np.uint8]) -> list[float]:
    """Share of pixels of each row that are lit, in it or in the next one, after black."""
    bar, lit = peak[:-2], np.maximum(peak[1:-1], peak[2:])
    shares = ((bar <= BAR_LEVEL) & (lit > np.maximum(BAR_LEVEL, bar + BAR_EDGE))).mean(1)
    return [0.0, *shares.tolist(), 0.0]


def _pictured(frames: Sequence[Gray], bars: Finding) -> bool:
    """Whether there is a picture between the bars, and no text alone, in half of the frames that are lit there."""
    parts = [part for part in (_part(frame, bars, inside=True)[0] for frame in frames) if _share(part) >= SEEN]
    return 2 * sum(_strokes(part) and _share(part) <= FILLED for part in parts) < len(parts)


def _card(lit: Lit, other: Lit, frames: Sequence[Gray], *, upright: bool) -> bool:
    """Whether the picture has black on all four sides and is a part of a card or a page."""
    along = (lit.after - lit.first) / max(1, lit.size)
    if lit.shot.sums is None or not (lit.apart and other.apart and other.border >= BAR_BORDER * along):
        return False
    ever, seen = lit.shot.sums.peak > BAR_LEVEL, np.stack(frames) > BAR_LEVEL
    if not upright:
        ever, seen = ever.T, seen.transpose(0, 2, 1)
    return laid_out(ever, seen, slice(lit.first, lit.after), slice(other.first, other.after))


def _written(frames: Sequence[Gray], bars: Finding) -> bool:
    """Whether nothing is lit in the bars but letters, in each frame."""
    return all(
        part.size == 0 or _share(part) < BAR_LEAST or (_strokes(part) and _share(part) <= WRITTEN)
        for frame in frames
        for part in _part(frame, bars, inside=False)
    )


def _part(frame: Gray, bars: Finding, *, inside: bool) -> tuple[Gray, ...]:
    """The part of a frame between the bars, or both bars without the row beside the picture, which is blended."""
    x, y, width, height = bars.box or (0.0, 0.0, 1.0, 1.0)
    upright = bars.label == "letterbox"
    start, length = (y, height) if upright else (x, width)
    size = frame.shape[0 if upright else 1]
    first, after = round(start * size), round((start + length) * size)
    spans = [slice(first, after)] if inside else [slice(0, max(0, first - 1)), slice(after + 1, size)]
    return tuple(frame[span] if upright else frame[:, span] for span in spans)


def _share(part: Gray) -> float:
    """Share that is lit."""
    return float((part > BAR_LEVEL).mean())


def _strokes(part: Gray) -> bool:
    """Whether what is lit is as narrow as strokes of letters."""
    levels = part.astype(np.int16)
    return bool(np.abs(np.diff(levels, axis=1)).sum() >= STROKES * levels.sum())


def _edges(peak: NDArray[np.uint8]) -> tuple[int, int]:
    """First lit row and the row after the last lit one, of the brightest luma each pixel ever had."""
    # Titles may stand in bars; then the picture between them has to be lit all along its edges.
    first, last = _extent(np.percentile(peak, 50, axis=1))
    edges = np.percentile(peak, 20, axis=1)
    if last and min(edges[first : first + 2].max(), edges[last - 2 : last].max()) >= BAR_LEVEL + BAR_EDGE:
        return first, last
    return _extent(np.percentile(peak, 98, axis=1))


def _extent(rows: NDArray[np.float64]) -> tuple[int, int]:
    """First lit row and the row after the last lit one, `(0, 0)` when the light does not begin and end at an edge."""
    lit = np.flatnonzero(rows > BAR_LEVEL)
    if len(lit) < 4:
        return 0, 0
    first, last = int(lit[0]), int(lit[-1])
    # A row of which most is bar belongs to the bar.
    first += int(rows[first] < rows[first + 1] / 2)
    last -= int(rows[last] < rows[last - 1] / 2)
    above = rows[first : first + 3].max() >= BAR_LEVEL + BAR_EDGE
    below = rows[last - 2 : last + 1].max() >= BAR_LEVEL + BAR_EDGE
    return (first, last + 1) if above and below else (0, 0)
