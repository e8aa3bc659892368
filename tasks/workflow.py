"""A job's way through the queues: prepare, then a chord per level, then aggregate.

An analyzer whose inputs have all ended before its level comes is begun at once: then no chord waits for it, and its end
calls `advance` itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import redis
from celery import Task, chain, chord
from celery.canvas import Signature
from kombu.exceptions import OperationalError

from shared.errors import Infrastructure
from shared.groups import CONTROL
from shared.tables import Job
from tasks.aggregate import aggregate
from tasks.analyze import analysis
from tasks.celery import app
from tasks.node import events, ledger
from tasks.plan import Plan
from tasks.prepare import prepare
from tasks.registry import analyzers, dependencies

SINCE_KEY = "reelgraph:since"


def submit(job: Job) -> None:
    """Queue a job that stands in the ledger. Raises Infrastructure when the broker cannot be reached."""
    try:
        broker_since()
        chain(_control(prepare.si(job.id), job), _control(advance.si(job.id, 0), job)).apply_async()
    except (redis.RedisError, OperationalError) as error:
        raise Infrastructure(f"the broker cannot be reached: {error}", code="broker_unreachable") from error


def broker_since() -> float:
    """Since when, in seconds since the epoch, the broker has kept what it was given; now, if it was wiped or is new."""
    pipe = events().client.pipeline(transaction=False)
    pipe.set(SINCE_KEY, time.time(), nx=True)
    pipe.get(SINCE_KEY)
    return float(cast("bytes", pipe.execute()[1]))


@app.task(name="advance", bind=True, ignore_result=True)
def advance(task: Task[[str, int], None], job_id: str, level: int) -> None:
    """Begin a level when the one before has ended, or close the job after the last. Only the first call does it."""
    job = ledger().job(job_id)
    if job.plan is None or job.state != "running":
        return
    plan = Plan.of(job)
    if level > len(plan.levels) or (level > 0 and not _has_ended(job, plan.levels[level - 1])):
        return
    died_on_the_way = bool((task.request.delivery_info or {}).get("redelivered")) and job.level == level
    if not (ledger().advance(job_id, level) or died_on_the_way):
        return
    if level == len(plan.levels):
        aggregate(job_id)
        return
    names = _known(plan.levels[level])
    if died_on_the_way:
        ledger().queue(job_id, names)
    waiting = names if died_on_the_way else ledger().claim(job_id, names)
    then = _then(job, level)
    if waiting:
        chord([_step(job, plan, name) for name in waiting])(then.on_error(then.clone()))
    else:
        then.apply_async()
    if level + 1 < len(plan.levels):
        _begin_ready(job_id)


@app.task(name="begin_ready", ignore_result=True)
def begin_ready(job_id: str) -> None:
    """Begin what waits for nothing but its level. Running it twice does no harm."""
    _begin_ready(job_id)


def _begin_ready(job_id: str) -> None:
    job = ledger().job(job_id)
    if job.plan is None or job.state != "running":
        return
    plan = Plan.of(job)
    if job.level + 1 >= len(plan.levels):
        return
    unended = {name for name, ending in ledger().endings(job_id).items() if ending.status is None}
    for level, names in enumerate(plan.levels):
        if level <= job.level:
            continue
        ready = [name for name in _known(names) if not unended.intersection(dependencies(analyzers()[name]))]
        for name in ledger().claim(job_id, ready):
            _at_its_end(_step(job, plan, name), _then(job, level)).apply_async()


def _step(job: Job, plan: Plan, name: str) -> Signature[Any]:
    """An analyzer's task; what only waits for it is begun at its end."""
    step = analysis(job, plan, name)
    later = (other for names in plan.levels[job.level + 1 :] for other in _known(names))
    if any(name in dependencies(analyzers()[other]) for other in later):
        return _at_its_end(step, _control(begin_ready.si(job.id), job))
    return step


def _at_its_end(step: Signature[Any], then: Signature[Any]) -> Signature[Any]:
    """Call `then` when the step has ended, whichever way."""
    step.link(then)
    step.link_error(then.clone())
    return step


def _known(names: Sequence[str]) -> list[str]:
    """Without those that this version has no analyzer for: the reconciler ends them."""
    return [name for name in names if name in analyzers()]


def _then(job: Job, level: int) -> Signature[Any]:
    return _control(advance.si(job.id, level + 1), job)


def _has_ended(job: Job, names: Sequence[str]) -> bool:
    """Whether all these runs have ended.

    A chord that lost its keys, or a header task that found its run held, may call too early: then the reconciler calls
    again.
    """
    ended = ledger().endings(job.id, names)
    return all(ended[name].status is not None for name in names)


def _control(signature: Signature[Any], job: Job) -> Signature[Any]:
    return signature.set(queue=CONTROL, priority=job.priority)
