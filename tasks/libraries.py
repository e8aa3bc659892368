"""What models are loaded with, made ready before: libraries imported, files read ahead meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from shared.log import logger
from shared.weights import Weights
from tasks.engines.kinds import KINDS

log = logger(__name__)


def libraries_of(weights: Weights, entries: Iterable[str]) -> tuple[str, ...]:
    """The modules that the engines of these entries load with, each once."""
    known = weights.entries()
    kinds = (KINDS.get(known[name].kind or "", {}).get(known[name].engine or "") for name in entries)
    return tuple(dict.fromkeys(module for kind in kinds for module in getattr(kind, "libraries", ())))


def import_all(modules: Sequence[str]) -> None:
    """Import these modules, and log what it took.

    What cannot be imported is logged alone: the engine that needs it says so when it is loaded. In this thread, since
    two threads in one import have waited for one another for good.
    """
    began = time.monotonic()
    for module in modules:
        try:
            import_module(module)
        except Exception as error:  # noqa: BLE001  (a library that is there may be broken in any way)
            log.warning("not_imported", module=module, reason=f"{type(error).__name__}: {error}")
    if modules:
        log.info("imported", seconds=round(time.monotonic() - began, 2))


def read_ahead(folder: Path) -> None:
    """Have the system begin to read a folder's files into memory, where it takes such hints; nothing waits for it."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):  # a hint alone: who reads a folder or file says what is wrong with it
        for path in filter(Path.is_file, folder.iterdir()):  # a pipe would keep who opens it
            with suppress(OSError), path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
