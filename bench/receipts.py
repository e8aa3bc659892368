"""What documents and their receipts say of a job on a GPU, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.parts import must_hold
from bench.rows import Detail, Row, say
from shared.groups import worker_of
from shared.schema import Document, Receipt
from tasks.node import ledger

CLIP_SECONDS = 3.0
"""Goal of one clip, hand-in to document."""
WARM_GROWTH = 0.01
"""GPU memory that a worker's models may hold after a job beyond what they held when it was warm, as a share."""
LOADED_SECONDS = 0.05
"""An analyzer that took longer to get its models than this has loaded them."""


def one_clip(document: Document, name: str, *, goal: float | None = CLIP_SECONDS) -> None:
    """One job in a line: how long it took and how it ended; what was not ok, or not as it should be, by name."""
    took = {report.name: report.receipt for report in document.analyzers if report.status == "ok"}
    job = document.job
    say(
        Row(
            row=f"{name}.wall_seconds",
            value=job.wall_seconds,
            unit="s",
            goal=goal,
            detail={
                "clip_seconds": document.media.duration_seconds,
                "decode_passes": job.decode_passes,
                "ok": len(took),
                "not_ok": {
                    one.name: f"{one.status}: {one.error.message if one.error else ''}"
                    for one in document.analyzers
                    if one.status != "ok"
                },
                "longest": dict(sorted(_infer(took).items(), key=lambda one: -one[1])[:8]),
                "notes": {n: list(r.notes) for n, r in took.items() if r.notes},
            },
        )
    )


def _infer(took: Mapping[str, Receipt]) -> dict[str, float]:
    return {name: receipt.infer_seconds or 0.0 for name, receipt in took.items()}


def engines_at_work(document: Document, name: str, entries: Iterable[str]) -> None:
    """How many engines of the entries worked, for each analyzer that has them; fewer than all is a failure."""
    batches = {one.name: one.receipt.batches for one in document.analyzers if one.receipt.batches}
    expected = sorted(entries)
    idle = [entry for entry in expected if not all(_of(entry, batches))]
    must_hold(
        Row(
            row=f"{name}.engines_at_work",
            value=len(expected) - len(idle),
            unit="engines",
            goal=len(expected),
            better="higher",
            detail={"idle": idle, "batches": batches},
        )
    )


def _of(entry: str, batches: Mapping[str, Mapping[str, int]]) -> list[int]:
    """Batches of an entry for each analyzer that has its engine; none at all counts as idle."""
    return [some[entry] for some in batches.values() if entry in some] or [0]


def timeline(documents: Sequence[Document], name: str) -> None:
    """When each analyzer of some jobs began and ended, in seconds since the first was submitted, and what it did.

    `wait`: in its queue. `read`: reading frames or waiting for them. `infer`: everything else. `python -m
    bench.timeline` draws it.
    """
    first = min(ledger().job(document.job.id).submitted_at for document in documents)
    lines: list[list[float | str | None]] = []
    for document in documents:
        receipts = {report.name: report.receipt for report in document.analyzers}
        for run in ledger().runs(document.job.id).values():
            if run.started_at is not None:
                told = receipts[run.analyzer]
                times = [None if t is None else round(t - first, 3) for t in (run.started_at, run.finished_at)]
                spent = (told.queue_seconds, told.decode_seconds, told.infer_seconds)
                lines.append([run.analyzer, worker_of(told.worker or ""), *times, *spent])
    lines.sort(key=lambda line: float(line[2] or 0.0))
    columns = ["analyzer", "worker", "start", "end", "wait", "read", "infer"]
    say(Row(row=f"{name}.timeline", value=len(lines), unit="runs", detail={"columns": columns, "lines": lines}))


def loads(documents: Sequence[Document]) -> None:
    """How often an analyzer had to load a model in a job."""
    found = sum((r.receipt.load_seconds or 0) > LOADED_SECONDS for one in documents for r in one.analyzers)
    say(Row(row="loads_in_jobs", value=found, unit="loads", goal=0, detail={"jobs": len(documents)}))


def memory_is_back(documents: Sequence[Document], warm_mib: Mapping[str, float], when: str) -> None:
    """How much the GPU memory that each worker's models hold after any of these jobs differs from when it was warm.

    `warm_mib`: by worker, after its preload.
    """
    held: dict[str, float] = {}
    for document in documents:
        for report in document.analyzers:
            if (mib := report.receipt.held_gpu_mib) is not None and report.receipt.worker:
                worker = worker_of(report.receipt.worker)
                held[worker] = max(held.get(worker, 0.0), mib)
    growth = {worker: mib / warm_mib[worker] - 1 for worker, mib in held.items() if warm_mib.get(worker)}
    detail: dict[str, Detail] = {"held_mib": held, "warm_mib": dict(warm_mib), "jobs": len(documents)}
    unit, name = "share", f"held_over_warm.{when}"
    if not growth:
        say(Row(row=name, value=None, unit=unit, reason="no worker holds GPU memory", goal=WARM_GROWTH, detail=detail))
        return
    say(Row(row=name, value=max(map(abs, growth.values())), unit=unit, goal=WARM_GROWTH, detail=detail))
