"""All rows of the CPU bench, one JSON line each.

    python -m bench [--short] [--clip VIDEO]... [--only FAMILY]... [--out FILE]

Each family is a module of its own that can be run alone; here each gets its share of the time and what those before it
left over, so that all together never take longer than 15 minutes (3 with --short). One that fails or takes longer is a
row without a value. The exit code says whether every family came to its end, not whether goals hold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import click

from bench.clips import clips_or_sample
from bench.rows import Row

TOTAL_SECONDS, SHORT_TOTAL_SECONDS = 900, 180
FAMILIES = {"start": 80, "decode": 80, "orchestration": 150, "growth": 90, "peers": 80, "light": 170, "whole": 250}
SHORT_FAMILIES = {"start": 20, "decode": 10, "orchestration": 32, "growth": 24, "peers": 28, "light": 32, "whole": 34}
"""The seconds that each may count on; they add up to the totals. What one leaves over is for those that follow."""


def allowed(family: str, chosen: Sequence[str], spent: float, *, short: bool) -> float:
    """Seconds for a family that begins now: all that are left but the shares of the chosen ones that follow."""
    shares, total = (SHORT_FAMILIES, SHORT_TOTAL_SECONDS) if short else (FAMILIES, TOTAL_SECONDS)
    following = chosen[chosen.index(family) + 1 :]
    return max(0.0, total - spent - sum(shares[name] for name in following))


def rows_of(family: str, arguments: list[str], seconds: float) -> Iterator[str]:
    """The lines that a family prints; last of all why there are no more, when it did not come to its end."""
    yield from lines_of(family, [sys.executable, "-m", f"bench.{family}", *arguments], seconds)


def lines_of(name: str, argv: list[str], seconds: float) -> Iterator[str]:
    """The lines that a command prints, and a row `name` that says why when it fails or its time is over."""
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's users compile anew at each start
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0
        )
        with _Deadline(process, seconds) as deadline, process.stdout or sys.stdin as lines:
            yield from (line.rstrip("\n") for line in lines)
            code = process.wait()
        if code:
            reason = f"not done in {seconds:.0f} s" if deadline.is_over else f"exit code {code}: {_last_line(errors)}"
            yield Row(row=name, value=None, unit="", reason=reason).line(" ".join(["python", *argv[1:]]))


class _Deadline:
    """Ends a process and its group when its time is over or nobody reads on.

    Services that it started have groups of their own and watch for its end; a pool's processes do not, and would keep
    its output open.
    """

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self.is_over = False
        self._process = process
        self._timer = threading.Timer(seconds, self._over)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._end()

    def _over(self) -> None:
        self.is_over = True
        self._end()

    def _end(self) -> None:
        with suppress(ProcessLookupError):  # all of the group have ended
            os.killpg(self._process.pid, signal.SIGKILL)


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["it said nothing"])[-1]


@click.command()
@click.option("--short", is_flag=True, help="Under three minutes: fewer and shorter clips and runs.")
@click.option("--clip", "clips", multiple=True, type=click.Path(path_type=Path, exists=True))
@click.option("--only", multiple=True, type=click.Choice(list(FAMILIES)))
@click.option("--out", type=click.Path(path_type=Path), help="Write the lines into this file, too.")
def main(*, short: bool, clips: tuple[Path, ...], only: tuple[str, ...], out: Path | None) -> None:
    """Run the families and print their rows."""
    began, failed = time.monotonic(), 0
    chosen = clips_or_sample(clips)
    families = tuple(name for name in FAMILIES if name in only) if only else tuple(FAMILIES)
    arguments = [*(["--short"] if short else []), *(f"--clip={clip}" for clip in chosen)]
    with out.open("w") if out else Path(os.devnull).open("w") as file:
        for family in families:
            seconds = allowed(family, families, time.monotonic() - began, short=short)
            at = time.monotonic()
            for line in rows_of(family, arguments, seconds):
                print(line, flush=True)
                print(line, file=file, flush=True)
                failed += f'"row": "{family}"' in line
            print(f"{family}: {time.monotonic() - at:.0f} of {seconds:.0f} s", file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
