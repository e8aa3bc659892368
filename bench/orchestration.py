"""Row family 4, orchestration: jobs of analyzers that do nothing, through API, ledger, chord, storage and events.

    python -m bench.orchestration [--short]

From the first byte of the video's hand-in to the last byte of the document, its events followed meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import psutil
import redis

from bench import clips as videos
from bench.cpu import service_cpu, tree_cpu
from bench.idle import Idle, idle_service
from bench.rows import Row, say
from shared.groups import CONTROL
from shared.ledger import Ledger
from shared.schema import AnalyzerReport
from shared.settings import settings
from shared.tables import Job, Run, new_id

JOBS, SHORT_JOBS = 50, 8
AT_ONCE = 20
GROWN_JOBS = 6
CHAIN = 5
"""As many steps as `noop/analyzers/noop.py` has."""
SIZES, RATED = (5, 25, 50, 100), (5, 100)
MEDIAN_GOAL_MS = 400
SETTLE_SECONDS, IDLE_SECONDS = 2.0, 5.0
"""Until what jobs leave behind is done, and to see what is used and asked when nobody has a job; taken off."""


def milliseconds(idle: Idle, analyzers: int, jobs: int, kind: str = "noop") -> list[float]:
    """What each of some jobs took, one after another."""
    found = []
    for _ in range(jobs):
        began = time.perf_counter()
        idle.whole(analyzers, kind=kind)
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def at_once(idle: Idle, analyzers: int, jobs: int) -> float:
    """Jobs of so many no-ops a second, twenty at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: idle.whole(analyzers), range(jobs)))
    return jobs / (time.perf_counter() - began)


def measure_parts(idle: Idle, jobs: int) -> None:
    """What one job of 25 takes of what all jobs share: processes, the broker, the disk; idle work is taken off."""
    stored = settings().storage_folder
    client = redis.Redis.from_url(idle.running.stack.settings.broker)
    time.sleep(SETTLE_SECONDS)
    size, quiet, resting = tree(stored), asked(client), cpu_by_part(idle)
    at = time.monotonic()
    time.sleep(IDLE_SECONDS)
    began, working, share = asked(client), cpu_by_part(idle), time.monotonic() - at
    at = time.monotonic()
    milliseconds(idle, 25, jobs)
    share = (time.monotonic() - at) / share
    ended = cpu_by_part(idle)
    cpu = {name: ended[name] - working[name] - (working[name] - resting[name]) * share for name in ended}
    each = {name: round(seconds / jobs * 1000, 1) for name, seconds in cpu.items()}
    say(Row(row="orchestration.cpu", value=sum(cpu.values()) / jobs * 1000, unit="ms/job", detail=each))
    made, seconds = (
        (end - start) - (start - before) * share for before, start, end in zip(quiet, began, asked(client), strict=True)
    )
    say(Row(row="orchestration.control_worker", value=each[CONTROL], unit="ms/job"))
    say(Row(row="orchestration.broker_commands", value=made / jobs, unit="commands/job"))
    say(Row(row="orchestration.broker", value=seconds / jobs * 1000, unit="ms/job"))
    files, kilobytes = ((now - before) / jobs for now, before in zip(tree(stored), size, strict=True))
    say(Row(row="orchestration.stored_files", value=files, unit="files/job", detail={"kilobytes": round(kilobytes, 1)}))


def cpu_by_part(idle: Idle) -> dict[str, float]:
    """CPU seconds so far of each worker, and of all other processes of the service (API, broker, media) as `rest`."""
    found = {worker.name: tree_cpu(psutil.Process(worker.process.pid)) for worker in idle.running.stack.workers}
    return {**found, "rest": service_cpu() - sum(found.values())}


def asked(client: redis.Redis) -> tuple[float, float]:
    """Commands that the broker has done, and the seconds it has spent in them."""
    every = client.info("commandstats").values()
    return sum(one["calls"] for one in every), sum(one["usec"] for one in every) / 1e6


def measure_ledger(analyzers: int) -> None:
    """What beginning and ending one analyzer costs in the ledger: SQLite, one writer, nobody else."""
    names = [f"one_{number}" for number in range(analyzers)]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.sqlite3")
        ledger.migrate()
        now = time.time()
        facts = {
            "state": "queued",
            "deployment": "bench",
            "profile": "local",
            "video_sha256": "0" * 64,
            "media": {},
            "priority": 5,
        }
        job = ledger.create(Job(id=new_id(), requested=[], options={}, submitted_at=now, deadline_at=now + 60, **facts))
        ledger.start(job.id, {}, [Run(job_id=job.id, analyzer=name, level=0) for name in names])
        began = time.perf_counter()
        for name in names:
            ledger.begin(job.id, name, limit_seconds=60)
            ledger.end(job.id, AnalyzerReport(name=name, version=1, status="ok"), attempt=1)
        say(Row(row="orchestration.ledger", value=(time.perf_counter() - began) / analyzers * 1000, unit="ms/analyzer"))


def tree(folder: Path) -> tuple[int, float]:
    """Files below a folder and their size in kilobytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes) / 1000


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:  # noqa: ARG001  (every family takes the same)
    """Measure."""
    jobs = SHORT_JOBS if short else JOBS
    measure_ledger(25 if short else 200)
    with idle_service() as idle:
        milliseconds(idle, 25, 3)
        took = milliseconds(idle, 25, jobs)
        spread = {"p10": round(took[len(took) // 10], 1), "p90": round(took[len(took) * 9 // 10], 1), "jobs": jobs}
        median = statistics.median(took)
        say(Row(row="orchestration.job_of_25", value=median, goal=MEDIAN_GOAL_MS, unit="ms", detail={**spread}))
        measure_parts(idle, max(4, jobs // 5))
        rate = at_once(idle, 25, jobs)
        say(Row(row="orchestration.at_once_20", value=rate, unit="jobs/s", better="higher"))
        chosen = SIZES[:2] if short else SIZES
        sizes = {size: statistics.median(milliseconds(idle, size, 3 if short else GROWN_JOBS)) for size in chosen}
        for size, value in sizes.items():
            say(Row(row=f"orchestration.job_of_{size}_grown", value=value, unit="ms"))
            if not short and size in RATED:
                rate = at_once(idle, size, AT_ONCE)
                say(Row(row=f"orchestration.at_once_20_of_{size}", value=rate, unit="jobs/s", better="higher"))
        slope = (sizes[chosen[-1]] - sizes[chosen[0]]) / (chosen[-1] - chosen[0])
        say(Row(row="orchestration.one_analyzer_more", value=slope, unit="ms"))
        chain = statistics.median(milliseconds(idle, CHAIN, 3 if short else GROWN_JOBS, "step"))
        say(Row(row=f"orchestration.job_of_{CHAIN}_in_a_chain", value=chain, unit="ms"))
        say(Row(row="orchestration.one_level_more", value=(chain - sizes[CHAIN]) / (CHAIN - 1), unit="ms"))


if __name__ == "__main__":
    main()
