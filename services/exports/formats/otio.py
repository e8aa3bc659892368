"""An OpenTimelineIO timeline: the shots as clips of the video, with markers at cuts, captions and beats.

Written by the OpenTimelineIO library (its schemas Timeline.1, Clip.2, Marker.2; see the project's Serialized Schema
documentation). Times count frames at the video's own rate. A time of the document that is a frame's, to the half
millisecond that it was rounded by, becomes that frame's number; any other (a beat, a frame of a variable rate) becomes
a fraction of one, so all times agree to 1 ms. Without pictures times count milliseconds. Markers stand on the
timeline's stack, since a caption may span shots; what no shot covers is a gap. What is not known stands in the
metadata.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING
from urllib.parse import quote

from services.exports.characters import writable
from services.exports.cut_list import Clip, CutList, Marker, MarkerKind, cut_list, frame_rate
from services.exports.format import Format, Request
from shared.schema import Document

if TYPE_CHECKING:
    import opentimelineio as otio

MILLISECONDS = Fraction(1000)
ROUNDED = 0.000_501
"""Seconds by which rounding to milliseconds moves a time, at most."""

COLOURS: dict[MarkerKind, str] = {"cut": "RED", "caption": "GREEN", "beat": "BLUE"}


def write(document: Document, request: Request) -> bytes:
    """The timeline as JSON in UTF-8."""
    import opentimelineio as otio

    video = writable(request.video(document))
    cuts = cut_list(document)
    timeline = otio.schema.Timeline(name=video, metadata={"reelgraph": _facts(document, cuts)})
    media = document.media
    seconds = max(media.duration_seconds, cuts.clips[-1].end)
    maker = _Maker(frame_rate(media) or MILLISECONDS, video, seconds)
    if media.has_video:
        timeline.tracks.append(maker.track("shots", otio.schema.TrackKind.Video, cuts.clips))
    if media.has_audio:
        whole = (Clip("audio", 0.0, seconds),)
        timeline.tracks.append(maker.track("audio", otio.schema.TrackKind.Audio, whole))
    timeline.tracks.markers.extend(maker.marker(marker) for marker in cuts.markers)
    return f"{timeline.to_json_string(indent=2)}\n".encode()


def _facts(document: Document, cuts: CutList) -> dict[str, object]:
    media = document.media
    return {
        "job": document.job.id,
        "sha256": media.sha256,
        "fps": media.fps,
        "variable_frame_rate": media.vfr,
        "notes": [writable(note) for note in cuts.notes],
    }


class _Maker:
    """Makes parts of the timeline of one video. `seconds` is its length."""

    def __init__(self, rate: Fraction, video: str, seconds: float) -> None:
        self.rate = rate
        self.video = video
        self.whole = self.range(0.0, seconds)

    def value(self, seconds: float) -> float:
        """Frames until a time."""
        exact = Fraction(seconds) * self.rate
        frame = round(exact)
        return float(frame if abs(frame - exact) <= ROUNDED * self.rate else exact)

    def range(self, start: float, end: float) -> otio.opentime.TimeRange:
        """The span in frames."""
        from opentimelineio.opentime import RationalTime, TimeRange

        first, behind = self.value(start), self.value(end)
        rate = float(self.rate)
        return TimeRange(RationalTime(first, rate), RationalTime(behind - first, rate))

    def track(self, name: str, kind: str, clips: tuple[Clip, ...]) -> otio.schema.Track:
        """Clips in order, with gaps between."""
        from opentimelineio import schema

        track = schema.Track(name=name, kind=kind)
        end = 0.0
        for clip in clips:
            if clip.start > end:
                track.append(schema.Gap(source_range=self.range(end, clip.start)))
            reference = schema.ExternalReference(target_url=quote(self.video), available_range=self.whole)
            span = self.range(clip.start, clip.end)
            track.append(schema.Clip(name=writable(clip.name), media_reference=reference, source_range=span))
            end = clip.end
        return track

    def marker(self, marker: Marker) -> otio.schema.Marker:
        """A marker of the stack."""
        from opentimelineio import schema

        return schema.Marker(
            name=marker.text,
            marked_range=self.range(marker.start, marker.end),
            color=COLOURS[marker.kind],
            metadata={"reelgraph": {"kind": marker.kind, "source": writable(marker.source)}},
        )


FORMAT = Format(
    name="otio",
    media_type="application/json",
    suffix=".otio",
    summary="OpenTimelineIO timeline: shots as clips, with markers at cuts, captions and beats",
    write=write,
)
