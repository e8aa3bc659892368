"""What a person sees while files are pulled: bars on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from shared.pull import PullProgress, Report

LINE_EVERY = 0.25
"""Without a terminal: a line whenever another quarter of a download is there."""


@contextmanager
def shown_pull() -> Iterator[Report]:
    """A `report` for `Weights.pull` that fits standard error."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Lines:
    """A line for each step, and for each quarter of a download."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[tuple[str, str, int]] = set()

    def __call__(self, progress: PullProgress) -> None:
        quarter = int(progress.done_bytes / progress.total_bytes / LINE_EVERY) if progress.total_bytes else 0
        key = (progress.subject, progress.step, quarter)
        if key not in self._told:
            self._told.add(key)
            self._console.print(_sentence(progress), highlight=False, soft_wrap=True)


class _Bars:
    """A bar for each artifact; a line for each stored file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, progress: PullProgress) -> None:
        if progress.step == "stored":
            self._progress.console.print(_sentence(progress), highlight=False)
            return
        if progress.subject not in self._bars:
            self._bars[progress.subject] = self._progress.add_task(progress.subject, total=None)
        self._progress.update(
            self._bars[progress.subject],
            description=f"{progress.subject}: {progress.step}",
            completed=progress.done_bytes,
            total=progress.total_bytes or None,
        )


def _sentence(progress: PullProgress) -> str:
    if progress.step == "downloading":
        done, total = progress.done_bytes / 1e6, progress.total_bytes / 1e6
        return f"{progress.subject}: downloading, {done:.1f} of {total:.1f} MB"
    return f"{progress.subject}: {progress.step}"
