"""The picture of all tracks over time: lanes with what stands in them, in percent of the video's length."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.exports.words import between, clock, headline, number, tooltip
from shared.groups import groups
from shared.schema import (
    BaseTrack,
    Document,
    Event,
    EventTrack,
    ObjectTrack,
    Segment,
    SegmentTrack,
    SeriesTrack,
    Span,
    TrackedObject,
)

MAX_ROWS = 8
MAX_MARKS = 1500
MAX_POINTS = 600
MAX_CELLS = 100
MIN_TEXT_ROOM = 4.0  # percent of the axis
ROW_PIXELS = 19
CURVE_PIXELS = 46
OTHER = "other"
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MAX_TICKS = 13


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the time axis."""

    left: float
    width: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Mark(Stretch):
    """A segment, an object or an event; `strength` 0..1 is its confidence, 1 where it has none."""

    anchor: str = ""
    text: str = ""
    row: int = 0
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as SVG paths in a box of 1000x100, `cells` carry the values to read."""

    line: str
    area: str
    cells: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """One track."""

    analyzer: str
    track: str
    group: str
    kind: str
    method: str
    note: str
    pixels: int
    marks: tuple[Mark, ...] = ()
    curve: Curve | None = None
    holes: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneGroup:
    """The lanes of one analyzer group, which share a colour."""

    name: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on the time axis that is labelled."""

    left: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All tracks that have a place in time."""

    ticks: tuple[Tick, ...]
    cuts: tuple[float, ...]
    groups: tuple[LaneGroup, ...]


class Axis:
    """Turns seconds into percent of the video's length, and holds what lies outside at the edge."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds if seconds > 0 else 1.0

    def at(self, t: float) -> float:
        """Percent from the left."""
        return round(100 * min(max(t / self.seconds, 0.0), 1.0), 3)

    def stretch(self, start: float, end: float, title: str = "") -> Stretch:
        """The part from `start` until `end`."""
        return Stretch(self.at(start), round(self.at(end) - self.at(start), 3), title)

    def ticks(self) -> tuple[Tick, ...]:
        """Round moments, 13 at most."""
        step = next((step for step in _STEPS if self.seconds / step < _MAX_TICKS), self.seconds / _MAX_TICKS)
        moments = [index * step for index in range(int(self.seconds / step) + 1)]
        return tuple(Tick(self.at(t), clock(t) if step < 1 else clock(t).removesuffix(".0")) for t in moments)


def timeline(document: Document, shots: Sequence[Span], group_of: Mapping[str, str]) -> Timeline:
    """Draw every track but scalars. `group_of` says an analyzer's group; those it does not know come last."""
    axis = Axis(document.media.duration_seconds)
    analysed = {report.name: report.analysed for report in document.analyzers}
    lanes = [
        lane
        for track in document.tracks
        if (lane := _lane(axis, track, group_of.get(track.analyzer, OTHER), analysed.get(track.analyzer, ())))
    ]
    grouped = (LaneGroup(name, tuple(lane for lane in lanes if lane.group == name)) for name in (*groups(), OTHER))
    return Timeline(
        ticks=axis.ticks(),
        cuts=tuple(axis.at(start) for start, _ in shots if start > 0),
        groups=tuple(group for group in grouped if group.lanes),
    )


def _lane(axis: Axis, track: BaseTrack, group: str, analysed: Sequence[Span]) -> Lane | None:
    marks: tuple[Mark, ...] = ()
    curve = None
    pixels = ROW_PIXELS + 6
    if isinstance(track, SeriesTrack):
        curve, note = _curve(axis, track), _range(track)
        pixels = CURVE_PIXELS if curve else pixels
    elif isinstance(track, SegmentTrack | ObjectTrack):
        marks, note = _spans(axis, track), _count(len(track.items), "object" if track.kind == "object" else "segment")
        pixels = ROW_PIXELS * (1 + max((mark.row for mark in marks), default=0)) + 6
    elif isinstance(track, EventTrack):
        marks, note = _moments(axis, track), _count(len(track.items), "event")
    else:
        return None
    kind = str(getattr(track, "kind", ""))
    name = track.id.partition("/")[2]
    holes = _holes(axis, analysed)
    return Lane(track.analyzer, name, group, kind, track.method, note, pixels, marks, curve, holes)


def _count(count: int, noun: str) -> str:
    drawn = f", {MAX_MARKS} drawn" if count > MAX_MARKS else ""
    return f"{count} {noun}{'' if count == 1 else 's'}{drawn}" if count else "nothing found"


def _holes(axis: Axis, analysed: Sequence[Span]) -> tuple[Stretch, ...]:
    """What was not looked at. An analyzer that names no spans says nothing about it."""
    if not analysed:
        return ()
    edges = [(0.0, 0.0), *sorted(analysed), (axis.seconds, axis.seconds)]
    found = []
    seen = 0.0
    for start, end in edges:
        if start - seen > axis.seconds / 500:
            found.append(axis.stretch(seen, start, f"not analysed: {between(seen, start)}"))
        seen = max(seen, end)
    return tuple(found)


# --- segments, objects, events ---------------------------------------------------------------------------------


def _spans(axis: Axis, track: SegmentTrack[Segment] | ObjectTrack[TrackedObject]) -> tuple[Mark, ...]:
    """Each span in the first row that is free; what finds none of `MAX_ROWS` goes over the last row."""
    marks = []
    busy: list[tuple[float, int]] = []
    free = list(range(MAX_ROWS))
    for item in sorted(track.items, key=lambda item: (item.start, -item.end))[:MAX_MARKS]:
        while busy and busy[0][0] <= item.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        row = heapq.heappop(free) if free else MAX_ROWS - 1
        if len(busy) < MAX_ROWS:
            heapq.heappush(busy, (item.end, row))
        place = axis.stretch(item.start, item.end)
        strength = 1.0 if item.confidence is None else item.confidence
        anchor = f"{track.id}/{item.id}"
        marks.append(Mark(place.left, place.width, tooltip(item), anchor, headline(item), row, strength))
    return tuple(marks)


def _moments(axis: Axis, track: EventTrack[Event]) -> tuple[Mark, ...]:
    """Events; the room for an event's text ends at the next one, and there is none when they stand close."""
    items = sorted(track.items, key=lambda item: item.t)[:MAX_MARKS]
    lefts = [axis.at(item.t) for item in items]
    marks = []
    for item, (left, following) in zip(items, pairwise([*lefts, 100.0]), strict=True):
        room = round(following - left, 3)
        strength = 1.0 if item.confidence is None else item.confidence
        text = headline(item) if room > MIN_TEXT_ROOM else ""
        marks.append(Mark(left, room, tooltip(item), f"{track.id}/{item.id}", text, strength=strength))
    return tuple(marks)


# --- series ----------------------------------------------------------------------------------------------------


def _known(track: SeriesTrack) -> list[float]:
    return [value for value in track.values if value is not None]


def _range(track: SeriesTrack) -> str:
    known = _known(track)
    if not known:
        return "nothing measured"
    unit = "" if track.unit == "1" else f" {track.unit}"
    return f"{number(min(known))} to {number(max(known))}{unit}"


def _curve(axis: Axis, track: SeriesTrack) -> Curve | None:
    known = _known(track)
    if not known:
        return None
    low, high = min(known), max(known)

    def y(value: float) -> float:
        return round(94 - 88 * (value - low) / (high - low), 2) if high > low else 50.0

    lines, areas = [], []
    for run in _runs(_thinned(track)):
        points = [(axis.at(t) * 10, y(value)) for t, value in run]
        path = "L".join(f"{x:g} {height:g}" for x, height in points)
        lines.append(f"M{path}" if len(points) > 1 else f"M{path}h.01")
        areas.append(f"M{points[0][0]:g} 100L{path}L{points[-1][0]:g} 100Z")
    return Curve("".join(lines), "".join(areas), tuple(_cells(axis, track)))


def _thinned(track: SeriesTrack) -> list[tuple[float, float | None]]:
    """Times and values; of a long series the lowest and the highest of each of `MAX_POINTS` parts."""
    values = list(enumerate(track.values))
    size = -(-len(values) // MAX_POINTS)
    if size > 2:
        parts = (values[first : first + size] for first in range(0, len(values), size))
        values = [pair for part in parts for pair in _extremes(part)]
    return [(track.t0 + index * track.dt, value) for index, value in values]


def _extremes(part: list[tuple[int, float | None]]) -> list[tuple[int, float | None]]:
    known = [(value, index) for index, value in part if value is not None]
    if not known:
        return part[:1]
    return sorted({(index, value) for value, index in (min(known), max(known))}, key=lambda pair: pair[0])


def _runs(points: Iterable[tuple[float, float | None]]) -> Iterable[list[tuple[float, float]]]:
    """The points between gaps."""
    run: list[tuple[float, float]] = []
    for t, value in points:
        if value is not None:
            run.append((t, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _cells(axis: Axis, track: SeriesTrack) -> Iterable[Stretch]:
    """Parts of the axis with their values to read: one value, or the range of several."""
    size = -(-len(track.values) // MAX_CELLS)
    unit = "" if track.unit == "1" else f" {track.unit}"
    for first in range(0, len(track.values), size):
        known = [value for value in track.values[first : first + size] if value is not None]
        start, end = track.t0 + first * track.dt, track.t0 + (first + size) * track.dt
        if not known:
            said = "not measured"
        elif len(known) == 1:
            said = f"{number(known[0])}{unit}"
        else:
            said = f"{number(min(known))} to {number(max(known))}{unit}"
        yield axis.stretch(start, end, f"{said}\n{clock(start)}")
