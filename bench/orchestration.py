"""Row family 4, orchestration: jobs of analyzers that do nothing, through API, ledger, chord, storage and events.

    python -m bench.orchestration [--short]

From the first byte of the video's hand-in to the last byte of the document, its events followed meanwhile.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from bench import clips as videos
from bench.idle import Idle, idle_service
from bench.rows import Row, say

JOBS, SHORT_JOBS = 50, 10
AT_ONCE = 20
SIZES = (5, 25, 50, 100)
MEDIAN_GOAL_MS = 400


def milliseconds(idle: Idle, analyzers: int, jobs: int) -> list[float]:
    """What each of some jobs took, one after another."""
    found = []
    for _ in range(jobs):
        began = time.perf_counter()
        idle.whole(analyzers)
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def at_once(idle: Idle, jobs: int) -> float:
    """Seconds for some jobs of 25, twenty at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: idle.whole(25), range(jobs)))
    return time.perf_counter() - began


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:  # noqa: ARG001  (every family takes the same)
    """Measure."""
    jobs = SHORT_JOBS if short else JOBS
    with idle_service() as idle:
        milliseconds(idle, 25, 3)
        took = milliseconds(idle, 25, jobs)
        spread = {"p10": round(took[len(took) // 10], 1), "p90": round(took[len(took) * 9 // 10], 1), "jobs": jobs}
        median = statistics.median(took)
        say(Row(row="orchestration.job_of_25", value=median, goal=MEDIAN_GOAL_MS, unit="ms", detail={**spread}))
        seconds = at_once(idle, jobs)
        rate = Row(row="orchestration.at_once_20", value=jobs / seconds, unit="jobs/s", better="higher")
        say(rate)
        sizes = {size: statistics.median(milliseconds(idle, size, max(3, jobs // 5))) for size in SIZES}
        for size, value in sizes.items():
            say(Row(row=f"orchestration.job_of_{size}_grown", value=value, unit="ms"))
        slope = (sizes[SIZES[-1]] - sizes[SIZES[0]]) / (SIZES[-1] - SIZES[0])
        say(Row(row="orchestration.one_analyzer_more", value=slope, unit="ms"))


if __name__ == "__main__":
    main()
