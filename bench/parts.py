"""Parts of a benchmark on a GPU: one that fails is a row with its reason, and loses no other."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.rows import Row, say

FAILED: list[str] = []
"""Parts that failed in this process, and rows that had to hold and do not."""


@contextmanager
def part(name: str) -> Iterator[None]:
    """Some rows that belong together. What it raises becomes a row, and the next part begins."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (the device's minutes are few: what else can be measured shall be)
        FAILED.append(name)
        trace = traceback.format_exc()[-1500:]
        say(Row(row=name, value=None, unit="", reason=f"{type(error).__name__}: {error}", detail={"trace": trace}))


def must_hold(row: Row) -> None:
    """Print a row without which the others say nothing: the exit code tells when its goal is missed."""
    say(row)
    if row.holds is not True:
        FAILED.append(row.row)


def median_seconds(work: Callable[[], object], runs: int = 3) -> float:
    """Median wall clock of some runs, the GPU's queue emptied before and after each."""
    import torch

    seconds = []
    for _ in range(runs):
        torch.cuda.synchronize()
        before = time.monotonic()
        work()
        torch.cuda.synchronize()
        seconds.append(time.monotonic() - before)
    return statistics.median(seconds)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall clock of one run."""
    before = time.monotonic()
    work()
    return round(time.monotonic() - before, 3)
