"""`reelgraph plan`: which workers fit which GPUs, and what they bring."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from shared.errors import BadInput
from shared.groups import groups
from shared.listing import realtime_factors
from shared.settings import settings
from tasks.models import Demand
from tasks.node import ledger, weights
from tasks.packing import Layout, Load, pack
from tasks.registry import analyzers, levels, weights_entry

UNITS = {"": 1, "MIB": 1, "GIB": 1024, "M": 1, "G": 1024, "MB": 1e6 / 2**20, "GB": 1e9 / 2**20}
KEPT = 0.97
"""Part of a GPU's memory that is planned with; the driver keeps some."""


def _memory(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", text.strip().upper())
    if not found or found[2] not in UNITS:
        raise BadInput(f"--gpu-memory {text!r} is no amount of memory such as 24GiB", code="bad_option")
    return int(float(found[1]) * UNITS[found[2]])


@click.command()
@click.option("--gpu-memory", "memory_mib", required=True, callback=_memory, help="Memory of one GPU, such as 24GiB.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(1, 1024), help="How many such GPUs.")
@click.option("--receipts", is_flag=True, help="Take seconds from the receipts of this deployment's last jobs.")
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), help="Write the layout as a groups.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(memory_mib: int, gpus: int, write: Path | None, *, receipts: bool, as_json: bool) -> None:
    """Pack the groups of the gpu profile onto GPUs: workers, precisions, memory, expected latency and throughput.

    Use a written file with REELGRAPH_GROUPS_FILE. Memory comes from weights.toml, seconds from the analyzers or from
    receipts; what is not known is said.
    """
    layout = pack(
        _loads(realtime_factors(ledger(), "gpu") if receipts else {}), gpus=gpus, gpu_memory_mib=int(memory_mib * KEPT)
    )
    if write is not None:
        write.write_text(as_toml(layout), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(asdict(layout), indent=2))
        return
    _show(layout)
    if write is not None:
        click.echo(f"written to {write}; use it with REELGRAPH_GROUPS_FILE={write}")


def _loads(seconds: dict[str, float]) -> list[Load]:
    entries, precisions, found = weights().entries(), settings().precision, []
    for number, level in enumerate(levels(analyzers().values())):
        for one in level:
            entry = weights_entry(one, "gpu")
            pinned = entries.get(entry or "")
            demand = None
            if pinned is not None and pinned.engine and groups()[one.group].gpu:
                demand = Demand(precisions.get(one.name, "auto"), pinned.vram_mib)
            known = one.cost_in.get("gpu") if demand else one.cost
            found.append(Load(one.name, one.group, number, seconds.get(one.name, known), entry, demand))
    return found


def as_toml(layout: Layout) -> str:
    """A groups.toml with this layout for the gpu profile; all else as it was."""
    blocks = ["# written by `reelgraph plan`"]
    for group in groups().values():
        mine = [worker for worker in layout.workers if worker.group == group.name]
        workers = {**group.worker, "gpu": [worker.name for worker in mine] or group.worker.get("gpu", [])}
        lines = [f"[{group.name}]", f"purpose = {json.dumps(group.purpose)}", f"worker = {_table(workers)}"]
        lines += [f"gpu = {json.dumps(group.gpu)}", f"memory_mib = {group.memory_mib}"]
        places = {worker.name: worker.gpu for worker in mine if worker.gpu is not None}
        if places:
            lines += [f"vram_mib = {min(worker.vram_mib for worker in mine)}", f"gpu_index = {_table(places)}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _table(values: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + " }"


def _show(layout: Layout) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("worker", "GPU", "MiB", "precisions"):
        table.add_column(heading, justify="right" if heading in ("GPU", "MiB") else "left", overflow="fold")
    for worker in layout.workers:
        gpu = "-" if worker.gpu is None else str(worker.gpu)
        precisions = ", ".join(f"{name} {precision}" for name, precision in worker.precisions.items())
        table.add_row(worker.name, gpu, str(worker.vram_mib or "-"), precisions)
    Console().print(table, highlight=False)
    click.echo(f"latency: {layout.latency:.2f} s for a second of video, all workers warm and idle before")
    click.echo(f"throughput: {layout.throughput:.2f} s of video a second")
    if layout.unmeasured:
        click.echo(f"not in these figures, for nobody has measured them: {', '.join(layout.unmeasured)}")
