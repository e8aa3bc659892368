"""`make chaos`: break a running service in every way there is, and say what held.

python -m tests.chaos [--short] [--seed N] [--only NAME] [--rounds N] [--mixed SECONDS]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.cases import CASES, Case, Skip, mixed, mount_small
from tests.chaos.load import begin, problems, wait_all
from tests.chaos.site import Site, site

FRAMES_MEGABYTES = 200


@dataclass(frozen=True)
class Result:
    """How a case went."""

    case: Case
    problems: tuple[str, ...]
    jobs: int = 0
    recovery_seconds: float = 0.0
    skipped: str = ""


def play(here: Site, case: Case) -> Result:
    """Run one case on a site that is well."""
    here.wait_up()
    load = begin(here, case.jobs, analyzers=case.analyzers, **(case.behaviour or {}))
    try:
        found = list(case.run(here, load) or ())
    except Skip as error:
        wait_all(load, case.recovery_seconds)
        return Result(case, tuple(problems(here, load)), len(load.jobs), skipped=str(error))
    over = time.monotonic()
    wait_all(load, case.recovery_seconds)
    here.wait_up()
    found += problems(here, load, events_kept=case.events_kept)
    return Result(case, tuple(found), len(load.jobs), max(0.0, load.ended_at - over))


def show(result: Result) -> None:
    """One row of the table, and what did not hold."""
    word = "FAILED" if result.problems else f"skipped: {result.skipped}" if result.skipped else "passed"
    row = f"{result.case.name:26} {result.jobs:4} jobs  {result.recovery_seconds:5.1f} s after  {word}"
    print(row, flush=True)
    for line in result.problems:
        print(f"    {line}", flush=True)


def chosen(arguments: argparse.Namespace) -> list[Case]:
    """The cases to play, in order."""
    cases = [case for case in CASES if (case.short or not arguments.short) and arguments.only in case.name]
    cases = cases * arguments.rounds
    if arguments.mixed:
        cases.append(Case(f"mixed {arguments.mixed} s", "", mixed(arguments.mixed), events_kept=False))
    return cases


def main() -> int:
    """Play, print, count."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few cases, under four minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same random moments")
    parser.add_argument("--only", default="", metavar="NAME", help="cases whose name has this in it")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="play every case so often")
    parser.add_argument("--mixed", type=float, default=0.0, metavar="SECONDS", help="all of them mixed, at the end")
    parser.add_argument("--keep", type=Path, help="a folder for logs and data, which stay there")
    arguments = parser.parse_args()
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="reelgraph-chaos-") as folder:
        scratch = (arguments.keep or Path(folder)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        frames = scratch / "frames"
        mounted = mount_small(frames, FRAMES_MEGABYTES)
        try:
            with site(scratch, arguments.seed, frames_dir=frames, frame_store_bytes=FRAMES_MEGABYTES << 19) as here:
                results = []
                for case in chosen(arguments):
                    results.append(play(here, case))
                    show(results[-1])
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(frames)], check=False)
    failed = sum(bool(result.problems) for result in results)
    skipped = sum(bool(result.skipped) and not result.problems for result in results)
    print(f"{time.monotonic() - began:.0f} s, {skipped} skipped")
    print(f"{len(results) - failed - skipped} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
