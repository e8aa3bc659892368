"""Row family 2, the whole job: wall clock of a warm job against its length, its bare work, and two other shapes.

    python -m bench.whole [--short] [--clip VIDEO]...

(a) bare: CPU seconds of every analyzer alone on frames in memory, plus one bare decode, over the cores;
(b) scripts: what people do today, one script after another, each decoding and loading its own model;
(c) pool: the shape of the system this one replaces, three processes that load models per job and decode per analyzer.
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
from pathlib import Path

import click

from bench import clips as videos
from bench import script
from bench.alone import held
from bench.decode import bare_pass
from bench.job import run
from bench.rows import Row, not_measured, say
from bench.stage import warm
from shared.schema import Document
from shared.storage import video_key
from shared.tables import Job
from tasks.node import ledger, storage
from tasks.plan import Plan

RUNS, SHORT_RUNS = 3, 2
REALTIME_GOAL, BARE_GOAL, SCRIPTS_GOAL, POOL_GOAL = 0.5, 1.20, 4.0, 3.0
POOL = 3
SCRIPT_SECONDS = 120


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


def scripts_seconds(job: Job, names: list[str]) -> float:
    """One script after another."""
    began = time.perf_counter()
    for name in names:
        argv = [sys.executable, "-m", "bench.script", name, job.id]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SCRIPT_SECONDS)
    return time.perf_counter() - began


def pool_seconds(job: Job, levels: list[list[str]]) -> float:
    """A pool whose processes have imported the code before; level after level, as the analyzers depend."""
    with ProcessPoolExecutor(POOL, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(ledger_row, [job.id] * POOL * 2))
        began = time.perf_counter()
        for level in levels:
            list(pool.map(script.analyze, level, [job.id] * len(level), timeout=SCRIPT_SECONDS))
        return time.perf_counter() - began


def ledger_row(job_id: str) -> str:
    """What a process of the pool does first; its seconds do not count."""
    return str(ledger().job(job_id).state)


def say_rows(clip: Path, documents: list[Document], *, short: bool) -> None:
    """Print the four rows of one clip."""
    walls = [one.job.wall_seconds for one in documents]
    last = documents[-1]
    wall, length = statistics.median(walls), last.media.duration_seconds
    name, cores = f"whole.{clip.stem}", os.cpu_count() or 1
    job = ledger().job(last.job.id)
    done = {one.name for one in last.analyzers if one.status == "ok"}
    levels = [[name for name in level if name in done] for level in Plan.of(job).levels]
    names = [name for level in levels for name in level]
    seconds = {"wall_seconds": wall, "min": min(walls), "max": max(walls), "clip_seconds": length}
    passes = {"analyzers": len(names), "decode_passes": max(one.job.decode_passes or 0 for one in documents)}
    say(Row(row=f"{name}.realtime", value=wall / length, goal=REALTIME_GOAL, unit="x", detail={**seconds, **passes}))
    work, decode = bare_cpu_seconds(job, names)
    parts = {"wall_seconds": wall, "analyzers_cpu_seconds": round(work, 2), "decode_cpu_seconds": round(decode, 2)}
    ratio = wall / ((work + decode) / cores)
    say(Row(row=f"{name}.over_bare", value=ratio, goal=BARE_GOAL, unit="ratio", detail={**parts, "cores": cores}))
    pool = pool_seconds(job, levels)
    detail = {"wall_seconds": wall, "pool_seconds": round(pool, 2)}
    say(Row(row=f"{name}.pool", value=pool / wall, goal=POOL_GOAL, better="higher", unit="x", detail={**detail}))
    if short:
        not_measured(f"{name}.scripts", "one script after another takes too long for --short", "x")
        return
    scripts = scripts_seconds(job, names)
    detail = {"wall_seconds": wall, "scripts_seconds": round(scripts, 2)}
    say(
        Row(
            row=f"{name}.scripts", value=scripts / wall, goal=SCRIPTS_GOAL, better="higher", unit="x", detail={**detail}
        )
    )


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:
    """Measure every clip."""
    with tempfile.TemporaryDirectory() as folder:
        found = videos.chosen(clips, Path(folder), short=short)
        with warm():
            for clip in found:
                documents = [run(clip) for _ in range(SHORT_RUNS if short else RUNS)]
                if documents[-1].job.state == "failed":
                    not_measured(f"whole.{clip.stem}", "its job failed")
                else:
                    say_rows(clip, documents, short=short)


if __name__ == "__main__":
    main()
