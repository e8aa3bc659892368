"""One warm job, as its user waits for it: seconds from submit to document, where they went, and resident memory.

    python -m bench.job VIDEO... [--runs 3]

Broker and workers are started and have loaded their models before the clock runs; the cache and the frame store are
emptied before each run.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import click
import psutil

from bench.stage import forget
from services.stack import Stack, local_stack
from services.submit import accept
from shared.groups import worker_of
from shared.schema import Document
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES
from tasks.node import ledger, storage
from tasks.registry import parse_document

SAMPLE_SECONDS = 0.2

ASK_SECONDS = 0.1
"""So often the ledger is asked whether the job has ended: asking takes a core from the service. Its seconds do not wait
for the answer: they are its own.
"""


class Memory:
    """The highest resident memory of every process of a stack, in MiB, by worker and process."""

    def __init__(self, stack: Stack) -> None:
        self.peaks: dict[str, float] = {}
        self._stack, self._over = stack, threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            for worker in self._stack.workers:
                parent = psutil.Process(worker.process.pid)
                for kind, process in (("parent", parent), *(("child", child) for child in parent.children())):
                    mebibytes = process.memory_info().rss / 2**20
                    name = f"{worker.name}.{kind}"
                    self.peaks[name] = round(max(self.peaks.get(name, 0.0), mebibytes), 1)


def run(video: Path) -> Document:
    """Submit a video and wait for its document."""
    forget()
    job = accept(video)
    while ledger().job(job.id).state in OPEN_STATES:
        time.sleep(ASK_SECONDS)
    return parse_document(storage().read(document_key(job.id)))


def row(video: Path, documents: list[Document], memory: Memory) -> dict[str, object]:
    """The figures of one video."""
    walls = [document.job.wall_seconds for document in documents]
    best = min(documents, key=lambda document: document.job.wall_seconds)
    return {
        "video": video.name,
        "duration_seconds": best.media.duration_seconds,
        "wall_seconds": {"min": min(walls), "median": statistics.median(walls), "max": max(walls)},
        "realtime_factor": round(statistics.median(walls) / best.media.duration_seconds, 3),
        "state": best.job.state,
        "decode_passes": [document.job.decode_passes for document in documents],
        "seconds": {
            report.name: {
                "queue": report.receipt.queue_seconds,
                "decode": report.receipt.decode_seconds,
                "infer": report.receipt.infer_seconds,
                "worker": worker_of(report.receipt.worker or ""),
            }
            for report in best.analyzers
            if report.status == "ok"
        },
        "peak_rss_mib": memory.peaks,
    }


@click.command()
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--runs", default=3, show_default=True)
def main(videos: tuple[Path, ...], runs: int) -> None:
    """Time warm jobs; one JSON line a video."""
    with tempfile.TemporaryDirectory() as folder:
        use(settings().model_copy(update={"data_dir": Path(folder)}))
        with local_stack() as stack:
            stack.wait_ready()
            for video in videos:
                with Memory(stack) as memory:
                    documents = [run(video) for _ in range(runs)]
                print(json.dumps(row(video, documents, memory)), flush=True)


if __name__ == "__main__":
    main()
