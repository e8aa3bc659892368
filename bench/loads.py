"""What loading each model takes: the first time, from the disk, and from the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.parts import seconds_of
from bench.rows import Detail, Row, say
from shared.weights import Weights
from tasks import devices
from tasks.devices import Device
from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.engines.body_finders import BODY_FINDERS
from tasks.engines.captions import CAPTIONERS
from tasks.engines.descriptions import DESCRIBERS
from tasks.engines.detectors import DETECTORS
from tasks.engines.moods import MOOD_CLASSIFIERS
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.sounds import SOUND_TAGGERS
from tasks.engines.speech import TRANSCRIBERS
from tasks.engines.texts import TEXT_READERS
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.engines.words import WORD_FINDERS
from tasks.models import EngineKind, Engines, Models

KINDS: Mapping[str, Mapping[str, EngineKind[Any]]] = {
    "qwen2-vl-7b": DESCRIBERS,
    "blip2-opt-2.7b": CAPTIONERS,
    "whisper-large-v3-turbo": TRANSCRIBERS,
    "rtdetr-v2-r50": DETECTORS,
    "owlv2-base": WORD_FINDERS,
    "segformer-b4": SEGMENTERS,
    "upernet-convnext-small": SEGMENTERS,
    "aesthetics-v2-l14": AESTHETIC_JUDGES,
    "vitpose-base-simple": BODY_FINDERS,
    "ast-audioset": SOUND_TAGGERS,
    "wav2vec2-emotion": MOOD_CLASSIFIERS,
    "transnetv2": TRANSITION_FINDERS,
    "ppocr-v6": TEXT_READERS,
}
"""The entries of the gpu profile that engines read, and which engines may."""
PAGE = mmap.PAGESIZE
WARM_SECONDS = {"qwen2-vl-7b": 5.0, "blip2-opt-2.7b": 3.0}
"""Goals of loading from the page cache."""


def loaded_engine(store: Path, entry: str, gpu: Device) -> Models:
    """The engine of an entry, loaded three times and warmed up; prints what each took, and the memory it holds.

    An analyzer that loads with what comes gets this engine.

    `first`: files are hashed while they are read; they lie in the page cache as far as it kept them when they were
    written. `cold`: hashed before, dropped from the page cache. `warm`: from the page cache.
    """
    before = devices.held_mib() or 0.0
    figures: dict[str, Detail] = {}

    def load(name: str) -> tuple[float, Models]:
        shared = Engines(compile_loops="auto")
        models = Models(Weights(store), entry, profile="gpu", threads=8, device=lambda: gpu, shared=shared)
        figures[f"{name}_seconds"] = took = seconds_of(partial(models.engine, KINDS[entry]))
        return took, models

    for name in ("first", "cold"):
        if name == "cold":  # the page cache is dropped with posix_fadvise; the share that stays is told by mincore
            figures["resident_before_cold"] = dropped(store / entry)
        load(name)[1].engines[0].free()
    seconds, models = load("warm")
    engine = models.engines[0]
    figures["held_mib"] = round((devices.held_mib() or 0.0) - before, 1)
    devices.reset_peak()
    figures["warm_up_seconds"] = seconds_of(engine.warm_up)
    figures["gib"] = round(sum(path.stat().st_size for path in (store / entry).iterdir()) / 2**30, 3)
    figures |= {"batch": engine.batch, "peak_mib": devices.peak_mib(), "notes": list(engine.notes)}
    figures |= {"device": engine.files.device.name, "precision": engine.files.precision}
    say(Row(row=f"{entry}.load_seconds", value=seconds, unit="s", goal=WARM_SECONDS.get(entry), detail=figures))
    return models


def dropped(folder: Path) -> float | None:
    """Take the files of a folder out of the page cache; the share of their pages that stayed, None where unknown."""
    pages = stayed = 0
    for path in folder.iterdir():
        if not path.is_file() or not path.stat().st_size:
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        there = resident(path)
        if there is None:
            return None
        pages, stayed = pages + len(there), stayed + sum(page & 1 for page in there)
    return round(stayed / pages, 4) if pages else None


def resident(path: Path) -> bytes | None:
    """For each page of a file whether the page cache has it (lowest bit); None where the system does not tell."""
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * (-(-size // PAGE)))()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        told = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), pages)
        del start  # a mapping with a pointer into it cannot be closed
    return bytes(pages) if told == 0 else None
