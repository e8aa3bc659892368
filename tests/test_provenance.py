"""What documents say of weights is what a process loaded: by what a worker's child runs, in a real ledger and store."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.storage import cache_key, outcome_key
from tasks import loading
from tasks.analyze import run
from tasks.node import ledger, storage, weights
from tasks.prepare import prepare
from tests.support.node import node
from tests.support.plugged import plugged
from tests.test_model_choices import locked_by_hand
from tests.test_prepare import a_job

ANALYZERS = Path(__file__).parent / "support" / "helped"
EXTRA = b"bytes of an extra"


@pytest.fixture
def data(tmp_path):
    with plugged(ANALYZERS):
        yield tmp_path


@contextmanager
def process(data, monkeypatch, **changed):
    """A new process on the CPU over the same ledger, storage and weights, with settings of its own."""
    monkeypatch.setattr(loading, "_ready", {})
    loading._engines.cache_clear()
    settings = {"weights_dir": data / "weights", "profile": "gpu", "device": "cpu"}
    with node(data / "data", **{**settings, **changed}):
        yield
    loading._engines.cache_clear()


def analysed():
    """The report of a new job of the gpu profile on the same video, and how many bytes helped."""
    job = a_job("helped", profile="gpu")
    prepare(job.id)
    if ledger().run(job.id, "helped").status is None:
        assert run("helped", job.id, "one@here") == "ok"
    stored = json.loads(storage().read(outcome_key(job.id, "helped")))
    return stored["report"], stored["tracks"][0]["items"][0]["value"]


def told(report):
    receipt = report["receipt"]
    return report["weights"] is not None, receipt["weights_reviewed"], receipt["precision"], receipt["cache_hit"]


def test_an_extra_that_comes_while_a_worker_runs_is_not_named(data, monkeypatch):
    """A process that loaded without the extra names none and stores under none, until one that has it does; a hit says
    of weights and precision what the run said.
    """
    with process(data, monkeypatch):
        report, size = analysed()
        assert (told(report), size) == ((False, None, None, False), 0)
        locked_by_hand(data / "weights", "owlv2-base", EXTRA, reviewed=False)
        weights.cache_clear()
        report, size = analysed()
        assert (told(report), size) == ((False, None, None, False), 0)
    with process(data, monkeypatch):
        report, size = analysed()
        assert (told(report), size) == ((True, False, "fp32", False), len(EXTRA))
        report, size = analysed()
        assert (told(report), size) == ((True, False, "fp32", True), len(EXTRA))


def test_another_precision_is_another_result(data, monkeypatch):
    """What was found in one precision is no answer where another is asked for, and is one again where it is not."""
    locked_by_hand(data / "weights", "owlv2-base", EXTRA, reviewed=True)
    for precision, expected in (
        ("fp32", (True, True, "fp32", False)),
        ("bf16", (True, True, "bf16", False)),
        ("fp32", (True, True, "fp32", True)),
    ):
        with process(data, monkeypatch, precision={"helped": precision}):
            assert told(analysed()[0]) == expected


def test_a_worker_of_another_profile_refuses_the_job(data, monkeypatch):
    """Its outcome is unavailable and names both profiles, no weights, and nothing is kept for later jobs."""
    locked_by_hand(data / "weights", "owlv2-base", EXTRA, reviewed=True)
    with process(data, monkeypatch, profile="local"):
        job = a_job("helped", profile="gpu")
        prepare(job.id)
        assert run("helped", job.id, "one@here") == "unavailable"
        ended = ledger().run(job.id, "helped")
        assert ended.outcome.error.code == "other_profile"
        assert "profile gpu, and the worker that took it is of local" in ended.outcome.error.message
        assert (ended.outcome.weights, ended.outcome.receipt.weights_reviewed, ended.fingerprint) == (None, None, None)
        assert not storage().path(cache_key("00")).parents[1].exists()
