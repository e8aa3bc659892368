"""What a Celery worker does beside running tasks: wait for its children's models, keep its tasks invisible.

The two bootsteps use Celery's and kombu's insides as measured with the pinned versions; tests hold them to it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import redis
from billiard.exceptions import WorkerLostError
from celery import bootsteps, signals
from celery.concurrency.prefork import TaskPool
from celery.exceptions import WorkerTerminate
from celery.worker import state
from celery.worker.control import control_command
from celery.worker.request import Request

from shared import traces
from shared.errors import BadInput, Infrastructure, ReelgraphError
from shared.groups import workers
from shared.log import logger
from shared.settings import settings
from shared.tables import new_id
from tasks.aggregate import stopped_at_limit
from tasks.celery import VISIBILITY_SECONDS, app
from tasks.child import (
    NAME,
    PRELOAD_FAILED,
    QUEUES,
    START,
    leave,
    loaded_marks,
    not_loaded,
    ready_mark,
    refusal,
    refused,
    run_folder,
    say_alive,
    say_gone,
    unload_mark,
)
from tasks.loading import NotLoaded, budget_mib, memory_bound_mib, show_devices
from tasks.node import ledger
from tasks.registry import analyzers, check_models, task_name

HEARTBEAT_SECONDS = VISIBILITY_SECONDS / 4

# no model hub is ever asked while a video is analysed
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

UNLOADING = "unloading"
BAD_SETTINGS = 2  # what the command line ends with for bad input

ANALYZER_OF = {task_name(name): name for name in analyzers()}

log = logger(__name__)


class WatchedRequest(Request):
    """A task in the worker's parent, which alone learns what its child has died of."""

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Note the death of a child in the ledger before the task goes back to its queue."""
        cause = exc_info.exception
        cause = getattr(cause, "exc", cause)  # as it came out of the child
        if self.task.name in ANALYZER_OF and isinstance(cause, SystemExit | WorkerLostError):
            self._note_death(died_of(str(cause)))
        return super().on_failure(exc_info, *args, **kwargs)

    def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001  (Celery's own signature)
        """End the run whose child is killed at its hard limit, before the chord hears of it."""
        if not soft and self.task.name in ANALYZER_OF:
            try:
                stopped_at_limit(str(self.args[0]), ANALYZER_OF[self.task.name])
            except ReelgraphError as error:  # the reconciler finds out by the silence
                log.warning("limit_not_noted", task=self.task.name, error=error.message)
        return super().on_timeout(soft, timeout)

    def _note_death(self, what: str) -> None:
        name, job_id = ANALYZER_OF[self.task.name], str(self.args[0])
        try:
            noted = ledger().child_died(job_id, name, holder=self.hostname, died_of=what)
        except Infrastructure as error:  # the reconciler finds out by the silence
            log.warning("death_not_noted", job=job_id, analyzer=name, died_of=what, error=error.message)
        else:
            if noted:
                log.warning("child_died", job=job_id, analyzer=name, died_of=what)


def died_of(message: str) -> str:
    """The signal's name or the exit code in what billiard says of a process that ended: `SIGSEGV`, `exitcode 1`."""
    found = re.search(r"signal \d+ \((\w+)\)|(signal \d+)|(exitcode \S+)", message)
    return next(filter(None, found.groups())) if found else message


@signals.celeryd_init.connect
def _bound_memory(conf: Any, options: Any, **_: object) -> None:
    """Have a child replaced after the task by which it grew beyond what its worker may hold."""
    queues = options.get("queues") or ()
    queues = queues.split(",") if isinstance(queues, str) else queues
    if (most := memory_bound_mib(tuple(queues))) is not None:
        conf.worker_max_memory_per_child = most << 10  # KiB


@signals.celeryd_after_setup.connect
def _set_up(instance: Any, **_: object) -> None:
    traces.check()
    queues = tuple(instance.app.amqp.queues.consume_from)
    try:
        workers(settings().profile)  # refuses an unknown one
        check_models(settings().profile)
        show_devices(instance.hostname, queues)
        budget_mib(instance.hostname, queues)  # refused here, before a child loads
    except BadInput as error:
        log.critical("not_started", worker=instance.hostname, reason=error.message)
        raise SystemExit(BAD_SETTINGS) from error
    os.environ.update(OFFLINE)
    os.environ[QUEUES], os.environ[NAME] = ",".join(queues), instance.hostname
    os.environ[START] = new_id()
    say_alive(instance.hostname)
    ready_mark(instance.hostname).unlink(missing_ok=True)  # of a worker of this name that was killed
    ledger().leave(instance.hostname, died_of="the end of its worker")


@control_command(args=[("group", str)], signature="GROUP")
def unload(_panel: Any, group: str) -> dict[str, str]:
    """Let the children of this worker go of their models, when their work is done, if it serves the group."""
    if group not in os.environ[QUEUES].split(","):
        return {"ok": f"serves no {group}"}
    unload_mark().touch()
    return {"ok": UNLOADING}


def unavailable_here() -> dict[str, NotLoaded]:
    """The analyzers that a child of this worker could not load, and why."""
    return {name: why for mark in loaded_marks() for name, why in not_loaded(mark).items()}


def nothing_works(missing: Mapping[str, NotLoaded]) -> str:
    """What to say of a worker none of whose analyzers was loaded, which takes their tasks so that no job waits."""
    first = min(missing)
    what = "none of its analyzers can work, so it answers every job with the reason alone"
    return f"{what}; {', '.join(sorted(missing))}. {first}: {missing[first].message}"


@signals.worker_ready.connect
def _say_ready(sender: Any, **_: object) -> None:
    queues = os.environ[QUEUES]
    missing = unavailable_here()
    leave(ready_mark(sender.hostname), json.dumps(missing))
    served = [one.name for one in analyzers().values() if one.group in queues.split(",")]
    able = [name for name in served if name not in missing]
    if able or not served:
        log.info("ready", worker=sender.hostname, queues=queues, analyzers=able, unavailable=sorted(missing))
    else:
        log.error("ready_for_nothing", worker=sender.hostname, queues=queues, reason=nothing_works(missing))


@signals.worker_shutdown.connect
def _say_gone(sender: Any, **_: object) -> None:
    ready_mark(sender.hostname).unlink(missing_ok=True)
    say_gone()
    try:
        ledger().leave(sender.hostname)
    except Infrastructure as error:  # the reconciler finds out by the silence
        log.warning("not_left", worker=sender.hostname, error=error.message)


def told_to_stop() -> bool:
    """Whether a signal has asked this worker to end, at once or after its tasks."""
    flags: tuple[object, ...] = (state.should_stop, state.should_terminate)  # an exit code, 0 as well, once it is asked
    return any(asked is not None and asked is not False for asked in flags)


def cut_short(code: int) -> str:
    """What to say of a child that ended with this exit code, or by the signal of this negative one, while it loaded."""
    if code == -signal.SIGKILL:
        return "a child was killed (SIGKILL) while it loaded the models: most likely the machine's memory ran out"
    name = f" ({signal.Signals(-code).name})" if -code in set(signal.Signals) else ""
    return f"a child ended with exit code {code}{name} while it loaded the models"


class PreloadGate(bootsteps.StartStopStep):
    """A worker takes no task before its children have loaded their models."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Wait for the first children's marks.

        Raises:
            SystemExit: they do not come in time, or cannot come.
            WorkerTerminate: the worker was told to stop; no task waits for its children.
        """
        run_folder().mkdir(parents=True, exist_ok=True)
        give_up = time.monotonic() + settings().preload_seconds
        while len(loaded_marks()) < parent.concurrency:
            reason = self._hopeless(parent, late=time.monotonic() > give_up)
            if told_to_stop():  # asked last: what stops this process may have stopped its children a moment before
                log.info("stopped_while_loading", worker=parent.hostname)
                raise WorkerTerminate(os.EX_OK)
            if reason:
                log.critical("not_preloaded", worker=parent.hostname, reason=reason)
                refusal().unlink(missing_ok=True)
                raise SystemExit(PRELOAD_FAILED)
            time.sleep(0.05)

    @staticmethod
    def _hopeless(parent: Any, *, late: bool) -> str:
        """Why waiting is of no use; empty when it may be. The pool replaces dead children only behind the gate."""
        if not isinstance(parent.pool, TaskPool):
            return "models are loaded in child processes: leave the pool at prefork"
        children = cast("Any", parent.pool)._pool._pool  # noqa: SLF001
        codes = [child.exitcode for child in children if child.exitcode is not None]
        if codes:
            return refused() or cut_short(codes[0])
        return f"the models were not loaded within {settings().preload_seconds:.0f} s" if late else ""

    def terminate(self, parent: Any) -> None:
        """Remove the marks."""
        for mark in (*loaded_marks(), unload_mark()):
            mark.unlink(missing_ok=True)

    def stop(self, parent: Any) -> None:
        """Remove the marks."""
        self.terminate(parent)


def held_tags() -> set[str]:
    """Delivery tags of the tasks that this worker runs or keeps for its children; called from any thread."""
    while True:
        try:
            return {request.message.delivery_tag for request in (*state.active_requests, *state.reserved_requests)}
        except RuntimeError:  # the main thread changed a set meanwhile
            continue


class VisibilityHeartbeat(bootsteps.StartStopStep):
    """Keeps the tasks that this worker holds from being handed to another one.

    A thread in the parent: a timer of the event loop would stop in a warm shutdown.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: object) -> None:
        self.thread: threading.Thread | None = None
        self.key = ""
        super().__init__(consumer, **options)

    def start(self, parent: Any) -> None:
        """Begin, once per worker; the key is read again after each reconnect."""
        self.key = parent.task_consumer.channel.unacked_index_key
        if self.thread is None:
            self.thread = threading.Thread(
                target=self._beat, args=(parent.app.conf.broker_url, parent.hostname), daemon=True
            )
            self.thread.start()

    def stop(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def terminate(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def shutdown(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def _beat(self, url: str, name: str) -> None:
        client = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            with suppress(FileNotFoundError):  # not ready yet, or ending
                os.utime(ready_mark(name))
            tags = held_tags()
            try:
                if tags:  # XX: a tag that was handed to another worker stays away
                    client.zadd(self.key, dict.fromkeys(tags, time.time()), xx=True)
            except redis.RedisError as error:
                log.warning("heartbeat_failed", error=str(error))


app.steps["worker"].add(PreloadGate)
app.steps["consumer"].add(VisibilityHeartbeat)
