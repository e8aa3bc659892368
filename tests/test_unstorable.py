"""What cannot be written as JSON in UTF-8: it ends its analyzer, never a job's way to its end."""

import math

import pytest
import sqlalchemy as sa

from shared.schema import AnalyzerReport
from shared.tables import Job, Run
from shared.text import encodable
from tasks.aggregate import aggregate
from tasks.analyze import run
from tasks.inputs import stored_outcome
from tasks.node import ledger, storage
from tasks.prepare import prepare
from tests.support.node import node
from tests.support.plugged import plugged
from tests.test_prepare import a_job

HALF = "\ud83d"
"""The first half of a character beyond the basic plane, alone: JSON may escape it, UTF-8 cannot hold it."""

ANALYZER = """
from shared.schema import Scalar, ScalarTrack, TrackSet
from tasks.analyzer import Analyzer, Options

class Result(TrackSet):
    values: ScalarTrack

class Half(Analyzer[Options, Result]):
    name = "{name}"
    version = 1
    group = "light"
    summary = "made by a test"

    def analyze(self, media, options):
        {doing}
"""
FOUND = 'return Result(values=ScalarTrack(method="model", items=(Scalar(id="a", name="\\ud83d", value=1, unit="x"),)))'
ENDS = {
    "half_found": (FOUND, "unstorable_outcome"),
    "nothing_found": ("return None", "analyzer_error"),
    "half_said": ('raise ValueError("a man \\ud83d")', "analyzer_error"),
}


@pytest.fixture
def here(tmp_path):
    with node(tmp_path / "data"):
        yield tmp_path


@pytest.mark.parametrize("name", ENDS)
def test_what_cannot_be_stored_is_a_failure_at_once(here, name):
    """Text that UTF-8 cannot hold, found or in an error, or no tracks at all: one `failed` outcome, one attempt."""
    doing, code = ENDS[name]
    (here / "own").mkdir()
    (here / "own" / f"{name}.py").write_text(ANALYZER.format(name=name, doing=doing))
    with plugged(here / "own"):
        job = a_job(name)
        prepare(job.id)
        assert run(name, job.id, "one@here") == "failed"
        assert aggregate(job.id) == "completed_with_errors"
        ended = ledger().run(job.id, name)
        assert (ended.outcome.error.code, ended.attempts) == (code, 1)
        assert stored_outcome(storage(), job.id, name).report == ended.outcome


def test_options_that_an_older_version_took_end_the_run_not_the_reconciler(here):
    """A job with an option that is refused now, infinite or half a character: `failed`, and the document says both."""
    job = a_job("speech_transcription", options={"speech_transcription": {"pause_seconds": math.inf, "odd": HALF}})
    prepare(job.id)
    assert aggregate(job.id) == "completed_with_errors"
    report = ledger().run(job.id, "speech_transcription").outcome
    assert (report.status, report.error.code) == ("failed", "bad_option")
    assert report.options == {"pause_seconds": "inf", "odd": "\ufffd"}


@pytest.mark.parametrize("planned", [True, False])
def test_an_open_job_with_such_options_is_closed(here, planned):
    """The same where the job is out of time before its run ended, or before it was planned."""
    job = a_job("cut_analysis", deadline=0.0)
    if planned:
        prepare(job.id)
    with ledger().session() as session:
        session.execute(sa.update(Job).values(options={"cut_analysis": {"threshold": math.nan}}))
    assert aggregate(job.id) == "completed_with_errors"
    assert ledger().run(job.id, "cut_analysis").outcome.options == {"threshold": "nan"}


def test_a_damaged_report_closes_its_job(here):
    """A row whose report is none is told as lost; the job ends."""
    job = a_job("cut_analysis")
    prepare(job.id)
    report = AnalyzerReport(name="cut_analysis", version=1, status="ok")
    assert ledger().end(job.id, report)
    with ledger().session() as session:
        session.execute(sa.update(Run).values(report={"name": 7}))
    assert aggregate(job.id) == "completed_with_errors"
    assert ledger().run(job.id, "cut_analysis").outcome.error.code == "outcome_lost"


def test_halves_are_replaced_and_pairs_joined():
    """A lone surrogate becomes U+FFFD, two halves their character, and any other text stays as it is."""
    assert encodable(f"a {HALF} b \udc00c {HALF}") == "a \ufffd b \ufffdc \ufffd"
    assert encodable(f"{HALF}\ude00 é 中") == "\U0001f600 é 中"
