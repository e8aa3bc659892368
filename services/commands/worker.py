"""`reelgraph worker`: one Celery worker for some groups."""

from __future__ import annotations

import os
import sys

import click

from shared.errors import BadInput
from shared.groups import CONTROL, groups, workers
from shared.settings import settings
from tasks.loading import budget_mib, devices_shown
from tasks.registry import check_models


@click.command()
@click.option("--groups", "names", required=True, metavar="A,B", help="Groups (queues) to serve.")
@click.option(
    "--name", help="Unique name of the worker; %h is the host.  [default: the groups and pidN, N the process]"
)
def worker(names: str, name: str | None) -> None:
    """Run one Celery worker that preloads its models, then takes work from its groups' queues.

    On which GPU: REELGRAPH_GPU, else what groups.toml plans for the name, else for the groups, if that is one GPU. An
    exported CUDA_VISIBLE_DEVICES counts as all GPUs there are. How much of it: REELGRAPH_GPU_MEMORY_MIB, else as
    groups.toml has it; groups that are planned as one worker start as one.

    The broker is REELGRAPH_BROKER_URL. The same by hand: celery -A tasks worker -Q GROUP -n NAME@%h
    """
    queues = list(dict.fromkeys(one.strip() for one in names.split(",") if one.strip()))  # named twice is served once
    unknown = [one for one in queues if one not in groups()]
    if unknown or not queues:
        raise BadInput(f"unknown group {', '.join(unknown) or names!r}; there are {', '.join(groups())}")
    workers(settings().profile)  # refuses an unknown one
    check_models(settings().profile)
    if settings().broker_url is None:
        raise BadInput("a worker needs a broker: set REELGRAPH_BROKER_URL to its redis:// URL", code="no_broker")
    node = name or f"{'-'.join(queues)}-pid{os.getpid()}@%h"  # 1 in a container, where vlm-1 would be a planned copy
    devices_shown(node, queues)  # both refuse here, before Celery starts
    budget_mib(node, queues)
    beat = ["-B", "-s", str(settings().data_dir / "beat")] if CONTROL in queues else []
    argv = ["-m", "celery", "--quiet", "-A", "tasks", "worker", "-Q", ",".join(queues), "-n", node, *beat]
    os.execv(sys.executable, [sys.executable, *argv])  # noqa: S606  (the command becomes the worker)
