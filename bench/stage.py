"""A warm service for the length of a measurement, over a data folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.stack import Stack, limits, local_stack, threads_each
from shared.groups import workers
from shared.schema import AnalyzerReport, Document
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES, Job
from tasks.node import ledger, storage
from tasks.registry import parse_document

READY_SECONDS = 120


def as_a_worker() -> None:
    """Start this command again with as many threads as a worker's libraries have; they are chosen at their import.

    What is measured in this process is then like what it is compared with. `freed` is the environment without that.
    """
    wanted = limits(threads_each(workers(settings().profile)))
    if wanted.items() <= os.environ.items():
        return
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        raise RuntimeError("a family of the bench is run as a module: python -m bench.FAMILY")
    os.execve(sys.executable, [sys.executable, "-m", spec.name, *sys.argv[1:]], {**os.environ, **wanted})


def freed() -> dict[str, str]:
    """The environment for a program that nobody limits: its libraries take all cores."""
    limited = limits(1)
    return {name: value for name, value in os.environ.items() if name not in limited}


@contextmanager
def warm(**changed: object) -> Iterator[tuple[Stack, Path]]:
    """Broker and ready workers, and an empty folder beside their data."""
    with tempfile.TemporaryDirectory() as folder:
        use(settings().model_copy(update={"data_dir": Path(folder) / "data", **changed}))
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        with local_stack() as stack:
            stack.wait_ready(READY_SECONDS)
            yield stack, scratch


def forget() -> None:
    """Remove all results and frames that are kept for later jobs: the next one works everything out."""
    for folder in (settings().frames_folder, settings().storage_folder / "cache"):
        shutil.rmtree(folder, ignore_errors=True)


def ended(job: Job, seconds: float = 180) -> Job:
    """The job once it has ended. Raises TimeoutError when it has not by then."""
    give_up = time.monotonic() + seconds
    while (now := ledger().job(job.id)).state in OPEN_STATES:
        if time.monotonic() > give_up:
            raise TimeoutError(f"job {job.id} has not ended within {seconds:g} s")
        time.sleep(0.005)
    return now


def document(job: Job, seconds: float = 180) -> Document:
    """The document of a job once it has ended."""
    return parse_document(storage().read(document_key(ended(job, seconds).id)))


def report(found: Document, analyzer: str) -> AnalyzerReport:
    """One analyzer's report."""
    return next(one for one in found.analyzers if one.name == analyzer)
