"""What the gpu profile costs and brings on one GPU, with random weights of true size; one JSON line a figure.

    python -m bench.gpu models STORE            engines against their bare models, in this process
    python -m bench.gpu service STORE VIDEO     workers, broker and jobs: loading, one clip, many, memory, unloading

STORE is a weights folder; entries that it lacks are made (`bench.checkpoints`). The models' words are noise, so nothing
is said about quality.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import click
import numpy as np

from bench import checkpoints
from services.evaluation.pictures import texture
from services.stack import Stack, local_stack
from services.submit import accept
from shared.ledger import OPEN_STATES, Job
from shared.schema import Document
from shared.settings import settings, use
from shared.storage import document_key
from shared.weights import Weights
from tasks import devices
from tasks.celery import app
from tasks.engines import captions, descriptions
from tasks.models import Engines, Models
from tasks.node import ledger, storage
from tasks.registry import parse_document

SEGMENTS, PICTURES = 20, 40
PHONE = (644, 364)
"""Height and width that a vertical video has at a short side of 364."""


def row(name: str, value: object, **more: object) -> None:
    """Print one figure."""
    print(json.dumps({"row": name, "value": value, **more}), flush=True)


def median_seconds(work: Callable[[], object], runs: int = 3) -> float:
    """Median wall clock of some runs, the GPU's queue emptied after each."""
    import torch

    seconds = []
    for _ in range(runs):
        torch.cuda.synchronize()
        before = time.monotonic()
        work()
        torch.cuda.synchronize()
        seconds.append(time.monotonic() - before)
    return statistics.median(seconds)


def engine_of(store: Path, entry: str, kinds: Any) -> Any:
    """An engine loaded and warmed up in this process; prints what that took.

    It is loaded twice: first torch is imported and files are hashed, then they are sealed and in the page cache.
    """
    checkpoints.make(store, entry)
    gpu = devices.claim(None)
    for name in ("first_load_seconds", "load_seconds"):
        shared = Engines(compile_loops=True)
        models = Models(Weights(store), entry, profile="gpu", threads=8, device=lambda: gpu, shared=shared)
        before = time.monotonic()
        engine = models.engine(kinds)
        row(f"{entry}.{name}", round(time.monotonic() - before, 2), held_mib=devices.held_mib())
        if name == "first_load_seconds":
            shared.free()
            del engine
    before = time.monotonic()
    devices.reset_peak()
    engine.warm_up()
    seconds = round(time.monotonic() - before, 2)
    row(f"{entry}.warm_up_seconds", seconds, batch=engine.batch, peak_mib=devices.peak_mib())
    return engine


def nothing() -> None:
    """No job to cancel."""


def describe(store: Path) -> None:
    """Segments a second of the engine, and of transformers' own generation on inputs that lie ready on the GPU."""
    import torch

    engine = engine_of(store, "qwen2-vl-7b", descriptions.DESCRIBERS)
    clips = [
        descriptions.Clip(np.arange(4) / 4, np.stack([texture(10 * number + index, *PHONE) for index in range(4)]))
        for number in range(SEGMENTS)
    ]
    asked = descriptions.Asked("Describe this short clip of a video. " * 8, 96)
    took = median_seconds(lambda: list(engine.describe(clips, asked, nothing)))
    inputs = engine._inputs(clips, asked.prompt).to("cuda")  # noqa: SLF001  (the bare model gets the same tensors)
    plain = {"max_new_tokens": 96, "min_new_tokens": 96, "do_sample": False}
    for name, more in (("eager", {}), ("static_cache", {"cache_implementation": "static"})):
        with torch.inference_mode():
            engine.model.generate(**inputs, **plain, **more)  # compiles
            bare = median_seconds(lambda more=more: engine.model.generate(**inputs, **plain, **more), runs=2)
        row(f"qwen2-vl-7b.over_bare_{name}", round(took / bare, 3), engine=round(took, 3), bare=round(bare, 3))
    row("qwen2-vl-7b.segments_per_second", round(SEGMENTS / took, 2), batch=engine.batch, goal=9)
    engine.free()
    row("qwen2-vl-7b.held_mib_after_free", devices.held_mib())


def caption(store: Path) -> None:
    """Pictures a second of the captioner."""
    engine = engine_of(store, "blip2-opt-2.7b", captions.CAPTIONERS)
    pictures = [texture(number, *PHONE) for number in range(PICTURES)]
    asked = captions.Asked("a photo of", 30)
    took = median_seconds(lambda: list(engine.captions(pictures, asked, nothing)))
    row("blip2-opt-2.7b.frames_per_second", round(PICTURES / took, 1), batch=engine.batch, goal=50)
    engine.free()
    row("blip2-opt-2.7b.held_mib_after_free", devices.held_mib())


# --- through the service ---------------------------------------------------------------------------------------


@contextmanager
def service(store: Path, groups: set[str] | None) -> Iterator[Stack]:
    """Broker and ready workers of the gpu profile over the store; prints what loading took."""
    with tempfile.TemporaryDirectory() as folder:
        use(
            settings().model_copy(
                update={"data_dir": Path(folder), "weights_dir": store, "profile": "gpu", "compile": True}
            )
        )
        before = time.monotonic()
        with local_stack(groups) as stack:
            stack.wait_ready(300)
            row("start_seconds", round(time.monotonic() - before, 2), workers=len(stack.workers))
            for worker in stack.workers:
                for name, seconds in loads(worker.log_file):
                    row(f"{name}.preload_seconds", seconds, worker=worker.name)
            yield stack


def loads(log: Path) -> list[tuple[str, float]]:
    """Analyzers and load seconds, as a worker's log has them."""
    lines = log.read_text(errors="replace")
    return [
        (name, float(seconds)) for name, seconds in re.findall(r"\] loaded .*analyzer=(\w+).* seconds=([\d.]+)", lines)
    ]


def renamed(video: Path, folder: Path, number: int) -> Path:
    """The same streams in a file of other bytes: a video that no cache knows."""
    copy = folder / f"{video.stem}-{number}.mp4"
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
    """Where one job's seconds went."""
    took = {report.name: report.receipt for report in document.analyzers if report.status == "ok"}
    row(
        f"{name}.wall_seconds",
        document.job.wall_seconds,
        state=document.job.state,
        duration=document.media.duration_seconds,
        not_ok={
            r.name: [r.status, r.error.message if r.error else None] for r in document.analyzers if r.status != "ok"
        },
        infer={n: r.infer_seconds for n, r in sorted(took.items(), key=lambda one: -(one[1].infer_seconds or 0))},
        queue={n: r.queue_seconds for n, r in took.items()},
        load={n: r.load_seconds for n, r in took.items() if (r.load_seconds or 0) > 0.01},
        peak_gpu_mib={n: r.peak_gpu_mib for n, r in took.items() if r.peak_gpu_mib},
        device={n: [r.device, r.precision] for n, r in took.items() if r.device != "cpu"},
    )


def many(video: Path, folder: Path, count: int, first: int) -> list[Document]:
    """Several clips at once."""
    copies = [renamed(video, folder, first + number) for number in range(count)]
    before = time.monotonic()
    documents = finished([accept(copy) for copy in copies], 400)
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
                held.setdefault(report.receipt.worker.partition("@")[0], []).append(report.receipt.held_gpu_mib)
    growth = {worker: round(values[-1] / values[0] - 1, 4) for worker, values in held.items() if values[0]}
    row("held_memory_growth", max(growth.values(), default=None), jobs=len(documents), by_worker=growth, goal=0.01)


def unloaded(stack: Stack) -> None:
    """Tell every GPU worker to let go of its models; how much the largest still holds."""
    groups = [queue for worker in stack.workers for queue in worker.queues if queue != "control"]
    for group in groups:
        app.control.broadcast("unload", arguments={"group": group}, reply=True, timeout=2)
    time.sleep(5)
    left = {}
    for worker in stack.workers:
        found = re.findall(r"unloaded .*gpu_mib=([\d.]+)", worker.log_file.read_text(errors="replace"))
        if found:
            left[worker.name] = float(found[-1])
    row("held_mib_after_unload", max(left.values(), default=None), by_worker=left, goal=1024)


@click.group()
def main() -> None:
    """Measure the gpu profile."""


@main.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
def models(store: Path, names: tuple[str, ...]) -> None:
    """Engines against their bare models."""
    parts = {"describe": describe, "caption": caption}
    for name in names or parts:
        parts[name](store)


@main.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("video", type=click.Path(path_type=Path, exists=True))
@click.option("--groups", help="Only these groups.")
@click.option("--jobs", default=50, show_default=True, help="Jobs after which memory is looked at again.")
@click.option("--at-once", default=16, show_default=True)
def service_(store: Path, video: Path, groups: str | None, jobs: int, at_once: int) -> None:
    """Loading, one clip, many clips, memory, unloading."""
    for entry in checkpoints.MAKERS:
        checkpoints.make(store, entry)
    with tempfile.TemporaryDirectory() as folder, service(store, set(groups.split(",")) if groups else None) as stack:
        copies = Path(folder)
        for name in ("first", "second", "third"):
            (document,) = finished(
                [accept(renamed(video, copies, len(name) * 1000 + len(list(copies.iterdir()))))], 200
            )
            one_clip(document, name)
        documents = [document]
        for start in range(0, jobs, at_once):
            documents += many(video, copies, min(at_once, jobs - start), start)
        memory_is_back(documents)
        row(
            "loads_in_jobs",
            sum((r.receipt.load_seconds or 0) > 0.05 for one in documents for r in one.analyzers),
            goal=0,
        )
        unloaded(stack)


main.add_command(service_, "service")

if __name__ == "__main__":
    main()
