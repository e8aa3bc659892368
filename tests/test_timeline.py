"""Where things stand in the picture of all tracks."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exports.timeline import MAX_ROWS, Axis, Lane, timeline
from services.exports.words import details
from shared.schema import BaseTrack, Event, EventTrack, Frozen, LabelledSegment, Segment, SegmentTrack, SeriesTrack
from tests.support.document import sample_document


def lane_of(track: BaseTrack, seconds: float = 10.0, analysed=()) -> Lane:
    """The lane of one track in a document of its own."""
    document = sample_document()
    media = document.media.model_copy(update={"duration_seconds": seconds})
    report = document.analyzers[0].model_copy(update={"name": "demo", "analysed": analysed})
    track = track.model_copy(update={"id": "demo/track", "analyzer": "demo"})
    document = document.model_copy(update={"media": media, "tracks": (track,), "analyzers": (report,)})
    ((group,),) = [timeline(document, (), {}).groups]
    (lane,) = group.lanes
    return lane


def segments(*spans: tuple[float, float]) -> SegmentTrack:
    items = tuple(
        LabelledSegment(id=f"i{n}", start=start, end=end, label=f"l{n}") for n, (start, end) in enumerate(spans)
    )
    return SegmentTrack(method="heuristic", items=items)


def series(*values: float | None, t0: float = 0.0, dt: float = 1.0) -> SeriesTrack:
    return SeriesTrack(method="measurement", unit="dB", t0=t0, dt=dt, values=values)


def test_spans_stand_in_percent_of_the_length() -> None:
    """A mark's place follows from its times; what reaches beyond the end is held at the edge."""
    marks = lane_of(segments((2.5, 5.0), (9.0, 10.02))).marks
    assert [(mark.left, mark.width) for mark in marks] == [(25.0, 25.0), (90.0, 10.0)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=40))
def test_marks_of_one_row_never_overlap(spans: list[tuple[int, int]]) -> None:
    """As long as the rows suffice, no two marks of a row overlap, and no more rows are used than needed."""
    spans_seconds = [(start / 5, (start + length) / 5) for start, length in spans]
    marks = lane_of(segments(*spans_seconds), seconds=15.0).marks
    most = max((sum(a <= t < b for a, b in spans_seconds) for t, _ in spans_seconds), default=0)
    if most > MAX_ROWS:
        return
    for row in {mark.row for mark in marks}:
        own = sorted((mark.left, mark.left + mark.width) for mark in marks if mark.row == row)
        assert all(before[1] <= after[0] + 0.002 for before, after in itertools.pairwise(own))
    assert max((mark.row for mark in marks), default=0) < max(most, 1)


def test_more_rows_than_allowed_share_the_last() -> None:
    """Twenty things at the same time use the eight rows there are, and none is lost."""
    marks = lane_of(segments(*[(0.0, 5.0)] * 20)).marks
    assert len(marks) == 20
    assert {mark.row for mark in marks} == set(range(MAX_ROWS))


def test_curve_breaks_where_nothing_was_measured() -> None:
    """A gap in the values is a gap in the line, and a single value between gaps is still seen."""
    curve = lane_of(series(1.0, 2.0, None, 3.0, None, 0.0, 1.0)).curve
    assert curve.line.count("M") == 3
    assert re.findall(r"M[^M]*h\.01", curve.line) == [curve.line.split("M")[2].join(["M", ""])]


def test_curve_spans_its_values() -> None:
    """The lowest value stands at the bottom, the highest at the top, at their times; a constant in the middle."""
    curve = lane_of(series(-30.0, -10.0, -20.0, t0=2.0, dt=2.0)).curve
    assert curve.line == "M200 94L400 6L600 50"
    assert lane_of(series(5.0, 5.0)).curve.line == "M0 50L100 50"


def test_long_series_keeps_its_peaks() -> None:
    """Of 100,000 values at most 1,200 are drawn, and a single peak among them is one."""
    values = [0.0] * 100_000
    values[54_321] = 7.0
    lane = lane_of(series(*values, dt=0.1), seconds=10_000.0)
    points = lane.curve.line.split("L")
    assert len(points) <= 1200
    assert sum(point.endswith(" 6") for point in points) == 1
    assert any("0 to 7 dB" in cell.title for cell in lane.curve.cells)


def test_series_without_a_value_says_so() -> None:
    """Nothing measured is not zero: there is no line."""
    lane = lane_of(series(None, None))
    assert (lane.curve, lane.note) == (None, "nothing measured")


def test_what_was_not_analysed_is_hatched() -> None:
    """Parts of the video outside the analysed spans are holes; an analyzer that names no spans has none."""
    holes = lane_of(segments(), analysed=((1.0, 4.0), (4.0, 8.0))).holes
    assert [(hole.left, hole.width) for hole in holes] == [(0.0, 10.0), (80.0, 20.0)]
    assert lane_of(segments(), analysed=()).holes == ()


def test_crowded_events_lose_their_text_not_their_place() -> None:
    """Events that stand close keep their marks and tooltips; text is drawn only where there is room."""
    items = tuple(Event(id=f"e{n}", t=t, type="beat") for n, t in enumerate((1.0, 1.1, 1.2, 5.0)))
    marks = lane_of(EventTrack(method="measurement", items=items)).marks
    assert [mark.left for mark in marks] == [10.0, 11.0, 12.0, 50.0]
    assert [mark.text for mark in marks] == ["", "", "beat", "beat"]
    assert all("beat" in mark.title for mark in marks)


@pytest.mark.parametrize("seconds", [0.4, 3, 12, 59, 61, 600, 7200, 90_000])
def test_axis_has_round_moments(seconds: float) -> None:
    """There are two to thirteen ticks with different labels, the first at zero, none beyond the end."""
    ticks = Axis(seconds).ticks()
    assert 2 <= len(ticks) <= 13
    assert ticks[0].left == 0
    assert ticks[-1].left <= 100
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_a_long_list_is_counted():
    """An item's short list is said in full; of a long one only the length, which fits a tooltip."""

    class Measured(LabelledSegment):
        values: tuple[int, ...]

    item = Measured(id="m1", start=0, end=1, label="x", values=(1, 2, 3))
    assert details(item) == ("values: [1, 2, 3]",)
    assert details(item.model_copy(update={"values": tuple(range(600))})) == ("values: 600 values",)


def test_a_distribution_is_said_class_by_class():
    """Named values of an item are said by their names, none left out."""

    class Shares(Frozen):
        happy: float
        not_sure: float

    class Mixed(Segment):
        shares: Shares

    item = Mixed(id="m1", start=0, end=1, shares=Shares(happy=0.75, not_sure=0))
    assert details(item) == ("shares: happy 0.75, not sure 0.0",)
