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
from tests.chaos.load import ANALYZERS, Load, breaks, clip, hand_in
from tests.chaos.site import Site
from tests.chaos.workers import (
    child_dies,
    clock_stepped,
    control_killed_before_aggregate,
    control_killed_in_aggregate,
    poison,
    poison_is_named,
    preload_broken,
    reader_killed,
    worker_frozen,
    worker_killed,
    worker_told_to_stop,
)

AT_ONCE = 8

CASES = (
    Case("nothing", "the measure for the others", lambda site, load: breaks(load), short=True),
    Case("child SIGKILL", "", child_dies(signal.SIGKILL), short=True),
    Case("child SIGSEGV", "", child_dies(signal.SIGSEGV)),
    Case("reader SIGKILL", "what is decoded is decoded anew", reader_killed),
    Case("worker SIGKILL", "", worker_killed, short=True),
    Case("worker SIGTERM", "what it works on is done once", worker_told_to_stop(signal.SIGTERM)),
    Case("worker SIGQUIT", "what it works on is handed on", worker_told_to_stop(signal.SIGQUIT)),
    Case("worker SIGSTOP 30 s", "the zombie overwrites nothing", worker_frozen, behaviour={"sleep": 6.0}),
    Case("broker SIGKILL", "with its append-only file", broker_killed),
    Case("broker wiped", "", broker_wiped, short=True, events_kept=False),
    Case("broker cut off 20 s", "", broker_cut_off),
    Case("worker cut off 20 s", "what it did there counts once", worker_cut_off, behaviour={"sleep": 4.0}),
    Case(
        "control before aggregate",
        "outcomes are not made again",
        control_killed_before_aggregate,
        analyzers=("misbehaving", "color_analysis", "audio_analysis"),
    ),
    Case("control in aggregate", "one document", control_killed_in_aggregate),
    Case("delivered twice", "every run starts once", everything_delivered_twice, short=True, jobs=4),
    Case("ledger locked 10 s", "", ledger_locked),
    Case("disk full", "who cannot decode says so", disk_full),
    Case("API SIGKILL", "uploads and events go on", api_killed),
    Case("preload broken", "nobody works without models", preload_broken),
    Case("clock +1 h, -1 h", "nothing ends early or late", clock_stepped, clock_kept=False),
    Case("poison video", "three attempts, the signal's name", poison_is_named, short=True),
    Case("weights deleted", "what is loaded works on", weights_deleted),
)

MIXABLE: tuple[Break, ...] = (
    child_dies(signal.SIGKILL),
    child_dies(signal.SIGSEGV),
    worker_killed,
    worker_told_to_stop(signal.SIGQUIT),
    worker_frozen,
    broker_killed,
    broker_wiped,
    broker_cut_off,
    worker_cut_off,
    control_killed_in_aggregate,
    ledger_locked,
    disk_full,
    api_killed,
    poison,
)
"""The others bring conditions of their own, which no other fault may disturb."""


def mixed(seconds: float) -> Break:
    """One fault after the other, at random, with eight jobs under way all the time."""

    def case(site: Site, load: Load) -> list[str]:
        give_up, number, wrong = time.monotonic() + seconds, 100, []
        while time.monotonic() < give_up:
            fault = site.rng.choice(MIXABLE)
            try:
                wrong += fault(site, load) or ()
            except Skip:
                continue
            except (AssertionError, Infrastructure, OSError) as error:
                wrong.append(f"{fault.__qualname__}: {type(error).__name__}: {error}")
            waiting = sum(ledger().job(job).state in OPEN_STATES for job in load.jobs[-4 * AT_ONCE :])
            while waiting < AT_ONCE:
                number, waiting = number + 1, waiting + 1
                load.jobs.append(hand_in(site, clip(site, number), ANALYZERS, {}))
        return wrong

    return case
