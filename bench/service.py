"""The whole service on one GPU: its start, one clip and where its time went, many clips, memory, unloading."""

from __future__ import annotations

import math
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av

from bench import receipts
from bench.clips import beginning, lively, repeated
from bench.loads import KINDS
from bench.nvml import Nvml, Watch
from bench.parts import part
from bench.rows import Row, not_measured, say
from services.stack import Stack, local_stack
from services.submit import accept
from shared.schema import Document
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES, Job
from tasks.celery import app
from tasks.node import ledger, storage
from tasks.registry import analyzers, parse_document, used_entries

CLIP_SECONDS = 10.0
WORDS = ("sneaker", "mug", "bicycle", "telephone")
"""What product_detection is asked to look for in the single jobs, in one of each round of many, and in all of some."""
SINGLE = ("first", "second", "third", "fourth", "without_words")
WARM = SINGLE[1:4]
RATES = (("qwen2_vl_temporal", "segments", 2, 9.0), ("blip2_caption", "frames", 4, 50.0))
"""Analyzers that write, what of, how many times the clip is shown (batches of 20 and 40), and the goal a second."""
RATE_RUNS = 3
READY_SECONDS, JOB_SECONDS, UNLOAD_SECONDS = 300, 120, 15
EDGE_SECONDS = 0.3
"""Frames that are stored before the end of a cut may be shown after it; a second more would be a segment more."""
CLOSING_SECONDS = 20
"""After a job's deadline, until its document is there."""
SLOWEST = 10
"""Seconds that each clip of many may take, one after the other, until the bench gives up."""
WITH_WORDS = 2
"""How much longer a round in which all look for words may take than the one before."""
CLIPS_PER_HOUR, BUSY_PERCENT = 1000, 85
BUSY_AT = 64
"""Clips in flight at which those two goals hold."""


@dataclass(frozen=True, slots=True)
class Round:
    """So many clips at once; `with_words`: whether all of them, not only the first, look for words."""

    count: int
    with_words: bool = False

    @property
    def name(self) -> str:
        """What its rows begin with."""
        return f"{self.count}_in_flight{'_with_words' if self.with_words else ''}"


@dataclass(slots=True)
class Bench:
    """A running service, the clip, and what has been measured."""

    stack: Stack
    gpu: Nvml
    clip: Path
    copies: Path
    analyzers: tuple[str, ...]
    """Of all jobs but those of one analyzer."""
    documents: list[Document] = field(default_factory=list)

    @property
    def parents(self) -> dict[str, int]:
        """Process ids of the workers by name."""
        return {worker.name: worker.process.pid for worker in self.stack.workers}


def measure(
    store: Path, video: Path, groups: set[str] | None, rounds: Sequence[Round], late: Callable[[float, str], bool]
) -> None:
    """All rows about the service. `late` says whether what takes so many seconds may not begin any more."""
    gpu = Nvml()
    memory(gpu, "before the workers")
    with tempfile.TemporaryDirectory() as folder, service(store, groups) as stack:
        memory(gpu, "all workers ready")
        clip = lively(video, Path(folder) / "clip.mp4", CLIP_SECONDS)
        bench = Bench(stack, gpu, clip, Path(folder), served(groups))
        warm = {worker.name: mib for worker in stack.workers if (mib := warm_mib(worker.log_file)) is not None}
        single(bench, expected(groups))
        receipts.memory_is_back(bench.documents, warm, f"after_{len(bench.documents)}_jobs")
        for rate in RATES:
            with part(f"{rate[0]}.{rate[1]}_per_second"):
                writing(bench, *rate)
        many(bench, rounds, late)
        memory(gpu, f"after {len(bench.documents)} jobs")
        receipts.memory_is_back(bench.documents, warm, "after_all_jobs")
        receipts.loads(bench.documents)
        with part("unload"):
            unloaded(stack)
            memory(gpu, "after unload")


def expected(groups: set[str] | None) -> set[str]:
    """Entries whose engines must work in a job of these groups."""
    return {entry for name in served(groups) for entry in used_entries(analyzers()[name], "gpu")} & set(KINDS)


def served(groups: set[str] | None) -> tuple[str, ...]:
    """Analyzers of these groups that read nothing of another group; all of them for None."""
    names = {name for name, one in analyzers().items() if groups is None or one.group in groups}
    while lacking := {name for name in names if not names.issuperset(analyzers()[name].requires)}:
        names -= lacking
    return tuple(sorted(names))


def memory(gpu: Nvml, when: str) -> None:
    """GPU memory in use, by whomever."""
    row = f"nvml.used_mib.{when.replace(' ', '_')}"
    say(Row(row=row, value=gpu.used_mib(), unit="MiB", reason=gpu.missing))


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
                    not_measured(f"{worker.name}.ready", worker.last_words()[-1500:])
                raise
            workers = len(stack.workers)
            say(Row(row="start", value=time.monotonic() - before, unit="s", detail={"workers": workers}))
            for worker in stack.workers:
                started(worker.name, worker.log_file.read_text(errors="replace"))
            yield stack


def started(worker: str, log: str) -> None:
    """What a worker's log says of its start: seconds by analyzer, recorded loops, what it could not load."""
    took = re.findall(r"\] loaded .*analyzer=(\w+).* seconds=([\d.]+).*warm_up_seconds=([\d.]+)", log)
    if not took:
        return
    lacking = [line[-200:] for line in re.findall(r"\] (?:not_loaded|not_compiled|without_extra) .*", log)]
    say(
        Row(
            row=f"{worker}.preload",
            value=sum(float(seconds) for _, seconds, _ in took),
            unit="s",
            detail={
                "load_and_warm_up": {
                    name: [float(load), float(warm_up)] for name, load, warm_up in took if float(load) > 0.05
                },
                "recorded_batches": len(re.findall(r"\] compiled ", log)),
                "lacking": lacking,
            },
        )
    )


def warm_mib(log: Path) -> float | None:
    """GPU memory that a worker's models held when it was warm, by its log; None without a GPU."""
    found = re.search(r"\] preloaded .*gpu_mib=([\d.]+)", log.read_text(errors="replace"))
    return float(found[1]) if found else None


def submitted(video: Path, analyzers: tuple[str, ...], *, with_words: bool, seconds: float = JOB_SECONDS) -> Job:
    """A job with these analyzers, and so many seconds."""
    searches = with_words and "product_detection" in analyzers
    options = {"product_detection": {"words": WORDS}} if searches else None
    return accept(video, analyzers=analyzers, options=options, deadline_seconds=seconds)


def renamed(video: Path, folder: Path, name: str) -> Path:
    """The same streams in a file of other bytes: a video that no cache knows."""
    copy = folder / f"{video.stem}-{name}.mp4"
    with av.open(str(video)) as source, av.open(str(copy), "w") as target:
        target.metadata["comment"] = name
        streams = {
            one.index: target.add_stream_from_template(one) for one in source.streams if one.type in ("video", "audio")
        }
        for packet in source.demux():
            if packet.dts is not None and packet.stream.index in streams:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return copy


def finished(jobs: list[Job], seconds: float) -> list[Document]:
    """The documents of the jobs once all have ended; `seconds` is their deadline, by which they are closed."""
    give_up = time.monotonic() + seconds + CLOSING_SECONDS
    for job in jobs:
        while ledger().job(job.id).state in OPEN_STATES:
            if time.monotonic() > give_up:
                raise TimeoutError(f"job {job.id} has not ended within {seconds:g} s")
            time.sleep(0.01)
    return [parse_document(storage().read(document_key(job.id))) for job in jobs]


def single(bench: Bench, entries: set[str]) -> None:
    """One clip after the other, with every analyzer; all but the last look for words."""
    walls = []
    for name in SINGLE:
        with part(name):
            video = renamed(bench.clip, bench.copies, name)
            with Watch(bench.gpu, bench.parents) as watch:
                (document,) = finished(
                    [submitted(video, bench.analyzers, with_words=name != "without_words")], JOB_SECONDS
                )
            bench.documents.append(document)
            receipts.one_clip(document, name, goal=receipts.CLIP_SECONDS if name in WARM else None)
            busy(f"{name}.nvml_busy", watch)
            if name in WARM:
                walls.append(document.job.wall_seconds)
                receipts.engines_at_work(document, name, entries)
            if name == WARM[-1]:
                receipts.timeline([document], name)
    if walls:
        wall = statistics.median(walls)
        say(Row(row="one_clip.wall_seconds", value=wall, unit="s", goal=receipts.CLIP_SECONDS, detail={"runs": walls}))
        say(Row(row="1_in_flight.clips_per_hour", value=3600 / wall, unit="clips/h", better="higher"))


def busy(row: str, watch: Watch, goal: float | None = None) -> None:
    """The share of the time at which the GPU was at work."""
    figures = watch.figures()
    say(
        Row(
            row=row,
            value=figures.busy_percent,
            unit="%",
            goal=goal,
            better="higher",
            reason=figures.missing,
            detail={"used_mib": figures.used_mib, "mib_by_process": figures.mib_by_process},
        )
    )


def writing(bench: Bench, analyzer: str, items: str, times: int, goal: float) -> None:
    """Segments or frames a second through an analyzer in its worker: all of a video's over its infer seconds.

    The clip is shown several times over, so that one batch is as large as the goal means. Both analyzers ask their
    model about each second of video; what random weights say may be nothing, which took as long.
    """
    if not any(analyzers()[analyzer].group in worker.queues for worker in bench.stack.workers):
        return
    whole = beginning(bench.clip, bench.copies / f"{analyzer}-once.mp4", CLIP_SECONDS - EDGE_SECONDS)
    video = repeated(whole, bench.copies / f"{analyzer}.mp4", times)
    rates, batches, asked = [], dict[str, int](), 0
    for number in range(RATE_RUNS):
        copy = renamed(video, bench.copies, f"run-{number}")
        (document,) = finished([accept(copy, analyzers=(analyzer,), deadline_seconds=JOB_SECONDS)], JOB_SECONDS)
        (report,) = (one for one in document.analyzers if one.name == analyzer)
        batches = report.receipt.batches
        asked = math.ceil(document.media.duration_seconds)
        rates.append(asked / (report.receipt.infer_seconds or 1e-9))
    say(
        Row(
            row=f"{analyzer}.{items}_per_second",
            value=statistics.median(rates),
            unit=f"{items}/s",
            goal=goal,
            better="higher",
            detail={"runs": rates, "of_each": asked, "batches": batches},
        )
    )


def many(bench: Bench, rounds: Sequence[Round], late: Callable[[float, str], bool]) -> None:
    """Rounds of several clips at once; one that would not end in time is left out."""
    each = bench.documents[-1].job.wall_seconds if bench.documents else CLIP_SECONDS
    for one in rounds:
        name, count = one.name, one.count
        if late(count * each * (WITH_WORDS if one.with_words else 1), name):
            continue
        with part(name):
            copies = [renamed(bench.clip, bench.copies, f"{name}-{number}") for number in range(count)]
            with Watch(bench.gpu, bench.parents) as watch:
                before = time.monotonic()
                allowed = JOB_SECONDS + SLOWEST * count
                jobs = [
                    submitted(copy, bench.analyzers, with_words=one.with_words or copy == copies[0], seconds=allowed)
                    for copy in copies
                ]
                documents = finished(jobs, allowed)
                seconds = time.monotonic() - before
            bench.documents += documents
            each = seconds / count
            in_flight(name, count, seconds, documents)
            receipts.timeline(documents, name)
            busy(f"{name}.nvml_busy", watch, BUSY_PERCENT if count >= BUSY_AT else None)


def in_flight(name: str, count: int, seconds: float, documents: Sequence[Document]) -> None:
    """Clips an hour, and what failed."""
    failed = [
        f"{report.name}: {report.status}"
        for one in documents
        for report in one.analyzers
        if report.status in ("failed", "timeout")
    ]
    goal = CLIPS_PER_HOUR if count >= BUSY_AT else None
    hourly = Row(row=f"{name}.clips_per_hour", value=count / seconds * 3600, unit="clips/h", goal=goal, better="higher")
    say(hourly)
    say(Row(row=f"{name}.failed", value=len(failed), unit="runs", goal=0, detail={"which": failed[:10]}))
    passes = [one.job.decode_passes for one in documents]
    worked = {
        analyzer: {
            "infer_seconds": sum(told.infer_seconds or 0.0 for told in receipts_of),
            "decode_seconds": sum(told.decode_seconds or 0.0 for told in receipts_of),
        }
        for analyzer in analyzers()
        if (receipts_of := [one.receipt for each in documents for one in each.analyzers if one.name == analyzer])
    }
    longest = sorted(worked.items(), key=lambda one: -sum(one[1].values()))[:8]
    say(
        Row(
            row=f"{name}.decode_passes_per_clip",
            value=statistics.fmean(passes),
            unit="passes",
            detail={"most": max(passes), "longest_in_all": dict(longest)},
        )
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
    if not left:
        not_measured("held_mib_after_unload", f"no worker said within {UNLOAD_SECONDS} s what it holds", "MiB")
        return
    say(Row(row="held_mib_after_unload", value=max(left.values()), unit="MiB", goal=1024, detail={"by_worker": left}))
