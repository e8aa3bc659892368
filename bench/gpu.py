"""What the gpu profile costs and brings on one GPU, with random weights of true size; one JSON line a figure.

    python -m bench.gpu models STORE [ENTRY...]   loading; analyzers against their bare models, in this process
    python -m bench.gpu alone STORE [ENTRY...]    one worker in a new process, files in the page cache, phase by phase
    python -m bench.gpu service STORE VIDEO       workers, broker and jobs: loading, one clip, many, memory, unloading
    python -m bench.gpu all STORE VIDEO           the checkpoints, the service, then the models

STORE is a weights folder; entries that it lacks are made (`bench.checkpoints`). The models' words are noise, so nothing
is said about quality. A part that fails is a row with its reason, and the next one begins; the exit code is then 1, as
where a model of the profile had nothing to do in the measured job. With `--seconds`, what would not end before that is
left out, and said. Without a GPU: one sentence, exit code 2.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from functools import partial
from pathlib import Path

import click

from bench import bare, checkpoints, fresh
from bench.loads import KINDS, WARM_SECONDS, loaded_engine
from bench.nvml import MIB, Nvml
from bench.parts import FAILED, part, seconds_of
from bench.rows import Row, not_measured, say
from bench.service import Round, measure
from shared.weights import Weights
from tasks import devices
from tasks.registry import analyzers, used_entries

STORE = click.argument("store", type=click.Path(path_type=Path))
VIDEO = click.argument("video", type=click.Path(path_type=Path, exists=True))
SECONDS = click.option("--seconds", default=3600.0, help="Begin nothing that would not end by then.")
AT_ONCE = click.option("--at-once", multiple=True, type=int, default=(8, 16, 32, 64), show_default=True)
WORDS = click.option(
    "--with-words", multiple=True, type=int, default=(64,), show_default=True, help="As --at-once; all look for words."
)
COMPILED = click.option("--compiled-bare", is_flag=True, help="Compare with torch's compiled decoding, too: a minute.")
MODEL_SECONDS = 30.0
"""What most models take to be loaded three times and warmed up."""
_began = time.monotonic()


def late(seconds: float, name: str, takes: float) -> bool:
    """Whether it is too late to begin what takes so long; says so."""
    if time.monotonic() - _began + takes < seconds:
        return False
    not_measured(name, f"left out: it takes about {takes:.0f} s, and {seconds:g} s are what there is")
    return True


def need_gpu() -> None:
    """End with a sentence and exit code 2 where there is no GPU, or no torch to see it."""
    missing = "torch is not installed"
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return
        missing = "no GPU is seen here"
    click.echo(f"bench.gpu: {missing}; it measures the gpu profile on one GPU.", err=True)
    sys.exit(2)


def prepare(store: Path) -> None:
    """Make what the store lacks, and say which entries of the profile it has then."""
    for entry in checkpoints.MAKERS:
        with part(f"{entry}.make"):
            seconds = seconds_of(partial(checkpoints.make, store, entry))
            say(Row(row=f"{entry}.make", value=seconds, unit="s"))
    weights = Weights(store)
    used = {entry for one in analyzers().values() for entry in used_entries(one, "gpu")}
    lacking = {entry: state for entry in sorted(used) if (state := weights.on_disk(entry)) != "complete"}
    say(Row(row="entries_lacking", value=len(lacking), unit="entries", goal=0, detail=lacking))


def measure_models(store: Path, entries: tuple[str, ...], seconds: float, *, compiled: bool) -> None:
    """Load and warm up each entry in this process; the two that write, and the segmenter, against the bare model."""
    nvml = Nvml()
    before = nvml.used_mib()
    say(Row(row="import_torch_and_transformers", value=seconds_of(_import), unit="s"))
    gpu = devices.claim(None)
    say(Row(row="gpu", value=gpu.memory_mib, unit="MiB", detail=_versions(), reason="memory unknown"))
    with part("attention"):
        bare.first_attention()
    context("fresh", nvml, before)
    for entry in entries or KINDS:
        if late(seconds, entry, MODEL_SECONDS):
            continue
        if Weights(store).on_disk(entry) != "complete":
            not_measured(entry, "its files are not in the store")
            continue
        with part(entry):
            match entry:
                case "qwen2-vl-7b":
                    bare.describe(store, gpu, compiled=compiled)
                case "blip2-opt-2.7b":
                    bare.caption(store, gpu)
                case "segformer-b4" | "upernet-convnext-small":
                    bare.segment(store, gpu, entry)
                case _:
                    bare.let_go(entry, loaded_engine(store, entry, gpu).engines[0])
        devices.give_back()
        context(f"after_{entry}", nvml, before)


def context(when: str, nvml: Nvml, before: float | None) -> None:
    """What CUDA's context and libraries hold beside torch's tensors, in a process that has computed."""
    import torch

    used = nvml.used_mib()
    held = None if used is None or before is None else used - before - torch.cuda.memory_reserved() / MIB
    detail = {"counted_by_plan": devices.CONTEXT_MIB}
    say(
        Row(
            row=f"context_mib.{when}",
            value=held,
            unit="MiB",
            goal=devices.CONTEXT_MIB,
            reason=nvml.missing,
            detail=detail,
        )
    )


def _import() -> None:
    import torch  # noqa: F401
    import transformers  # noqa: F401


def _versions() -> dict[str, str | None]:
    import torch
    import transformers

    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "gpu": torch.cuda.get_device_name(0),
        "nvml_missing": Nvml().missing,
    }


def measure_service(
    store: Path, video: Path, groups: set[str] | None, rounds: tuple[Round, ...], seconds: float
) -> None:
    """The service, its failure a row."""
    with part("service"):
        measure(store, video, groups, rounds, lambda takes, name: late(seconds, name, takes))


def rounds_of(at_once: tuple[int, ...], with_words: tuple[int, ...]) -> tuple[Round, ...]:
    """Rounds in which the first clip alone looks for words, then those in which all do."""
    return (*(Round(count) for count in at_once), *(Round(count, with_words=True) for count in with_words))


@click.group()
def main() -> None:
    """Measure the gpu profile."""


@main.command()
@STORE
@click.argument("entries", nargs=-1, type=click.Choice(list(KINDS)))
@SECONDS
@COMPILED
def models(store: Path, entries: tuple[str, ...], seconds: float, compiled_bare: bool) -> None:  # noqa: FBT001  (click)
    """Loading of each model, and analyzers against their bare models."""
    need_gpu()
    prepare(store)
    measure_models(store, entries, seconds, compiled=compiled_bare)
    sys.exit(bool(FAILED))


@main.command()
@STORE
@click.argument("entries", nargs=-1, type=click.Choice(list(WARM_SECONDS)))
def alone(store: Path, entries: tuple[str, ...]) -> None:
    """Loading in a worker of its own, in a new process: imports, loading, warm-up, ready."""
    need_gpu()
    prepare(store)
    for entry in entries or WARM_SECONDS:
        with part(f"{entry}.alone"):
            fresh.alone(store, entry)
    sys.exit(bool(FAILED))


@main.command()
@STORE
@VIDEO
@click.option("--groups", help="Only these groups.")
@AT_ONCE
@WORDS
@SECONDS
def service(
    store: Path,
    video: Path,
    groups: str | None,
    at_once: tuple[int, ...],
    with_words: tuple[int, ...],
    seconds: float,
) -> None:
    """Loading, one clip, many clips, memory, unloading."""
    need_gpu()
    prepare(store)
    rounds = rounds_of(at_once, with_words)
    measure_service(store, video, set(groups.split(",")) if groups else None, rounds, seconds)
    sys.exit(bool(FAILED))


@main.command("all")
@STORE
@VIDEO
@AT_ONCE
@WORDS
@SECONDS
@COMPILED
def everything(
    store: Path,
    video: Path,
    at_once: tuple[int, ...],
    with_words: tuple[int, ...],
    seconds: float,
    compiled_bare: bool,  # noqa: FBT001  (click)
) -> None:
    """The service, then the models, in one go."""
    need_gpu()
    prepare(store)
    measure_service(store, video, None, rounds_of(at_once, with_words), seconds)
    measure_models(store, (), seconds, compiled=compiled_bare)
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
