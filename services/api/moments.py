"""What every analyzer says about one moment or span of a job's video, from whatever is there already."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, cast

from pydantic import Field, JsonValue

from shared.schema import (
    BaseTrack,
    Event,
    Frozen,
    Item,
    Method,
    Outcome,
    Segment,
    SeriesTrack,
    Span,
    Status,
    TrackedObject,
)
from shared.tables import OPEN_STATES, Job, Run
from tasks.inputs import outcome_of
from tasks.node import ledger, storage
from tasks.registry import analyzers

Kind = Literal["segment", "event", "object", "series", "scalar"]
KINDS: tuple[Kind, ...] = ("segment", "event", "object", "series")
"""What has a place in time; scalars are about the whole video and given when asked for."""


class Values(Frozen):
    """A piece of a series: `values[i]` holds from `t0 + i * dt` on."""

    unit: str
    t0: float
    dt: float
    values: tuple[float | None, ...]


class TrackExcerpt(Frozen):
    """What one track says. Objects hold only the boxes of the span; of a moment, the box shown then."""

    id: str
    kind: Kind
    method: Method
    items: tuple[dict[str, JsonValue], ...] = ()
    series: Values | None = None


class AnalyzerExcerpt(Frozen):
    """What one analyzer says. `looked`: whether it analysed any of the span; no tracks then mean it found nothing."""

    analyzer: str
    status: Status
    looked: bool
    tracks: tuple[TrackExcerpt, ...]


class Excerpt(Frozen):
    """What every analyzer says about `[start, end)`, or about one moment, where both are alike.

    `waiting`: analyzers that have not ended yet.
    """

    job_id: str
    start: float
    end: float
    within: float = Field(description="seconds by which an event may be off a single moment")
    analyzers: tuple[AnalyzerExcerpt, ...]
    waiting: tuple[str, ...] = ()


def excerpt(job: Job, start: float, end: float, *, within: float, kinds: Iterable[Kind]) -> Excerpt:
    """The excerpt of a span in seconds, `start == end` for a moment. Works while the job runs."""
    outcomes, waiting = _outcomes(job)
    wanted = frozenset(kinds)
    return Excerpt(
        job_id=job.id,
        start=start,
        end=end,
        within=within,
        analyzers=tuple(_said(one, start, end, within, wanted) for one in outcomes),
        waiting=waiting,
    )


def _outcomes(job: Job) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    if job.state not in OPEN_STATES:
        return _ended(job.id, job.finished_at), ()
    runs = ledger().runs(job.id)
    done = (run for _, run in sorted(runs.items()) if run.status is not None)
    return tuple(_readable(done)), tuple(sorted(name for name, run in runs.items() if run.status is None))


@lru_cache(maxsize=4)
def _ended(job_id: str, _finished_at: float | None) -> tuple[Outcome, ...]:
    return tuple(_readable(run for _, run in sorted(ledger().runs(job_id).items())))


def _readable(runs: Iterable[Run]) -> Iterator[Outcome]:
    """The outcomes of ended runs, but for those with tracks of analyzers that this version does not have."""
    return (outcome_of(storage(), run) for run in runs if run.analyzer in analyzers() or not run.has_result)


def _said(outcome: Outcome, start: float, end: float, within: float, kinds: frozenset[Kind]) -> AnalyzerExcerpt:
    tracks = (_of_track(track, start, end, within) for track in outcome.tracks if _kind(track) in kinds)
    return AnalyzerExcerpt(
        analyzer=outcome.report.name,
        status=outcome.report.status,
        looked=_overlaps_any(outcome.report.analysed, start, end),
        tracks=tuple(track for track in tracks if track.items or track.series),
    )


def _of_track(track: BaseTrack, start: float, end: float, within: float) -> TrackExcerpt:
    if isinstance(track, SeriesTrack):
        return TrackExcerpt(id=track.id, kind="series", method=track.method, series=_piece(track, start, end))
    items = (_of_item(item, start, end, within) for item in getattr(track, "items", ()))
    found = tuple(item.model_dump(mode="json") for item in items if item is not None)
    return TrackExcerpt(id=track.id, kind=_kind(track), method=track.method, items=found)


def _kind(track: BaseTrack) -> Kind:
    """Every track but the base class has one."""
    return cast("Kind", getattr(track, "kind", "scalar"))


def _of_item(item: Item, start: float, end: float, within: float) -> Item | None:
    """The item, cut to the span; None when it says nothing there. Scalars hold for the whole video."""
    if isinstance(item, Event):
        slack = within if start == end else 0.0
        inside = start - slack <= item.t <= end + slack if start == end else start <= item.t < end
        return item if inside else None
    if isinstance(item, TrackedObject):
        return _boxes(item, start, end) if _overlaps(item.start, item.end, start, end) else None
    if isinstance(item, Segment):
        return item if _overlaps(item.start, item.end, start, end) else None
    return item


def _boxes(found: TrackedObject, start: float, end: float) -> TrackedObject:
    """With the boxes of the span and the one before, which is still shown when the span begins."""
    before = [box for box in found.boxes if box.t <= start]
    inside = [box for box in found.boxes if start < box.t < end]
    shown = (*before[-1:], *inside) or found.boxes[:1]
    return found.model_copy(update={"boxes": tuple(shown)})


def _piece(track: SeriesTrack, start: float, end: float) -> Values | None:
    first = max(0, math.floor((start - track.t0) / track.dt + 1e-9))
    last = max(first + 1, math.ceil((end - track.t0) / track.dt - 1e-9))
    values = track.values[first:last]
    if not values or (start < track.t0 and end <= track.t0):
        return None
    return Values(unit=track.unit, t0=round(track.t0 + first * track.dt, 3), dt=track.dt, values=values)


def _overlaps_any(spans: Iterable[Span], start: float, end: float) -> bool:
    return any(_overlaps(*span, start, end) for span in spans)


def _overlaps(first: float, last: float, start: float, end: float) -> bool:
    """Whether `[first, last)` and `[start, end)` share a moment; one of no length counts as the moment it is at."""
    if first == last or start == end:
        return first <= start < last or start <= first < end or first == last == start
    return first < end and start < last
