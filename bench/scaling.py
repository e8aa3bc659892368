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
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import click

from bench.cluster import Cluster, Piece, Work, by_group, percentiles, poisson, slowed
from bench.idle import Idle, idle_service
from bench.scalers import QUIET_SECONDS, as_shipped, autoscaled, carried, climb, most_workers, needed
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
DAY = 86_400.0
SIMULATED_JOBS = 12_000
RATES = (100, 10_000, 1_000_000)
SCALED, SCALED_AS_SHIPPED = 100_000, (10_000, 25_000, 100_000)
"""Videos a day of the climb."""
DELAYS = (0.0, 40.0, 300.0)
"""Seconds until a new worker works: none; models loaded and files hashed, as measured; with a machine to boot first."""


def gpu_work() -> Work:
    """The work of one clip in the gpu profile, in the order in which the service sends it."""
    costs = {one.name: one.seconds_per_second("gpu") for one in analyzers().values()}
    return tuple(
        Piece(one.name, one.group, MEASURED.get(one.name, costs[one.name] * CLIP_SECONDS), dependencies(one))
        for level in levels(analyzers().values(), costs)
        for one in level
    )


def clips_an_hour(work: Work) -> float:
    """What one GPU with a worker of every group brings when so many clips are always in flight, as was measured."""
    one = Cluster(dict.fromkeys(by_group(work), 1))
    one.keep_busy(work, MEASURED_JOBS, AT_ONCE)
    return MEASURED_JOBS / float(one.clock.now) * 3600


def sharing(work: Work) -> float:
    """How much longer work takes on a GPU that all groups share than alone: simulated clips an hour over measured."""
    return clips_an_hour(work) / CLIPS_AN_HOUR


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


def scaling_as_shipped(videos: int, peak: float) -> None:
    """Print what `k8s/overlays/prod` makes of the same climb."""
    alone = gpu_work()
    work, most = slowed(alone, sharing(alone)), most_workers()
    arrivals = climb(videos / DAY / peak, videos / DAY * peak)
    fullest, rate = carried(work, most)
    bound = {
        "full_first": fullest,
        "carried_a_second": round(rate, 3),
        "peak_rate_a_second": round(videos / DAY * peak, 3),
    }
    for delay in DELAYS[1:]:
        cluster = as_shipped(work, arrivals, most, delay)
        climbing = [took for at, took in cluster.latencies if at > QUIET_SECONDS]
        said = {"videos_a_day": videos, "scaler": "as shipped", "delay_seconds": delay, **bound}
        after = {"workers_after": cluster.workers, "latency_seconds": percentiles(climbing)}
        print(json.dumps({**said, **after}), flush=True)


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
    for videos in SCALED_AS_SHIPPED:
        scaling_as_shipped(videos, peak)


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
