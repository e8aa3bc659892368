"""Row family 6, start: importing and starting each part, and a cold `reelgraph analyze`.

python -m bench.start [--short] [--clip VIDEO]
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from bench import clips as videos
from bench.idle import free_port
from bench.rows import Row, not_measured, say
from services.server import service
from shared.groups import worker_of
from shared.settings import settings, use

HELP_GOAL = 0.3
IMPORTS = {
    "python": "pass",
    "cli": "import services.cli",
    "analyze": "import services.commands.analyze",
    "api": "from services.api import create_app; create_app()",
    "worker": "import tasks.celery; tasks.celery.app.loader.import_default_modules()",
}
START_SECONDS = 120
ANALYZE_SECONDS = 200
FIRST_OUTCOME = "SELECT min(finished_at) FROM outcomes WHERE level >= 0 AND status IS NOT NULL"


def seconds_of(argv: list[str], runs: int) -> float:
    """Median wall clock of a command that succeeds."""
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([sys.executable, *argv], check=True, stdout=subprocess.DEVNULL, timeout=60)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def measure_imports(runs: int) -> None:
    """Programs that import and end."""
    say(Row(row="start.help", value=seconds_of(["-m", "services.cli", "--help"], runs), goal=HELP_GOAL, unit="s"))
    for name, line in IMPORTS.items():
        say(Row(row=f"start.import_{name}", value=seconds_of(["-c", line], runs), unit="s"))


def measure_service() -> None:
    """The whole service, from nothing: when the API answers, and when each worker has loaded."""
    with tempfile.TemporaryDirectory() as folder:
        before = settings()
        use(before.model_copy(update={"data_dir": Path(folder)}))
        began, at = time.perf_counter(), time.time()
        with service("127.0.0.1", free_port(), with_flower=False) as running:
            running.wait_up()
            say(Row(row="start.api_answers", value=time.perf_counter() - began, unit="s"))
            waiting = [worker.name for worker in running.stack.workers]
            while waiting and time.perf_counter() - began < START_SECONDS:
                marks = {worker_of(path.name): path for path in (Path(folder) / "run").glob("ready.*")}
                for name in [one for one in waiting if f"ready.{one}" in marks]:
                    waiting.remove(name)
                    say(Row(row=f"start.worker_{name}", value=marks[f"ready.{name}"].stat().st_mtime - at, unit="s"))
                time.sleep(0.05)
            for name in waiting:
                not_measured(f"start.worker_{name}", f"not ready after {START_SECONDS} s", "s")
        use(before)


def measure_analyze(clip: Path) -> None:
    """`reelgraph analyze` with nothing running: until the first outcome is stored, until the command has ended."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "services.cli", "analyze", str(clip), "--out", f"{folder}/out"]
        began, at = time.time(), time.perf_counter()
        environment = {**os.environ, "REELGRAPH_DATA_DIR": f"{folder}/data"}
        code = subprocess.run(
            argv,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=ANALYZE_SECONDS,
            check=False,
        ).returncode
        ended = time.perf_counter() - at
        if code not in (0, 1):
            not_measured("start.analyze", f"it ended with {code}", "s")
            return
        with sqlite3.connect(f"{folder}/data/ledger.sqlite3") as ledger:
            first = ledger.execute(FIRST_OUTCOME).fetchone()[0]
        say(Row(row="start.analyze_first_outcome", value=first - began, unit="s"))
        say(Row(row="start.analyze_end", value=ended, unit="s", detail={"exit_code": code}))


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        measure_imports(1 if short else 3)
        measure_service()
        if short:
            not_measured("start.analyze_end", "a cold command takes too long for --short", "s")
        else:
            measure_analyze(videos.chosen(clips, Path(folder), short=short)[0])


if __name__ == "__main__":
    main()
