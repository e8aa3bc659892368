"""Contact sheets: frames with what the document says drawn in, and under each what cannot be drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from services.overlays.drawing import FONT, colour_of, drawn
from services.overlays.words import said
from shared.isolated import thumbnail
from shared.schema import Document

LINE = FONT + 3
MARGIN = 6
WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Look:
    """Which moments are drawn, seconds, and how: `width` of a frame in pixels, `columns` and `rows` of a sheet."""

    start: float
    end: float
    every: float
    width: int = 400
    columns: int = 4
    rows: int = 3

    @property
    def times(self) -> list[float]:
        """The moments."""
        count = round((self.end - self.start) / self.every)
        return [round(self.start + number * self.every, 3) for number in range(max(count, 1))]


def sheets(video: Path, document: Document, look: Look) -> Iterator[tuple[float, Image.Image]]:
    """Sheets of the video, each with the second at which it begins.

    Raises:
        BadInput: the video cannot be read, or a picture of it cannot be decoded.
    """
    per_sheet = look.columns * look.rows
    for first in range(0, len(look.times), per_sheet):
        times = look.times[first : first + per_sheet]
        cells = [_cell(_frame(video, document, t, look.width), document, t, look.every / 2) for t in times]
        yield times[0], _sheet(cells, look.columns)


def _frame(video: Path, document: Document, t: float, width: int) -> Image.Image:
    return Image.open(BytesIO(thumbnail(video, document.media, t, width=width))).convert("RGB")


def _cell(frame: Image.Image, document: Document, t: float, within: float) -> Image.Image:
    """The frame of second `t` with the drawing, and the words below it in the colours of their tracks."""
    font = ImageFont.load_default(size=FONT)
    lines = [(f"{t:.3f} s", WHITE)]
    for line in said(document, t, within):
        colour = colour_of(line.split(":")[0])
        lines += [(part, colour) for part in textwrap.wrap(line, frame.width // (FONT // 2), subsequent_indent="  ")]
    cell = Image.new("RGB", (frame.width, frame.height + LINE * len(lines) + MARGIN), "black")
    cell.paste(drawn(frame, document, t, within))
    draw = ImageDraw.Draw(cell)
    for number, (text, colour) in enumerate(lines):
        draw.text((2, frame.height + LINE * number), text, colour, font)
    return cell


def _sheet(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    sheet = Image.new("RGB", (columns * (cells[0].width + MARGIN), sum(heights)), "black")
    y = 0
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (column * (cell.width + MARGIN), y))
        y += height
    return sheet
