"""SubRip subtitles: one cue for each speech segment, or for each line of text on screen.

There is no standard; this is what SubRip wrote and what players agree on: a number, `hh:mm:ss,mmm --> hh:mm:ss,mmm`,
the lines, an empty line, in UTF-8. Times are the document's, to the millisecond. The format has no escapes. In a text,
`-->` becomes an arrow sign, and a time such as `00:00:01,000` begins a line of its own: a line with two of them starts
a cue for some readers. Markup such as `<i>` stays as it is, and players may obey it.
"""

from __future__ import annotations

import re

from services.exports.format import Format, Request
from services.exports.subtitles import Cue, clock, cues
from shared.schema import Document

_TIME = re.compile(r"(?<=\S)\s*(?<!\d)(?=\d+:\d+:\d+[.,]\d)")
"""The place before a time that does not begin its line."""


def write(document: Document, request: Request) -> bytes:
    """The subtitles in UTF-8; an empty file where nothing is said."""
    blocks = (_block(number, cue) for number, cue in enumerate(cues(document, request.subtitles), start=1))
    return "\n".join(blocks).encode()


def _block(number: int, cue: Cue) -> str:
    lines = _TIME.sub("\n", "\n".join(cue.lines).replace("-->", "\N{RIGHTWARDS ARROW}"))
    return f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n{lines}\n"


FORMAT = Format(
    name="srt",
    media_type="application/x-subrip",
    suffix=".srt",
    summary="subtitles: what is said, or the text on screen",
    write=write,
)
