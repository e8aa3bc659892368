"""What the rules see, what they say, and the spans that they reckon with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from shared.schema import Caption, Event, Item, Segment, SpeechSegment, TrackedObject
from tasks.analyzer import Media

NEAR_SECONDS = 1.0
"""Words, text and pictures that mean the same thing may be this far apart."""
PAUSE_SECONDS = 2.0
"""Speech that goes on later than this after it stopped is another run of it: a breath, a thought, a turn of talk take
less. A judgement, not a measurement."""

ItemT = TypeVar("ItemT", bound=Item)
SegmentT = TypeVar("SegmentT", bound=Segment)

FindingType = Literal[
    "text_is_said",
    "number_differs",
    "text_too_fast",
    "face_with_speech",
    "voice_over",
    "object_named",
    "named_but_unseen",
    "cuts_on_beats",
]
Verdict = Literal["agreement", "contradiction", "observation"]


class Finding(Segment):
    """One agreement, contradiction or observation; `evidence` cites the items, `message` says it to a person."""

    type: FindingType
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True)
class View:
    """What the other analyzers found, by evidence id; None where they did not look."""

    captions: dict[str, Caption] | None
    speech: dict[str, SpeechSegment] | None
    faces: dict[str, TrackedObject] | None
    objects: dict[str, TrackedObject] | None
    cuts: dict[str, Event] | None
    beats: dict[str, Event] | None
    reading_speed: float

    @property
    def texts_meet_speech(self) -> bool:
        """Whether there is text to compare with what is said."""
        return bool(self.captions and self.speech)

    @property
    def objects_meet_words(self) -> bool:
        """Whether there are words to compare with the objects, of which none may have been seen."""
        return self.objects is not None and bool(self.captions or self.speech)

    @property
    def faces_meet_speech(self) -> bool:
        """Whether there is speech to compare with the faces, of which none may have been seen."""
        return self.faces is not None and bool(self.speech)

    @property
    def cuts_meet_beats(self) -> bool:
        """Whether there are cuts to compare with beats."""
        return bool(self.cuts and self.beats)


def by_evidence(media: Media, track: str, kind: type[ItemT]) -> dict[str, ItemT] | None:
    """Items of a track by what evidence calls them; None where its analyzer has no result."""
    if not media.has(track.partition("/")[0]):
        return None
    return {f"{track}/{item.id}": item for item in media.items(track, kind)}


def finding(kind: FindingType, verdict: Verdict, span: Segment, message: str, *evidence: str) -> Finding:
    """A finding over a span; its number is given when all are known."""
    return Finding(
        id="unnumbered",
        start=span.start,
        end=span.end,
        type=kind,
        verdict=verdict,
        message=message,
        evidence=tuple(dict.fromkeys(evidence)),
    )


def nearby(span: Segment, others: dict[str, SegmentT]) -> dict[str, SegmentT]:
    """Those of the others that hold during a span or up to a second before or after it."""
    return {
        key: other
        for key, other in others.items()
        if other.start < span.end + NEAR_SECONDS and other.end > span.start - NEAR_SECONDS
    }


def overlap(one: Segment, other: Segment) -> float:
    """Seconds that two spans share."""
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))


def covered(span: Segment, others: Iterable[Segment]) -> float:
    """Share of a span in which at least one other holds, 0..1."""
    reached, covered = span.start, 0.0
    for other in sorted(others, key=lambda item: item.start):
        start, end = max(reached, other.start), min(span.end, other.end)
        if end > start:
            covered, reached = covered + end - start, end
    return covered / (span.end - span.start) if span.end > span.start else 0.0


def span_of(segments: Iterable[Segment]) -> Segment:
    """From the first start to the last end."""
    found = list(segments)
    return Segment(id="", start=min(item.start for item in found), end=max(item.end for item in found))
