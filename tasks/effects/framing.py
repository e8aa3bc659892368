"""Black bars above and below, or left and right, of the picture: from the brightest that each pixel of a shot ever was.

Bars are what a picture of another shape leaves of the frame, so that its border is seen along them. A title on black
leaves black on all sides, too, but has no border; nor have credits that roll, of which each line ends elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.effects.signals import Finding, Shot

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
BORDER = 3
"""Rows (columns) of the picture beside a bar that are looked at: scaling blends the first with the bar."""


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


def bars(shots: Sequence[Shot]) -> Iterator[Finding]:
    """Yield spans with black bars above and below (`letterbox`) or left and right (`pillarbox`).

    Measure: their height (width) as a share of the picture's, both together; box: the picture between them. A span
    goes on through shots that are dark where the bars are: they say nothing against them. In one shot at least the
    picture is lit along all its borders with black.
    """
    seen = [(_lit(shot, upright=True), _lit(shot, upright=False)) for shot in shots]
    yield from _spans("letterbox", seen)
    yield from _spans("pillarbox", [(columns, rows) for rows, columns in seen])


def _spans(label: str, seen: Sequence[tuple[Lit, Lit]]) -> Iterator[Finding]:
    """Yield the spans of one axis; `seen`: the light along it and along the other one."""
    open_: Finding | None = None
    sure = False
    waiting: list[str] = []
    for lit, other in seen:
        picture = lit.border >= BAR_ALONG or (lit.bordered and other.bordered)
        found = lit.finding(label) if lit.barred else None
        if open_ and found and _same(open_, found):
            cited = (*open_.evidence, *waiting, lit.shot.evidence)
            open_, waiting, sure = replace(open_, end=lit.shot.end, evidence=cited), [], sure or picture
        elif open_ and lit.between(open_) and not (found and picture):
            waiting.append(lit.shot.evidence)
        else:
            if open_ and sure:
                yield open_
            open_, waiting, sure = found, [], picture
    if open_ and sure:
        yield open_


def _same(a: Finding, b: Finding) -> bool:
    return a.box is not None and b.box is not None and bool(np.allclose(a.box, b.box, atol=BAR_UNEVEN))


def _lit(shot: Shot, *, upright: bool) -> Lit:
    """The light of a shot from above to below, or from left to right."""
    if shot.sums is None:
        return Lit(shot)
    peak, lines = (shot.sums.peak, shot.sums.rows) if upright else (shot.sums.peak.T, shot.sums.columns)
    first, after = _edges(peak)
    if not after:
        return Lit(shot)
    beside = slice(first, first + BORDER), slice(after - BORDER, after)
    ever = min(float((peak[rows].max(0) > BAR_LEVEL).mean()) for rows in beside)
    at_once = min(float(lines.lit[rows].max()) for rows in beside)
    return Lit(shot, first, after, len(peak), ever if at_once >= BAR_AT_ONCE * ever else at_once)


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
