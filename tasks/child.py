"""A pool process of a worker: loads the models, lets go of them when told or idle, never outlives its worker."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from celery import signals

from shared.errors import ReelgraphError
from shared.groups import CONTROL
from shared.isolated import warm_up
from shared.locks import FileLock
from shared.log import logger
from shared.settings import settings
from tasks.loading import NotLoaded, preload, unload_idle

POLL_SECONDS = 1.0
PRELOAD_FAILED = 70  # EX_SOFTWARE of sysexits.h

# how a worker tells its children, which fork shares memory with and spawn (macOS) does not
QUEUES = "REELGRAPH_WORKER_QUEUES"
NAME = "REELGRAPH_WORKER_NAME"
START = "REELGRAPH_WORKER_START"

ALIVE = "alive"
_alive: list[FileLock] = []
"""Held by this worker for as long as it lives; its children have it from it."""

log = logger(__name__)


def run_folder() -> Path:
    """Where the marks of this node's workers are."""
    return settings().data_dir / "run"


def loaded_marks() -> list[Path]:
    """The files that say which children of this start of the worker have loaded their models.

    Each holds the analyzers that the child could not load and why (`not_loaded`).

    No process id names the worker: it is 1 in every container that shares the folder.
    """
    return list(run_folder().glob(f"loaded.{os.environ[START]}.*"))


def say_alive(worker: str) -> None:
    """Show by a lock that this start of a worker lives, and remove the marks of those whose processes are gone.

    A worker that was killed could not. The kernel gives a dead process's lock back, in other containers, too.
    """
    try:
        run_folder().mkdir(parents=True, exist_ok=True)
        own = FileLock(run_folder() / f"{ALIVE}.{os.environ[START]}")
        while not own.take():
            time.sleep(0.01)  # another start took it for one that was left
        _alive.append(own)
        own.path.write_text(worker, encoding="utf-8")
        remove_left()
    except OSError as error:  # a full disk, or one without locks: no reason not to work
        log.warning("marks_not_removed", worker=worker, error=str(error))


def remove_left() -> set[str]:
    """Remove the marks of workers that are gone: a worker that is killed cannot.

    Returns the names of those that are not: a child that is still dying holds its worker's lock. Raises OSError.
    """
    living = set()
    for alive in run_folder().glob(f"{ALIVE}.*"):
        if not _remove_left(alive):
            with suppress(FileNotFoundError):  # it has ended meanwhile
                living.add(alive.read_text(encoding="utf-8"))
    return living


def say_gone() -> None:
    """Remove the mark of this start."""
    while _alive:
        own = _alive.pop()
        own.path.unlink(missing_ok=True)
        own.release()


def ready_mark(worker: str) -> Path:
    """The file that exists while a worker of that name takes tasks; its heartbeat keeps it young.

    It holds the analyzers that its children could not load and why (`not_loaded`).
    """
    return run_folder() / f"ready.{worker}"


def not_loaded(mark: Path) -> dict[str, NotLoaded]:
    """What a mark says of analyzers that could not be loaded. Raises FileNotFoundError: its worker has ended."""
    return {name: NotLoaded(*why) for name, why in json.loads(mark.read_bytes()).items()}


def _remove_left(alive: Path) -> bool:
    """Whether that worker was gone."""
    lock = FileLock(alive)
    if not lock.take():
        return False
    with lock:
        start, worker = alive.name.partition(".")[2], alive.read_text(encoding="utf-8")
        left = [*run_folder().glob(f"*.{start}"), *run_folder().glob(f"*.{start}.*")]
        for mark in (*left, *([ready_mark(worker)] if worker else ())):
            mark.unlink(missing_ok=True)
    return True


def refusal() -> Path:
    """Where a child says why this start of the worker cannot succeed."""
    return run_folder() / f"refused.{os.environ[START]}"


def refused() -> str:
    """What a child said there; empty where none did, or could not."""
    try:
        return refusal().read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        log.warning("refusal_unreadable", error=str(error))
        return ""


def unload_mark() -> Path:
    """The file by which the worker tells its children to let go of their models."""
    return run_folder() / f"unload.{os.environ[START]}"


@signals.worker_process_init.connect
def _preload(**_: object) -> None:
    """Load the models in the child. Celery swallows exceptions here, so a failure ends the process itself."""
    if START not in os.environ:
        return  # the solo pool sends this signal too, in the worker itself; the gate refuses it
    try:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
        run_folder().mkdir(parents=True, exist_ok=True)
        queues = tuple(os.environ[QUEUES].split(","))
        if queues != (CONTROL,):
            warm_up()
        unavailable = preload(queues, os.environ[NAME])
        leave(run_folder() / f"loaded.{os.environ[START]}.{os.getpid()}", json.dumps(unavailable))
    except ReelgraphError as error:
        _refuse(error.message)
    except Exception as error:
        log.debug("preload_failed", exc_info=True)
        said = str(error).partition("\n")[0]
        _refuse(f"loading the models failed: {type(error).__name__}: {said} (`--loglevel debug` shows where)")
    except BaseException as error:  # noqa: BLE001  (Celery swallows what passes here)
        _refuse(f"loading the models was ended: {type(error).__name__}: {error}")


def _refuse(reason: str) -> NoReturn:
    """Leave word for the worker why no start can succeed, and end; without the word it tells the exit code."""
    try:
        leave(refusal(), reason)
    except OSError as error:  # the run folder itself may be what cannot be written
        log.error("refused", reason=reason, unwritten=str(error))  # noqa: TRY400  (the sentence says it all)
    os._exit(PRELOAD_FAILED)


def leave(mark: Path, said: str) -> None:
    """Write a mark as a whole, since others read what they find. Raises OSError; then nothing is left."""
    part = run_folder() / f"part.{os.environ[START]}.{os.getpid()}"
    try:
        part.write_text(said, encoding="utf-8")
        part.replace(mark)
    finally:
        part.unlink(missing_ok=True)


def _watch(parent: int) -> None:
    """End with the worker; between works, let go of the models when they are not wanted."""
    told_before = 0.0
    while os.getppid() == parent:
        told = unload_mark().stat().st_mtime if unload_mark().exists() else 0.0
        if told > told_before and unload_idle(0.0):
            told_before = told
        elif (patience := settings().unload_after_seconds) is not None:
            unload_idle(patience)
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
