"""What a document says about one moment, in a line for each analyzer."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shared.schema import (
    BaseTrack,
    CameraMotion,
    Caption,
    Document,
    EventTrack,
    Item,
    LabelledSegment,
    ObjectTrack,
    Segment,
    SegmentTrack,
    SeriesTrack,
    SpeechSegment,
    TrackedObject,
)
from tasks.analyzers.age_estimation import ApparentAge
from tasks.analyzers.background_segmentation import Background
from tasks.analyzers.composition_analysis import ShotComposition
from tasks.analyzers.face_emotion import FaceExpressions
from tasks.analyzers.speech_flow import StressedWord
from tasks.findings.view import Finding

SERIES = frozenset(
    {
        "audio_analysis/loudness",
        "background_segmentation/person_share",
        "color_analysis/brightness",
        "temporal_flow/activity",
    }
)
"""Series whose value is written; the others would be numbers that no eye can judge."""
LEAST_SHARE = 0.1
"""Classes of a distribution with less are not written."""


def said(document: Document, t: float, within: float) -> list[str]:
    """A line for each track that says something at `t` seconds, `analyzer/track: what`; events within `within` s."""
    lines = []
    for track in document.tracks:
        words = [word for word in _of_track(track, t, within) if word]
        if words:
            lines.append(f"{track.id}: {', '.join(words)}")
    return lines


def lasts(one: Segment, t: float) -> bool:
    """Whether it holds at that moment."""
    return one.start <= t < one.end


def _of_track(track: BaseTrack, t: float, within: float) -> Iterator[str]:
    if isinstance(track, SeriesTrack):
        place = math.floor((t - track.t0) / track.dt + 1e-9)
        if track.id in SERIES and 0 <= place < len(track.values):
            value = track.values[place]
            yield "-" if value is None else f"{value:.3g} {track.unit}"
    elif isinstance(track, EventTrack):
        yield from (f"{one.type} {one.t:g}" for one in track.items if abs(one.t - t) <= within)
    elif isinstance(track, SegmentTrack | ObjectTrack):
        yield from (_named(one) for one in track.items if lasts(one, t))


def _named(one: Item) -> str:
    """An item in a few words; empty where it is nothing but numbers."""
    words = ""
    match one:
        case Finding():
            words = f"{one.type}: {one.message}"
        case ApparentAge():
            words = f"{one.years:.0f} ({one.low:.0f}-{one.high:.0f}), {one.looks} looks"
        case FaceExpressions():
            shares = sorted(one.shares, key=lambda named: -named[1])
            words = " ".join(f"{label} {share:.2f}" for label, share in shares if share >= LEAST_SHARE)
        case Background():
            words = f"{one.colour} detail {one.detail_ratio} blur {one.blur}"
        case ShotComposition():
            words = f"{one.subject} at {one.subject_place} headroom {one.headroom}"
        case StressedWord() | SpeechSegment() | Caption():
            words = one.text
        case LabelledSegment() | TrackedObject():
            words = f"{one.id} {one.label}"
        case CameraMotion():
            words = one.motion
    return words
