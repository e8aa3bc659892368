"""Row family 2, the whole job: wall clock of a warm job against its length, its bare work, and two other shapes.

    python -m bench.whole [--short] [--clip VIDEO]...

(a) bare: CPU seconds of every analyzer alone on frames in memory, plus one bare decode, over the cores; beside it the
CPU seconds of the whole service, so that it shows whether what is over them is more work or idle cores;
(b) scripts: what people do today, one script after another, each decoding and loading its own model, libraries with all
cores. What they do because they are made of this project's code, its imports above all, is measured and taken off;
(c) pool: the shape of the system this one replaces, three processes that load models per job and decode per analyzer.
The most that its ratio can be is told beside it: the pool's seconds over the bare work.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from bench import clips as videos
from bench import script
from bench.alone import held
from bench.cpu import service_cpu
from bench.decode import bare_pass
from bench.job import run
from bench.rows import Row, not_measured, say
from bench.script import LIBRARIES, Spent
from bench.stage import as_a_worker, freed, warm
from shared.schema import Document
from shared.storage import video_key
from shared.tables import Job
from tasks.node import ledger, storage
from tasks.plan import Plan

RUNS, SHORT_RUNS = 3, 2
REALTIME_GOAL, BARE_GOAL, SCRIPTS_GOAL, POOL_GOAL = 0.5, 1.20, 4.0, 3.0
POOL = 3
SCRIPT_SECONDS = 120
STARTS = 3
MODEL_LIBRARIES = ("onnxruntime", "ai_edge_litert.interpreter", "faster_whisper", "rapidocr", "scipy.optimize")
"""What the models of the local profile import."""


def bare_cpu_seconds(job: Job, names: list[str]) -> tuple[float, float]:
    """CPU seconds of the analyzers, each alone with everything in memory, and of one bare decode."""
    total = 0.0
    for name in names:
        with held(job, name) as once:
            once()  # first run: lazily made things
            total += once().cpu_seconds
    info, plan = job.video, Plan.of(job)
    before = time.process_time()
    bare_pass(storage().path(video_key(job.video_sha256)), info, plan.renditions)
    return total, time.process_time() - before


def scripts_seconds(job: Job, names: list[str]) -> tuple[float, float]:
    """One script after another; and what each of them takes to start that is this project's own."""
    seconds = sum(child_seconds("-m", "bench.script", name, job.id) for name in names)
    video = storage().path(video_key(job.video_sha256))
    starts = [child_seconds("-m", "bench.script", "--only-start", str(video)) for _ in range(STARTS)]
    theirs = [child_seconds("-c", f"import {', '.join(LIBRARIES)}") for _ in range(STARTS)]
    return seconds, max(0.0, statistics.median(starts) - statistics.median(theirs))


def child_seconds(*argv: str) -> float:
    """Seconds of a Python process whose libraries may take all cores."""
    environment = {**freed(), "REELGRAPH_THREADS": str(os.cpu_count() or 1)}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *argv],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SCRIPT_SECONDS,
    )
    return time.perf_counter() - began


def pool_seconds(job: Job, levels: list[list[str]]) -> tuple[float, Spent]:
    """A pool that has worked before: code and libraries imported; level after level, as the analyzers depend.

    Its seconds, and CPU seconds of all analyzers.
    """
    with ProcessPoolExecutor(POOL, mp_context=multiprocessing.get_context("spawn")) as pool:
        video = storage().path(video_key(job.video_sha256))
        list(pool.map(prepared, [video] * POOL * 2))
        began, spent = time.perf_counter(), list[Spent]()
        for level in levels:
            spent += pool.map(script.analyze, level, [job.id] * len(level), timeout=SCRIPT_SECONDS)
        seconds = time.perf_counter() - began
    return seconds, Spent(sum(one.cpu_seconds for one in spent), sum(one.loading_cpu_seconds for one in spent))


def prepared(video: Path) -> None:
    """What a process of the pool has done before its first job; long enough that each of them gets its turn."""
    script.start(video)
    for library in (*LIBRARIES, *MODEL_LIBRARIES):
        import_module(library)
    time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Warm:
    """What some runs of a warm job took: their documents, and median CPU seconds of the whole service."""

    documents: list[Document]
    cpu_seconds: float

    @property
    def walls(self) -> list[float]:
        """Seconds of each."""
        return [one.job.wall_seconds for one in self.documents]

    @property
    def wall(self) -> float:
        """Their median."""
        return statistics.median(self.walls)


def ran(clip: Path, runs: int) -> Warm:
    """The job of a clip, so many times."""
    documents, spent = list[Document](), list[float]()
    for _ in range(runs):
        before = service_cpu()
        documents.append(run(clip))
        spent.append(service_cpu() - before)
    return Warm(documents, statistics.median(spent))


def say_rows(clip: Path, warm_runs: Warm, *, short: bool) -> None:
    """Print the four rows of one clip."""
    last = warm_runs.documents[-1]
    wall, length = warm_runs.wall, last.media.duration_seconds
    name, cores = f"whole.{clip.stem}", os.cpu_count() or 1
    job = ledger().job(last.job.id)
    done = {one.name for one in last.analyzers if one.status == "ok"}
    levels = [[name for name in level if name in done] for level in Plan.of(job).levels]
    names = [name for level in levels for name in level]
    seconds = {"wall_seconds": wall, "min": min(warm_runs.walls), "max": max(warm_runs.walls), "clip_seconds": length}
    passes = {
        "analyzers": len(names),
        "decode_passes": max(one.job.decode_passes or 0 for one in warm_runs.documents),
    }
    say(Row(row=f"{name}.realtime", value=wall / length, goal=REALTIME_GOAL, unit="x", detail={**seconds, **passes}))
    work, decode = bare_cpu_seconds(job, names)
    bare = (work + decode) / cores
    parts = {
        "wall_seconds": wall,
        "analyzers_cpu_seconds": round(work, 2),
        "decode_cpu_seconds": round(decode, 2),
        "service_cpu_seconds": round(warm_runs.cpu_seconds, 2),
        "idle_core_seconds": round(wall * cores - warm_runs.cpu_seconds, 2),
    }
    say(Row(row=f"{name}.over_bare", value=wall / bare, goal=BARE_GOAL, unit="ratio", detail={**parts, "cores": cores}))
    say_pool(name, wall, bare, *pool_seconds(job, levels))
    if short:
        not_measured(f"{name}.scripts", "one script after another takes too long for --short", "x")
    else:
        say_scripts(name, wall, len(names), *scripts_seconds(job, names))


def say_pool(name: str, wall: float, bare: float, seconds: float, spent: Spent) -> None:
    """Print the pool's row; `most_possible` is its ratio to a service that does the bare work and nothing else."""
    detail = {
        "wall_seconds": wall,
        "pool_seconds": round(seconds, 2),
        "pool_cpu_seconds": round(spent.cpu_seconds, 2),
        "of_it_loading": round(spent.loading_cpu_seconds, 2),
        "most_possible": round(seconds / bare, 2),
    }
    say(Row(row=f"{name}.pool", value=seconds / wall, goal=POOL_GOAL, better="higher", unit="x", detail={**detail}))


def say_scripts(name: str, wall: float, count: int, seconds: float, own: float) -> None:
    """Print the scripts' row, without what so many of them took to start because they are made of this project."""
    taken = seconds - count * own
    detail = {
        "wall_seconds": wall,
        "scripts_seconds": round(taken, 2),
        "as_run_seconds": round(seconds, 2),
        "own_start_seconds_each": round(own, 2),
        "scripts": count,
    }
    say(Row(row=f"{name}.scripts", value=taken / wall, goal=SCRIPTS_GOAL, better="higher", unit="x", detail={**detail}))


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:
    """Measure every clip."""
    as_a_worker()
    with tempfile.TemporaryDirectory() as folder:
        found = videos.chosen(clips, Path(folder), short=short)
        with warm():
            for clip in found:
                measured = ran(clip, SHORT_RUNS if short else RUNS)
                if measured.documents[-1].job.state == "failed":
                    not_measured(f"whole.{clip.stem}", "its job failed")
                else:
                    say_rows(clip, measured, short=short)


if __name__ == "__main__":
    main()
