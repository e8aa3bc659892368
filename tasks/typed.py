"""Text that grows where it stands, as when it is typed: its beginnings are not texts of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.boxes import covered
from tasks.lines import REPLACED, Line, plain

PAUSE_SECONDS = 2.0
"""A beginning that stood for longer is a text: of "Part I" and "Part II" on two slides the first is read by itself."""
NEXT_SECONDS = 0.5
"""A longer text that comes later than this after a beginning went, two looks, is another one."""
SAME_EDGE = 0.5
"""How far left edges may differ, as a share of the line's height."""


def joined(lines: Sequence[Line]) -> list[Line]:
    """The lines by the time they came, each beginning of a text joined to the text that it grew to.

    The text is there from its first letter on. Beginnings that end in a digit before another digit stay: 5 is not the
    beginning of 55.
    """
    texts: list[Line] = []
    came: list[float] = []
    for line in sorted(lines, key=lambda line: line.first):
        grown = [number for number, text in enumerate(texts) if _grows(text, came[number], line)]
        if grown:
            texts[grown[-1]], came[grown[-1]] = replace(line, first=texts[grown[-1]].first), line.first
        else:
            texts.append(line)
            came.append(line.first)
    return texts


def _grows(text: Line, came: float, to: Line) -> bool:
    """Whether a text whose newest letters came at that time goes on as a line."""
    soon = text.end and text.end - came <= PAUSE_SECONDS and abs(to.first - text.end) <= NEXT_SECONDS
    if not soon or abs(text.box[0] - to.box[0]) > SAME_EDGE * to.box[3] or covered(text.box, to.box) < REPLACED:
        return False
    short, long = plain(text.best()[1]), plain(to.best()[1])
    if len(short) >= len(long) or not long.startswith(short):
        return False
    return not (short[-1:].isdigit() and long[len(short)].isdigit())
