"""WebVTT subtitles: one cue for each speech segment with its words timed, or for each line of text on screen, in place.

Written after W3C, WebVTT: The Web Video Text Tracks Format (Candidate Recommendation, 4 April 2019): cue timings and
settings (4.1, 4.4), cue text (4.2.2) with `&`, `<` and `>` as character references. Times are the document's, to the
millisecond. Before each word stands its timestamp `<hh:mm:ss.mmm>`, which the format allows only inside the cue and
after the one before; a word that begins with its cue, or out of order, has none.
"""

from __future__ import annotations

import re
from html import escape

from services.exports.characters import on_one_line
from services.exports.format import Format, Request
from services.exports.selection import why_missing
from services.exports.subtitles import ANALYZERS, Cue, clock, cues, milliseconds
from shared.schema import Caption, Document, SpeechSegment


def write(document: Document, request: Request) -> bytes:
    """The subtitles in UTF-8; without cues where nothing is said, with a note where nobody could listen."""
    why = why_missing(document, ANALYZERS[request.subtitles])
    # a note ends where a cue begins
    note = [f"NOTE {escape(on_one_line(why), quote=False)}\n"] if why else []
    blocks = (_block(cue) for cue in cues(document, request.subtitles))
    return "\n".join(("WEBVTT\n", *note, *blocks)).encode()


def _block(cue: Cue) -> str:
    settings = _place(cue.item) if isinstance(cue.item, Caption) else ""
    payload = _payload(cue)
    return f"{clock(cue.start_ms, '.')} --> {clock(cue.end_ms, '.')}{settings}\n{payload}\n"


def _place(caption: Caption) -> str:
    """Cue settings that put a line where it stood: its top, its middle, its width, in percent of the picture."""
    x, y, width, _ = caption.box
    middle = min(x + width / 2, 1)
    return f" line:{y:.2%} position:{middle:.2%} size:{width:.2%} align:center"


def _payload(cue: Cue) -> str:
    text = "\n".join(cue.lines)
    words = cue.item.words if isinstance(cue.item, SpeechSegment) else ()
    if not words or text.split() != [word.text.strip() for word in words]:
        return escape(text, quote=False)
    pieces = re.split(r"(\s+)", text)
    payload, last = [], cue.start_ms
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            start = milliseconds(words[at // 2].start)
            if last < start < cue.end_ms:
                payload.append(f"<{clock(start, '.')}>")
                last = start
        payload.append(escape(piece, quote=False))
    return "".join(payload)


FORMAT = Format(
    name="vtt",
    media_type="text/vtt",
    suffix=".vtt",
    summary="subtitles with the time of each word, or the text on screen in its place",
    write=write,
)
