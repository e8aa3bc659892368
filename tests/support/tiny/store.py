"""A weights store that holds tiny checkpoints under the names of real entries."""

from __future__ import annotations

import hashlib
import os
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

from shared.digests import sha256_of
from shared.hub import LockedEntry, LockedFile, add_to_lock
from shared.settings import settings
from shared.weights import LOCK, PINS, Weights
from tasks.analyzer import Analyzer
from tasks.devices import CPU
from tasks.models import Models
from tests.support.system import missing

NO_REVISION = "0" * 40
Maker = Callable[[Path], None]
"""Writes a checkpoint into an empty folder."""


def need_torch() -> None:
    """Skip the test where the libraries of the gpu profile are not installed; fail it in CI."""
    for library in ("torch", "transformers"):
        if find_spec(library) is None:
            missing(f"{library} is not installed; get it with: make engines")
    if "torchvision" not in sys.modules and not STARTED:
        STARTED.update(runpy.run_path(str(STARTUP / "sitecustomize.py")))


STARTUP = Path(__file__).parents[1] / "engines"
"""In PYTHONPATH, it lets the workers of a test import torchvision beside a CPU build of torch."""
STARTED: dict[str, object] = {}


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
        lines += _pinned(entry, made, known.get(entry, {}).get("engine") or engine)
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


def tiny_store(folder: Path, makers: Mapping[str, Maker], shipped: Path) -> None:
    """A weights folder as a worker of the gpu profile has it: tiny hub models, locked, beside the shipped ones.

    Models that no hub has are pinned in `own.toml` beside the folder, to be laid over the shipped pins: TransNetV2 of
    true size takes about 5 s for 50 frames on a CPU.
    """
    folder.mkdir()
    for entry in shipped.iterdir():
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in makers:
            (folder / entry.name).symlink_to(entry)
    known = Weights(folder).entries()
    pins: list[str] = []
    for entry, make in makers.items():
        (folder / entry).mkdir()
        make(folder / entry)
        if known[entry].hub is None:
            pins += _pinned(entry, folder / entry, known[entry].engine or "")
            continue
        files = tuple(
            LockedFile(name=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)
            for path in sorted((folder / entry).iterdir())
        )
        hub = known[entry].hub or ""
        locked = LockedEntry(repository=hub, revision=NO_REVISION, files=files, reviewed=False)
        add_to_lock(folder / LOCK, {entry: locked})
    (folder.parent / "own.toml").write_text("\n".join(pins), encoding="utf-8")


def with_engine(analyzer: Analyzer, weights: Weights, entry: str, precision: str = "auto") -> Analyzer:
    """The analyzer, loaded on the CPU from an entry in a precision, and warmed up."""
    models = Models(weights, entry, profile="gpu", threads=1, device=lambda: CPU, precision=precision)
    analyzer.load(models)
    for engine in models.engines:
        engine.warm_up()
    return analyzer


@contextmanager
def gpu_profile() -> Iterator[None]:
    """While it is entered, this process is in the gpu profile; its models stay on the CPU."""
    try:
        with patch.dict(os.environ, REELGRAPH_PROFILE="gpu", REELGRAPH_DEVICE="cpu"):
            settings.cache_clear()
            yield
    finally:
        settings.cache_clear()
