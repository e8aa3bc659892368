"""How benchmarks print: one JSON line a figure, as soon as it is measured; a part that fails loses no other."""

from __future__ import annotations

import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FAILED: list[str] = []
"""Parts that failed in this process."""
_began = time.monotonic()


def row(name: str, value: object, **more: object) -> None:
    """Print one figure, and when it was known."""
    print(json.dumps({"row": name, "value": value, **more, "at": round(time.monotonic() - _began, 1)}), flush=True)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Some rows that belong together. What it raises becomes a row, and the next part begins."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (the device's minutes are few: what else can be measured shall be)
        FAILED.append(name)
        row(f"{name}.failed", None, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc()[-1500:])


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
