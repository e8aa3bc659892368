"""Real jobs through a real broker and real workers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.stack import Stack, local_stack
from services.submit import accept
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES, Job
from tasks.node import ledger, storage

PROBE = Path(__file__).parent / "probe"


@contextmanager
def running(
    data: Path,
    *,
    groups: set[str] | None = None,
    probe: bool = False,
    ready_seconds: float = 120,
    **changed: object,
) -> Iterator[Stack]:
    """Broker and ready workers over a data folder; with `probe`, workers have the misbehaving analyzers."""
    before, path = settings(), os.environ.get("PYTHONPATH")
    # a stack that another module keeps running has a broker in the settings, and workers that would take these jobs
    use(before.model_copy(update={"data_dir": data, "broker_url": None, "ledger_url": None, **changed}))
    try:
        if probe:
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROBE), str(Path.cwd()), path]))
            os.environ["REELGRAPH_PROBE_LOG"] = str(data.parent / f"{data.name}-openings.log")
        with local_stack(groups) as stack:
            stack.wait_ready(ready_seconds)
            yield stack
    finally:
        use(before)
        os.environ.pop("REELGRAPH_PROBE_LOG", None)
        os.environ.pop("PYTHONPATH", None)
        if path is not None:
            os.environ["PYTHONPATH"] = path


def openings(data: Path) -> list[str]:
    """One line for each time that a stored video was opened: process id and path."""
    log = data.parent / f"{data.name}-openings.log"
    opened = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line for line in opened if "/storage/videos/" in line]


def submit(video: Path, *analyzers: str, **options: dict[str, Any]) -> Job:
    """Queue a job; `options` by analyzer. `deadline_seconds` is a minute."""
    return accept(video, analyzers=analyzers, options=options, deadline_seconds=60)


def wait(job: Job, seconds: float = 180) -> dict[str, Any]:
    """The document of a job once it has ended."""
    give_up = time.monotonic() + seconds
    while ledger().job(job.id).state in OPEN_STATES:
        assert time.monotonic() < give_up, f"job {job.id} has not ended after {seconds} s"
        time.sleep(0.05)
    return json.loads(storage().read(document_key(job.id)))


def report(document: dict[str, Any], analyzer: str) -> dict[str, Any]:
    """One analyzer's report."""
    return next(one for one in document["analyzers"] if one["name"] == analyzer)
