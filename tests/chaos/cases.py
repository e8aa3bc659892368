"""All cases, and all of them mixed.

A case takes a site and a load that has just been handed in; what it returns are sentences about what does not hold
beyond what is asked of every case: all jobs end, once, by their deadline, with everything that could be computed.
"""

from __future__ import annotations

import signal
import time

from shared.errors import Infrastructure
from shared.tables import OPEN_STATES
from tasks.node import ledger
from tests.chaos.api import api_killed
from tests.chaos.broker import (
    broker_cut_off,
    broker_killed,
    broker_wiped,
    everything_delivered_twice,
    worker_cut_off,
)
from tests.chaos.case import Break, Case, Skip
from tests.chaos.disks import disk_full, ledger_locked, weights_deleted
from tests.chaos.load import Load, begin, breaks, clip, hand_in, wait_all
from tests.chaos.site import Site
from tests.chaos.verdict import problems
from tests.chaos.workers import (
    analyzer_hangs,
    child_dies,
    clock_stepped,
    control_killed_before_aggregate,
    control_killed_in_aggregate,
    poison,
    preload_broken,
    reader_killed,
    worker_frozen,
    worker_killed,
    worker_told_to_quit,
    worker_told_to_stop,
)

AT_ONCE = 8

NOTHING = Case("nothing", "the measure for the others", lambda site, load: breaks(load), short=True)

FAULTS = (
    Case("child SIGKILL", "", child_dies(signal.SIGKILL), short=True, events_kept=False),
    Case("child SIGSEGV", "", child_dies(signal.SIGSEGV), events_kept=False),
    Case("reader SIGKILL", "what is decoded is decoded anew", reader_killed, handed_on=True),
    Case("worker SIGKILL", "", worker_killed, short=True, events_kept=False),
    Case("worker SIGTERM", "what it works on is done once", worker_told_to_stop, behaviour={"sleep": 3.0}, alone=True),
    Case("worker SIGQUIT", "what it works on is handed on", worker_told_to_quit, events_kept=False, handed_on=True),
    Case(
        "worker SIGSTOP 30 s",
        "the zombie overwrites nothing",
        worker_frozen,
        behaviour={"sleep": 6.0},
        events_kept=False,
        alone=True,
    ),
    Case("broker SIGKILL", "with its append-only file", broker_killed, events_kept=False),
    Case("broker wiped", "", broker_wiped, short=True, events_kept=False),
    Case("broker cut off 20 s", "", broker_cut_off, events_kept=False),
    Case(
        "worker cut off 20 s",
        "what it did there counts once",
        worker_cut_off,
        behaviour={"sleep": 4.0},
        events_kept=False,
        alone=True,
    ),
    Case(
        "control before aggregate",
        "outcomes are not made again",
        control_killed_before_aggregate,
        analyzers=("misbehaving", "color_analysis", "audio_analysis"),
        alone=True,
    ),
    Case("control in aggregate", "one document", control_killed_in_aggregate),
    Case(
        "delivered twice",
        "every run starts once",
        everything_delivered_twice,
        short=True,
        jobs=4,
        lasts=True,
        alone=True,
    ),
    Case("ledger locked 10 s", "", ledger_locked, handed_on=True),
    Case("disk full", "who cannot decode says so", disk_full),
    Case("API SIGKILL", "uploads and events go on", api_killed, alone=True),
    Case(
        "preload broken",
        "nobody works without models",
        preload_broken,
        behaviour={"sleep": 4.0},
        lasts=True,
        alone=True,
    ),
    Case("clock +1 h, -1 h", "nothing ends early or late", clock_stepped, events_kept=False, alone=True),
    Case("analyzer hangs", "closed at the deadline", analyzer_hangs, alone=True),
    Case("poison video", "three attempts, the signal's name", poison, short=True),
    Case("weights deleted", "what is loaded works on", weights_deleted, events_kept=False, alone=True),
)

CASES = (NOTHING, *FAULTS)


def mixed(seconds: float) -> Break:
    """One fault after the other in a random order, each at least once, with eight jobs under way as each begins."""

    def case(site: Site, load: Load) -> list[str]:
        give_up, wrong, order = time.monotonic() + seconds, list[str](), list[Case]()
        left = {fault.name for fault in FAULTS}
        while left or time.monotonic() < give_up:
            order = order or site.rng.sample(FAULTS, len(FAULTS))
            fault = order.pop()
            left.discard(fault.name)
            print(f"    {fault.name}", flush=True)
            try:
                wrong += [f"{fault.name}: {line}" for line in _strike(fault, site, load)]
            except Skip as error:
                print(f"    {fault.name} skipped: {error}", flush=True)
            except (AssertionError, Infrastructure, OSError) as error:
                wrong.append(f"{fault.name}: {type(error).__name__}: {error}")
            _fill_up(site, load)
        load.over()
        return wrong

    return case


def _strike(fault: Case, site: Site, load: Load) -> list[str]:
    """One of several faults; what does not hold."""
    if not fault.alone:
        return list(fault.run(site, load) or ())
    wait_all(load, fault.recovery_seconds)
    site.wait_up()
    own = begin(site, fault.jobs, analyzers=fault.analyzers, **(fault.behaviour or {}))
    try:
        found = list(fault.run(site, own) or ())
        wait_all(own, fault.recovery_seconds)
        return found + problems(site, own, events_kept=fault.events_kept, handed_on=fault.handed_on)
    finally:
        load.absorb(own)


def _fill_up(site: Site, load: Load) -> None:
    """Hand in jobs until as many are under way as shall be."""
    waiting = sum(ledger().job(job).state in OPEN_STATES for job in load.jobs[-4 * AT_ONCE :])
    load.jobs += [hand_in(site, clip(site, 100 + number)) for number in range(waiting, AT_ONCE)]
