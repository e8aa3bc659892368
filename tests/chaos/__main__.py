"""`make chaos`: break a running service in every way there is, and say what held.

python -m tests.chaos [--short] [--seed N] [--only NAME] [--rounds N] [--mixed SECONDS] [--results FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.case import Case, Skip
from tests.chaos.cases import CASES, mixed
from tests.chaos.disks import mount_small
from tests.chaos.load import begin, wait_all
from tests.chaos.site import Site, site
from tests.chaos.verdict import problems

FRAMES_MEGABYTES = 200
CASE_SECONDS = 420
"""A case that takes longer has failed; `mixed` has its own time beside that."""
EACH_ONCE_SECONDS = 1200
"""So much longer `mixed` may take, on a slow machine, until each fault has come once."""
ROUNDS, MIXED_SECONDS = 2, 600.0


@dataclass(frozen=True)
class Result:
    """How a case went."""

    name: str
    problems: tuple[str, ...] = ()
    jobs: int = 0
    recovery_seconds: float | None = None
    """From the end of the fault to that of the last job; None where the fault was there until then."""
    skipped: str = ""


@dataclass(frozen=True)
class Turn:
    """A case, once."""

    case: Case
    number: int

    @property
    def name(self) -> str:
        """What tells it from the same case in another round."""
        return self.case.name if self.number == 1 else f"{self.case.name} ({self.number})"


class Endless(Exception):
    """A case that did not come to its end."""


def play(here: Site, turn: Turn, seconds: float) -> Result:
    """Run one case on a site that is well. Whatever it raises is what did not hold."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(round(seconds))
    try:
        return _play(here, turn)
    except Exception as error:  # noqa: BLE001  (the other cases are still played, on another site)
        traceback.print_exc()
        return Result(turn.name, (f"{type(error).__name__}: {error}",))
    finally:
        signal.alarm(0)


def _play(here: Site, turn: Turn) -> Result:
    here.wait_up()
    case = turn.case
    load = begin(here, case.jobs, analyzers=case.analyzers, **(case.behaviour or {}))
    kept = {"events_kept": case.events_kept, "handed_on": case.handed_on}
    try:
        found = list(case.run(here, load) or ())
    except Skip as error:
        wait_all(load, case.recovery_seconds)
        return Result(turn.name, tuple(problems(here, load, **kept)), len(load.jobs), skipped=str(error))
    over_at = time.monotonic() if load.over_at is None else load.over_at
    wait_all(load, case.recovery_seconds)
    here.wait_up()
    found += problems(here, load, **kept)
    after = None if case.lasts else round(max(0.0, load.ended_at - over_at), 1)
    return Result(turn.name, tuple(found), len(load.jobs), after)


def _give_up(*_: object) -> None:
    raise Endless("it has not come to its end in time")


def show(result: Result) -> None:
    """One row of the table, and what did not hold."""
    word = "FAILED" if result.problems else f"skipped: {result.skipped}" if result.skipped else "passed"
    after = f"{'-':>7}" if result.recovery_seconds is None else f"{result.recovery_seconds:5.1f} s"
    print(f"{result.name:30} {result.jobs:4} jobs  {after} after  {word}", flush=True)
    for line in result.problems:
        print(f"    {line}", flush=True)


def chosen(arguments: argparse.Namespace) -> list[Turn]:
    """The cases to play, in order."""
    known = [case for case in CASES if (case.short or not arguments.short) and arguments.only in case.name]
    if arguments.mixed:
        known.append(
            Case(f"mixed {arguments.mixed:g} s", "", mixed(arguments.mixed), events_kept=False, handed_on=True)
        )
    turns = [Turn(case, number) for number in range(1, arguments.rounds + 1) for case in known]
    return [turn for turn in turns if turn.number == 1 or not turn.case.name.startswith("mixed")]


def options() -> argparse.Namespace:
    """What the command line says; all of it, several times, when it says nothing."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few cases once, under four minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same random moments")
    parser.add_argument("--only", default="", metavar="NAME", help="cases whose name has this in it, once")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"play every case so often; {ROUNDS}")
    parser.add_argument("--mixed", type=float, metavar="SECONDS", help=f"all of them mixed at the end; {MIXED_SECONDS}")
    parser.add_argument("--results", type=Path, metavar="FILE", help="add rows to it, and play only what it lacks")
    parser.add_argument("--keep", type=Path, help="a folder for logs and data, which stay there")
    given = parser.parse_args()
    is_whole = not (given.short or given.only)
    given.rounds = given.rounds or (ROUNDS if is_whole else 1)
    given.mixed = given.mixed if given.mixed is not None else MIXED_SECONDS if is_whole else 0.0
    return given


@contextmanager
def running(folder: Path, seed: int) -> Iterator[Site]:
    """A site with a small disk of its own for the frame store, where that is allowed."""
    frames = folder / "frames"
    mounted = mount_small(frames, FRAMES_MEGABYTES)
    try:
        with site(folder, seed, frames_dir=frames, frame_store_bytes=FRAMES_MEGABYTES << 19) as here:
            yield here
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(frames)], check=False)


def known_results(file: Path | None) -> dict[str, Result]:
    """What was played before, by name; a case that failed is not in it."""
    if file is None or not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    results = [Result(**{**row, "problems": tuple(row["problems"])}) for row in rows]
    return {one.name: one for one in results if not one.problems}


def play_all(turns: list[Turn], arguments: argparse.Namespace, scratch: Path) -> Iterator[Result]:
    """Play them one after the other; one that failed leaves its site to nobody."""
    waiting, sites = list(turns), 0
    while waiting:
        sites += 1
        folder = scratch / f"site-{sites}"
        folder.mkdir(parents=True)
        with running(folder, arguments.seed) as here:
            print(f"partitions by {here.net.kind}", flush=True) if sites == 1 else None
            while waiting:
                turn = waiting.pop(0)
                here.rng = random.Random(f"{arguments.seed} {turn.name}")
                result = play(
                    here, turn, CASE_SECONDS + (arguments.mixed + EACH_ONCE_SECONDS if "mixed" in turn.name else 0.0)
                )
                yield result
                if result.problems:
                    break


def main() -> int:
    """Play, print, count."""
    arguments = options()
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    turns = chosen(arguments)
    known = known_results(arguments.results)
    results = [known[turn.name] for turn in turns if turn.name in known]
    for result in results:
        show(result)
    with tempfile.TemporaryDirectory(prefix="reelgraph-chaos-", ignore_cleanup_errors=True) as folder:
        for result in play_all(
            [turn for turn in turns if turn.name not in known], arguments, (arguments.keep or Path(folder)).absolute()
        ):
            results.append(result)
            show(result)
            if arguments.results:
                with arguments.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(dataclasses.asdict(result)) + "\n")
    failed = sum(bool(result.problems) for result in results)
    skipped = sum(bool(result.skipped) and not result.problems for result in results)
    print(f"{time.monotonic() - began:.0f} s, {skipped} skipped")
    print(f"{len(results) - failed - skipped} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
