"""`reelgraph eval`: how right the analyzers are, measured here and now."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from services.evaluation.checks import CHECKS, UNJUDGED
from services.evaluation.figures import Figure
from services.evaluation.packaged import pulled
from services.evaluation.reel_checks import reels
from services.evaluation.truth import ReelTruth, truths
from services.interrupts import interruptible
from shared.errors import BadInput, Unavailable

VALUE_WIDTH, GOAL_WIDTH, HOLDS_WIDTH = 14, 13, 5


@click.command("eval")
@click.option("--analyzers", "names", metavar="A,B", help="Judge these only. Default: all there are.")
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Films of each kind to make.")
@click.option(
    "--media",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder of videos with a truth.json: judge on these as well.",
)
@click.option("--packaged", is_flag=True, help="Judge on clips that packages carry as well; pulled once, 3 MB.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def eval_(  # click passes options by name
    *, names: str | None, rounds: int, media: Path | None, packaged: bool, as_json: bool
) -> int:
    """Judge the analyzers by what is known to be true, and print the figures.

    Clips are made on the spot, about three minutes of work on two cores; --rounds 1 is the short run that the tests
    hold as a bound. With --media, videos are judged too, by what truth.json says of them; with --packaged, clips out of
    packages on PyPI. An analyzer that cannot be
    judged stands in the table with the reason. Ends with 1 when a goal is missed.

    \b
    Examples:
      reelgraph eval
      reelgraph eval --rounds 1 --analyzers visual_effects,sound_effects
      reelgraph eval --packaged --rounds 1
      reelgraph demo --compose-only --out sample && reelgraph eval --media sample
    """  # noqa: D301  (click's own mark for a paragraph that is not wrapped)
    chosen = [name.strip() for name in names.split(",") if name.strip()] if names else None
    videos = {} if media is None else truths(media)  # refuses a folder without truth before anything is measured
    known = sorted({*CHECKS, *UNJUDGED})
    unknown = sorted(set(chosen or ()) - set(known))
    if unknown:
        raise BadInput(f"there is no analyzer {unknown[0]}; there are {', '.join(known)}", code="unknown_analyzer")
    if packaged:
        videos |= pulled()
    figures: list[Figure] = []
    with interruptible():  # what was made for it is removed
        if as_json:
            figures += measured(rounds, videos, chosen)
            click.echo(json.dumps([{**asdict(figure), "holds": figure.holds} for figure in figures], indent=1))
        else:
            show(_kept(measured(rounds, videos, chosen), figures))
    return int(any(figure.holds is False for figure in figures))


def _kept(figures: Iterable[Figure], into: list[Figure]) -> Iterator[Figure]:
    for figure in figures:
        into.append(figure)
        yield figure


def measured(
    rounds: int, videos: Mapping[Path, ReelTruth] | None = None, names: Sequence[str] | None = None
) -> Iterator[Figure]:
    """Make the clips, run the analyzers, yield the figures by analyzer. Films and frames are gone afterwards."""
    chosen = sorted({*CHECKS, *UNJUDGED}) if names is None else names
    with tempfile.TemporaryDirectory() as folder:
        found = list(reels(Path(folder) / "reels", videos or {}, chosen))
        for name in chosen:
            seen = [figure for figure in found if figure.analyzer == name]
            if name in CHECKS:
                yield from _checked(name, Path(folder) / name, rounds)
            elif not seen:
                yield Figure(name, "not judged", "", None, note=UNJUDGED[name])
            yield from seen


def _checked(name: str, folder: Path, rounds: int) -> Iterator[Figure]:
    folder.mkdir()
    try:
        yield from CHECKS[name](folder, rounds)
    except Unavailable as error:
        yield Figure(name, "not judged", "", None, note=error.message)


def show(figures: Iterable[Figure]) -> None:
    """A table for each analyzer as soon as it is judged, its name above it: readable in 80 columns."""
    console = Console()
    for name, rows in groupby(figures, key=attrgetter("analyzer")):
        table = Table(box=None, show_header=False, pad_edge=False, title=name, title_justify="left", expand=True)
        for width in (None, VALUE_WIDTH, GOAL_WIDTH, HOLDS_WIDTH):
            table.add_column(width=width, ratio=None if width else 1)
        for figure in rows:
            what = f"{figure.measure} ({figure.on})" if figure.on else figure.measure
            if figure.value is None:
                table.add_row(f"{what}: {figure.note}", "-", str(figure.goal or ""), "")
                continue
            verdict = {True: "yes", False: "NO", None: ""}[figure.holds]
            table.add_row(what, f"{figure.value:.3g} {figure.unit}".strip(), str(figure.goal or ""), verdict)
        console.print(table)
        console.print()
