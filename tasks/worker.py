"""What a Celery worker does beside running tasks: preload its models, wait for them, keep its tasks invisible.

The two bootsteps use Celery's and kombu's insides as measured with the pinned versions; tests hold them to it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import redis
from celery import bootsteps, signals
from celery.worker import state

from shared.log import logger
from shared.settings import settings
from tasks.celery import VISIBILITY_SECONDS, app
from tasks.loading import preload

HEARTBEAT_SECONDS = VISIBILITY_SECONDS / 4
ORPHAN_POLL_SECONDS = 1.0
PRELOAD_FAILED = 70  # EX_SOFTWARE of sysexits.h

# no model hub is ever asked while a video is analysed
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

log = logger(__name__)
_queues: tuple[str, ...] = ()


def _folder() -> Path:
    return settings().data_dir / "run"


def _mark(parent: int, child: int) -> Path:
    """The file that says that a child of a worker has loaded its models."""
    return _folder() / f"loaded.{parent}.{child}"


def ready_mark(worker: str) -> Path:
    """The file that exists while a worker of that name takes tasks."""
    return _folder() / f"ready.{worker}"


@signals.celeryd_after_setup.connect
def _remember_queues(instance: Any, **_: object) -> None:
    global _queues  # noqa: PLW0603  (the fork hands it to the child)
    _queues = tuple(instance.app.amqp.queues.consume_from)
    os.environ.update(OFFLINE)


@signals.worker_process_init.connect
def _preload(**_: object) -> None:
    """Load the models in the child. Celery swallows exceptions here, so a failure ends the process itself."""
    try:
        threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
        preload(_queues)
        _folder().mkdir(parents=True, exist_ok=True)
        _mark(os.getppid(), os.getpid()).touch()
    except BaseException:
        log.exception("preload_failed")
        os._exit(PRELOAD_FAILED)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


@signals.worker_ready.connect
def _say_ready(sender: Any, **_: object) -> None:
    ready_mark(sender.hostname).touch()
    log.info("ready", worker=sender.hostname, queues=_queues)


@signals.worker_shutdown.connect
def _say_gone(sender: Any, **_: object) -> None:
    ready_mark(sender.hostname).unlink(missing_ok=True)


class PreloadGate(bootsteps.StartStopStep):
    """A worker takes no task before its children have loaded their models."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Wait for the first children's marks. Raises SystemExit when they do not come in time."""
        _folder().mkdir(parents=True, exist_ok=True)
        give_up = time.monotonic() + settings().preload_seconds
        pattern = f"loaded.{os.getpid()}.*"
        while len(list(_folder().glob(pattern))) < parent.concurrency:
            if time.monotonic() > give_up:
                raise SystemExit(f"the models were not loaded within {settings().preload_seconds:.0f} s")
            time.sleep(0.05)

    def terminate(self, parent: Any) -> None:
        """Remove the marks."""
        for mark in _folder().glob(f"loaded.{os.getpid()}.*"):
            mark.unlink(missing_ok=True)

    def stop(self, parent: Any) -> None:
        """Remove the marks."""
        self.terminate(parent)


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
            self.thread = threading.Thread(target=self._beat, args=(parent.app.conf.broker_url,), daemon=True)
            self.thread.start()

    def stop(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def terminate(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def shutdown(self, parent: Any) -> None:
        """Go on: tasks may still run."""

    def _beat(self, url: str) -> None:
        client = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            tags = {request.message.delivery_tag for request in (*state.active_requests, *state.reserved_requests)}
            try:
                if tags:  # XX: a tag that was handed to another worker stays away
                    client.zadd(self.key, dict.fromkeys(tags, time.time()), xx=True)
            except redis.RedisError as error:
                log.warning("heartbeat_failed", error=str(error))


app.steps["worker"].add(PreloadGate)
app.steps["consumer"].add(VisibilityHeartbeat)
