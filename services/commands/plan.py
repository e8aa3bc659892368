"""`reelgraph plan`: which workers fit which GPUs, and what they bring."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from shared.errors import BadInput, Infrastructure
from shared.groups import groups
from shared.listing import realtime_factors_by_model
from shared.replacement import write_whole
from shared.settings import settings
from tasks.devices import CONTEXT_MIB
from tasks.layout import Layout, Load, Placed
from tasks.models import Demand, Number, demand
from tasks.node import ledger, weights
from tasks.packing import pack
from tasks.provenance import expected
from tasks.registry import AnyAnalyzer, analyzers, check_models, dependencies, levels, used_entries

PROFILE = "gpu"

BINARY_UNITS = {"MIB": 1, "M": 1, "GIB": 1 << 10, "G": 1 << 10, "TIB": 1 << 20, "T": 1 << 20}
UNITS = BINARY_UNITS | {"MB": 1e6 / 2**20, "GB": 1e9 / 2**20, "TB": 1e12 / 2**20}
SMALLEST_MIB, LARGEST_MIB = 1024, 1 << 20
"""What is taken for the memory of a GPU: the largest of 2026 have 288 GB."""
KEPT = 0.97
"""Part of a GPU's memory that is planned with: makers round up, and the driver keeps some.

An H100 of 80 GB has 81,559 MiB (nvidia-smi). Before the first worker 1,103 were in use, a context of the bench's maybe
among them (docs/performance.md): at least 98.2 % of 80 GiB were left for workers.
"""
BOUNDS = (
    "these are bounds, from what each analyzer takes alone: the better ones if no worker hinders another, "
    "the worse ones if workers of a GPU take turns and levels wait for one another"
)


def _memory(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([A-Z]*)", text.strip().upper())
    if found and not found[2]:
        both = f"{found[1]}GiB or {found[1]}MiB"
        raise BadInput(f"--gpu-memory {text!r} has no unit: write {both}", code="bad_option")
    if not found or found[2] not in UNITS:
        raise BadInput(f"--gpu-memory {text!r} is no amount of memory such as 24GiB", code="bad_option")
    size_mib = int(float(found[1]) * UNITS[found[2]])
    if not SMALLEST_MIB <= size_mib <= LARGEST_MIB:
        message = f"--gpu-memory {text!r} is no GPU's memory: give that of one GPU, from 1GiB to 1024GiB, such as 24GiB"
        raise BadInput(message, code="bad_option")
    return size_mib


@click.command()
@click.option("--gpu-memory", "memory_mib", required=True, callback=_memory, help="Memory of one GPU, such as 24GiB.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(1, 1024), help="How many such GPUs.")
@click.option("--receipts", is_flag=True, help="Take seconds from the receipts of this deployment's last jobs.")
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), help="Write the layout as a groups.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(memory_mib: int, gpus: int, write: Path | None, *, receipts: bool, as_json: bool) -> None:
    """Pack the groups of the gpu profile onto GPUs: workers, precisions, memory, bounds of latency and throughput.

    Of all layouts that fit, the one whose models are nearest to their best precision; of these the one with most worker
    processes (groups share one only where that saves the memory that is missing), then the one that lets most video
    through. Memory comes from weights.toml, measured or derived; seconds from the analyzers, as measured in bf16 with
    their own weights, or from receipts. What nobody has measured is said. Use a written file with
    REELGRAPH_GROUPS_FILE; `reelgraph render` with it gives it to all containers.

    Latency and throughput are bounds. Both sum up what each analyzer takes alone: at best no worker hinders another, at
    worst the workers of a GPU take turns and levels wait for one another. What was measured on one H100 lies between
    them (docs/scaling.md).
    """
    check_models(PROFILE)
    usable_mib = int(memory_mib * KEPT)
    layout = pack(loads(measured_seconds() if receipts else {}), gpus=gpus, gpu_memory_mib=usable_mib)
    if write is not None:
        _write(layout, write)
    if as_json:
        click.echo(json.dumps(asdict(layout), indent=2))
        return
    _show(layout)
    click.echo(
        f"planned with {usable_mib} of {memory_mib} MiB a GPU, as the driver keeps some; "
        f"beside its MiB every worker holds {CONTEXT_MIB} for CUDA itself"
    )
    if any(model.beside_torch for worker in layout.workers for model in worker.models):
        click.echo("torch's part of a worker's MiB is what the models beside it leave: they allocate past its limit")
    if write is not None:
        click.echo(f"written to {write}; use it with REELGRAPH_GROUPS_FILE={write}")


def loads(receipts: Mapping[str, Mapping[Number, float]]) -> list[Load]:
    """What each analyzer asks for in the gpu profile, as the settings are; `receipts` as of `measured_seconds`."""
    found = []
    for number, level in enumerate(levels(analyzers().values())):
        for one in level:
            models = _on_gpu(one)
            seconds = {**_declared_seconds(one), **receipts.get(one.name, {})} if models else _on_cpu(one, receipts)
            found.append(
                Load(
                    one.name,
                    one.group,
                    number,
                    seconds,
                    models,
                    estimate=one.seconds_per_second(PROFILE),
                    after=dependencies(one),
                )
            )
    return found


def _on_gpu(analyzer: AnyAnalyzer) -> dict[str, Demand]:
    """What each of its models that works on a GPU asks of it, by entry."""
    entries, wanted = weights().entries(), settings().precision.get(analyzer.name, "auto")
    used = used_entries(analyzer, PROFILE) if groups()[analyzer.group].gpu else ()
    return {name: demand(entries[name], wanted) for name in used if entries[name].uses_gpu}


def _declared_seconds(analyzer: AnyAnalyzer) -> dict[Number, float]:
    """What the analyzer declares, which was measured in bf16 with the weights of its own."""
    own = (analyzer.weights.get(PROFILE), analyzer.extra.get(PROFILE))
    seconds = analyzer.cost_in.get(PROFILE)
    is_own = used_entries(analyzer, PROFILE) == tuple(filter(None, own))
    return {"bf16": seconds} if seconds is not None and is_own else {}


def _on_cpu(analyzer: AnyAnalyzer, receipts: Mapping[str, Mapping[Number, float]]) -> float:
    return receipts.get(analyzer.name, {}).get("fp32", analyzer.seconds_per_second(PROFILE))


def measured_seconds() -> dict[str, dict[Number, float]]:
    """Seconds for a second of video, by analyzer and precision, as receipts of the last jobs with these weights say.

    What chose no precision stands under fp32. What a model that belongs on a GPU took on a CPU is left out.
    """
    digests = {name: expected(one, PROFILE).digest for name, one in analyzers().items()}
    on_gpu = {name for name, one in analyzers().items() if _on_gpu(one)}
    found: dict[str, dict[Number, float]] = {}
    for (name, digest, precision, on_cpu), seconds in realtime_factors_by_model(ledger(), PROFILE).items():
        if name in digests and digest == digests[name] and not (on_cpu and name in on_gpu):
            found.setdefault(name, {})[cast("Number", precision or "fp32")] = seconds
    return found


def _write(layout: Layout, file: Path) -> None:
    if layout.undeclared:
        missing = ", ".join(layout.undeclared)
        message = f"nothing is written: nobody has declared the GPU memory of {missing}; give vram_mib to the entry"
        raise BadInput(message, code="unknown_memory")
    try:
        write_whole(file, as_toml(layout))
    except OSError as error:
        raise Infrastructure(f"cannot write {file}: {error.strerror or error}", code="disk_error") from error


def as_toml(layout: Layout) -> str:
    """A groups.toml with this layout for the gpu profile; all else as it was."""
    blocks = ["# written by `reelgraph plan`"]
    for group in groups().values():
        mine = [worker for worker in layout.workers if group.name in worker.groups]
        workers = {**group.worker, "gpu": [worker.name for worker in mine] or group.worker.get("gpu", [])}
        lines = [f"[{group.name}]", f"purpose = {json.dumps(group.purpose)}", f"worker = {_table(workers)}"]
        lines += [f"gpu = {json.dumps(group.gpu)}", f"memory_mib = {group.memory_mib}"]
        lines += [f"load_seconds = {_table(group.load_seconds)}", f"batch = {json.dumps(group.batch)}"]
        lines += [f"most_workers = {group.most_workers}"]
        places = {worker.name: worker.gpu for worker in mine if worker.gpu is not None}
        if places:
            lines += [f"vram_mib = {_table({worker.name: worker.vram_mib for worker in mine})}"]
            lines += [f"gpu_index = {_table(places)}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _table(values: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + " }"


def _show(layout: Layout) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("worker", "GPU", "MiB", "models"):
        table.add_column(heading, justify="right" if heading in ("GPU", "MiB") else "left", overflow="fold")
    for worker in layout.workers:
        gpu = "-" if worker.gpu is None else str(worker.gpu)
        table.add_row(worker.name, gpu, str(worker.vram_mib or "-"), "\n".join(map(_sentence, worker.models)))
    # nothing is folded in a pipe
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table, highlight=False)
    latency, throughput = f"at least {layout.least_latency:.2f}", f"at most {layout.most_throughput:.2f}"
    if layout.most_latency is not None and layout.least_throughput is not None:
        latency = f"{layout.least_latency:.2f} to {layout.most_latency:.2f}"
        throughput = f"{layout.least_throughput:.2f} to {layout.most_throughput:.2f}"
    click.echo(f"latency: {latency} s for a second of video, all workers warm and idle before")
    click.echo(f"throughput: {throughput} s of video a second, all options at their defaults")
    click.echo(BOUNDS)
    if layout.unmeasured:
        missing = ", ".join(layout.unmeasured)
        click.echo(f"nothing is counted for what nobody has measured with these models in these precisions: {missing}")
    for worker in layout.workers:
        if len(worker.groups) > 1:
            click.echo(
                f"one worker for {', '.join(worker.groups)}: alone they would need more memory, or lower precisions"
            )
    if layout.undeclared:
        click.echo(f"counted as nothing, for nobody has declared their GPU memory: {', '.join(layout.undeclared)}")


def _sentence(model: Placed) -> str:
    size = "memory unknown"
    if model.vram_mib is not None:
        size = f"{model.vram_mib} MiB {'derived' if model.is_derived else 'measured'}"
    size += " beside torch's part" if model.beside_torch else ""
    return f"{model.entry} {model.precision}, {size} ({', '.join(model.analyzers)})"
