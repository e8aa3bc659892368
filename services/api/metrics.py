"""What Prometheus reads: queues, jobs, analyzers, GPUs. Counted when it asks, from broker and ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import cast, get_args

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.errors import ReelgraphError
from shared.groups import groups
from shared.listing import jobs_by_state, tallies
from shared.log import logger
from shared.schema import JobState
from shared.settings import settings
from tasks.celery import PRIORITIES, app
from tasks.node import ledger

log = logger(__name__)


class _Deployment(Collector):
    """The whole deployment, whichever process is asked."""

    def collect(self) -> Iterable[Metric]:
        """Everything that can be had; `reelgraph_up` says of what stood still."""
        up = GaugeMetricFamily("reelgraph_up", "Whether it answered when these metrics were made.", labels=["what"])
        sources: tuple[tuple[str, Callable[[], Iterator[Metric]]], ...] = (
            ("broker", _of_broker),
            ("ledger", _of_ledger),
        )
        for what, source in sources:
            try:
                found = tuple(source())
            except (redis.RedisError, ReelgraphError) as error:
                log.warning("metrics_incomplete", what=what, error=str(error))
                up.add_metric([what], 0)
            else:
                up.add_metric([what], 1)
                yield from found
        yield up
        yield from _of_gpus()


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Deployment())
    return generate_latest(registry)


def _of_broker() -> Iterator[Metric]:
    """Kombu keeps one list a queue and priority, and unacknowledged tasks in a hash."""
    names = [(queue, priority) for queue in groups() for priority in range(PRIORITIES)]
    separator = app.conf.broker_transport_options["sep"]
    with redis.Redis.from_url(settings().broker, socket_timeout=2, socket_connect_timeout=2) as client:
        pipe = client.pipeline(transaction=False)
        for queue, priority in names:
            pipe.llen(f"{queue}{separator}{priority}" if priority else queue)
        pipe.hlen("unacked")
        *lengths, unacked = pipe.execute()
    queued = GaugeMetricFamily("reelgraph_queue_length", "Tasks that wait.", labels=["queue", "priority"])
    for (queue, priority), length in zip(names, lengths, strict=True):
        queued.add_metric([queue, str(priority)], length)
    yield queued
    yield GaugeMetricFamily("reelgraph_unacked_tasks", "Tasks that a worker holds.", value=unacked)


def _of_ledger() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("reelgraph_jobs", "Jobs in the ledger.", labels=["state"])
    counted = jobs_by_state(ledger())
    for state in get_args(JobState):
        jobs.add_metric([state], counted.get(state, 0))
    yield jobs
    runs = CounterMetricFamily(
        "reelgraph_analyzer_runs", "Runs that have ended, of deleted jobs too.", labels=["analyzer", "status"]
    )
    seconds = CounterMetricFamily("reelgraph_analyzer_seconds", "From start to end, summed.", labels=["analyzer"])
    hits = CounterMetricFamily("reelgraph_cache_hits", "Outcomes that the cache had.", labels=["analyzer"])
    ran: dict[tuple[str, str], int] = {}
    spent: dict[str, float] = {}
    for tally in tallies(ledger()):
        if tally.cached:
            hits.add_metric([tally.analyzer], tally.runs)
            continue
        ran[tally.analyzer, tally.status] = ran.get((tally.analyzer, tally.status), 0) + tally.runs
        spent[tally.analyzer] = spent.get(tally.analyzer, 0.0) + tally.seconds
    for labels, count in ran.items():
        runs.add_metric(labels, count)
    for analyzer, total in spent.items():
        seconds.add_metric([analyzer], round(total, 3))
    yield from (runs, seconds, hits)


USED_BY_ALL = (
    "Memory in use by all processes, contexts included, and the driver (NVML); receipts count torch's tensors alone."
)


def _of_gpus() -> Iterator[Metric]:
    """Memory and use of this machine's NVIDIA GPUs; nothing where NVML or a GPU is missing."""
    with suppress(ImportError):
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        used = GaugeMetricFamily("reelgraph_gpu_memory_used_bytes", USED_BY_ALL, labels=["gpu"])
        total = GaugeMetricFamily("reelgraph_gpu_memory_total_bytes", "Memory there is.", labels=["gpu"])
        busy = GaugeMetricFamily("reelgraph_gpu_utilization_ratio", "Share of time at work.", labels=["gpu"])
        try:
            for number in range(cast("int", pynvml.nvmlDeviceGetCount())):
                device = pynvml.nvmlDeviceGetHandleByIndex(number)
                memory = pynvml.nvmlDeviceGetMemoryInfo(device)
                used.add_metric([str(number)], float(memory.used))
                total.add_metric([str(number)], float(memory.total))
                busy.add_metric([str(number)], pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        except pynvml.NVMLError as error:
            log.warning("gpu_metrics_incomplete", error=str(error))
        finally:
            pynvml.nvmlShutdown()
        yield from (used, total, busy)
