"""`reelgraph overlay`: what a document says, drawn into frames of its video."""

from __future__ import annotations

from pathlib import Path

import click

from services.commands.export import read
from services.overlays.sheets import Look, sheets
from shared.digests import sha256_of
from shared.errors import BadInput


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="DOCUMENT")
@click.argument("video", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the sheets.")
@click.option(
    "--every", type=click.FloatRange(min=0.01), default=0.5, show_default=True, help="Seconds between frames."
)
@click.option("--start", type=click.FloatRange(min=0), default=0.0, help="Second to begin at.")
@click.option("--end", type=click.FloatRange(min=0), help="Second to end at. Default: the video's end.")
@click.option("--only", metavar="A,B", help="Draw these analyzers only. Default: all.")
@click.option("--width", type=click.IntRange(16, 4096), default=400, show_default=True, help="Of a frame, in pixels.")
@click.option("--columns", type=click.IntRange(1, 16), default=4, show_default=True, help="Frames beside one another.")
@click.option("--rows", type=click.IntRange(1, 64), default=3, show_default=True, help="Frames above one another.")
def overlay(  # noqa: PLR0913  (click passes options by name)
    *,
    source: Path,
    video: Path,
    out: Path,
    every: float,
    start: float,
    end: float | None,
    only: str | None,
    width: int,
    columns: int,
    rows: int,
) -> None:
    """Draw what the analyzers found into frames of the video: contact sheets that an eye can judge.

    DOCUMENT is a result.json of `reelgraph analyze`. Boxes, points, texts and masks lie in the frames, everything else
    that is said of the moment stands below them. Sheets are PNG files named by the second at which they begin.

    \b
    Examples:
      reelgraph overlay results/reel/result.json reel.mp4 --out sheets
      reelgraph overlay results/reel/result.json reel.mp4 --out sheets --only body_pose --every 0.25 --end 4
    """  # noqa: D301  (click's own mark for a paragraph that is not wrapped)
    document = read(source)
    if sha256_of(video) != document.media.sha256:
        raise BadInput(f"{video}: this is not the video that the document is about", code="bad_option")
    if only is not None:
        names = {name.strip() for name in only.split(",")}
        document = document.model_copy(
            update={"tracks": tuple(one for one in document.tracks if one.analyzer in names)}
        )
    look = Look(start, document.media.duration_seconds if end is None else end, every, width, columns, rows)
    out.mkdir(parents=True, exist_ok=True)
    for first, sheet in sheets(video, document, look):
        sheet.save(out / f"{video.stem}-{first:08.3f}.png")
