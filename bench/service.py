"""The whole service on one GPU: its start, one clip and where its time went, many clips, memory, unloading."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from bench.nvml import Nvml, Watch
from bench.parts import part, row
from services.stack import Stack, local_stack
from services.submit import accept
from shared.groups import worker_of
from shared.ledger import OPEN_STATES, Job
from shared.schema import Document, ScalarTrack
from shared.settings import settings, use
from shared.storage import document_key
from tasks.celery import app
from tasks.node import ledger, storage
from tasks.registry import parse_document

WORDS = ("sneaker", "mug", "bicycle", "telephone")
"""What product_detection is asked to look for in one of the single jobs, and in one of each round of many."""
SINGLE = ("first", "second", "third", "with_words")
READY_SECONDS, JOB_SECONDS, UNLOAD_SECONDS = 300, 120, 15


def measure(
    store: Path, video: Path, groups: set[str] | None, jobs: int, at_once: int, late: Callable[[], bool]
) -> None:
    """All rows about the service; once `late` says so no further jobs begin."""
    gpu = Nvml()
    row("nvml.used_mib", gpu.used_mib(), when="before the workers", missing=gpu.missing)
    with tempfile.TemporaryDirectory() as folder, service(store, groups) as stack:
        row("nvml.used_mib", gpu.used_mib(), when="all workers ready")
        copies, documents = Path(folder), list[Document]()
        parents = {worker.name: worker.process.pid for worker in stack.workers}
        for number, name in enumerate(SINGLE, 1):
            with part(name):
                with Watch(gpu, parents) as watch:
                    documents += finished(
                        [submitted(renamed(video, copies, -number), with_words=name == "with_words")], JOB_SECONDS
                    )
                one_clip(documents[-1], name)
                timeline(documents[-1], name)
                row(f"{name}.nvml", watch.figures()["busy_percent"], **watch.figures())
        with part("many"):
            with Watch(gpu, parents) as watch:
                for start in range(0, jobs, at_once):
                    if late():
                        break
                    documents += many(video, copies, min(at_once, jobs - start), start)
            row("many.nvml", watch.figures()["busy_percent"], **watch.figures())
        row("nvml.used_mib", gpu.used_mib(), when=f"after {len(documents)} jobs")
        memory_is_back(documents)
        loaded = sum((r.receipt.load_seconds or 0) > 0.05 for one in documents for r in one.analyzers)
        row("loads_in_jobs", loaded, jobs=len(documents), goal=0)
        with part("unload"):
            unloaded(stack)
            row("nvml.used_mib", gpu.used_mib(), when="after unload")


@contextmanager
def service(store: Path, groups: set[str] | None) -> Iterator[Stack]:
    """Broker and ready workers of the gpu profile over the store, as `reelgraph serve` starts them."""
    with tempfile.TemporaryDirectory() as folder:
        use(settings().model_copy(update={"data_dir": Path(folder), "weights_dir": store, "profile": "gpu"}))
        before = time.monotonic()
        with local_stack(groups, stays=True) as stack:
            try:
                stack.wait_ready(READY_SECONDS)
            except BaseException:
                for worker in stack.workers:
                    row(f"{worker.name}.log", worker.last_words()[-1500:])
                raise
            row("start_seconds", round(time.monotonic() - before, 2), workers=len(stack.workers))
            for worker in stack.workers:
                started(worker.name, worker.log_file.read_text(errors="replace"))
            yield stack


def started(worker: str, log: str) -> None:
    """What a worker's log says of its start: seconds by analyzer, recorded loops, what it could not load."""
    took = re.findall(r"\] loaded .*analyzer=(\w+).* seconds=([\d.]+).*warm_up_seconds=([\d.]+)", log)
    row(
        f"{worker}.preload",
        round(sum(float(seconds) for _, seconds, _ in took), 2),
        seconds={name: [float(load), float(warm_up)] for name, load, warm_up in took if float(load) > 0.05},
        recorded_batches=len(re.findall(r"\] compiled ", log)),
        not_loaded=[
            line[-200:] for line in re.findall(r"\] not_loaded .*|\] not_compiled .*|\] without_extra .*", log)
        ],
    )


def submitted(video: Path, *, with_words: bool) -> Job:
    """A job with every analyzer."""
    return accept(video, options={"product_detection": {"words": WORDS}} if with_words else None)


def renamed(video: Path, folder: Path, number: int) -> Path:
    """The same streams in a file of other bytes: a video that no cache knows."""
    copy = folder / f"{video.stem}{number:+d}.mp4"
    with av.open(str(video)) as source, av.open(str(copy), "w") as target:
        target.metadata["comment"] = str(number)
        streams = {
            one.index: target.add_stream_from_template(one) for one in source.streams if one.type in ("video", "audio")
        }
        for packet in source.demux():
            if packet.dts is not None and packet.stream.index in streams:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return copy


def finished(jobs: list[Job], seconds: float) -> list[Document]:
    """The documents of the jobs once all have ended."""
    give_up = time.monotonic() + seconds
    for job in jobs:
        while ledger().job(job.id).state in OPEN_STATES:
            if time.monotonic() > give_up:
                raise TimeoutError(f"job {job.id} has not ended within {seconds:g} s")
            time.sleep(0.01)
    return [parse_document(storage().read(document_key(job.id))) for job in jobs]


def one_clip(document: Document, name: str) -> None:
    """One job in a line: how it ended, what ran where, whether the extras looked."""
    took = {report.name: report.receipt for report in document.analyzers if report.status == "ok"}
    cuts = next((report.weights for report in document.analyzers if report.name == "cut_analysis"), None)
    row(
        f"{name}.wall_seconds",
        document.job.wall_seconds,
        state=document.job.state,
        duration=document.media.duration_seconds,
        decode_passes=document.job.decode_passes,
        ok=len(took),
        not_ok={
            r.name: [r.status, r.error.message if r.error else None] for r in document.analyzers if r.status != "ok"
        },
        load={n: r.load_seconds for n, r in took.items() if (r.load_seconds or 0) > 0.01},
        peak_gpu_mib={n: r.peak_gpu_mib for n, r in took.items() if r.peak_gpu_mib},
        device={n: [r.device, r.precision] for n, r in took.items() if r.device != "cpu"},
        notes={n: r.notes for n, r in took.items() if r.notes},
        transnetv2=cuts is not None,
        products_by_word=_scalar(document, "product_detection", "products_by_word"),
        goal=3.0,
    )


def _scalar(document: Document, analyzer: str, name: str) -> float | None:
    tracks = (track for track in document.tracks if track.analyzer == analyzer and isinstance(track, ScalarTrack))
    return next((item.value for track in tracks for item in track.items if item.name == name), None)


def timeline(document: Document, name: str) -> None:
    """When each analyzer of a job was queued, began and ended, in seconds since the job was submitted, and what it did.

    `wait`: in its queue. `read`: reading frames or waiting for them. `infer`: everything else. Between the last end of
    a level and the first queueing of the next the workflow is at work.
    """
    job, runs = ledger().job(document.job.id), ledger().runs(document.job.id)
    receipts = {report.name: report.receipt for report in document.analyzers}
    began = sorted(
        ((run.started_at, run) for run in runs.values() if run.started_at is not None), key=lambda one: one[0]
    )

    def since(t: float | None) -> float | None:
        return None if t is None else round(t - job.submitted_at, 3)

    lines, levels = [], dict[int, dict[str, object]]()
    for started_at, run in began:
        told = receipts[run.analyzer]
        spent = (told.queue_seconds, told.decode_seconds, told.infer_seconds)
        worker = worker_of(told.worker or "")
        lines.append(
            (run.analyzer, run.level, worker, since(run.queued_at), since(started_at), since(run.finished_at), *spent)
        )
    for level in sorted({run.level for _, run in began}):
        ended = [(run.finished_at or 0.0, run.analyzer) for _, run in began if run.level == level]
        queued = min(run.queued_at or 0.0 for _, run in began if run.level == level)
        levels[level] = {"queued": since(queued), "end": since(max(ended)[0]), "last": max(ended)[1]}
    columns = ("analyzer", "level", "worker", "queued", "start", "end", "wait", "read", "infer")
    ends = {"job_started": since(job.started_at), "job_finished": since(job.finished_at)}
    row(f"{name}.timeline", lines, columns=columns, levels=levels, **ends)


def many(video: Path, folder: Path, count: int, first: int) -> list[Document]:
    """Several clips at once."""
    copies = [renamed(video, folder, first + number) for number in range(count)]
    before = time.monotonic()
    documents = finished([submitted(copy, with_words=copy == copies[0]) for copy in copies], JOB_SECONDS + 10 * count)
    seconds = time.monotonic() - before
    failed = [report.name for one in documents for report in one.analyzers if report.status in ("failed", "timeout")]
    row(f"{count}_at_once.clips_per_hour", round(count / seconds * 3600), seconds=round(seconds, 2), failed=failed)
    return documents


def memory_is_back(documents: list[Document]) -> None:
    """How much more GPU memory each worker holds after its last job than after its first."""
    held: dict[str, list[float]] = {}
    for document in documents:
        for report in document.analyzers:
            if report.receipt.held_gpu_mib is not None and report.receipt.worker:
                held.setdefault(worker_of(report.receipt.worker), []).append(report.receipt.held_gpu_mib)
    growth = {worker: round(values[-1] / values[0] - 1, 4) for worker, values in held.items() if values[0]}
    row(
        "held_memory_growth",
        max(growth.values(), default=None),
        jobs=len(documents),
        by_worker=growth,
        held_mib={worker: values[-1] for worker, values in held.items()},
        goal=0.01,
    )


def unloaded(stack: Stack) -> None:
    """Tell every GPU worker to let go of its models; how much each still holds."""
    groups = {queue for worker in stack.workers for queue in worker.queues if queue != "control"}
    before = {worker.name: len(worker.log_file.read_text(errors="replace")) for worker in stack.workers}
    for group in groups:
        app.control.broadcast("unload", arguments={"group": group})
    give_up, left = time.monotonic() + UNLOAD_SECONDS, dict[str, float]()
    while time.monotonic() < give_up and len(left) < len(stack.workers) - 1:
        time.sleep(0.5)
        for worker in stack.workers:
            said = worker.log_file.read_text(errors="replace")[before[worker.name] :]
            if found := re.findall(r"unloaded .*gpu_mib=([\d.]+)", said):
                left[worker.name] = float(found[-1])
    row("held_mib_after_unload", max(left.values(), default=None), by_worker=left, goal=1024)
