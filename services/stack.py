"""Broker and workers on this machine for as long as one command runs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.broker import Broker, embedded_broker
from services.leash import Leashed, start, stop_all
from services.restarts import Restarts
from shared.errors import Infrastructure
from shared.groups import CONTROL, node_name, workers
from shared.locks import FileLock
from shared.log import logger
from shared.settings import Settings, settings, use
from shared.tables import new_id
from tasks.celery import reconnect
from tasks.child import not_loaded, remove_left
from tasks.loading import NotLoaded
from tasks.node import forget, run_lock
from tasks.registry import check_models

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
STOP_SECONDS = 1.5
DYING_SECONDS = 5.0
"""What children that were killed get until the kernel has taken them down: with much memory it takes its time."""

KEPT_LOGS = 20
LAST_LINES = 5
GROUP_TRIES = 20
GROUP_SECONDS = 0.11

log = logger(__name__)


@dataclass(slots=True)
class LocalWorker:
    """One worker process that this command started."""

    name: str
    queues: tuple[str, ...]
    log_file: Path
    process: Leashed
    restarts: Restarts = field(default_factory=Restarts)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return "\n".join(lines[-LAST_LINES:])


@dataclass(slots=True)
class Stack:
    """The running broker and workers."""

    run_id: str
    settings: Settings
    logs: Path
    broker: Broker
    workers: list[LocalWorker] = field(default_factory=list)
    niceness: int = 0
    """Of the workers that analyse: what answers people goes first."""
    lasts: bool = False
    """Whether what keeps dying is started again for ever, each half minute: a full disk may be over in an hour."""

    @property
    def scratch(self) -> Path:
        """Temporary files of the workers; gone with them."""
        return self.logs / "tmp"

    def start_worker(self, name: str, queues: tuple[str, ...]) -> LocalWorker:
        """Start one more worker."""
        log_file = self.logs / f"{name}.log"
        worker = LocalWorker(name, queues, log_file, self._launch(name, queues, log_file))
        self.workers.append(worker)
        return worker

    def check(self) -> None:
        """Start workers again that have died, and a broker of this command's own.

        Raises:
            Infrastructure: one keeps dying, and the stack does not last; the message ends with its last words.
        """
        self.broker.check(patient=self.lasts)
        for worker in self.workers:
            if worker.process.poll() is None:
                continue
            if not worker.restarts.one_more(patient=self.lasts):
                if self.lasts:
                    continue
                words = worker.last_words()
                raise Infrastructure(f"the worker {worker.name} keeps dying: {words}", code="worker_died")
            log.warning("worker_restarted", worker=worker.name, keeps_dying=worker.restarts.are_many)
            worker.process.stop()
            worker.process = self._launch(worker.name, worker.queues, worker.log_file)

    def wait_ready(self, seconds: float = 120, *, check: Callable[[], None] = lambda: None) -> None:
        """Wait until every worker has loaded its models. Raises Infrastructure when one has not by then."""
        give_up = time.monotonic() + seconds
        while missing := [worker.name for worker in self.workers if not self._is_ready(worker)]:
            check()
            self.check()
            if time.monotonic() > give_up:
                raise Infrastructure(f"not ready after {seconds:.0f} s: {', '.join(missing)}", code="worker_not_ready")
            time.sleep(0.05)

    def not_loaded(self) -> dict[str, NotLoaded]:
        """The analyzers that the workers that are ready could not load, and why."""
        found: dict[str, NotLoaded] = {}
        for worker in self.workers:
            with suppress(FileNotFoundError):  # it has died since, and loads again
                found |= not_loaded(self._mark(worker))
        return found

    def kill(self) -> None:
        """End every worker at once, in the middle of its work."""
        for worker in self.workers:
            worker.process.kill()

    def stop(self) -> None:
        """Stop every worker, all at once."""
        stop_all([worker.process for worker in self.workers])
        shutil.rmtree(self.scratch, ignore_errors=True)
        try:
            for worker in self.workers:  # a worker that had to be killed could not
                self._mark(worker).unlink(missing_ok=True)
            nodes = {self._node(worker.name, worker.queues) for worker in self.workers}
            give_up = time.monotonic() + DYING_SECONDS
            while nodes & remove_left() and time.monotonic() < give_up:
                time.sleep(0.02)
        except OSError as error:  # the next start removes them
            log.warning("marks_not_removed", error=str(error))

    def _is_ready(self, worker: LocalWorker) -> bool:
        return self._mark(worker).exists()

    def _mark(self, worker: LocalWorker) -> Path:
        return self.settings.data_dir / "run" / f"ready.{self._node(worker.name, worker.queues)}"

    def _node(self, name: str, queues: tuple[str, ...]) -> str:
        return f"{node_name(name, queues)}@{self.run_id}"

    def _launch(self, name: str, queues: tuple[str, ...], log_file: Path) -> Leashed:
        argv = [
            sys.executable,
            "-m",
            "celery",
            "--quiet",
            "-A",
            "tasks",
            "worker",
            "--without-gossip",
            "--without-mingle",
        ]
        argv += ["-Q", ",".join(queues), "-n", self._node(name, queues), "--loglevel", "INFO"]
        if self.niceness and CONTROL not in queues:
            argv = ["nice", "-n", str(self.niceness), *argv]
        if CONTROL in queues:
            argv += ["-B", "-s", str(self.logs / "beat")]
        environment = {**os.environ, **self.settings.environment(), "TMPDIR": str(self.scratch)}
        environment |= limits(self.settings.threads)
        with log_file.open("ab") as output:
            process = start(
                argv, env=environment, stdout=output, grace_seconds=STOP_SECONDS, stop_signal=signal.SIGQUIT
            )
        if self.niceness and CONTROL not in queues:
            _step_back(process.pid, self.niceness)
        return process


@contextmanager
def local_stack(
    groups: Iterable[str] | None = None,
    *,
    deployment: str | None = None,
    niceness: int = 0,
    stays: bool = False,
) -> Iterator[Stack]:
    """Broker, control worker and the workers that serve `groups` (None: all), stopped when the block ends.

    Jobs belong to this run alone unless `deployment` names whose they are. Workers that `stays` says nothing of are
    gone with one command: unless settings ask for it, their models spend no warm-up on a faster inner loop.

    Raises:
        BadInput: the settings name weights or analyzers that do not exist.
        Infrastructure: no broker can be reached or started.
    """
    check_models(settings().profile)
    with ExitStack() as stack:
        broker = stack.enter_context(embedded_broker(settings().data_dir, configured_url=settings().broker_url))
        wanted = _wanted(groups)
        run_id = new_id()
        chosen = settings().model_copy(
            update={
                "broker_url": broker.url,
                "deployment": deployment or (settings().deployment if broker.kind == "configured" else run_id),
                "threads": threads_each(wanted),
                "compile": False if settings().compile == "auto" and not stays else settings().compile,
            }
        )
        stack.enter_context(_settings_in_use(chosen))
        logs = run_lock(run_id).parent
        (logs / "tmp").mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(run_lock(run_id))).take()
        remove_old_logs(logs.parent)
        running = Stack(run_id, chosen, logs, broker, niceness=niceness)
        stack.callback(running.stop)
        for name, queues in wanted.items():
            running.start_worker(name, queues)
        try:
            yield running
        except BaseException:  # an interrupted command has nothing to wait for
            running.kill()
            raise


def threads_each(wanted: Mapping[str, tuple[str, ...]]) -> int:
    """Threads of one worker, so that all that analyse together, given with their queues, have one a core."""
    analysing = sum(CONTROL not in queues for queues in wanted.values())
    return max(1, (os.cpu_count() or 1) // max(1, analysing))


def limits(threads: int) -> dict[str, str]:
    """Environment in which libraries start so many threads, which sleep while they wait.

    Threads that spin would take another worker's core.
    """
    return dict.fromkeys(THREADS, str(threads)) | {"OMP_WAIT_POLICY": "PASSIVE"}


def remove_old_logs(folder: Path) -> None:
    """Remove all but the newest runs' folders, and those that a running command uses."""
    for old in sorted(folder.iterdir())[:-KEPT_LOGS]:  # run ids sort by time
        lock = FileLock(old / run_lock(old.name).name)
        with suppress(OSError), lock:  # it is gone, or not ours
            if lock.take():
                shutil.rmtree(old, ignore_errors=True)


def _step_back(session: int, niceness: int) -> None:
    """Let a session go behind others where Linux shares the cores out by session: `nice` counts only inside one there.

    sched(7), "The autogroup feature". The kernel takes one change in a tenth of a second from who is not root.
    """
    group = Path(f"/proc/{session}/autogroup")
    if not group.exists():
        return
    for _ in range(GROUP_TRIES):
        try:
            group.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(GROUP_SECONDS)
        except OSError as error:
            log.warning("priority_kept", session=session, error=str(error))
            return
        else:
            return
    log.warning("priority_kept", session=session, error="the kernel was asked too often")


def _wanted(groups: Iterable[str] | None) -> dict[str, tuple[str, ...]]:
    served = workers(settings().profile)
    if groups is None:
        return served
    needed = {CONTROL, *groups}
    return {name: queues for name, queues in served.items() if needed & set(queues)}


@contextmanager
def _settings_in_use(chosen: Settings) -> Iterator[None]:
    before = settings()
    use(chosen)
    forget()
    reconnect()
    try:
        yield
    finally:
        for name in chosen.environment().keys() - before.environment().keys():
            os.environ.pop(name, None)
        use(before)
        forget()
        reconnect()
