"""An OpenTimelineIO timeline: the shots as clips of the video, with markers at cuts, captions and beats.

Written after OpenTimelineIO's Serialized Schema documentation (Timeline.1, Stack.1, Track.1, Clip.2, Gap.1, Marker.2).
Times count frames at the video's own rate. A time of the document that is a frame's, to the half millisecond that it
was rounded by, becomes that frame's number; any other (a beat, a frame of a variable rate) becomes a fraction of one,
so all times agree to 1 ms. Without pictures times count milliseconds. Markers stand on the timeline's stack, since a
caption may span shots; what no shot covers is a gap. What is not known stands in the metadata.

The library itself only reads, in the tests: a process that made objects with metadata may abort at its end (its issue
1474, open since 2022; seen with 0.18.1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from urllib.parse import quote

from services.exports.characters import writable
from services.exports.cut_list import Clip, CutList, Marker, MarkerKind, cut_list, frame_rate
from services.exports.format import Format, Request
from shared.schema import Document

MILLISECONDS = Fraction(1000)
ROUNDED = Fraction(501, 1_000_000)
"""Seconds by which rounding to milliseconds moves a time, at most."""

COLOURS: dict[MarkerKind, str] = {"cut": "RED", "caption": "GREEN", "beat": "BLUE"}

Schema = dict[str, object]
"""A serialized object; its `OTIO_SCHEMA` names its type."""


def write(document: Document, request: Request) -> bytes:
    """The timeline as JSON in UTF-8."""
    media = document.media
    cuts = cut_list(document)
    rate = frame_rate(media) or MILLISECONDS
    video = writable(request.video(document))
    seconds = max(media.duration_seconds, cuts.clips[-1].end)
    whole = Clip("audio", 0.0, seconds)
    reference = _object("ExternalReference.1", target_url=quote(video), available_range=_range(0.0, seconds, rate))
    tracks = [_track("shots", "Video", cuts.clips, rate, reference)] if media.has_video else []
    tracks += [_track("audio", "Audio", (whole,), rate, reference)] if media.has_audio else []
    stack = _item("Stack.1", "tracks", children=tracks, markers=[_marker(marker, rate) for marker in cuts.markers])
    timeline = _object(
        "Timeline.1",
        name=video,
        metadata={"reelgraph": _facts(document, cuts)},
        global_start_time=None,
        tracks=stack,
    )
    return f"{json.dumps(timeline, ensure_ascii=False, indent=2)}\n".encode()


def _facts(document: Document, cuts: CutList) -> Schema:
    media = document.media
    return {
        "job": writable(document.job.id),
        "sha256": writable(media.sha256),
        "fps": media.fps,
        "variable_frame_rate": media.vfr,
        "notes": list(cuts.notes),
    }


def _track(name: str, kind: str, clips: Iterable[Clip], rate: Fraction, reference: Schema) -> Schema:
    return _item("Track.1", name, kind=kind, children=list(_children(clips, rate, reference)))


def _children(clips: Iterable[Clip], rate: Fraction, reference: Schema) -> Iterator[Schema]:
    """Clips in order, with gaps between."""
    end = 0.0
    for clip in clips:
        if clip.start > end:
            yield _item("Gap.1", "", source_range=_range(end, clip.start, rate))
        yield _item(
            "Clip.2",
            writable(clip.name),
            source_range=_range(clip.start, clip.end, rate),
            media_references={"DEFAULT_MEDIA": reference},
            active_media_reference_key="DEFAULT_MEDIA",
        )
        end = clip.end


def _marker(marker: Marker, rate: Fraction) -> Schema:
    return _object(
        "Marker.2",
        name=marker.text,
        color=COLOURS[marker.kind],
        marked_range=_range(marker.start, marker.end, rate),
        metadata={"reelgraph": {"kind": marker.kind, "source": writable(marker.source)}},
    )


def _range(start: float, end: float, rate: Fraction) -> Schema:
    first, behind = _frames(start, rate), _frames(end, rate)
    return _object("TimeRange.1", start_time=_time(first, rate), duration=_time(behind - first, rate))


def _frames(seconds: float, rate: Fraction) -> Fraction:
    """Frames until a time: a whole number where a frame begins then."""
    exact = Fraction(seconds) * rate
    return Fraction(round(exact)) if abs(round(exact) - exact) <= ROUNDED * rate else exact


def _time(frames: Fraction, rate: Fraction) -> Schema:
    return _object("RationalTime.1", value=float(frames), rate=float(rate))


def _item(schema: str, name: str, **fields: object) -> Schema:
    """What can stand on a timeline."""
    common: Schema = {"name": name, "metadata": {}, "source_range": None, "effects": [], "markers": [], "enabled": True}
    return _object(schema, **{**common, **fields})


def _object(schema: str, **fields: object) -> Schema:
    return {"OTIO_SCHEMA": schema, **fields}


FORMAT = Format(
    name="otio",
    media_type="application/json",
    suffix=".otio",
    summary="OpenTimelineIO timeline: shots as clips, with markers at cuts, captions and beats",
    write=write,
)
