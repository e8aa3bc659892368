"""One worker alone, in a new process, its files in the page cache and their digests known: where its start goes."""

from __future__ import annotations

import re
import tempfile
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from bench.loads import WARM_SECONDS, resident
from bench.parts import seconds_of
from bench.rows import Detail, Row, say
from services.stack import local_stack
from shared.settings import settings, use
from shared.weights import Weights
from tasks.registry import analyzers, weights_entry

READY_SECONDS = 300
CHUNK = 64 << 20


def group_of(entry: str) -> str:
    """The group whose analyzer has the entry for its own in the gpu profile."""
    return next(one.group for one in analyzers().values() if weights_entry(one, "gpu") == entry)


def alone(store: Path, entry: str) -> None:
    """Start the worker of an entry's group as `reelgraph worker` does, with nothing else on the GPU; two rows.

    `load_seconds`: what its `loaded` in the worker's log says, without the warm-up, whose goal is that of loading from
    the page cache. `ready_seconds`: from the start of the process until it takes work.
    """
    Weights(store).check(entry)  # seals what was not sealed
    sealed = seconds_of(partial(Weights(store).check, entry))
    _into_the_page_cache(store / entry)
    group = group_of(entry)
    before = settings()
    with tempfile.TemporaryDirectory() as folder:
        use(before.model_copy(update={"data_dir": Path(folder), "weights_dir": store, "profile": "gpu"}))
        try:
            # the control worker and the broker are there before, as where a worker joins a running service
            with local_stack((), stays=True) as stack:
                stack.wait_ready(READY_SECONDS)
                began = time.time()
                worker = stack.start_worker(group, (group,))
                stack.wait_ready(READY_SECONDS)
                said = worker.log_file.read_text(errors="replace")
        finally:
            use(before)
    for row in rows(entry, said, began, {"digests_seconds": sealed, "in_page_cache": _resident(store / entry)}):
        say(row)


def rows(entry: str, said: str, began: float, more: dict[str, Detail]) -> list[Row]:
    """The rows of a worker's log; `began` is when it was started, in seconds of the epoch."""
    imported = re.search(r"^(\S+)Z .*\] imported .*seconds=([\d.]+)", said, re.MULTILINE)
    loading = re.search(r"^(\S+)Z .*\] loading ", said, re.MULTILINE)
    loaded = re.search(r"\] loaded .* seconds=([\d.]+).*warm_up_seconds=([\d.]+)", said)
    ready = re.search(r"^(\S+)Z .*\] ready ", said, re.MULTILINE)
    if not (loading and loaded and ready):
        reason = f"its log lacks loading, loaded or ready: {said[-1500:]}"
        return [Row(row=f"{entry}.alone.load_seconds", value=None, unit="s", reason=reason)]
    phases: dict[str, Detail] = {
        "start_to_loading": _since(began, loading[1]),
        "imports": float(imported[2]) if imported else None,
        "load": float(loaded[1]),
        "warm_up": float(loaded[2]),
        **more,
    }
    took = Row(
        row=f"{entry}.alone.load_seconds",
        value=float(loaded[1]),
        unit="s",
        goal=WARM_SECONDS.get(entry),
        detail=phases,
    )
    return [took, Row(row=f"{entry}.alone.ready_seconds", value=_since(began, ready[1]), unit="s")]


def _since(began: float, stamp: str) -> float:
    return round(datetime.fromisoformat(f"{stamp}+00:00").timestamp() - began, 2)


def _into_the_page_cache(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                while file.read(CHUNK):
                    pass


def _resident(folder: Path) -> float | None:
    """The share of a folder's pages that are in the page cache; None where the system does not tell."""
    pages = there = 0
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_size:
            if (told := resident(path)) is None:
                return None
            pages, there = pages + len(told), there + sum(page & 1 for page in told)
    return round(there / pages, 4) if pages else None
