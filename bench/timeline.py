"""A picture of a `….timeline` row of `python -m bench.gpu service`: a lane for each worker, a bar for each run.

    python -m bench.timeline RESULTS ROW PICTURE [--start S --end S]

The pale part of a bar is reading frames or waiting for them, the full part everything else. Times are seconds since the
(first) job was submitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

WIDTH, LANE, LEFT, TOP, FONT = 1800, 44, 110, 40, 14
BOTTOM, NAME, NAMES = 40, 20, 7
"""Room below the lanes, of a row of names in it, and how many names stand in one."""
PALE = 0.35
"""How much of a bar's colour the part that reads keeps; the rest is white."""
GOLDEN = 0.618034
"""Steps of this share of a circle never come near an earlier one."""
Colour = tuple[int, int, int]


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


def colours(analyzers: Iterable[str]) -> dict[str, Colour]:
    """A colour for each, neighbours in the alphabet far apart."""
    found = {}
    for number, name in enumerate(sorted(analyzers)):
        hue = int(number * GOLDEN * 256) % 256
        full = Image.new("HSV", (1, 1), (hue, 120 + 60 * (number % 3), 200)).convert("RGB").getpixel((0, 0))
        assert isinstance(full, tuple)
        found[name] = (int(full[0]), int(full[1]), int(full[2]))
    return found


def thinned(colour: Colour) -> Colour:
    """The colour of waiting for frames."""
    red, green, blue = (round(255 - (255 - one) * PALE) for one in colour)
    return red, green, blue


def named(pen: ImageDraw.ImageDraw, shown: dict[str, Colour], top: float) -> None:
    """Which colour is whose, below the lanes."""
    font, across = ImageFont.load_default(size=FONT), (WIDTH - LEFT) // NAMES
    for number, (name, colour) in enumerate(shown.items()):
        left, row = LEFT + number % NAMES * across, top + number // NAMES * NAME
        pen.rectangle([left, row + 3, left + FONT, row + 3 + FONT], fill=colour)
        pen.text((left + FONT + 6, row), name, fill="black", font=font)
    rows = -(-len(shown) // NAMES)
    told = "pale: reading or waiting for frames (decoding); white: idle; copies to the GPU are in the full part"
    pen.text((LEFT, top + rows * NAME + 4), told, fill="black", font=font)


def drawn(runs: list[Bar], start: float, end: float) -> Image.Image:
    """The lanes between two moments, the worker that worked longest at the top."""
    worked = {one.worker: 0.0 for one in runs}
    for one in runs:
        worked[one.worker] += one.end - one.start
    lanes = sorted(worked, key=lambda name: -worked[name])
    seen = [one for one in runs if one.end > start and one.start < end]
    shown = colours({one.analyzer for one in seen})
    below = TOP + LANE * len(lanes)
    height = below + BOTTOM + NAME * -(-len(shown) // NAMES)
    picture = Image.new("RGB", (WIDTH, height), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=FONT)
    per_second = (WIDTH - LEFT - 20) / (end - start)

    def at(seconds: float) -> float:
        return LEFT + (min(max(seconds, start), end) - start) * per_second

    step = next(one for one in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if (end - start) / one <= 20)
    for tick in range(int(start / step), int(end / step) + 1):
        if (seconds := tick * step) >= start:
            pen.line([at(seconds), TOP - 6, at(seconds), below], fill=(220, 220, 220))
            pen.text((at(seconds) + 3, 14), f"{seconds:g} s", fill="black", font=font)
    for number, lane in enumerate(lanes):
        top = TOP + number * LANE
        pen.text((8, top + LANE / 2 - FONT / 2), lane, fill="black", font=font)
        pen.line([LEFT, top + LANE, WIDTH - 20, top + LANE], fill=(200, 200, 200))
        for run in (one for one in seen if one.worker == lane):
            edges = at(run.start), at(min(run.end, run.start + run.read)), at(run.end)
            pen.rectangle([edges[0], top + 5, edges[2], top + LANE - 5], fill=shown[run.analyzer])
            if edges[1] > edges[0]:
                pen.rectangle([edges[0], top + 5, edges[1], top + LANE - 5], fill=thinned(shown[run.analyzer]))
            if pen.textlength(run.analyzer, font=font) < edges[2] - edges[0] - 6:
                pen.text((edges[0] + 3, top + LANE / 2 - FONT / 2), run.analyzer, fill="black", font=font)
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
