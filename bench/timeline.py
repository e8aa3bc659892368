"""A picture of a `….timeline` row of `python -m bench.gpu service`: a lane for each worker, a bar for each run.

    python -m bench.timeline RESULTS ROW PICTURE [--start S --end S]

The pale part of a bar is reading frames or waiting for them, the full part everything else. Times are seconds since the
(first) job was submitted.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

WIDTH, LANE, LEFT, TOP, FONT = 1800, 44, 110, 40, 14
BOTTOM = 30
PALE = 0.35
"""How much of a bar's colour the part that reads keeps; the rest is white."""


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


def colour(analyzer: str, share: float = 1.0) -> tuple[int, int, int]:
    """A colour that an analyzer always has, thinned with white."""
    hue = zlib.crc32(analyzer.encode()) % 360
    full = Image.new("HSV", (1, 1), (hue * 255 // 360, 150, 190)).convert("RGB").getpixel((0, 0))
    assert isinstance(full, tuple)
    red, green, blue = (round(255 - (255 - one) * share) for one in full)
    return red, green, blue


def drawn(runs: list[Bar], start: float, end: float) -> Image.Image:
    """The lanes between two moments, the worker that worked longest at the top."""
    worked = {one.worker: 0.0 for one in runs}
    for one in runs:
        worked[one.worker] += one.end - one.start
    lanes = sorted(worked, key=lambda name: -worked[name])
    picture = Image.new("RGB", (WIDTH, TOP + LANE * len(lanes) + BOTTOM), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=FONT)
    per_second = (WIDTH - LEFT - 20) / (end - start)

    def at(seconds: float) -> float:
        return LEFT + (min(max(seconds, start), end) - start) * per_second

    step = next(one for one in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if (end - start) / one <= 20)
    for tick in range(int(start / step), int(end / step) + 1):
        if (seconds := tick * step) >= start:
            pen.line([at(seconds), TOP - 6, at(seconds), picture.height - BOTTOM], fill=(220, 220, 220))
            pen.text((at(seconds) + 3, 14), f"{seconds:g} s", fill="black", font=font)
    for number, lane in enumerate(lanes):
        top = TOP + number * LANE
        pen.text((8, top + LANE / 2 - FONT / 2), lane, fill="black", font=font)
        pen.line([LEFT, top + LANE, WIDTH - 20, top + LANE], fill=(200, 200, 200))
        for run in (one for one in runs if one.worker == lane and one.end > start and one.start < end):
            edges = at(run.start), at(min(run.end, run.start + run.read)), at(run.end)
            pen.rectangle([edges[0], top + 5, edges[2], top + LANE - 5], fill=colour(run.analyzer))
            if edges[1] > edges[0]:
                pen.rectangle([edges[0], top + 5, edges[1], top + LANE - 5], fill=colour(run.analyzer, PALE))
            if pen.textlength(run.analyzer, font=font) < edges[2] - edges[0] - 6:
                pen.text((edges[0] + 3, top + LANE / 2 - FONT / 2), run.analyzer, fill="black", font=font)
    pen.text((LEFT, picture.height - BOTTOM + 8), "pale: reading or waiting for frames", fill="black", font=font)
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
