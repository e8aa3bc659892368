"""An ELAN annotation file: one tier for each track of segments or objects, and one for the words said.

Written after the EAF schema 3.0 (mpi.nl/tools/elan/EAFv3.0.xsd). Times are the document's, in whole milliseconds. ELAN
keeps the annotations of a tier apart: what overlaps goes to further tiers (`name 2`, `name 3`), and what has no length
gets 1 ms. Tracks whose items have a label have a controlled vocabulary of the labels that occur; an annotation's value
is its text, else its label, else its analyzer's own fields as JSON. Characters that XML forbids become U+FFFD.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

from services.exports.characters import lines_of, writable
from services.exports.format import Format, Request
from services.exports.selection import details_of, items_of, name_of, text_of, why_missing
from services.exports.subtitles import milliseconds
from shared.schema import Document, ObjectTrack, Segment, SegmentTrack, Span, SpeechSegment

SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
WORDS = "speech_transcription/words"
FREE = "text"
"""The linguistic type of tiers without a vocabulary."""


@dataclass(frozen=True, slots=True)
class _Annotation:
    """A value over a time in milliseconds; at least one long."""

    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class _Tier:
    """Annotations in order that do not overlap; `vocabulary` is empty where values are free text."""

    name: str
    track: str
    annotations: tuple[_Annotation, ...]
    vocabulary: tuple[str, ...]


def write(document: Document, request: Request) -> bytes:
    """The file in UTF-8; a track without items is an empty tier."""
    ET.register_namespace("xsi", INSTANCE)
    tiers = tuple(_tiers(document))
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "Reelgraph",
            "DATE": writable(document.job.submitted_at),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{INSTANCE}}}noNamespaceSchemaLocation": SCHEMA,
        },
    )
    root.append(_header(document, writable(request.video(document))))
    slots = _time_order(root, tiers)
    values = dict.fromkeys((tier.track, value) for tier in tiers for value in tier.vocabulary)
    entries = {value: f"cve{number}" for number, value in enumerate(values, start=1)}
    _append_tiers(root, tiers, slots, entries)
    _append_types(root, tiers, entries)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content + b"\n"


def _header(document: Document, video: str) -> ET.Element:
    header = ET.Element("HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    family = "video" if document.media.has_video else "audio"
    url = f"./{quote(video)}"
    kind = f"{family}/{'mp4' if 'mp4' in document.media.container else '*'}"
    ET.SubElement(header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": url, "RELATIVE_MEDIA_URL": url, "MIME_TYPE": kind})
    for report in document.analyzers:
        if why := why_missing(document, report.name):
            ET.SubElement(header, "PROPERTY", {"NAME": f"missing: {writable(report.name)}"}).text = writable(why)
    return header


# --- annotations -----------------------------------------------------------------------------------------------


def _tiers(document: Document) -> Iterator[_Tier]:
    for track in document.tracks:
        if isinstance(track, SegmentTrack | ObjectTrack):
            items: tuple[Segment, ...] = track.items
            labelled = any(name_of(item) and not text_of(item) for item in items)
            vocabulary = dict.fromkeys(map(_value, items)) if labelled else ()
            yield from _apart(
                track.id, (_annotation((item.start, item.end), _value(item)) for item in items), vocabulary
            )
    words = [word for segment in items_of(document, SpeechSegment) for word in segment.words]
    if words:
        yield from _apart(WORDS, (_annotation((word.start, word.end), _clean(word.text)) for word in words), ())


def _value(item: Segment) -> str:
    return _clean(text_of(item) or name_of(item) or details_of(item) or item.id)


def _clean(text: str) -> str:
    return "\n".join(lines_of(text))


def _annotation(span: Span, value: str) -> _Annotation:
    start, end = map(milliseconds, span)
    return _Annotation(start, max(end, start + 1), value)


def _apart(name: str, annotations: Iterable[_Annotation], vocabulary: Iterable[str]) -> Iterator[_Tier]:
    """As few tiers as keep the annotations apart; one where there are none."""
    rows: list[list[_Annotation]] = [[]]
    free: list[tuple[int, int]] = [(0, 0)]
    for annotation in sorted(annotations, key=lambda one: (one.start, one.end)):
        if free[0][0] <= annotation.start:
            _, row = heapq.heappop(free)
        else:
            row = len(rows)
            rows.append([])
        rows[row].append(annotation)
        heapq.heappush(free, (annotation.end, row))
    for number, row_of in enumerate(rows, start=1):
        suffix = f" {number}" if number > 1 else ""
        yield _Tier(f"{writable(name)}{suffix}", writable(name), tuple(row_of), tuple(vocabulary))


# --- elements --------------------------------------------------------------------------------------------------


def _time_order(root: ET.Element, tiers: Iterable[_Tier]) -> Mapping[tuple[int, bool], str]:
    """Two time slots for each annotation, in time order, by its number and whether it is the second one.

    Slots are not shared: in ELAN, whoever moves one annotation would move its neighbours.
    """
    order = ET.SubElement(root, "TIME_ORDER")
    numbered = enumerate((one for tier in tiers for one in tier.annotations), start=1)
    edges = [edge for n, one in numbered for edge in ((one.start, n, False), (one.end, n, True))]
    slots = {}
    for number, (ms, annotation, is_end) in enumerate(sorted(edges), start=1):
        slots[annotation, is_end] = slot = f"ts{number}"
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(ms)})
    return slots


def _append_tiers(
    root: ET.Element,
    tiers: Iterable[_Tier],
    slots: Mapping[tuple[int, bool], str],
    entries: Mapping[tuple[str, str], str],
) -> None:
    number = 0
    for tier in tiers:
        kind = tier.track if tier.vocabulary else FREE
        element = ET.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": kind, "TIER_ID": tier.name})
        for one in tier.annotations:
            number += 1
            place = {"TIME_SLOT_REF1": slots[number, False], "TIME_SLOT_REF2": slots[number, True]}
            entry = entries.get((tier.track, one.value))
            named = {"ANNOTATION_ID": f"a{number}", **({"CVE_REF": entry} if entry else {})}
            aligned = ET.SubElement(ET.SubElement(element, "ANNOTATION"), "ALIGNABLE_ANNOTATION", {**named, **place})
            ET.SubElement(aligned, "ANNOTATION_VALUE").text = one.value


def _append_types(root: ET.Element, tiers: Iterable[_Tier], entries: Mapping[tuple[str, str], str]) -> None:
    plain = {"GRAPHIC_REFERENCES": "false", "TIME_ALIGNABLE": "true"}
    ET.SubElement(root, "LINGUISTIC_TYPE", {**plain, "LINGUISTIC_TYPE_ID": FREE})
    vocabularies = dict.fromkeys(tier.track for tier in tiers if tier.vocabulary)
    for name in vocabularies:
        named = {"LINGUISTIC_TYPE_ID": name, "CONTROLLED_VOCABULARY_REF": name}
        ET.SubElement(root, "LINGUISTIC_TYPE", {**plain, **named})
    undetermined = {"LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001", "LANG_LABEL": "undetermined (und)"}
    ET.SubElement(root, "LANGUAGE", {"LANG_ID": "und", **undetermined})
    for name in vocabularies:
        vocabulary = ET.SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": name})
        ET.SubElement(vocabulary, "DESCRIPTION", {"LANG_REF": "und"}).text = f"labels of {name}"
        for (track, value), entry in entries.items():
            if track == name:
                ET.SubElement(
                    ET.SubElement(vocabulary, "CV_ENTRY_ML", {"CVE_ID": entry}), "CVE_VALUE", {"LANG_REF": "und"}
                ).text = value


FORMAT = Format(
    name="eaf",
    media_type="application/xml",
    suffix=".eaf",
    summary="ELAN annotations: a tier for each track of segments and objects, and for the words",
    write=write,
)
