"""Workers that die, stand still, are told to stop, cannot load, or live through a step of the clock."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from services.stack import LocalWorker
from shared.groups import worker_of
from shared.tables import Run
from tasks.node import ledger
from tests.chaos.case import Break, Skip
from tests.chaos.load import ANALYZERS, Load, breaks, clip, digests, hand_in, wait_all
from tests.chaos.site import ANALYSING, Site
from tests.support.processes import eventually

STEP_SECONDS = 3600
QUIT_SECONDS = 3
"""After SIGQUIT a worker hands on what it works on (`worker_soft_shutdown_timeout`)."""
SLOW_SECONDS = 10.0
"""The slow worker takes so long to load."""
MOST_OF_ONE = 2
"""A decode pass that is killed a third time is given up, by design: a video that takes all memory ends like that."""
DUE_SECONDS = 20.0
"""The deadline of a job with an analyzer that hangs: time for all its others."""


def child_dies(number: signal.Signals) -> Break:
    """Kill pool processes three times at random moments."""

    def case(site: Site, load: Load) -> None:
        for _ in range(3):
            site.after(0.3, 2.0)
            breaks(load)
            site.signal_child(site.any_worker(), number)

    return case


def reader_killed(site: Site, load: Load) -> list[str]:
    """Kill a process that reads videos, six times: a media server, or what decodes for it, a video's twice at most."""
    killed, readers, deaths = 0, list[psutil.Process](), Counter[str]()

    def look() -> bool:
        found = [one for name in ANALYSING for one in site.readers(site.worker(name))]
        readers[:] = [one for one in found if all(deaths[path] < MOST_OF_ONE for path in files_of(one))]
        return bool(readers)

    for _ in range(6):
        site.after(0.1, 0.8)
        breaks(load)
        eventually(look, 5)
        for one in site.rng.sample(readers, min(1, len(readers))):
            with suppress(psutil.NoSuchProcess):
                deaths.update(files_of(one))
                one.kill()
                killed += 1
    return [] if killed else ["no process read a video when one was to be killed"]


def files_of(process: psutil.Process) -> set[str]:
    """The files that it has open: the video of one that decodes."""
    with suppress(psutil.Error):
        return {file.path for file in process.open_files()}
    return set()


def worker_killed(site: Site, load: Load) -> None:
    """Kill a worker as a whole, twice."""
    for _ in range(2):
        site.after(0.3, 2.5)
        breaks(load)
        site.signal(site.any_worker(), signal.SIGKILL, children=True)


def worker_told_to_stop(site: Site, load: Load) -> list[str]:
    """SIGTERM two workers, each in the middle of a run: what they work on comes to its end there."""
    left = list(ANALYSING)
    for _ in range(2):
        site.after(0.3, 2.0)
        worker = site.holder(*left)
        left.remove(worker.name)
        breaks(load)
        site.signal(worker, signal.SIGTERM)
    load.over()
    wait_all(load, 90)
    runs = [run for job in load.jobs for run in ledger().runs(job).values()]
    return [f"{run.job_id}: {run.analyzer} was begun {run.attempts} times" for run in runs if run.attempts > 1]


def worker_told_to_quit(site: Site, load: Load) -> list[str]:
    """SIGQUIT two workers, each in the middle of a run that outlasts its 3 s: others take these up."""
    longer: dict[str, dict[str, object]] = {"misbehaving": {"sleep": QUIT_SECONDS + 7}}
    long = [hand_in(site, clip(site, 80 + number), ("misbehaving",), longer, priority=0) for number in range(2)]
    load.jobs += long

    def held() -> bool:
        runs = [ledger().runs(job).get("misbehaving") for job in long]
        return all(run is not None and run.holder for run in runs)

    assert eventually(held, 60), "nobody began what the workers shall be stopped in"
    before = {job: ledger().run(job, "misbehaving") for job in long}
    for run in before.values():
        breaks(load)
        site.signal(site.worker(worker_of(str(run.holder))), signal.SIGQUIT)
        site.after(0.0, 2.0)
    load.over()
    wait_all(load, 90)
    after = {job: ledger().run(job, "misbehaving") for job in long}
    return [f"{job}: its run was not handed on" for job in long if after[job].attempts == before[job].attempts]


def worker_frozen(site: Site, load: Load) -> list[str]:
    """Stop a worker that holds a run, parent and child, for 30 s; then let it go on, when its run is another's."""
    worker = site.holder()
    breaks(load)
    site.signal(worker, signal.SIGSTOP, children=True)
    load.over()  # what it held waits from here on
    goes_on = time.monotonic() + 30
    wait_all(load, 90)
    time.sleep(max(0.0, goes_on - time.monotonic()))
    before = digests(site, load)
    site.signal(worker, signal.SIGCONT, children=True)
    time.sleep(8)
    return [] if digests(site, load) == before else ["a document changed after its job had ended"]


def analyzer_hangs(site: Site, load: Load) -> list[str]:
    """Hand in a job one of whose analyzers hears no limit: it is closed at its deadline, with what the others found."""
    options: dict[str, dict[str, object]] = {"misbehaving": {"sleep": DUE_SECONDS + 8, "deaf": True}}
    breaks(load)
    job = hand_in(site, clip(site, 90), ANALYZERS, options, priority=0, deadline_seconds=DUE_SECONDS)
    due = time.monotonic() + DUE_SECONDS
    load.jobs.append(job)
    load.expected[job] = dict.fromkeys(("misbehaving", "dependent"), ("timeout", "deadline"))
    wait_all(load, DUE_SECONDS + 60)
    load.over_at = due
    row = ledger().job(job)
    wrong = [] if row.state == "completed_with_errors" else [f"{job} ended as {row.state} at its deadline"]
    if (row.finished_at or 0.0) < row.deadline_at:
        wrong.append(f"{job} ended before its deadline, which it shall reach")
    before = digests(site, load)
    time.sleep(max(0.0, due + 20 - time.monotonic()))  # it comes back, too late
    return wrong if digests(site, load) == before else [*wrong, "a document changed after its job had ended"]


def control_killed_before_aggregate(site: Site, load: Load) -> list[str]:
    """Freeze the control worker until every outcome is there, then kill it: nobody has aggregated."""

    def queued() -> bool:
        plans = [ledger().runs(job).values() for job in load.jobs]
        return all(runs and all(run.queued_at or run.status for run in runs) for runs in plans)

    assert eventually(queued, 90)
    time.sleep(1)  # from the ledger's note to the broker
    control = site.worker("control")
    with site.unattended():
        site.signal(control, signal.SIGSTOP, children=True)
        done = eventually(lambda: all(run.status for job in load.jobs for run in ledger().runs(job).values()), 90)
        breaks(load)
        site.signal(control, signal.SIGKILL, children=True)
    load.over()
    return [] if done else ["not all outcomes came while the control worker stood still"]


def control_killed_in_aggregate(site: Site, load: Load) -> list[str]:
    """Kill the process that aggregates between the document and the ledger."""
    mark = site.scratch / "kill-in-finish"
    breaks(load)
    mark.touch()
    struck = eventually(lambda: not mark.exists(), 90)
    load.over()
    return [] if struck else ["nobody aggregated"]


def preload_broken(site: Site, load: Load) -> list[str]:
    """Start a worker that cannot load, one that hangs and one that is slow: they take nothing before they are ready."""
    breaks(load)
    slow_since = time.time()
    doomed = {
        "slow": _badly_loading(site, "slow", {"REELGRAPH_PROBE_LOAD_SECONDS": str(SLOW_SECONDS)}),
        "failing": _badly_loading(site, "failing", {"REELGRAPH_PROBE_LOAD_END": "exit"}),
        "hanging": _badly_loading(site, "hanging", {"REELGRAPH_PROBE_LOAD_SECONDS": "9999"}, patience=5.0),
    }
    try:
        give_up = time.monotonic() + 90
        while not _work_of(load, "slow") and time.monotonic() < give_up:
            load.jobs += [hand_in(site, clip(site, 90 + number)) for number in range(4)]
            wait_all(load, 60)
        ended = eventually(lambda: all(doomed[name].process.poll() is not None for name in ("failing", "hanging")), 60)
    finally:
        for one in doomed.values():
            one.process.stop()
    wrong = [] if ended else ["a worker that cannot load still runs"]
    wrong += [f"the {name} worker took work" for name in ("failing", "hanging") if _work_of(load, name)]
    began = [run.started_at or 0.0 for run in _work_of(load, "slow")]
    if not began:
        wrong.append("the slow worker took no work when it was ready")
    elif min(began) < slow_since + SLOW_SECONDS:
        wrong.append(f"the slow worker took work {min(began) - slow_since:.1f} s after its start")
    return wrong


def _badly_loading(site: Site, name: str, environment: dict[str, str], *, patience: float | None = None) -> LocalWorker:
    """A worker that nobody starts again."""
    given, before = site.stack.settings, dict(os.environ)
    os.environ.update(environment)
    if patience is not None:
        site.stack.settings = given.model_copy(update={"preload_seconds": patience})
    try:
        started = site.stack.start_worker(name, ("light", "detect"))
        site.stack.workers.remove(started)
    finally:
        site.stack.settings = given
        os.environ.clear()
        os.environ.update(before)
    return started


def _work_of(load: Load, name: str) -> list[Run]:
    """The runs that ended in a worker of this name, or are held by it."""
    runs = [run for job in load.jobs for run in ledger().runs(job).values()]
    return [run for run in runs if worker_of(str(run.outcome.receipt.worker if run.report else run.holder)) == name]


def clock_stepped(site: Site, load: Load) -> list[str]:
    """Step every process's clock by an hour, forward and back again, while jobs run."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        raise Skip("libfaketime is not installed; get it with: apt-get install faketime")
    wait_all(load, 90)
    clock = site.scratch / "clock"
    with _another_clock(site, clock, library):
        for step in (STEP_SECONDS, 0):
            more = [hand_in(site, clip(site, 90 + n), ANALYZERS, {"misbehaving": {"sleep": 2.0}}) for n in range(8)]
            load.jobs += more
            load.untimed |= set(more)
            site.after(1.0, 4.0)
            breaks(load)
            clock.write_text(f"{step:+d}")
            load.over()
            began = time.monotonic()
            wait_all(load, 120)
        took = time.monotonic() - began
    return [] if took < 100 else [f"after the clock was set back, jobs took {took:.0f} s"]


@contextmanager
def _another_clock(site: Site, clock: Path, library: Path) -> Iterator[None]:
    """All processes of the service read the time of day as the file says; their monotonic clocks go on."""
    before = dict(os.environ)
    clock.write_text("+0")
    os.environ |= {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock)}
    os.environ |= {"FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    try:
        site.replace_all()
        os.environ.pop("LD_PRELOAD")  # the harness itself starts commands, too
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        site.replace_all()


def poison(site: Site, load: Load) -> list[str]:
    """Hand in a video that kills whatever looks at it with one analyzer: three attempts, and the signal is named."""
    token = site.scratch / f"poison-{site.rng.randrange(1 << 30)}"
    options: dict[str, dict[str, object]] = {"misbehaving": {"kill": int(signal.SIGSEGV), "token": str(token)}}
    breaks(load)
    job = hand_in(site, clip(site, 90), ANALYZERS, options)
    load.over()
    load.jobs.append(job)
    load.expected[job] = {"misbehaving": ("failed", "worker_died"), "dependent": ("skipped", "missing_input")}
    wait_all(load, 120)
    report = ledger().run(job, "misbehaving").outcome
    is_named = report.error is not None and "SIGSEGV" in report.error.message and report.receipt.attempts == 3
    return [] if is_named else [f"the poison's outcome is {report.error}, attempts {report.receipt.attempts}"]
