"""Two scalers in simulated time while the rate climbs: one that knows rate and backlog, and the one that is shipped."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from bench.cluster import Cluster, Work, by_group
from services.deployment.workers import worker_specs

UTILISATION = 0.7
"""Of the busiest group at the peak."""
SCALE_STEP_SECONDS = 30.0
"""How often a scaler looks; the one shipped starts at most one worker of each group in that time."""
WAITING_PER_WORKER = 2
"""Tasks of a queue that one worker may have waiting (`target` of k8s/components/scaling)."""
BACKLOG_SECONDS = 10.0
"""Within which the scaler that knows all wants what waits worked off. With 30 or 60 its 95th percentiles are higher."""
QUIET_SECONDS, CLIMB_SECONDS = 600.0, 60.0


def needed(work: Work, rate: float) -> dict[str, int]:
    """Workers of each group so that none is busier than planned."""
    return {name: max(1, math.ceil(rate * seconds / UTILISATION)) for name, seconds in by_group(work).items()}


def climb(low: float, high: float) -> list[float]:
    """Arrivals of 21 minutes whose rate climbs from low to high in its eleventh minute."""
    chance, now, found = random.Random(2), 0.0, []
    while now < 2 * QUIET_SECONDS + CLIMB_SECONDS:
        rate = low + (high - low) * min(1.0, max(0.0, (now - QUIET_SECONDS) / CLIMB_SECONDS))
        now += chance.expovariate(rate)
        found.append(now)
    return found


def autoscaled(work: Work, arrivals: Sequence[float], first: int, most: int, delay: float) -> Cluster:
    """A cluster that begins with `first` nodes; every half minute it orders all that rate and backlog ask for.

    No scaler that is shipped does that: it is how well one could do that knows rate and backlog, and has no most.
    """
    cluster = Cluster(dict.fromkeys(by_group(work), first))
    busiest = by_group(work)

    def bring(number: int) -> Generator[Any, Any, None]:
        yield cluster.clock.timeout(delay)
        for name in busiest:
            cluster.add(name, number)

    def watch() -> Generator[Any, Any, None]:
        ordered, came = first, 0
        while True:
            yield cluster.clock.timeout(SCALE_STEP_SECONDS)
            now = bisect_right(arrivals, cluster.clock.now)
            rate, came = (now - came) / SCALE_STEP_SECONDS, now
            waiting = max(sum(seconds for seconds, _ in queue.items) for queue in cluster.queues.values())
            wanted = min(most, math.ceil(rate * max(busiest.values()) / UTILISATION + waiting / BACKLOG_SECONDS))
            if wanted > ordered:
                cluster.clock.process(bring(wanted - ordered))
                ordered = wanted

    cluster.clock.process(watch())
    cluster.run(work, arrivals)
    return cluster


def most_workers() -> dict[str, int]:
    """How many workers of each group the scaling that is shipped starts at most."""
    return {one.name: one.most for one in worker_specs("gpu") if not one.controls}


def carried(work: Work, most: Mapping[str, int]) -> tuple[str, float]:
    """The group that is full first when each has its most workers, and the jobs a second that it then does."""
    return min(((name, most[name] / seconds) for name, seconds in by_group(work).items()), key=lambda one: one[1])


def as_shipped(work: Work, arrivals: Sequence[float], most: Mapping[str, int], delay: float) -> Cluster:
    """One worker of each group at first, scaled by KEDA and the HPA as k8s/components/scaling has it, upwards only.

    A group wants a worker for every two tasks that wait (one more for what workers hold), up to its most; it gets one
    each half minute. A quiet group that may have none has one here: it is quiet for seconds only.
    """
    cluster = Cluster(dict.fromkeys(by_group(work), 1))

    def bring(name: str) -> Generator[Any, Any, None]:
        yield cluster.clock.timeout(delay)
        cluster.add(name, 1)

    def watch() -> Generator[Any, Any, None]:
        ordered = dict(cluster.workers)
        while True:
            yield cluster.clock.timeout(SCALE_STEP_SECONDS)
            for name, queue in cluster.queues.items():
                wanted = min(most[name], math.ceil((len(queue.items) + 1) / WAITING_PER_WORKER))
                if wanted > ordered[name]:
                    ordered[name] += 1
                    cluster.clock.process(bring(name))

    cluster.clock.process(watch())
    cluster.run(work, arrivals)
    return cluster
