"""A picture of a `….timeline` row of `python -m bench.gpu service`: a lane for each worker, a bar for each run.

    python -m bench.timeline RESULTS ROW PICTURE [--start S --end S]

The pale part of a bar is reading frames or waiting for them, the full part everything else. Times are seconds since the
(first) job was submitted. Nobody can tell thirty colours apart: they are told within a lane, and named lane by lane.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

WIDTH, LANE, LEFT, TOP, FONT = 1800, 44, 110, 40, 14
BOTTOM, NAME, NAMES = 40, 20, 7
"""Room below the lanes, of a row of names in it, and how many names stand in one."""
GAP = 1
"""Pixels between two bars."""
PALE = 0.35
"""How much of a bar's colour the part that reads keeps; the rest is white."""
Colour = tuple[int, int, int]
COLOURS: tuple[Colour, ...] = (
    (66, 133, 222),
    (245, 140, 40),
    (70, 175, 85),
    (225, 75, 85),
    (150, 95, 215),
    (240, 205, 60),
    (60, 190, 200),
    (235, 125, 195),
    (140, 100, 70),
    (150, 160, 170),
    (165, 205, 70),
    (80, 80, 80),
)
"""Of a lane's analyzers, in the order of their names; all are light enough for black letters but brown and grey."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One run of an analyzer; seconds."""

    analyzer: str
    worker: str
    start: float
    end: float
    read: float


def bars(file: Path, row: str) -> list[Bar]:
    """The runs of a row. Raises click.ClickException: there is no such row."""
    for line in file.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if said["row"] == row:
            columns, lines = said["detail"]["columns"], said["detail"]["lines"]
            told = [dict(zip(columns, each, strict=True)) for each in lines]
            return [
                Bar(one["analyzer"], one["worker"], one["start"], one["end"], one["read"] or 0.0)
                for one in told
                if one["end"] is not None
            ]
    raise click.ClickException(f"{file} has no row {row}")


def colours(lanes: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], Colour]:
    """The colour of each analyzer in its lane, by lane and name; the 13th of a lane begins anew."""
    return {
        (lane, name): COLOURS[number % len(COLOURS)]
        for lane, names in lanes.items()
        for number, name in enumerate(sorted(names))
    }


def thinned(colour: Colour) -> Colour:
    """The colour of waiting for frames."""
    red, green, blue = (round(255 - (255 - one) * PALE) for one in colour)
    return red, green, blue


def named(pen: ImageDraw.ImageDraw, shown: Mapping[str, Sequence[str]], top: float) -> None:
    """Which colour is whose, below the lanes, lane by lane."""
    font, wide, row = ImageFont.load_default(size=FONT), (WIDTH - LEFT) // NAMES, top
    tints = colours(shown)
    for lane, names in shown.items():
        pen.text((8, row), lane, fill="black", font=font)
        for number, name in enumerate(sorted(names)):
            left, at = LEFT + number % NAMES * wide, row + number // NAMES * NAME
            pen.rectangle([left, at + 3, left + FONT, at + 3 + FONT], fill=tints[lane, name])
            pen.text((left + FONT + 6, at), name, fill="black", font=font)
        row += NAME * rows_of(names)
    told = "pale: reading or waiting for frames (decoding); white: idle; copies to the GPU are in the full part"
    pen.text((LEFT, row + 4), told, fill="black", font=font)


def rows_of(names: Sequence[str]) -> int:
    """Rows that a lane's names take below the lanes."""
    return -(-len(names) // NAMES)


def ruled(pen: ImageDraw.ImageDraw, start: float, end: float, below: float) -> None:
    """The seconds, above lines down to `below`."""
    step = next(one for one in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if (end - start) / one <= 20)
    for tick in range(int(start / step), int(end / step) + 1):
        if (seconds := tick * step) >= start:
            x = across(seconds, start, end)
            pen.line([x, TOP - 6, x, below], fill=(220, 220, 220))
            pen.text((x + 3, 14), f"{seconds:g} s", fill="black", font=ImageFont.load_default(size=FONT))


def across(seconds: float, start: float, end: float) -> float:
    """Where a moment is, in pixels from the left."""
    return LEFT + (min(max(seconds, start), end) - start) * (WIDTH - LEFT - 20) / (end - start)


def drawn(runs: list[Bar], start: float, end: float) -> Image.Image:
    """The lanes between two moments, the worker that worked longest at the top."""
    worked = {one.worker: 0.0 for one in runs}
    for one in runs:
        worked[one.worker] += one.end - one.start
    seen = [one for one in runs if one.end > start and one.start < end]
    shown = {
        lane: sorted({one.analyzer for one in seen if one.worker == lane})
        for lane in sorted(worked, key=lambda name: -worked[name])
    }
    below, tints = TOP + LANE * len(shown), colours(shown)
    picture = Image.new("RGB", (WIDTH, below + BOTTOM + NAME * sum(map(rows_of, shown.values()))), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=FONT)
    ruled(pen, start, end, below)
    for number, lane in enumerate(shown):
        top = TOP + number * LANE
        pen.text((8, top + LANE / 2 - FONT / 2), lane, fill="black", font=font)
        pen.line([LEFT, top + LANE, WIDTH - 20, top + LANE], fill=(200, 200, 200))
        for run in (one for one in seen if one.worker == lane):
            full = tints[lane, run.analyzer]
            left, read, right = (
                across(t, start, end) for t in (run.start, min(run.end, run.start + run.read), run.end)
            )
            last = max(left, right - GAP)
            pen.rectangle([left, top + 5, last, top + LANE - 5], fill=full)
            if read > left:
                pen.rectangle([left, top + 5, min(read, last), top + LANE - 5], fill=thinned(full))
            if pen.textlength(run.analyzer, font=font) < right - left - 6:
                pen.text((left + 3, top + LANE / 2 - FONT / 2), run.analyzer, fill="black", font=font)
    named(pen, shown, below + 8)
    return picture


@click.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("row")
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--start", type=float, default=0.0, help="First second shown.")
@click.option("--end", type=float, help="Last second shown; default: where the last run ends.")
def main(results: Path, row: str, picture: Path, start: float, end: float | None) -> None:
    """Draw the timeline of ROW in RESULTS, a file of `python -m bench.gpu service`, into PICTURE."""
    runs = bars(results, row)
    last = max(one.end for one in runs) if end is None else end
    if last <= start:
        raise click.ClickException(f"--end must be after --start; the last run ends at {last:g} s")
    drawn(runs, start, last).save(picture)


if __name__ == "__main__":
    main()
