"""A weights store that holds tiny checkpoints under the names of real entries."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from shared.weights import PINS, Weights
from tasks.analyzer import Analyzer
from tasks.devices import CPU
from tasks.models import Models
from tests.support.system import missing

Maker = Callable[[Path], None]
"""Writes a checkpoint into an empty folder."""


def need_torch() -> None:
    """Skip the test where the libraries of the gpu profile are not installed; fail it in CI."""
    for library in ("torch", "transformers"):
        if find_spec(library) is None:
            missing(f"{library} is not installed; get it with: make engines")
    patch_torchvision()


def patch_torchvision() -> None:
    """Let torchvision's CUDA wheel be imported beside a CPU build of torch: two operators are declared before it is."""
    import torch

    if torch.version.cuda is None and "torchvision" not in sys.modules and not KEPT:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(library)


KEPT: list[object] = []
"""torch forgets an operator when the library that declared it is collected."""


def tiny_weights(folder: Path, makers: Mapping[str, Maker], *, engine: str = "transformers") -> Weights:
    """Make the entries, pin them in `folder/weights.toml`, and pull them into `folder/store`.

    `engine` is for entries that the product does not have.
    """
    known = tomllib.loads(PINS.read_text(encoding="utf-8"))["entries"]
    lines: list[str] = []
    for entry, make in makers.items():
        made = folder / "made" / entry
        made.mkdir(parents=True)
        make(made)
        lines += _pinned(entry, made, known.get(entry, {}).get("engine", engine))
    (folder / "weights.toml").write_text("\n".join(lines), encoding="utf-8")
    weights = Weights(folder / "store", folder / "weights.toml")
    weights.pull(makers)
    return weights


def _pinned(entry: str, made: Path, engine: str) -> list[str]:
    artifacts: list[str] = []
    files = [f'[entries."{entry}"]', 'summary = "tiny"', 'licence = "none"', f'engine = "{engine}"']
    for file in sorted(path for path in made.rglob("*") if path.is_file()):
        key = f"{entry}-{file.name}"
        facts = [f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"', f"size_bytes = {file.stat().st_size}"]
        artifacts += [f'[artifacts."{key}"]', 'source = "file"', f'path = "{file}"', *facts]
        files += [f'[[entries."{entry}".files]]', f'name = "{file.name}"', f'artifact = "{key}"', *facts]
    return artifacts + files


def with_engine(analyzer: Analyzer, weights: Weights, entry: str, precision: str = "auto") -> Analyzer:
    """The analyzer, loaded on the CPU from an entry in a precision, and warmed up."""
    models = Models(weights, entry, profile="gpu", threads=1, device=lambda: CPU, precision=precision)
    analyzer.load(models)
    for engine in models.engines:
        engine.warm_up()
    return analyzer
