"""Tests of k8s/await-job, with a kubectl that answers as a cluster would."""

import os
import subprocess

import pytest

from tests.support.project import ROOT

KUBECTL = """#!/bin/sh
case "$*" in
  *" get job "*) head -n 1 {answers}; sed -i '1{{$!d}}' {answers} ;;
  *" logs "*) echo 'qwen2-vl-7b is not locked' ;;
esac
"""


@pytest.mark.parametrize(
    ("answers", "seconds", "code", "said"),
    [
        ("\nSuccessCriteriaMet\nSuccessCriteriaMet Complete\n", 30, 0, "is complete"),
        ("\nFailureTarget Failed\n", 14400, 1, "has failed"),
        ("\n", 1, 1, "has not ended in 1 s"),
    ],
    ids=["complete", "failed", "never"],
)
def test_a_job_that_failed_is_not_waited_for(answers, seconds, code, said, tmp_path):
    """The end of a job, good or bad, ends the wait at once, and so does the time; what is bad comes with its log."""
    (tmp_path / "answers").write_text(answers)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(answers=tmp_path / "answers"))
    kubectl.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    done = subprocess.run(
        [ROOT / "k8s" / "await-job", "models-pull", str(seconds)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert ("is not locked" in done.stderr) == (code == 1)
