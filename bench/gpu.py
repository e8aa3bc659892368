"""What the gpu profile costs and brings on one GPU, with random weights of true size; one JSON line a figure.

    python -m bench.gpu models STORE [ENTRY...]   loading; engines against their bare models, in this process
    python -m bench.gpu service STORE VIDEO       workers, broker and jobs: loading, one clip, many, memory, unloading
    python -m bench.gpu all STORE VIDEO           the checkpoints, the service, then the models

STORE is a weights folder; entries that it lacks are made (`bench.checkpoints`). The models' words are noise, so nothing
is said about quality. A part that fails is a row with its error, and the next one begins; the exit code is then 1.
With `--seconds`, what would begin later than that is left out, and said.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import click

from bench import bare, checkpoints
from bench.loads import KINDS, loaded_engine
from bench.nvml import Nvml
from bench.parts import FAILED, part, row, seconds_of
from bench.service import measure
from shared.weights import Weights
from tasks import devices
from tasks.registry import analyzers, extra_entry, weights_entry

STORE = click.argument("store", type=click.Path(path_type=Path))
VIDEO = click.argument("video", type=click.Path(path_type=Path, exists=True))
SECONDS = click.option("--seconds", default=3600.0, help="Begin nothing new after so long.")
JOBS = click.option("--jobs", default=50, show_default=True, help="Jobs after which memory is looked at again.")
AT_ONCE = click.option("--at-once", default=16, show_default=True)
COMPILED = click.option("--compiled-bare", is_flag=True, help="Compare with torch's compiled decoding, too: a minute.")
_began = time.monotonic()


def late(seconds: float, name: str) -> bool:
    """Whether it is too late to begin; says so."""
    if time.monotonic() - _began < seconds:
        return False
    row(f"{name}.left_out", None, reason=f"{seconds:g} s are over")
    return True


def prepare(store: Path) -> None:
    """Make what the store lacks, and say which entries of the profile it has then."""
    for entry in checkpoints.MAKERS:
        with part(f"{entry}.make"):
            row(f"{entry}.make_seconds", seconds_of(partial(checkpoints.make, store, entry)))
    used = {entry(one, "gpu"): one.name for one in analyzers().values() for entry in (weights_entry, extra_entry)}
    weights = Weights(store)
    row("weights", {entry: weights.on_disk(entry) for entry in sorted(filter(None, used))})


def measure_models(store: Path, entries: tuple[str, ...], seconds: float, *, compiled: bool) -> None:
    """Load and warm up each entry in this process; the two that write against their bare models."""
    row("import_seconds", seconds_of(_import))
    gpu = devices.claim(None)
    row("gpu", gpu.name, memory_mib=gpu.memory_mib, nvml_used_mib=Nvml().used_mib(), nvml_missing=Nvml().missing)
    with part("attention"):
        bare.first_attention()
    for entry in entries or KINDS:
        if late(seconds, entry):
            continue
        if Weights(store).on_disk(entry) != "complete":
            row(f"{entry}.left_out", None, reason="its files are not in the store")
            continue
        with part(entry):
            if entry == "qwen2-vl-7b":
                bare.describe(store, gpu, compiled=compiled)
            elif entry == "blip2-opt-2.7b":
                bare.caption(store, gpu)
            else:
                bare.let_go(entry, loaded_engine(store, entry, gpu))
        devices.give_back()


def _import() -> None:
    import torch
    import transformers

    row("versions", None, torch=torch.__version__, transformers=transformers.__version__, python=sys.version.split()[0])


@click.group()
def main() -> None:
    """Measure the gpu profile."""


@main.command()
@STORE
@click.argument("entries", nargs=-1, type=click.Choice(list(KINDS)))
@SECONDS
@COMPILED
def models(store: Path, entries: tuple[str, ...], seconds: float, compiled_bare: bool) -> None:  # noqa: FBT001  (click)
    """Loading of each model, and engines against their bare models."""
    prepare(store)
    measure_models(store, entries, seconds, compiled=compiled_bare)
    sys.exit(bool(FAILED))


@main.command()
@STORE
@VIDEO
@click.option("--groups", help="Only these groups.")
@JOBS
@AT_ONCE
@SECONDS
def service(store: Path, video: Path, groups: str | None, jobs: int, at_once: int, seconds: float) -> None:
    """Loading, one clip, many clips, memory, unloading."""
    prepare(store)
    with part("service"):
        measure(store, video, set(groups.split(",")) if groups else None, jobs, at_once, lambda: late(seconds, "jobs"))
    sys.exit(bool(FAILED))


@main.command("all")
@STORE
@VIDEO
@JOBS
@AT_ONCE
@SECONDS
@COMPILED
def everything(store: Path, video: Path, jobs: int, at_once: int, seconds: float, compiled_bare: bool) -> None:  # noqa: FBT001
    """The service, then the models, in one go."""
    prepare(store)
    with part("service"):
        measure(store, video, None, jobs, at_once, lambda: late(seconds, "jobs"))
    measure_models(store, (), seconds, compiled=compiled_bare)
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
