"""Analyzers of a test's own, found as the product's are: files in a folder that is walked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tasks.analyzers
from tasks import registry

CACHED = (registry.analyzers, registry.track_types, registry._track_adapters)


@contextmanager
def plugged(folder: Path) -> Iterator[None]:
    """With the analyzers of the folder's files beside the product's."""
    known = set(sys.modules)
    tasks.analyzers.__path__.append(str(folder))
    _forget()
    try:
        yield
    finally:
        tasks.analyzers.__path__.remove(str(folder))
        for name in set(sys.modules) - known:
            if name.startswith("tasks.analyzers."):
                del sys.modules[name]
                delattr(tasks.analyzers, name.rpartition(".")[2])
        _forget()


def _forget() -> None:
    for function in CACHED:
        function.cache_clear()
