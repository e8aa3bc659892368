"""Tests of what the chaos harness asks of every job: each of its checks fails for what it is there to find."""

import pytest

from shared.events import Event
from shared.tables import Run
from tasks.node import ledger
from tasks.registry import track_types
from tests.chaos.verdict import CLOSE_SECONDS, TICK_SECONDS, begun_again, is_late, wrong_values, wrongly_told
from tests.support.node import node
from tests.test_prepare import a_job

OK = [
    Event(type="started", analyzer="a"),
    Event(type="finished", analyzer="a"),
    Event(type="closed"),
]


def runs(attempts=1, deaths=0):
    return {"a": Run(job_id="j", analyzer="a", attempts=attempts, deaths=deaths)}


def document(*tracks, status="ok"):
    reports = [{"name": name, "status": status} for name in ("misbehaving", "color_analysis")]
    return {"analyzers": reports, "tracks": [{"id": track, "items": [{"value": 4}]} for track in tracks]}


def test_a_missing_track_of_a_good_analyzer_is_told():
    """Under `ok` every track of the analyzer is asked for, and under another status none."""
    colours = [track for track in track_types() if track.startswith("color_analysis/")]
    assert wrong_values(document("misbehaving/frames", *colours)) == []
    assert len(wrong_values(document(*colours))) == 1
    assert len(wrong_values(document("misbehaving/frames"))) == len(colours) > 0
    assert wrong_values(document(status="failed")) == []


def test_another_value_is_told():
    """A count that is not the clip's, or is not there, is told."""
    given = document("misbehaving/frames", status="failed")
    given["tracks"][0]["items"] = [{"value": 3}]
    assert len(wrong_values(given)) == 1
    given["tracks"][0]["items"] = []
    assert len(wrong_values(given)) == 1


@pytest.mark.parametrize(
    ("attempts", "deaths", "handed_on", "wrong"), [(1, 0, 0, 0), (2, 1, 0, 0), (2, 0, 0, 1), (2, 0, 1, 0)]
)
def test_a_second_execution_shows_in_the_ledger(attempts, deaths, handed_on, wrong):
    """More beginnings than a first and one for each death are told, unless runs may be handed on."""
    assert len(begun_again(runs(attempts, deaths), handed_on=bool(handed_on))) == wrong


@pytest.mark.parametrize(
    ("heard", "kept", "wrong"),
    [
        (OK, True, 0),
        ([*OK, OK[0]], True, 1),
        ([*OK, OK[0]], False, 1),
        ([*OK, OK[1]], False, 1),
        ([*OK, OK[2]], False, 1),
        (OK[:1], True, 2),
        (OK[1:], True, 1),
        ([], False, 0),
    ],
)
def test_a_second_execution_shows_in_the_events(heard, kept, wrong):
    """A beginning that the ledger has not counted and an end told twice are told; a lost one where none may be."""
    assert len(wrongly_told(runs(), heard, events_kept=kept)) == wrong


@pytest.mark.parametrize(
    ("seconds", "late"), [(-1.0, False), (TICK_SECONDS, False), (TICK_SECONDS + CLOSE_SECONDS + 1, True)]
)
def test_an_end_after_the_deadline_is_told(tmp_path, seconds, late):
    """A job may end so long after its deadline as the reconciler takes to look, and no longer."""
    with node(tmp_path / "data"):
        job = a_job("color_analysis")
        assert is_late(job.id)  # it has not ended
        ledger().finish(job.id, "completed")
        with ledger().session() as session:
            row = session.merge(ledger().job(job.id))
            row.finished_at = row.deadline_at + seconds
        assert is_late(job.id) == late
