"""What an analyzer's library wraps into an error of its own is told for what it is, and its traceback to nobody."""

import pytest

from shared.text import in_short
from tasks.analyze import GPU_LOST, run
from tasks.node import ledger
from tasks.prepare import prepare
from tests.support.node import node
from tests.support.plugged import plugged
from tests.test_prepare import a_job
from tests.test_unstorable import ANALYZER

WRAPPED = """
        import traceback
        from billiard.exceptions import SoftTimeLimitExceeded
        from shared.errors import BadInput, Cancelled
        try:
            raise {inner}
        except BaseException as error:
            raise RuntimeError(traceback.format_exc()) {chained}
"""
LIMIT = ("timeout", "time_limit")
ENDS = {
    "limit_as_cause": ("SoftTimeLimitExceeded()", "from error", LIMIT),
    "limit_as_context": ("SoftTimeLimitExceeded()", "", LIMIT),
    "limit_unlinked": ("SoftTimeLimitExceeded()", "from None", ("failed", "analyzer_error")),
    "memory": ("MemoryError", "from error", ("failed", "out_of_memory")),
    "cancelled": ("Cancelled('the job was cancelled')", "from error", ("cancelled", "cancelled")),
    "own": ("BadInput('no such thing', code='bad_prompt')", "from error", ("failed", "bad_prompt")),
    "gpu_memory": ("RuntimeError('CUDA out of memory. Tried 2 GiB')", "from error", ("failed", "out_of_gpu_memory")),
    "gpu_memory_unlinked": ("RuntimeError('CUDA out of memory')", "from None", ("failed", "out_of_gpu_memory")),
    "other": ("ValueError('no such luck')", "from error", ("failed", "analyzer_error")),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_wrapped_error_is_told_for_what_it_is(tmp_path, name):
    """The soft limit, missing memory and our own errors keep their codes; of others one line is told, no folder."""
    inner, chained, end = ENDS[name]
    (tmp_path / "own").mkdir()
    doing = WRAPPED.format(inner=inner, chained=chained)
    (tmp_path / "own" / f"{name}.py").write_text(ANALYZER.format(name=name, doing=doing))
    with node(tmp_path / "data"), plugged(tmp_path / "own"):
        job = a_job(name)
        prepare(job.id)
        assert run(name, job.id, "one@here") == end[0]
        report = ledger().run(job.id, name).outcome
    assert (report.status, report.error.code) == end
    assert "Traceback" not in report.error.message
    assert str(tmp_path) not in report.error.message
    if name == "other":
        assert report.error.message == "RuntimeError: ValueError: no such luck"


@pytest.mark.parametrize("inner", ["RuntimeError('CUDA error: unspecified launch failure')", "ValueError('status 4')"])
def test_a_lost_gpu_behind_any_error_ends_the_process(tmp_path, monkeypatch, inner):
    """Whether an error says so, or the GPU does not answer after it: no process goes on, and the last run tells why."""
    monkeypatch.setattr("tasks.devices.still_works", lambda: "status" not in inner)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "lost.py").write_text(
        ANALYZER.format(name="lost", doing=WRAPPED.format(inner=inner, chained="from error"))
    )
    with node(tmp_path / "data", max_attempts=2), plugged(tmp_path / "own"):
        job = a_job("lost")
        prepare(job.id)
        for _ in range(2):
            with pytest.raises(SystemExit, match=str(GPU_LOST)):
                run("lost", job.id, "one@here")
        report = ledger().run(job.id, "lost").outcome
        assert run("lost", job.id, "one@here").startswith("ended before")
    assert (report.status, report.error.code, report.receipt.attempts) == ("failed", "gpu_lost", 2)
    assert report.error.message.startswith("the GPU failed in lost: ")
    assert "Traceback" not in report.error.message


def test_what_a_library_says_is_cut_short():
    """One line of at most 500 characters; a path is its file's name, an address stays."""
    assert in_short("cannot open /var/lib/secret/model.onnx\nsecond line") == "cannot open model.onnx"
    assert in_short("see https://example.org/a/b/c") == "see https://example.org/a/b/c"
    assert in_short("") == ""
    assert len(in_short("x" * 100_000)) == 500
