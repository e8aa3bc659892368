"""`reelgraph eval`: how right the analyzers are, measured here and now."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from services.evaluation.figures import Figure
from services.evaluation.picture_checks import camera, colours, cuts
from services.evaluation.reel_checks import reels, truths
from services.evaluation.sound_checks import sound
from shared.errors import BadInput

CHECKS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    "audio_analysis": sound,
    "camera_analysis": camera,
    "color_analysis": colours,
    "cut_analysis": cuts,
}
"""What is measured on clips made on the spot, by analyzer."""


@click.command("eval")
@click.option("--analyzers", "names", metavar="A,B", help="Judge these only. Default: all that there is truth for.")
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Films of each kind to make.")
@click.option(
    "--media",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder of videos with a truth.json: judge on these as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def eval_(names: str | None, rounds: int, media: Path | None, as_json: bool) -> int:  # noqa: FBT001  (click passes options by name)
    r"""Judge the analyzers by what is known to be true, and print the figures.

    Clips are made on the spot: camera motions, cuts with motion and flashes between, fades, tones, clicks, the test
    signals of the loudness standards, flat colours. With --media, reels are judged too, by what truth.json says.
    Ends with 1 when a goal is missed.

    \b
    Examples:
      reelgraph eval
      reelgraph eval --analyzers cut_analysis --rounds 8
      reelgraph demo --compose-only --out sample && reelgraph eval --media sample
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()] if names else None
    if media is not None:
        truths(media)  # refuses a folder without truth before anything is measured
    unknown = sorted(set(chosen or ()) - set(CHECKS))
    if unknown and media is None:
        raise BadInput(f"nothing here judges {unknown[0]}; there are {', '.join(CHECKS)}", code="unknown_analyzer")
    figures = [figure for figure in measured(rounds, media, chosen) if chosen is None or figure.analyzer in chosen]
    if as_json:
        click.echo(json.dumps([{**asdict(figure), "holds": figure.holds} for figure in figures], indent=1))
    else:
        show(figures)
    return int(any(figure.holds is False for figure in figures))


def measured(rounds: int, media: Path | None = None, names: Sequence[str] | None = None) -> Iterator[Figure]:
    """Make the clips, run the analyzers, yield the figures. Films and frames are gone afterwards."""
    checks = [check for name, check in CHECKS.items() if names is None or name in names]
    with tempfile.TemporaryDirectory() as folder:
        for number, check in enumerate(checks):
            yield from check(Path(folder) / str(number), rounds)
        if media is not None:
            yield from reels(Path(folder) / "reels", media)


def show(figures: Sequence[Figure]) -> None:
    """The table."""
    table = Table("analyzer", "measure", "on", "value", "goal", "holds")
    for figure in figures:
        value = figure.note if figure.value is None else f"{figure.value:.3g} {figure.unit}".strip()
        verdict = {True: "yes", False: "NO", None: ""}[figure.holds]
        table.add_row(figure.analyzer, figure.measure, figure.on, value, str(figure.goal or ""), verdict)
    Console().print(table)
