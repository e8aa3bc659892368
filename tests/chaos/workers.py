"""Workers that die, stand still, are told to stop, cannot load, or live through a step of the clock."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.stack import LocalWorker
from shared.groups import worker_of
from tasks.node import ledger
from tests.chaos.case import Break, Skip
from tests.chaos.load import ANALYZERS, Load, breaks, clip, digests, hand_in, wait_all
from tests.chaos.site import ANALYSING, Site
from tests.support.processes import eventually

STEP_SECONDS = 3600


def child_dies(number: signal.Signals) -> Break:
    """Kill pool processes three times at random moments."""

    def case(site: Site, load: Load) -> None:
        for _ in range(3):
            site.after(0.3, 2.0)
            breaks(load)
            site.signal_child(site.any_worker(), number)

    return case


def worker_killed(site: Site, load: Load) -> None:
    """Kill a worker as a whole, twice."""
    for _ in range(2):
        site.after(0.3, 2.5)
        breaks(load)
        site.signal(site.any_worker(), signal.SIGKILL, children=True)


def worker_told_to_stop(number: signal.Signals) -> Break:
    """Tell two workers to stop: SIGTERM lets the task that runs come to its end, SIGQUIT hands it on after 3 s."""

    def case(site: Site, load: Load) -> list[str]:
        for name in site.rng.sample(ANALYSING, 2):
            site.after(0.3, 2.0)
            breaks(load)
            site.signal(site.worker(name), number)
        wait_all(load, 90)
        runs = [run for job in load.jobs for run in ledger().runs(job).values()]
        again = [f"{run.job_id}: {run.analyzer} was begun {run.attempts} times" for run in runs if run.attempts > 1]
        return again if number == signal.SIGTERM else []

    return case


def worker_frozen(site: Site, load: Load) -> list[str]:
    """Stop a worker that holds a run, parent and child, for 30 s; then let it go on, when its run is another's."""
    worker = holder(site)
    breaks(load)
    site.signal(worker, signal.SIGSTOP, children=True)
    time.sleep(30)
    wait_all(load, 60)
    before = digests(site, load)
    site.signal(worker, signal.SIGCONT, children=True)
    time.sleep(8)
    return [] if digests(site, load) == before else ["a document changed after its job had ended"]


def holder(site: Site) -> LocalWorker:
    """The worker that holds some run now. Raises AssertionError when none does for a minute."""

    def find() -> list[str]:
        return [worker_of(str(run.holder)) for run, _ in ledger().held()]

    assert eventually(lambda: any(name in ANALYSING for name in find()), 60)
    return site.worker(next(iter(find()), ANALYSING[0]))


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
    return [] if done else ["not all outcomes came while the control worker stood still"]


def control_killed_in_aggregate(site: Site, load: Load) -> list[str]:
    """Kill the process that aggregates between the document and the ledger."""
    mark = site.scratch / "kill-in-finish"
    breaks(load)
    mark.touch()
    return [] if eventually(lambda: not mark.exists(), 90) else ["nobody aggregated"]


def preload_broken(site: Site, load: Load) -> list[str]:
    """Start a worker that cannot load, one that hangs and one that is slow: they take nothing before they are ready."""
    breaks(load)
    doomed = {"failing": {"REELGRAPH_PROBE_LOAD_END": "exit"}, "hanging": {"REELGRAPH_PROBE_LOAD_SECONDS": "9999"}}
    doomed["slow"] = {"REELGRAPH_PROBE_LOAD_SECONDS": "10"}
    before, wrong = dict(os.environ), []
    started = {}
    for name, environment in doomed.items():
        os.environ.update(environment)
        given = site.stack.settings
        patience = 5.0 if name == "hanging" else given.preload_seconds
        site.stack.settings = given.model_copy(update={"preload_seconds": patience})
        started[name] = site.stack.start_worker(name, ("light", "detect"))
        site.stack.workers.remove(started[name])
        site.stack.settings = given
        os.environ.clear()
        os.environ.update(before)
    wait_all(load, 90)
    ended = eventually(lambda: all(started[name].process.poll() is not None for name in ("failing", "hanging")), 60)
    if not ended:
        wrong.append("a worker that cannot load still runs")
    for one in started.values():
        one.process.stop()
    took = {str(run.outcome.receipt.worker) for job in load.jobs for run in ledger().runs(job).values() if run.report}
    return wrong + [
        f"the {name} worker took work" for name in ("failing", "hanging") if any(name in one for one in took)
    ]


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
            site.after(1.0, 4.0)
            breaks(load)
            clock.write_text(f"{step:+d}")
            began = time.monotonic()
            wait_all(Load(jobs=more), 120)
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


def poison(site: Site, load: Load) -> None:
    """Hand in a video that kills whatever looks at it with one analyzer, among others that do not."""
    token = site.scratch / f"poison-{site.rng.randrange(1 << 30)}"
    options: dict[str, dict[str, object]] = {"misbehaving": {"kill": int(signal.SIGSEGV), "token": str(token)}}
    breaks(load)
    job = hand_in(site, clip(site, 90), ANALYZERS, options)
    load.jobs.append(job)
    load.expected[job] = {"misbehaving": ("failed", "worker_died"), "dependent": ("skipped", "missing_input")}


def poison_is_named(site: Site, load: Load) -> list[str]:
    """As `poison`; and the outcome names the signal, after three attempts."""
    poison(site, load)
    wait_all(load, 120)
    report = ledger().run(load.jobs[-1], "misbehaving").outcome
    is_named = report.error is not None and "SIGSEGV" in report.error.message and report.receipt.attempts == 3
    return [] if is_named else [f"the poison's outcome is {report.error}, attempts {report.receipt.attempts}"]
