"""Clips and markers: what EDL and OpenTimelineIO have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from services.exports.characters import on_one_line
from services.exports.selection import timed_items, why_missing
from shared.errors import BadInput
from shared.schema import Caption, Document, Event, MediaInfo, Segment

SHOTS = "cut_analysis/shots"
CUTS = "cut_analysis/cuts"
BEATS = "audio_analysis/beats"
WHOLE = "video"
"""The name of a clip that is all of the video."""

MarkerKind = Literal["cut", "caption", "beat"]


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of the video in seconds; `name` is the shot's id, or `WHOLE`."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment or a span in seconds that an editor looks for; `source` is the item (`analyzer/track/id`)."""

    kind: MarkerKind
    start: float
    end: float
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class CutList:
    """Clips in order without overlap, markers by time, and what an editor must know about both."""

    clips: tuple[Clip, ...]
    markers: tuple[Marker, ...]
    notes: tuple[str, ...]


def cut_list(document: Document) -> CutList:
    """The shots as clips; all of the video as one clip where shots are not known."""
    clips = tuple(_clips(document))
    notes = [on_one_line(why) for name in _looked_for(document) if (why := why_missing(document, name))]
    if not clips:
        clips = (Clip(WHOLE, 0.0, document.media.duration_seconds),)
        notes.insert(0, "shots are not known: one clip is all of the video")
    if document.media.vfr:
        notes.append(f"variable frame rate: frames are counted at {document.media.fps} fps")
    markers = sorted(_markers(document), key=lambda marker: (marker.start, marker.kind))
    return CutList(clips, tuple(markers), tuple(notes))


def frame_rate(media: MediaInfo) -> Fraction | None:
    """Frames per second as the file has them; None without pictures.

    Raises:
        BadInput: the document's rate is no fraction (`bad_document`).
    """
    if not media.fps or not media.has_video:
        return None
    try:
        return Fraction(media.fps)
    except (ValueError, ZeroDivisionError) as error:
        raise BadInput(f"the document's frame rate {media.fps!r} is no fraction", code="bad_document") from error


def _looked_for(document: Document) -> tuple[str, ...]:
    pictures = ("cut_analysis", "text_overlay") if document.media.has_video else ()
    return (*pictures, "audio_analysis") if document.media.has_audio else pictures


def _clips(document: Document) -> Iterator[Clip]:
    end = 0.0
    shots = (item for track in document.tracks if track.id == SHOTS for item in timed_items(track))
    for shot in sorted((shot for shot in shots if isinstance(shot, Segment)), key=lambda shot: shot.start):
        start = max(shot.start, end)
        if shot.end > start:
            yield Clip(shot.id, start, shot.end)
            end = shot.end


def _markers(document: Document) -> Iterator[Marker]:
    kinds: dict[str, MarkerKind] = {CUTS: "cut", BEATS: "beat"}
    for track in document.tracks:
        for item in timed_items(track):
            source = f"{track.id}/{item.id}"
            if isinstance(item, Event) and track.id in kinds:
                yield Marker(kinds[track.id], item.t, item.t, on_one_line(item.type), source)
            elif isinstance(item, Caption):
                yield Marker("caption", item.start, item.end, on_one_line(item.text), source)
