"""The Celery app and its settings. Why each setting stands as it does is measured in docs/decisions.md."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from celery import Celery, Task, signals
from celery.backends.redis import RedisBackend
from kombu import Queue, pools

from shared import traces
from shared.broker_tls import tls
from shared.errors import Infrastructure
from shared.groups import CONTROL, groups
from shared.log import configure_logging
from shared.settings import settings
from tasks.beat import Steady
from tasks.registry import analyzers, task_name

PRIORITIES = 10
VISIBILITY_SECONDS = 30

_tracing = ExitStack()
"""What the task that runs now continues; a process runs one at a time."""


class Durable(Task[Any, Any]):
    """A full disk or a locked ledger may be over in a minute: every task is tried again."""

    Request = "tasks.worker:WatchedRequest"
    autoretry_for = (Infrastructure,)
    retry_backoff = True
    max_retries = 5


class Chords(RedisBackend):
    """Counts what chords wait for. Nobody waits for a result: a subscription to each would stay in Redis for ever."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: FBT001, FBT002  (Celery's own signature)
        """Nothing to wait for."""
        return result


app = Celery(
    "reelgraph",
    task_cls=Durable,
    include=[
        "tasks.workflow",
        "tasks.analyze",
        "tasks.prepare",
        "tasks.aggregate",
        "tasks.webhook",
        "tasks.reconcile",
        "tasks.sweep",
        "tasks.worker",
    ],
)


def _use_broker() -> None:
    """Take the broker's address from the settings, and over TLS its terms."""
    url = settings().broker
    terms = tls(url)
    app.conf.update(broker_url=url, broker_use_ssl=terms or False, result_backend=url, redis_backend_use_ssl=terms)


_use_broker()
app.loader.override_backends = dict.fromkeys(("redis", "rediss"), f"{__name__}:Chords")
app.conf.update(
    task_queues=[Queue(name) for name in groups()],
    task_default_queue=CONTROL,
    task_routes={task_name(name): {"queue": analyzer.group} for name, analyzer in analyzers().items()},
    task_create_missing_queues=False,
    task_default_priority=5,
    # a task survives its worker: it is acknowledged after its work and comes back when the process dies
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_proc_alive_timeout=settings().preload_seconds,
    worker_soft_shutdown_timeout=3.0,
    worker_hijack_root_logger=False,
    # Flower turns them on where it runs
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "priority_steps": list(range(PRIORITIES)),
        "queue_order_strategy": "priority",
        "sep": ":",
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
    },
    result_backend_transport_options={"socket_timeout": 30},
    result_backend_always_retry=True,
    result_backend_max_retries=10,
    result_expires=24 * 3600,
    beat_schedule={
        "reconcile": {
            "task": "reconcile",
            "schedule": Steady(timedelta(seconds=5)),
            "options": {"queue": CONTROL, "expires": 5, "priority": 0},
        },
        "sweep": {
            "task": "sweep",
            "schedule": Steady(timedelta(seconds=600)),
            "options": {"queue": CONTROL, "expires": 600, "priority": 9},
        },
    },
    beat_max_loop_interval=5,
    beat_scheduler="tasks.beat:SteadyScheduler",
)


def reconnect() -> None:
    """Use the broker of the settings as they are now; connections to the one before are dropped."""
    pools.reset()
    app.close()
    _use_broker()
    del app.amqp


@signals.before_task_publish.connect
def _carry_trace(headers: dict[str, Any], **_: object) -> None:
    headers.update(traces.carrier())


@signals.task_prerun.connect
def _continue_trace(task: Task[Any, Any], **_: object) -> None:
    """Until the task has queued what comes after it, which is later than its own return."""
    parent = getattr(task.request, "traceparent", None)
    _tracing.enter_context(traces.continued({"traceparent": parent} if parent else None))


@signals.task_postrun.connect
def _leave_trace(**_: object) -> None:
    _tracing.close()


@signals.worker_process_shutdown.connect
def _send_traces(**_: object) -> None:
    traces.flush()


@signals.celeryd_init.connect
def _configure_logging_soon(**_: object) -> None:
    """Before Celery warns of what it finds: it configures logging only after that."""
    configure_logging("INFO", json=settings().log_json)


@signals.setup_logging.connect
def _configure_logging(loglevel: int | str = "INFO", **_: object) -> None:
    level = loglevel if isinstance(loglevel, str) else min(loglevel, logging.INFO)  # Celery's default hides what we say
    configure_logging(level, json=settings().log_json)
