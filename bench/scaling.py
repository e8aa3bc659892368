"""What 100, 10,000 and 1,000,000 videos a day take: a discrete-event simulation of the gpu profile.

    python -m bench.scaling plan [--price 2.5] [--peak 2]      GPUs, latency, cost, autoscaling; one JSON line each
    python -m bench.scaling check [--jobs 60]                  one point really run here against its simulation

Service times are those of docs/performance.md for a clip of ten seconds on one H100, where it has them, else what the
analyzer declares for the gpu profile (`cost_in`, measured there, too). An analyzer begins when those that it reads have
ended, as in the service. Groups that share a GPU slow one another down more when many clips are in flight than they do
for one: `sharing` is by how much, from the clips an hour that were measured against those of these times alone.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import click
import simpy

from bench.idle import Idle, idle_service
from tasks.registry import analyzers, dependencies, levels

CLIP_SECONDS = 10.0
CLIPS_AN_HOUR = 1731.0
"""One H100, a worker of every group, 16 clips handed in at once (`16_in_flight` of docs/performance.md)."""
MEASURED = {
    "qwen2_vl_temporal": 1.93,
    "speech_transcription": 0.96,
    "background_segmentation": 0.67,
    "gesture_recognition": 0.65,
    "object_detection": 0.54,
    "text_overlay": 0.46,
    "camera_analysis": 0.39,
    "visual_effects": 0.37,
    "content_quality": 0.41,
    "blip2_caption": 0.35,
    "cut_analysis": 0.26,
    "face_detection": 0.23,
    "age_estimation": 0.18,
    "body_pose": 0.18,
    "eye_tracking": 0.17,
    "sound_effects": 0.12,
}
"""Seconds of a clip: the longest of the job without words to search for, others of the last one with (the same)."""
MEASURED_JOBS, AT_ONCE = 16, 16
UTILISATION = 0.7
"""Of the busiest group at the peak."""
BEGIN_SECONDS = 0.05
"""From the last outcome that an analyzer waits for to its task in the queue: chord, control worker, ledger."""
DAY = 86_400.0
SIMULATED_JOBS = 12_000
SCALE_STEP_SECONDS, CATCH_UP_SECONDS = 30.0, 120.0
"""How often the scaler looks, and how soon it wants what waits to be done."""
RATES = (100, 10_000, 1_000_000)
SCALED = 100_000
"""Videos a day of the climb."""
QUIET_SECONDS, CLIMB_SECONDS = 600.0, 60.0
DELAYS = (0.0, 40.0, 300.0)
"""Seconds until a new worker works: none; models loaded and files hashed, as measured; with a machine to boot first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One analyzer's work on one video, and the analyzers that must have ended before it begins."""

    name: str
    group: str
    seconds: float
    after: tuple[str, ...] = ()


Work = tuple[Piece, ...]


def gpu_work() -> Work:
    """The work of one clip in the gpu profile, in the order in which the service sends it."""
    costs = {one.name: one.seconds_per_second("gpu") for one in analyzers().values()}
    return tuple(
        Piece(one.name, one.group, MEASURED.get(one.name, costs[one.name] * CLIP_SECONDS), dependencies(one))
        for level in levels(analyzers().values(), costs)
        for one in level
    )


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


def clips_an_hour(work: Work) -> float:
    """What one GPU with a worker of every group brings when so many clips are always in flight, as was measured."""
    one = Cluster(dict.fromkeys(by_group(work), 1))
    one.keep_busy(work, MEASURED_JOBS, AT_ONCE)
    return MEASURED_JOBS / float(one.clock.now) * 3600


def sharing(work: Work) -> float:
    """How much longer work takes on a GPU that all groups share than alone: simulated clips an hour over measured."""
    return clips_an_hour(work) / CLIPS_AN_HOUR


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


def needed(work: Work, rate: float) -> dict[str, int]:
    """Workers of each group so that none is busier than planned."""
    return {name: max(1, math.ceil(rate * seconds / UTILISATION)) for name, seconds in by_group(work).items()}


def plan_for(videos: int, price: float, peak: float) -> None:
    """Print one rate: workers, GPUs, latency at the peak, cost."""
    alone = gpu_work()
    work = slowed(alone, sharing(alone))
    rate = videos / DAY * peak
    workers = needed(work, rate)
    gpus = max(workers.values())
    everywhere = Cluster(dict.fromkeys(workers, gpus))
    jobs = min(SIMULATED_JOBS, max(200, videos))
    everywhere.run(work, poisson(rate, jobs))
    ended = everywhere.clock.now
    print(
        json.dumps(
            {
                "videos_a_day": videos,
                "peak_rate_a_second": round(rate, 4),
                "workers_needed": workers,
                "gpus": gpus,
                "busy": {name: round(seconds / gpus / ended, 2) for name, seconds in everywhere.busy.items()},
                "latency_seconds": percentiles([took for _, took in everywhere.latencies]),
                "dollars_per_1000_videos": round(gpus * 24 * price / videos * 1000, 2),
                "gpu_price_per_hour": price,
                "simulated_jobs": jobs,
            }
        ),
        flush=True,
    )


def climb(low: float, high: float) -> list[float]:
    """Arrivals of 21 minutes whose rate climbs from low to high in its eleventh minute."""
    chance, now, found = random.Random(2), 0.0, []
    while now < 2 * QUIET_SECONDS + CLIMB_SECONDS:
        rate = low + (high - low) * min(1.0, max(0.0, (now - QUIET_SECONDS) / CLIMB_SECONDS))
        now += chance.expovariate(rate)
        found.append(now)
    return found


def autoscaled(work: Work, arrivals: Sequence[float], first: int, most: int, delay: float) -> Cluster:
    """A cluster that begins with `first` nodes; every half minute it orders what rate and backlog ask for."""
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
            waiting = max(len(cluster.queues[name].items) * busiest[name] / len(arrivals) for name in busiest)
            wanted = min(most, math.ceil(rate * max(busiest.values()) / UTILISATION + (waiting > 0)))
            if wanted > ordered:
                cluster.clock.process(bring(wanted - ordered))
                ordered = wanted

    cluster.clock.process(watch())
    cluster.run(work, arrivals)
    return cluster


def autoscaling(videos: int, peak: float) -> None:
    """Print what the delay of a new worker does to the 95th percentile while the rate climbs to its peak."""
    alone = gpu_work()
    work = slowed(alone, sharing(alone))
    low, high = videos / DAY / peak, videos / DAY * peak
    arrivals = climb(low, high)
    first, most = max(needed(work, low).values()), max(needed(work, high).values()) * 2
    for delay in DELAYS:
        cluster = autoscaled(work, arrivals, first, most, delay)
        climbing = [took for at, took in cluster.latencies if at > QUIET_SECONDS]
        said = {"videos_a_day": videos, "delay_seconds": delay, "gpus_before": first}
        gpus = max(cluster.workers.values())
        print(json.dumps({**said, "gpus_after": gpus, "latency_seconds": percentiles(climbing)}), flush=True)


@click.group()
def main() -> None:
    """Simulate."""


@main.command()
@click.option("--price", default=2.5, show_default=True, help="Dollars for one GPU hour: an assumption, not a quote.")
@click.option("--peak", default=2.0, show_default=True, help="Rate of the busiest hours over the day's mean.")
def plan(price: float, peak: float) -> None:
    """Three rates, and a climb to the peak with autoscaling."""
    alone = gpu_work()
    single = Cluster(dict.fromkeys(by_group(alone), 1))
    single.run(alone, [0.0])
    said = {"one_clip_alone_seconds": round(single.clock.now, 2), "clips_an_hour_unshared": round(clips_an_hour(alone))}
    print(json.dumps({**said, "sharing": round(sharing(alone), 3)}), flush=True)
    for videos in RATES:
        plan_for(videos, price, peak)
    autoscaling(SCALED, peak)


@main.command()
@click.option("--jobs", default=60, show_default=True)
@click.option("--rate", default=0.7, show_default=True, help="Jobs a second.")
@click.option("--workers", default=2, show_default=True)
@click.option("--pieces", default=5, show_default=True)
@click.option("--seconds", default=0.4, show_default=True, help="Of each piece.")
def check(jobs: int, rate: float, workers: int, pieces: int, seconds: float) -> None:
    """The real service with analyzers that sleep so long, jobs coming at random, against the simulation of the same."""
    arrivals = poisson(rate, jobs)

    def one(idle: Idle, began: float, at: float) -> float:
        time.sleep(max(0.0, began + at - time.perf_counter()))
        idle.whole(pieces, seconds=seconds)
        return time.perf_counter() - began - at

    with idle_service(workers=workers, noops=pieces) as idle:
        idle.whole(pieces)
        job_of_one, job_of_all = (statistics.median(_timed(idle, number) for _ in range(7)) for number in (1, pieces))
        began = time.perf_counter()
        with ThreadPoolExecutor(jobs) as pool:
            real = list(pool.map(lambda at: one(idle, began, at), arrivals))
    overhead = max(0.0, job_of_all - job_of_one) / max(1, pieces - 1) * workers
    cluster = Cluster({"noop": workers}, begin_seconds=job_of_one)
    cluster.run(tuple(Piece(f"noop {number}", "noop", seconds + overhead) for number in range(pieces)), arrivals)
    simulated = percentiles([took for _, took in cluster.latencies])
    load = {"jobs": jobs, "rate": rate, "workers": workers, "busy": round(rate * pieces * seconds / workers, 2)}
    added = {"job_of_one_noop_seconds": round(job_of_one, 3), "each_more_seconds": round(overhead / workers, 4)}
    print(json.dumps({**load, **added, "really": percentiles(real), "simulated": simulated}))


def _timed(idle: Idle, pieces: int) -> float:
    """Seconds of a job of no-ops."""
    began = time.perf_counter()
    idle.whole(pieces)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
