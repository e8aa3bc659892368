"""What exports take from a document, and what it says of what it lacks."""

from __future__ import annotations

import json

from shared.schema import (
    BaseTrack,
    Box,
    Document,
    EventTrack,
    Item,
    ObjectTrack,
    Scalar,
    SegmentT,
    SegmentTrack,
    SpeechSegment,
    TrackedObject,
)

_NAMES = ("label", "motion", "type", "kind", "name")
_TEXTS = ("text", "message", "description")
_SAID_ELSEWHERE = {"id", "evidence", "start", "end", "t", "confidence", "box"}
_OWN: dict[type[Item], set[str]] = {TrackedObject: {"boxes"}, SpeechSegment: {"words"}, Scalar: {"value", "unit"}}
"""Fields of single types that are said elsewhere."""


def timed_items(track: BaseTrack) -> tuple[Item, ...]:
    """Segments, events or objects of a track; a series and scalars have none."""
    return tuple(track.items) if isinstance(track, SegmentTrack | EventTrack | ObjectTrack) else ()


def items_of(document: Document, kind: type[SegmentT]) -> tuple[SegmentT, ...]:
    """All items of a type, in time order."""
    found = [item for track in document.tracks for item in timed_items(track) if isinstance(item, kind)]
    return tuple(sorted(found, key=lambda item: item.start))


def name_of(item: Item) -> str:
    """What kind of thing an item is, as its analyzer names it; empty where it has no name."""
    return _first(item, _NAMES)


def text_of(item: Item) -> str:
    """What was said, shown or found out, in words; empty where there are none."""
    return _first(item, _TEXTS)


def _first(item: Item, fields: tuple[str, ...]) -> str:
    return next((value for field in fields if isinstance(value := getattr(item, field, None), str) and value), "")


def box_of(item: Item) -> Box | None:
    """Where an item stands, when it has one place."""
    box: Box | None = getattr(item, "box", None)
    return box


def details_of(item: Item) -> str:
    """What an analyzer adds to an item beyond names, texts, times and boxes, as JSON; empty where that is nothing."""
    shown = {field for field in (*_NAMES, *_TEXTS) if getattr(item, field, None) in (name_of(item), text_of(item))}
    own = {field for kind, fields in _OWN.items() if isinstance(item, kind) for field in fields}
    rest = item.model_dump(mode="json", exclude=_SAID_ELSEWHERE | own | shown, exclude_none=True)
    return json.dumps(rest, ensure_ascii=False, separators=(",", ":")) if rest else ""


def why_missing(document: Document, analyzer: str) -> str | None:
    """Why an analyzer's tracks are missing or have holes, on one line; None where it looked at everything."""
    report = next((report for report in document.analyzers if report.name == analyzer), None)
    if report is None:
        return f"{analyzer} did not run"
    if report.status == "ok":
        return None
    return f"{analyzer}: {report.status}" + (f", {report.error.message}" if report.error else "")
