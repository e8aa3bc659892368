"""Where analyzers agree and where they contradict one another, each finding with the items it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import comb
from textwrap import shorten
from typing import Literal, TypeVar

from pydantic import Field

from shared.schema import (
    Caption,
    Event,
    Item,
    Scalar,
    ScalarTrack,
    Segment,
    SegmentTrack,
    SpeechSegment,
    TrackedObject,
    TrackSet,
)
from tasks.analyzer import Analyzer, Media, Options

CAPTIONS = "text_overlay/captions"
SPEECH = "speech_transcription/segments"
FACES = "face_detection/faces"
OBJECTS = "object_detection/objects"
CUTS = "cut_analysis/cuts"
BEATS = "audio_analysis/beats"

NEAR_SECONDS = 1.0
"""Words, text and pictures that mean the same thing may be this far apart."""
CAPTION_RESOLUTION_SECONDS = 0.25
SAME_SCREEN_SECONDS = 0.5
"""Lines that come and go within this time of one another are read as one screen."""
WORDS_SAID = 0.7
FACE_SHARE = 0.8
BEAT_SECONDS = 0.08
"""Sound and picture this close are seen as one (ITU-R BT.1359-1: detectable from -125 ms to +45 ms)."""
BY_CHANCE = 0.01
"""Cuts keep the beat when so many on a beat would be rarer than this by chance (binomial test)."""
OTHER_NAMES = {
    "person": {"person", "people", "man", "men", "woman", "women", "boy", "girl"},
    "cell phone": {"phone", "phones", "smartphone"},
    "tv": {"tv", "television"},
    "couch": {"couch", "sofa"},
    "dining table": {"table", "tables"},
    "potted plant": {"plant", "plants"},
}
UNMISTAKABLE = frozenset(
    (
        "bottle",
        "bicycle",
        "motorcycle",
        "airplane",
        "laptop",
        "umbrella",
        "elephant",
        "zebra",
        "giraffe",
        "banana",
        "pizza",
        "skateboard",
        "surfboard",
        "toothbrush",
        "backpack",
        "suitcase",
    )
)
"""Names of detector classes that hardly mean anything else when said or written ("mouse", "orange", "bear" do)."""
NUMBER = re.compile(r"(?<![\w.,-])(\d+(?:[.,]\d+)*)\s*(%|(?:(?:thousand|million|billion)\s+)?[a-z]+)", re.IGNORECASE)

SCALES = {"K": "thousand", "M": "million", "B": "billion"}
SCALED = re.compile(r"(?<=\d)([KMB])\b")
MESSAGE_TEXT = 80

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


class CrossOptions(Options):
    """How fast people read."""

    reading_speed: float = Field(
        20.0,
        gt=0,
        description="characters a second that viewers can read (Netflix Timed Text Style Guide, English, adults: 20)",
    )


class Finding(Segment):
    """One agreement, contradiction or observation; `evidence` cites the items, `message` says it to a person."""

    type: FindingType
    verdict: Verdict
    message: str


class CrossFindings(TrackSet):
    """`findings`, by start. `scalars`: agreements, contradictions, fastest_text (characters/s), speech_with_face (share
    of the spoken time), cuts_on_beats (share of the cuts); null where the analyzers to compare have no result.
    """

    findings: SegmentTrack[Finding]
    scalars: ScalarTrack


@dataclass(frozen=True, slots=True)
class _View:
    """What the other analyzers found, by evidence id; None where they did not look."""

    captions: dict[str, Caption] | None
    speech: dict[str, SpeechSegment] | None
    faces: dict[str, TrackedObject] | None
    objects: dict[str, TrackedObject] | None
    cuts: dict[str, Event] | None
    beats: dict[str, Event] | None
    reading_speed: float


class CrossAnalyzerIntelligence(Analyzer[CrossOptions, CrossFindings]):
    """Compares tracks by stated rules; it looks at neither picture nor sound itself."""

    name = "cross_analyzer_intelligence"
    version = 1
    group = "light"
    summary = "agreements and contradictions between text, speech, faces, objects, cuts and beats, with evidence"
    uses = (
        "text_overlay",
        "speech_transcription",
        "face_detection",
        "object_detection",
        "cut_analysis",
        "audio_analysis",
    )
    cost = 0.005

    def analyze(self, media: Media, options: CrossOptions) -> CrossFindings:
        """Apply every rule whose tracks there are."""
        view = _View(
            captions=_by_evidence(media, CAPTIONS, Caption),
            speech=_by_evidence(media, SPEECH, SpeechSegment),
            faces=_by_evidence(media, FACES, TrackedObject),
            objects=_by_evidence(media, OBJECTS, TrackedObject),
            cuts=_by_evidence(media, CUTS, Event),
            beats=_by_evidence(media, BEATS, Event),
            reading_speed=options.reading_speed,
        )
        found = sorted((finding for rule in RULES for finding in rule(view)), key=lambda f: (f.start, f.end, f.type))
        numbered = tuple(item.model_copy(update={"id": f"f{number}"}) for number, item in enumerate(found, 1))
        return CrossFindings(
            findings=SegmentTrack(method="heuristic", items=numbered),
            scalars=ScalarTrack(method="heuristic", items=_scalars(view, numbered)),
        )


def _by_evidence(media: Media, track: str, kind: type[ItemT]) -> dict[str, ItemT] | None:
    if not media.has(track.partition("/")[0]):
        return None
    return {f"{track}/{item.id}": item for item in media.items(track, kind)}


# --- text against speech ---------------------------------------------------------------------------------------


def _text_is_said(view: _View) -> Iterator[Finding]:
    """Find text of which most words, and all numbers, are said in two breaths while it is shown."""
    for cited, caption in (view.captions or {}).items():
        near = list(_near(caption, view.speech or {}).items())
        shown = set(_words(caption.text))
        numbers = {word for word in shown if any(letter.isdigit() for letter in word)}
        for first in range(len(near) if len(shown) >= 2 else 0):
            telling = {key: shown & set(_words(said.text)) for key, said in near[first : first + 2]}
            heard = set().union(*telling.values())
            if len(heard) >= WORDS_SAID * len(shown) and numbers <= heard:
                keys = [key for key, words in telling.items() if words]
                yield _finding(
                    "text_is_said", "agreement", caption, f'"{caption.text}" is shown and said', cited, *keys
                )
                break


def _number_differs(view: _View) -> Iterator[Finding]:
    """Compare a number on screen with the number of the same thing that is said."""
    for cited, caption in (view.captions or {}).items():
        near = _near(caption, view.speech or {})
        said = {key: _numbers(segment.text) for key, segment in near.items()}
        for unit, shown in _numbers(caption.text).items():
            spoken = {number for numbers in said.values() for number in numbers.get(unit, ())}
            if spoken and not spoken & shown:
                one, other = ", ".join(sorted(shown)), ", ".join(sorted(spoken))
                keys = [key for key, numbers in said.items() if unit in numbers]
                message = f"the screen says {one} {unit}, the voice says {other} {unit}"
                yield _finding("number_differs", "contradiction", caption, message, cited, *keys)


def _text_too_fast(view: _View) -> Iterator[Finding]:
    """Find text that is gone before it can be read."""
    for screen in _screens(view.captions or {}):
        rate, span = _reading_rate(screen), _span(screen.values())
        if rate > view.reading_speed:
            text = shorten(" / ".join(caption.text for caption in screen.values()), MESSAGE_TEXT, placeholder=" ...")
            message = (
                f'"{text}" stands for {span.end - span.start:.1f} s: {rate:.0f} characters a second, '
                f"viewers read about {view.reading_speed:g}"
            )
            yield _finding("text_too_fast", "observation", span, message, *screen)


def _screens(captions: dict[str, Caption]) -> list[dict[str, Caption]]:
    """Group lines that come and go together."""
    screens: list[dict[str, Caption]] = []
    for key, caption in sorted(captions.items(), key=lambda pair: (pair[1].start, pair[1].end)):
        for screen in screens:
            first = next(iter(screen.values()))
            if max(abs(caption.start - first.start), abs(caption.end - first.end)) <= SAME_SCREEN_SECONDS:
                screen[key] = caption
                break
        else:
            screens.append({key: caption})
    return screens


def _reading_rate(screen: dict[str, Caption]) -> float:
    """Characters a second, with the benefit of the times' resolution."""
    span = _span(screen.values())
    return sum(len(caption.text) for caption in screen.values()) / (span.end - span.start + CAPTION_RESOLUTION_SECONDS)


# --- faces and objects against words ---------------------------------------------------------------------------


def _face_and_voice(view: _View) -> Iterator[Finding]:
    """Find runs of speech with a face in the picture, and runs without one."""
    if view.faces is None:
        return
    faces = view.faces
    shares = [(key, said, _covered(said, faces.values())) for key, said in (view.speech or {}).items()]
    for kind, run in groupby(shares, key=lambda entry: _face_state(entry[2])):
        spoken = {key: said for key, said, _ in run}
        span = _span(spoken.values())
        if kind == "face_with_speech":
            seen = [key for key, face in faces.items() if any(_overlap(face, said) > 0 for said in spoken.values())]
            yield _finding(kind, "agreement", span, "a face is seen while somebody speaks", *spoken, *seen)
        elif kind == "voice_over":
            yield _finding(kind, "observation", span, "somebody speaks and no face is seen", *spoken)


def _face_state(share: float) -> FindingType | None:
    if share == 0:
        return "voice_over"
    return "face_with_speech" if share >= FACE_SHARE else None


def _objects_and_words(view: _View) -> Iterator[Finding]:
    """Find objects that are named while they are seen, and unmistakable names of things never seen."""
    if view.objects is None:
        return
    texts: dict[str, Caption | SpeechSegment] = {**(view.captions or {}), **(view.speech or {})}
    labels = {thing.label for thing in view.objects.values()}
    for cited, item in texts.items():
        words = set(_words(item.text))
        for label in sorted(labels | UNMISTAKABLE):
            named = sorted(words & _names(label))
            seen = [key for key, thing in _near(item, view.objects).items() if thing.label == label]
            if named and seen:
                message = f'"{named[0]}" is named while a {label} is seen'
                yield _finding("object_named", "agreement", item, message, cited, *seen)
            elif named and label not in labels:
                message = f'"{named[0]}" is named and no {label} is seen in the whole video'
                yield _finding("named_but_unseen", "contradiction", item, message, cited)


def _names(label: str) -> set[str]:
    return OTHER_NAMES.get(label, {label, f"{label}s"})


# --- cuts against beats ----------------------------------------------------------------------------------------


def _cuts_on_beats(view: _View) -> Iterator[Finding]:
    """Find cuts that fall on beats far more often than chance would have it."""
    cuts, beats = view.cuts or {}, view.beats or {}
    matched = _matched(cuts, beats)
    if not matched:
        return
    times = sorted(beat.t for beat in beats.values())
    period = (times[-1] - times[0]) / max(len(times) - 1, 1)
    chance = 2 * BEAT_SECONDS / max(period, 2 * BEAT_SECONDS)
    tail = range(len(matched), len(cuts) + 1)
    if sum(comb(len(cuts), k) * chance**k * (1 - chance) ** (len(cuts) - k) for k in tail) < BY_CHANCE:
        span = _span(Segment(id="", start=cuts[cut].t, end=cuts[cut].t) for cut in matched)
        message = f"{len(matched)} of {len(cuts)} cuts fall on a beat; by chance it would be {chance * len(cuts):.1f}"
        yield _finding("cuts_on_beats", "agreement", span, message, *matched, *matched.values())


def _matched(cuts: dict[str, Event], beats: dict[str, Event]) -> dict[str, str]:
    """Evidence id of the beat on which each cut falls, for those that do."""
    nearest = {cut: min(beats, key=lambda beat: abs(beats[beat].t - cuts[cut].t)) for cut in cuts if beats}
    return {cut: beat for cut, beat in nearest.items() if abs(beats[beat].t - cuts[cut].t) <= BEAT_SECONDS}


RULES: tuple[Callable[[_View], Iterator[Finding]], ...] = (
    _text_is_said,
    _number_differs,
    _text_too_fast,
    _face_and_voice,
    _objects_and_words,
    _cuts_on_beats,
)


# --- numbers and spans -----------------------------------------------------------------------------------------


def _scalars(view: _View, findings: tuple[Finding, ...]) -> tuple[Scalar, ...]:
    rates = [_reading_rate(screen) for screen in _screens(view.captions or {})]
    said = list((view.speech or {}).values())
    spoken = sum(segment.end - segment.start for segment in said)
    with_face = None
    if view.faces is not None and spoken > 0:
        faces = view.faces.values()
        with_face = sum((segment.end - segment.start) * _covered(segment, faces) for segment in said) / spoken
    on_beat = len(_matched(view.cuts, view.beats)) / len(view.cuts) if view.cuts and view.beats else None
    verdicts = [finding.verdict for finding in findings]
    values = (
        ("agreements", "1", verdicts.count("agreement")),
        ("contradictions", "1", verdicts.count("contradiction")),
        ("fastest_text", "characters/s", max(rates, default=None)),
        ("speech_with_face", "1", with_face),
        ("cuts_on_beats", "1", on_beat),
    )
    return tuple(
        Scalar(id=name, name=name, unit=unit, value=None if value is None else round(value, 3))
        for name, unit, value in values
    )


def _finding(kind: FindingType, verdict: Verdict, span: Segment, message: str, *evidence: str) -> Finding:
    return Finding(
        id="unnumbered",
        start=span.start,
        end=span.end,
        type=kind,
        verdict=verdict,
        message=message,
        evidence=tuple(dict.fromkeys(evidence)),
    )


def _near(span: Segment, others: dict[str, SegmentT]) -> dict[str, SegmentT]:
    return {
        key: other
        for key, other in others.items()
        if other.start < span.end + NEAR_SECONDS and other.end > span.start - NEAR_SECONDS
    }


def _overlap(one: Segment, other: Segment) -> float:
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))


def _covered(span: Segment, others: Iterable[Segment]) -> float:
    """Share of a span in which at least one other holds, 0..1."""
    reached, covered = span.start, 0.0
    for other in sorted(others, key=lambda item: item.start):
        start, end = max(reached, other.start), min(span.end, other.end)
        if end > start:
            covered, reached = covered + end - start, end
    return covered / (span.end - span.start) if span.end > span.start else 0.0


def _span(segments: Iterable[Segment]) -> Segment:
    found = list(segments)
    return Segment(id="", start=min(item.start for item in found), end=max(item.end for item in found))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _numbers(text: str) -> dict[str, set[str]]:
    """Numbers in a text by the word after them: "413M pairs" gives {"million pairs": {"413"}}."""
    found: dict[str, set[str]] = {}
    spelled = SCALED.sub(lambda scale: f" {SCALES[scale[1]]}", text)
    for number, unit in NUMBER.findall(spelled):
        found.setdefault(" ".join(unit.lower().split()), set()).add(number.replace(",", ""))
    return found
