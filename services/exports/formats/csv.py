"""A table: one row for each item of every track and for each value of every series, in the document's order.

Written after RFC 4180 (header line, CRLF, quotes doubled) in UTF-8 without a byte order mark. Times are the document's
seconds with three decimals; a moment (event, value of a series) has no end, a number about the whole video neither
start nor end. Cells of text that a spreadsheet would take for a formula (they begin with `=`, `+`, `-`, `@`, a tab, a
line break or a full-width form; OWASP, CSV Injection) get a `'` in front, and so do those that begin with `'`: to read
a text, drop one `'` from its front. Cells of numbers hold numbers only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from services.exports.characters import writable
from services.exports.format import Format, Request
from services.exports.selection import box_of, details_of, name_of, text_of, timed_items
from shared.schema import (
    BaseTrack,
    Document,
    Event,
    Item,
    Scalar,
    ScalarTrack,
    Segment,
    SeriesTrack,
    TrackedObject,
)

TEXTS = ("track", "analyzer", "kind", "method", "id", "name", "text", "unit", "evidence", "details")
COLUMNS = (
    *("track", "analyzer", "kind", "method", "id", "start_seconds", "end_seconds", "name", "text", "value", "unit"),
    *("confidence", "x", "y", "width", "height", "boxes", "evidence", "details"),
)
"""`boxes` is their number: COCO has them. `details` is JSON of what an analyzer adds to its items."""

_FORMULAS = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")  # the last four are the full-width forms of the first

Row = dict[str, str | float | None]


def write(document: Document, request: Request) -> bytes:  # noqa: ARG001  (the signature of all formats)
    """The table in UTF-8; the header alone where nothing was found."""
    table = StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for track in document.tracks:
        signed = {
            "track": track.id,
            "analyzer": track.analyzer,
            "kind": str(getattr(track, "kind", "")),
            "method": track.method,
        }
        for row in _rows(track):
            writer.writerow({column: _cell(column, value) for column, value in {**signed, **row}.items()})
    return table.getvalue().encode()


def _rows(track: BaseTrack) -> Iterator[Row]:
    if isinstance(track, SeriesTrack):
        for number, value in enumerate(track.values):
            yield {"start_seconds": f"{track.t0 + number * track.dt:.3f}", "value": value, "unit": track.unit}
    else:
        yield from map(_row, track.items if isinstance(track, ScalarTrack) else timed_items(track))


def _row(item: Item) -> Row:
    row: Row = {"id": item.id, "name": name_of(item), "text": text_of(item), "details": details_of(item)}
    row["evidence"] = " ".join(item.evidence)
    if isinstance(item, Scalar):
        return {**row, "value": item.value, "unit": item.unit}
    if isinstance(item, Segment):
        row |= {"start_seconds": f"{item.start:.3f}", "end_seconds": f"{item.end:.3f}", "confidence": item.confidence}
    elif isinstance(item, Event):
        row |= {"start_seconds": f"{item.t:.3f}", "confidence": item.confidence}
    if box := box_of(item):
        row |= dict(zip(("x", "y", "width", "height"), box, strict=True))
    if isinstance(item, TrackedObject):
        row["boxes"] = len(item.boxes)
    return row


def _cell(column: str, value: str | float | None) -> str | float | None:
    if column not in TEXTS or not isinstance(value, str):
        return value
    return f"'{writable(value)}" if value.startswith(_FORMULAS) else writable(value)


FORMAT = Format(
    name="csv",
    media_type="text/csv",
    suffix=".csv",
    summary="a table with a row for each item of every track",
    write=write,
)
