"""Tests of memory: what a process holds after many jobs, and how it is judged."""

import subprocess
import sys

import pytest

from tests.load.measure import trend
from tests.support.clips import click, make_clip
from tests.support.moving import texture

WARM, JOBS = 5, 50


@pytest.mark.timeout(960)
def test_fifty_jobs_leave_a_process_as_warm_as_it_was(tmp_path):
    """After fifty more jobs the code of a worker's child holds within 5 % what it held when it was warm."""
    first, second = texture(1, 120, 160), texture(2, 120, 160)
    sound = click(1.0, [0.5])
    clip = make_clip(
        tmp_path / "clip.mp4", frames=15, fps=15, picture=lambda n, *_: (first, second)[n // 8], sound=sound
    )
    argv = [sys.executable, "-m", "tests.support.fifty", tmp_path / "data", clip, str(WARM + JOBS)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, ran.stderr
    held = [float(line) for line in (tmp_path / "data.held").read_text().splitlines()]
    assert len(held) == WARM + JOBS
    assert max(held[-5:]) <= 1.05 * max(held[:WARM]), held


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ([100.0] * 60, False),
        ([100 + (number * 7 % 5) for number in range(60)], False),
        ([100 + number * 0.5 + (number * 7 % 5) for number in range(60)], True),
        ([100 + number * 0.01 for number in range(60)], False),
        ([130 - number * 0.5 for number in range(60)], False),
    ],
    ids=["flat", "noise", "growth in noise", "too little to matter", "shrinking"],
)
def test_growth_is_told_from_noise(values, grows):
    """Twenty minutes of samples grow when the slope is beyond its own error and adds more than 5 %."""
    assert trend([20.0 * number for number in range(60)], values).grows is grows
