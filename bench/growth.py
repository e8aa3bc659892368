"""Row family 7, growth: throughput with more workers, and a short job behind a long one.

    python -m bench.growth [--short]

Analyzers sleep, as a worker does that waits for its GPU: the cores of this machine are not what is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench import clips as videos
from bench.idle import Idle, idle_service
from bench.rows import Row, not_measured, say
from shared.ledger import Ledger
from shared.settings import settings
from shared.tables import Run

WORKERS, JOBS = (1, 2, 4), 12
ANALYZERS, SECONDS = 5, 0.2
SHORT_ANALYZERS = 6
BEHIND_GOAL = 1.3
SCALING_GOAL = 0.8
FIRST, LAST = 0, 9
"""Priorities of the short job and the long one."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the seconds of a round went, on the clock of the ledger."""

    wall_seconds: float
    before_seconds: float
    """From the first hand-in to the first analyzer's begin."""
    working_seconds: float
    """From that begin to the last analyzer's end."""
    after_seconds: float
    """From there to the last document."""

    @classmethod
    def of(cls, began: float, ended: float, runs: Iterable[Run]) -> Spent:
        """Of a round's first and last moment and its runs, which have all ended."""
        spans = [(run.started_at or began, run.finished_at or ended) for run in runs]
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        return cls(ended - began, first - began, last - first, ended - last)


def rate(idle: Idle, jobs: int) -> Spent:
    """Some jobs handed in at once."""
    idle.whole(ANALYZERS, seconds=0.0)

    def whole(_: int) -> str:
        job = idle.submit(ANALYZERS, seconds=SECONDS)
        idle.follow(job)
        return job

    began = time.time()
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(whole, range(jobs)))
    ended = time.time()
    ledger = Ledger(settings().ledger)
    return Spent.of(began, ended, [run for job in done for run in ledger.runs(job).values()])


def short_job(idle: Idle) -> float:
    """Seconds of a short job from hand-in to document."""
    began = time.perf_counter()
    idle.whole(SHORT_ANALYZERS, seconds=SECONDS, priority=FIRST)
    return time.perf_counter() - began


def behind(idle: Idle, analyzers: int, seconds: float) -> float:
    """Seconds of a short job while a long one of so many analyzers is at work."""
    long = idle.submit(analyzers, first=SHORT_ANALYZERS, seconds=seconds, priority=LAST)
    time.sleep(1.0)  # all of it is queued, and the workers are in the middle of it
    took = short_job(idle)
    idle.follow(long)
    return took


def measure_behind(idle: Idle, runs: int) -> None:
    """Two kinds of long jobs: many pieces as long as the short job's, and as many long pieces as there are workers."""
    short_job(idle)
    alone = statistics.median(short_job(idle) for _ in range(runs + 1))
    for label, analyzers, seconds in (("many_pieces", 40, SECONDS), ("long_pieces", 4, 10 * SECONDS)):
        took = statistics.median(behind(idle, analyzers, seconds) for _ in range(runs))
        detail = {"alone_seconds": round(alone, 2), "behind_seconds": round(took, 2), "piece_seconds": seconds}
        say(Row(row=f"growth.short_behind_{label}", value=took / alone, goal=BEHIND_GOAL, unit="x", detail={**detail}))


def measure_workers(idle: Idle, workers: int, alone: float) -> float:
    """Print the throughput of so many workers against that of one, `alone` (0: this is it); what one brings."""
    spent = rate(idle, JOBS)
    found = JOBS / spent.wall_seconds
    alone = alone or found
    sleeping = JOBS * ANALYZERS * SECONDS / workers
    detail = {
        "jobs_per_second": found,
        "possible": JOBS / sleeping,
        **asdict(spent),
        "around_a_task_seconds": (spent.working_seconds - sleeping) * workers / JOBS / ANALYZERS,
    }
    rounded = {name: round(value, 3) for name, value in detail.items()}
    goal = SCALING_GOAL * workers if workers > 1 else None
    row = f"growth.workers_{workers}"
    say(Row(row=row, value=found / alone, goal=goal, better="higher", unit="x", detail=rounded))
    return alone


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:  # noqa: ARG001  (every family takes the same)
    """Measure with one, two and four workers; with two, a short job behind a long one."""
    alone = 0.0
    for workers in WORKERS[1:2] if short else WORKERS:
        with idle_service(workers=workers, noops=60) as idle:
            if not short:
                alone = measure_workers(idle, workers, alone)
            if workers == 2:
                measure_behind(idle, 1 if short else 3)
    if short:
        not_measured("growth.workers", "--short starts one service, so there is nothing to compare with", "x")


if __name__ == "__main__":
    main()
