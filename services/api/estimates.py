"""How far a job is, and when it will be done. What is not known from earlier runs is null, never a guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.groups import CONTROL, workers
from shared.listing import open_before, realtime_factors, runs_of
from shared.settings import settings
from shared.tables import Job, Run
from tasks.node import ledger
from tasks.plan import refused
from tasks.registry import AnyAnalyzer, analyzers, asked_for

KEPT_SECONDS = 10.0


@dataclass(slots=True)
class _Costs:
    """What recent receipts say, read again every few seconds."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    read_at: dict[str, float] = field(default_factory=dict)
    factors: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, profile: str) -> Mapping[str, float]:
        with self.lock:
            if time.monotonic() - self.read_at.get(profile, -KEPT_SECONDS) >= KEPT_SECONDS:
                self.factors[profile] = realtime_factors(ledger(), profile)
                self.read_at[profile] = time.monotonic()
            return self.factors[profile]


_costs = _Costs()


def progress(job: Job, runs: Mapping[str, Run]) -> float:
    """The share of the expected work that has ended, 0..1, by the analyzers' measured costs.

    Of a cancelled job: that was done when it ended.
    """
    if job.finished_at is not None and job.state != "cancelled":
        return 1.0
    known = analyzers()
    weights = {
        name: known[name].cost if name in known else 0.0
        for name, run in runs.items()
        if run.status not in ("unavailable", "skipped")  # no work was expected of them
    }
    total = sum(weights.values())
    ended = sum(weight for name, weight in weights.items() if runs[name].status not in (None, "cancelled"))
    return round(ended / total, 4) if total else 0.0


def estimate_seconds(job: Job, runs: Mapping[str, Run]) -> float | None:
    """Seconds until an open job is done: work left in it and before it, shared by the workers that analyse.

    None when an analyzer that has to run has no receipt yet, or when the work takes longer than receipts say, and until
    the job is planned: what the cache answers is not known before.
    """
    if not runs:
        return None
    remaining = _remaining(job, runs)
    if remaining is None:
        return None
    others = open_before(ledger(), job)
    known = runs_of(ledger(), others)
    work = sum(remaining)
    for other in others:
        left = _remaining(other, known[other.id])
        if left is None:
            return None
        work += sum(left)
    sharing = sum(CONTROL not in queues for queues in workers(job.profile).values())
    seconds = max(work / max(1, sharing), max(remaining, default=0.0))
    return round(seconds, 1) if seconds > 0 else None


def _remaining(job: Job, runs: Mapping[str, Run]) -> tuple[float, ...] | None:
    """Seconds of work left of each analyzer that has not ended; None when one is unknown."""
    factors = _costs.of(job.profile)
    duration = job.video.duration_seconds
    left = []
    for name in _to_run(job, runs):
        if name not in factors:
            return None
        run = runs.get(name)
        spent = time.time() - run.started_at if run is not None and run.started_at is not None else 0.0
        left.append(max(0.0, factors[name] * duration - spent))
    return tuple(left)


def _to_run(job: Job, runs: Mapping[str, Run]) -> tuple[str, ...]:
    if runs:
        return tuple(name for name, run in runs.items() if run.status is None)
    return tuple(analyzer.name for analyzer in _expected(job, asked_for(job.requested)))


def _expected(job: Job, chosen: Iterable[AnyAnalyzer]) -> Iterable[AnyAnalyzer]:
    """Those that can look at this video at all; the cache may still answer for some."""
    media = job.video
    traits = settings().infer_personal_traits
    return (one for one in chosen if refused(one, job.profile, media, infer_personal_traits=traits) is None)
