"""Exports as other programs read them: a kept parser of each format, never the code that wrote it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pympi
import pysubs2
import webvtt
from pycocotools.coco import COCO

from services.exports.format import Request
from services.exports.registry import format_named
from shared.schema import Caption, Document, ObjectTrack, SegmentTrack, SeriesTrack, SpeechSegment

NAMES = ("coco", "csv", "eaf", "edl", "otio", "srt", "vtt")


def written(name: str, document: Document, **request: Any) -> str:
    """An export as text."""
    return format_named(name).write(document, Request(**request)).decode()


def srt(text: str) -> list[tuple[int, int, str]]:
    """Cues as pysubs2 reads them: milliseconds from and until, and the text."""
    events = pysubs2.SSAFile.from_string(text, format_="srt", keep_html_tags=True)
    return [(event.start, event.end, event.text.replace(r"\N", "\n")) for event in events]


def vtt(text: str) -> list[webvtt.Caption]:
    """Cues as webvtt-py reads them; it raises for what the format does not allow."""
    return list(webvtt.from_string(text, strict=True))


def csv(text: str) -> list[dict[str, str]]:
    """Rows by column, after the grammar of RFC 4180 and nothing laxer."""
    header, *rows = records(text)
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row, strict=True)) for row in rows]


def records(text: str) -> Iterator[list[str]]:
    """Records of RFC 4180: fields with commas between, CRLF after each record, quotes doubled inside quotes."""
    field = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')
    at, record = 0, []
    while at < len(text):
        match = field.match(text, at)
        assert match, f"no CSV from {text[at : at + 40]!r}"
        quoted, plain, behind = match.groups()
        record.append(plain if quoted is None else quoted.replace('""', '"'))
        if behind == "\r\n":
            yield record
            record = []
        at = match.end()
    assert not record


def edl(text: str, rate: float) -> otio.schema.Timeline:
    """The timeline that the cmx_3600 adapter reads."""
    return otio.adapters.read_from_string(text, adapter_name="cmx_3600", rate=rate)


def locators(text: str) -> list[str]:
    """Locators of an EDL that the adapter opens at the rate that it names; the adapter skips those in drop-frame."""
    rate = re.search(r"timecode counts ([\d/]+) fps", text)
    clips = list(edl(text, float(Fraction(rate[1])) if rate else 30.0).find_clips())
    assert len(clips) == len(re.findall(r"^\d{3}  AX", text, re.MULTILINE))
    return re.findall(r"^\* LOC: \d\d:\d\d:\d\d[:;]\d\d [A-Z]+ +(.*)\r$", text, re.MULTILINE)


def timeline(text: str) -> otio.schema.Timeline:
    """The timeline in an .otio file."""
    return otio.adapters.read_from_string(text, adapter_name="otio_json")


def eaf(text: str, folder: Path) -> pympi.Eaf:
    """The annotations as pympi reads them."""
    path = folder / "export.eaf"
    path.write_bytes(text.encode())
    return pympi.Eaf(str(path))


def coco(text: str, folder: Path) -> COCO:
    """The data set as pycocotools reads it."""
    path = folder / "export.json"
    path.write_bytes(text.encode())
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def read_items(name: str, text: str, folder: Path) -> int:
    """How many items a format's reader finds: cues, rows, boxes, annotations, markers."""
    if name == "eaf":
        annotated = eaf(text, folder)
        return sum(len(annotated.get_annotation_data_for_tier(tier)) for tier in annotated.get_tier_names())
    readers = {
        "coco": lambda: coco(text, folder).anns,
        "csv": lambda: csv(text),
        "edl": lambda: locators(text),
        "otio": lambda: timeline(text).tracks.markers,
        "srt": lambda: srt(text),
        "vtt": lambda: vtt(text),
    }
    return len(readers[name]())


def items_in(name: str, document: Document) -> int:
    """How many items that format owes to a document."""
    tracks = document.tracks
    spans = [item for track in tracks if isinstance(track, SegmentTrack | ObjectTrack) for item in track.items]
    said = [item for item in spans if isinstance(item, SpeechSegment)]
    marked = [item for item in spans if isinstance(item, Caption)]
    marked += [
        one for track in tracks if track.id in {"cut_analysis/cuts", "audio_analysis/beats"} for one in track.items
    ]
    return {
        "coco": sum(len(item.boxes) for track in tracks if isinstance(track, ObjectTrack) for item in track.items),
        "csv": sum(len(track.values if isinstance(track, SeriesTrack) else track.items) for track in tracks),
        "eaf": len(spans) + sum(len(segment.words) for segment in said),
        "edl": len(marked),
        "otio": len(marked),
        "srt": sum(bool(item.text.strip()) for item in said),
        "vtt": sum(bool(item.text.strip()) for item in said),
    }[name]
