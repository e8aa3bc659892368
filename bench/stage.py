"""A warm service for the length of a measurement, over a data folder of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.stack import Stack, local_stack
from shared.schema import AnalyzerReport, Document
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES, Job
from tasks.node import ledger, storage
from tasks.registry import parse_document

READY_SECONDS = 120


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
