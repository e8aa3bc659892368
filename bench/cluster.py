"""Workers of every group in simulated time (SimPy), and jobs that come at random."""

from __future__ import annotations

import random
import statistics
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import simpy

BEGIN_SECONDS = 0.05
"""From the last outcome that an analyzer waits for to its task in the queue: chord, control worker, ledger."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One analyzer's work on one video, and the analyzers that must have ended before it begins."""

    name: str
    group: str
    seconds: float
    after: tuple[str, ...] = ()


Work = tuple[Piece, ...]


def by_group(work: Work) -> dict[str, float]:
    """Seconds of each group for one video."""
    found: dict[str, float] = {}
    for piece in work:
        found[piece.group] = found.get(piece.group, 0.0) + piece.seconds
    return found


def slowed(work: Work, factor: float) -> Work:
    """The same work where every piece takes longer."""
    return tuple(replace(one, seconds=one.seconds * factor) for one in work)


class Cluster:
    """Workers of every group in simulated time, and what jobs took. Each worker does one piece at a time, in order."""

    def __init__(self, workers: Mapping[str, int], *, begin_seconds: float = BEGIN_SECONDS) -> None:
        self.clock = simpy.Environment()
        self.queues: dict[str, Any] = {name: simpy.Store(self.clock) for name in workers}
        self.workers: dict[str, int] = {}
        self.busy: dict[str, float] = dict.fromkeys(workers, 0.0)
        self.latencies: list[tuple[float, float]] = []
        """Seconds since the start at which a job came, and what it took."""
        self._begin_seconds = begin_seconds
        for name, number in workers.items():
            self.add(name, number)

    def add(self, group: str, number: int) -> None:
        """So many workers more, now."""
        self.workers[group] = self.workers.get(group, 0) + number
        for _ in range(number):
            self.clock.process(self._worker(group))

    def run(self, work: Work, arrivals: Sequence[float]) -> None:
        """Let jobs come at these seconds and work until all have ended."""
        jobs = [self.clock.process(self._job(work, at)) for at in arrivals]
        self.clock.run(until=self.clock.all_of(jobs))

    def keep_busy(self, work: Work, jobs: int, at_once: int) -> None:
        """Do so many jobs, a new one as soon as one has ended."""

        def client(number: int) -> Generator[Any, Any, None]:
            for _ in range(number):
                yield self.clock.process(self._job(work, 0.0))

        clients = [self.clock.process(client(jobs // at_once)) for _ in range(at_once)]
        self.clock.run(until=self.clock.all_of(clients))

    def _worker(self, group: str) -> Generator[Any, Any, None]:
        while True:
            seconds, done = yield self.queues[group].get()
            yield self.clock.timeout(seconds)
            self.busy[group] += seconds
            done.succeed()

    def _job(self, work: Work, at: float) -> Generator[Any, Any, None]:
        yield self.clock.timeout(at)
        ended = {piece.name: self.clock.event() for piece in work}
        for piece in work:
            self.clock.process(self._begin(piece, ended))
        yield self.clock.all_of(list(ended.values()))
        self.latencies.append((at, self.clock.now - at))

    def _begin(self, piece: Piece, ended: Mapping[str, Any]) -> Generator[Any, Any, None]:
        yield self.clock.all_of([ended[name] for name in piece.after])
        yield self.clock.timeout(self._begin_seconds)
        self.queues[piece.group].put((piece.seconds, ended[piece.name]))


def poisson(rate: float, jobs: int, seed: int = 1) -> list[float]:
    """Seconds at which jobs come, `rate` a second on average, independently of one another."""
    chance = random.Random(seed)
    now, found = 0.0, []
    for _ in range(jobs):
        now += chance.expovariate(rate)
        found.append(now)
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the 95th of 100."""
    ordered = sorted(seconds)
    return {"p50": round(statistics.median(ordered), 2), "p95": round(ordered[int(len(ordered) * 0.95)], 2)}
