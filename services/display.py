"""What a person sees while a job runs: one row an analyzer on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shared.errors import Infrastructure
from shared.events import Event
from shared.schema import AnalyzerReport, Document, track_length
from shared.text import one_line

BAR_WIDTH = 20
COLOURS = {
    "ok": "green",
    "partial": "yellow",
    "failed": "red",
    "timeout": "red",
    "unavailable": "bright_black",
    "skipped": "bright_black",
    "cancelled": "yellow",
}


class Display(ABC):
    """Shows jobs one after another."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @abstractmethod
    def say(self, text: str) -> None:
        """One line about what happens now."""

    @abstractmethod
    def open(self, job_id: str, video: Path) -> None:
        """A job is followed from here on."""

    @abstractmethod
    def show(self, event: Event) -> None:
        """An event of the followed job."""

    def close(self, document: Document, folder: Path, unwritten: Infrastructure | None = None) -> None:
        """The followed job has ended: the closing table, where the results are, and why they are not."""
        self.console.print(closing_table(document))
        for report in document.analyzers:
            if report.error is not None:
                self.console.print(f"{report.name}: {report.error.message}", style="bright_black", highlight=False)
        job = document.job
        factor = f", {job.realtime_factor:.2f} times the video's length" if job.realtime_factor is not None else ""
        passes = f"{job.decode_passes} decode pass{'' if job.decode_passes == 1 else 'es'}"
        self.console.print(f"{job.state} in {job.wall_seconds:.1f} s{factor}; {passes}", highlight=False)
        if unwritten is not None:
            self.console.print(f"reelgraph: {unwritten.message}", highlight=False, soft_wrap=True)
            return
        for name in ("result.json", "report.html"):
            self.console.print(f"  {one_line(str(folder / name))}", highlight=False, soft_wrap=True)


class Lines(Display):
    """Plain lines, for logs and pipes."""

    def say(self, text: str) -> None:
        """Print it."""
        self.console.print(text, highlight=False)

    def open(self, job_id: str, video: Path) -> None:
        """Name the video."""
        self.say(f"{one_line(str(video))}: job {job_id}")

    def show(self, event: Event) -> None:
        """A line for everything but progress."""
        if event.type == "planned":
            self.say(f"planned: {len(event.analyzers)} analyzers")
        elif event.type == "started":
            self.say(f"{event.analyzer}: started")
        elif event.type == "finished" and event.report is not None:
            self.say(f"{event.analyzer}: {_ending(event.report, event.items or 0)}")


class Rows(Display):
    """A live table, one row an analyzer."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.title = ""
        self.note = ""
        self.began = time.monotonic()
        self.states: dict[str, Text] = {}
        self.live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._picture)
        self.live.start()

    def say(self, text: str) -> None:
        """Show it under the table."""
        self.note = text

    def open(self, job_id: str, video: Path) -> None:
        """Begin a table."""
        self.title, self.states, self.began = one_line(video.name), {}, time.monotonic()
        self.note = "waiting for the workers to load their models"
        if not self.live.is_started:
            self.live.start()

    def show(self, event: Event) -> None:
        """Update a row."""
        if event.type == "planned":
            self.states = {name: Text("queued", "bright_black") for name in event.analyzers}
        elif event.analyzer is not None and event.type in ("started", "progress"):
            self.note = ""
            done = round((event.fraction or 0.0) * BAR_WIDTH)
            self.states[event.analyzer] = Text("█" * done + "░" * (BAR_WIDTH - done), "cyan")
        elif event.analyzer is not None and event.report is not None:
            ending = _ending(event.report, event.items or 0)
            self.states[event.analyzer] = Text(ending, COLOURS[event.report.status])

    def close(self, document: Document, folder: Path, unwritten: Infrastructure | None = None) -> None:
        """Replace the live table by the closing one."""
        self.live.stop()
        super().close(document, folder, unwritten)

    def _picture(self) -> Group:
        heading = f"{self.title}  {time.monotonic() - self.began:.0f} s".strip()
        table = Table(box=None, show_header=False)
        for name, state in self.states.items():
            table.add_row(name, state)
        return Group(Text(heading, "bold"), table, Text(self.note, "bright_black"))


@contextmanager
def display() -> Iterator[Display]:
    """The display that fits standard error."""
    console = Console(file=sys.stderr, markup=False, emoji=False)
    if not console.is_terminal:
        yield Lines(console)
        return
    rows = Rows(console)
    try:
        yield rows
    finally:
        rows.live.stop()


def closing_table(document: Document) -> Table:
    """Status, items, seconds and realtime factor of every analyzer."""
    table = Table("analyzer", "status", title=document.job.source_name, title_justify="left")
    for heading in ("items", "seconds", "x realtime"):
        table.add_column(heading, justify="right")
    for report in document.analyzers:
        items = sum(track_length(track) for track in document.tracks if track.analyzer == report.name)
        receipt = report.receipt
        seconds = "" if receipt.infer_seconds is None else f"{receipt.infer_seconds:.2f}"
        factor = "" if receipt.realtime_factor is None else f"{receipt.realtime_factor:.3f}"
        status = f"{report.status} (cached)" if receipt.cache_hit else report.status
        table.add_row(report.name, Text(status, COLOURS[report.status]), str(items), seconds, factor)
    return table


def _ending(report: AnalyzerReport, items: int) -> str:
    if report.receipt.cache_hit:
        return f"{report.status} from the cache, {items} items"
    if report.error is not None:
        return f"{report.status} ({report.error.code})"
    return f"{report.status}, {items} items in {report.receipt.infer_seconds or 0:.2f} s"
