"""`make load`: many jobs at once, then steady work, and what the service held meanwhile.

    python -m tests.load [--jobs 200] [--minutes 20] [--seed N]

Each job is a clip of 3 s, 640x360, handed in through the API, worked on by ANALYZERS in the local profile's workers.
It ends with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import http.client
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from services.api.site import built_page
from services.broker import find_server
from services.leash import start
from services.stack import Stack, local_stack
from shared.settings import settings, use
from shared.tables import Job
from tasks.node import ledger
from tests.load.clips import Clips
from tests.load.measure import FEW_FILES, MATTERS, Held, Watch, trend
from tests.support.api import Client, free_port, serving
from tests.support.processes import eventually

ANALYZERS = ("cut_analysis", "color_analysis", "camera_analysis", "audio_analysis", "scene_segmentation")
"""Two levels, pictures and sound, no models: 200 jobs take some minutes on 2 cores."""
BURST_SECONDS = 900.0
"""What has not ended by then is lost."""
STEADY_A_MINUTE, STEADY_AT_ONCE = 30, 4
"""What two busy cores can do: the broker keeps events for five minutes after a job, so a rate that rose would show."""
WARM_UP_SHARE = 0.25
"""Of the steady time: what caches fill in it does not count."""
ORDER_SLACK_SECONDS = 10.0
"""A job may wait so long while one that comes after it begins: what is queued is handed out, nothing is taken back."""
USABLE_SECONDS = 2.0
"""95 of 100 looks at the list of jobs, and at the page, take less."""
FRAMES_BYTES = 64 << 20


@dataclass
class Checks:
    """What was looked at, and what held."""

    passed: int = 0
    failed: int = 0

    def row(self, what: str, value: str, *, holds: bool, but: str = "") -> None:
        """One line of the table; `but`: by what alone it holds."""
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)
        word = f"passed: {but}" if but else "passed"
        print(f"{what:44} {value:44} {word if holds else 'FAILED'}", flush=True)

    def skip(self, what: str, why: str) -> None:
        """A line of what could not be looked at."""
        print(f"{what:44} {why:44} skipped", flush=True)


@dataclass
class Looks:
    """How long one thing that people look at took to come, while all else went on."""

    what: str
    path: str
    content: bytes = b""
    """What its answer is; nothing: whatever comes with 200."""
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, client: Client) -> None:
        """Look once a second until the end."""
        while not self.ended.wait(1.0):
            began = time.monotonic()
            is_right = self._is_right(client)
            self.wrong += not is_right
            self.seconds.append(time.monotonic() - began if is_right else float("inf"))

    def show(self, checks: Checks) -> None:
        """Its row: every answer was right, and came soon."""
        times = sorted(self.seconds)
        late = times[int(len(times) * 0.95)] if times else float("inf")
        said = f"median {statistics.median(times or [late]):.2f} s, 95 % {late:.2f} s, of {len(times)}"
        wrong = f", {self.wrong} wrong" if self.wrong else ""
        checks.row(f"  {self.what}", said + wrong, holds=late < USABLE_SECONDS and not self.wrong)

    def _is_right(self, client: Client) -> bool:
        try:
            answer = client.get(self.path)
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == 200 and self.content in (b"", answer.body)


@dataclass(frozen=True)
class Service:
    """What is under load."""

    stack: Stack
    client: Client
    watch: Watch
    clips: Clips

    def hand_in(self, priority: int) -> str:
        """One more job; its id."""
        named = {"analyzers": ",".join(ANALYZERS), "priority": str(priority), "deadline_seconds": "3600"}
        answer = self.client.hand_in(self.clips.another(), **named)
        assert answer.status == 202, answer.body
        return str(answer.json["id"])


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """A broker of its own, the workers of the local profile and the API, watched."""
    before = settings()
    with ExitStack() as stack:
        stack.callback(use, before)
        port = free_port()
        (folder / "broker").mkdir()
        _, server = find_server()
        argv = [str(server), "--port", str(port), "--dir", str(folder / "broker"), "--appendonly", "yes", "--save", ""]
        with (folder / "broker" / "log").open("ab") as log:
            broker = start(argv, stdout=log)
        stack.callback(broker.stop)
        assert eventually(lambda: _answers(port), 30), (folder / "broker" / "log").read_text()
        given = {"data_dir": folder / "data", "broker_url": f"redis://127.0.0.1:{port}/0"}
        use(before.model_copy(update={**given, "frame_store_bytes": FRAMES_BYTES, "deployment": f"load-{port}"}))
        running = stack.enter_context(local_stack(None))
        running.wait_ready()
        client = stack.enter_context(serving(running))
        (web,) = _servers(client.port)
        parts = {"broker": lambda: broker.pid, "API": lambda: web}
        parts |= {one.name: (lambda one=one: one.process.pid) for one in running.workers}
        watch = Watch(parts, [running.scratch, settings().frames_folder, settings().storage_folder / "incoming"])
        stack.enter_context(watch.looking())
        yield Service(running, client, watch, Clips(folder))


def _answers(port: int) -> bool:
    with suppress(redis.RedisError):
        return bool(redis.Redis(port=port, socket_timeout=5).ping())
    return False


def _servers(port: int) -> list[int]:
    found = (
        one for one in psutil.process_iter(["cmdline", "ppid"]) if f"127.0.0.1:{port}" in (one.info["cmdline"] or ())
    )
    pids = {one.pid: one.info["ppid"] for one in found}
    return [pid for pid, parent in pids.items() if parent not in pids]


def burst(here: Service, jobs: int, rng: random.Random, checks: Checks) -> None:
    """All of them at once: all end, none is lost, in order, and people can look meanwhile."""
    began, looks = time.monotonic(), [Looks("the list of jobs", "/v1/jobs?limit=50"), *_page()]
    looking = [threading.Thread(target=one, args=(here.client,), daemon=True) for one in looks]
    for thread in looking:
        thread.start()
    known = [here.hand_in(rng.randrange(10)) for _ in range(jobs)]
    handed_in = time.monotonic() - began
    eventually(lambda: not _unfinished(known, pause=0.5), BURST_SECONDS)
    took = time.monotonic() - began
    for one in looks:
        one.ended.set()
    for thread in looking:
        thread.join()
    rows = [ledger().job(job) for job in known]
    states = {state: sum(row.state == state for row in rows) for state in sorted({row.state for row in rows})}
    checks.row(f"{jobs} jobs at once", f"{took:.0f} s, of these {handed_in:.0f} handing in", holds=took < BURST_SECONDS)
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    checks.row("  all end, with everything", said, holds=states == {"completed": jobs})
    runs = [run for job in known for run in ledger().runs(job).values()]
    twice = sum(run.attempts != 1 for run in runs)
    checks.row("  each analyzer once", f"{len(runs)} runs, {twice} begun more than once", holds=not twice)
    wrong = _out_of_order(rows)
    checks.row("  by priority, then by age", f"{wrong} pairs out of order", holds=not wrong)
    for one in looks:
        one.show(checks)
    if len(looks) == 1:
        checks.skip("  the page", "it has not been built: make page")
    for name in ("broker", "API"):
        _show(checks, f"  {name}", here.watch.held[name].since(began + WARM_UP_SHARE * took))


def _page() -> list[Looks]:
    """Looks at the page, when it has been built."""
    file = built_page() / "index.html"
    return [Looks("the page", "/", file.read_bytes())] if file.is_file() else []


def steady(here: Service, minutes: float, checks: Checks) -> None:
    """As many jobs each minute, for so long: nothing grows."""
    began, known, ended = time.monotonic(), [], 0
    told = began
    while (now := time.monotonic()) < began + 60 * minutes:
        open_now = _unfinished(known, pause=0.2)
        ended += len(known) - len(open_now)
        due = int((now - began) / 60 * STEADY_A_MINUTE) + 1 - ended - len(open_now)
        known = [*open_now, *(here.hand_in(5) for _ in range(min(due, STEADY_AT_ONCE - len(open_now))))]
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"    {(told - began) / 60:.0f} min, {ended} jobs", flush=True)
    finished = eventually(lambda: not _unfinished(known, pause=0.5), 120)
    checks.row(f"{minutes:g} minutes of {STEADY_A_MINUTE} a minute", f"{ended + len(known)} jobs", holds=finished)
    warm = began + WARM_UP_SHARE * 60 * minutes
    for name, held in here.watch.held.items():
        _show(checks, f"  {name}", held.since(warm))
    times = list(here.watch.times)
    start_at = next(number for number, at in enumerate(times) if at >= warm)
    space = trend(times[start_at:], here.watch.temporary_mib[start_at : len(times)])
    said = f"{space.first:.0f} -> {space.last:.0f} MiB"
    checks.row("  temporary files and frames", said, holds=space.last <= FRAMES_BYTES / (1 << 20) or not space.grows)


def _show(checks: Checks, what: str, held: Held) -> None:
    if len(held.times) < 3:
        checks.row(what, "too short to tell", holds=False)
        return
    memory, files = trend(held.times, held.mib), trend(held.times, held.files)
    said = f"{memory.first:.0f} -> {memory.last:.0f} MiB, {memory.per_hour:+.0f} +- {memory.error_per_hour:.0f} an hour"
    small = f"under {100 * MATTERS:.0f} %" if memory.rises else ""
    checks.row(f"{what}: memory", said, holds=not memory.grows, but=small)
    grows = files.grows and files.last - files.first > FEW_FILES
    checks.row(f"{what}: open files", f"{files.first:.0f} -> {files.last:.0f}", holds=not grows)


def _unfinished(jobs: list[str], *, pause: float) -> list[str]:
    time.sleep(pause)
    return [job for job in jobs if ledger().job(job).finished_at is None]


def _out_of_order(rows: list[Job]) -> int:
    """Pairs of jobs of which the second began, although the first came before it and had waited for long."""
    began = {
        row.id: min((run.started_at or row.finished_at or 0.0) for run in ledger().runs(row.id).values())
        for row in rows
    }
    return sum(
        (first.priority, first.submitted_at) < (second.priority, second.submitted_at)
        and first.submitted_at + ORDER_SLACK_SECONDS < began[second.id]
        and began[second.id] + ORDER_SLACK_SECONDS < began[first.id]
        for first in rows
        for second in rows
    )


def main() -> int:
    """Load, print, count."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="handed in at once; 0: none")
    parser.add_argument("--minutes", type=float, default=20.0, help="of steady work; 0: none")
    parser.add_argument("--seed", type=int, default=1, help="of the jobs' priorities")
    arguments = parser.parse_args()
    checks = Checks()
    print(f"analyzers: {', '.join(ANALYZERS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="reelgraph-load-") as folder, service(Path(folder)) as here:
        if arguments.jobs:
            burst(here, arguments.jobs, random.Random(arguments.seed), checks)
        if arguments.minutes:
            steady(here, arguments.minutes, checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


sys.exit(main())
