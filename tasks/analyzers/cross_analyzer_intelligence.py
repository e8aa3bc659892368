"""Where analyzers agree and where they contradict one another, each finding with the items it rests on.

The rules are in `tasks/findings/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import Field

from shared.schema import Caption, Event, Scalar, ScalarTrack, SegmentTrack, SpeechSegment, TrackedObject, TrackSet
from tasks.analyzer import Analyzer, Media, Options
from tasks.findings.pictures import face_and_voice, objects_and_words
from tasks.findings.rhythm import cuts_on_beats, on_beats
from tasks.findings.text import number_differs, reading_rate, screens_of, text_is_said, text_too_fast
from tasks.findings.view import Finding, View, by_evidence, covered

CAPTIONS = "text_overlay/captions"
SPEECH = "speech_transcription/segments"
FACES = "face_detection/faces"
OBJECTS = "object_detection/objects"
CUTS = "cut_analysis/cuts"
BEATS = "audio_analysis/beats"

RULES: tuple[Callable[[View], Iterator[Finding]], ...] = (
    text_is_said,
    number_differs,
    text_too_fast,
    face_and_voice,
    objects_and_words,
    cuts_on_beats,
)


class CrossOptions(Options):
    """How fast people read."""

    reading_speed: float = Field(
        20.0,
        gt=0,
        description="characters a second that viewers can read (Netflix Timed Text Style Guide, English, adults: 20)",
    )


class CrossFindings(TrackSet):
    """`findings`, by start. `scalars`: agreements, contradictions, fastest_text (characters/s), speech_with_face (share
    of the spoken time), cuts_on_beats (share of the cuts); null where there is nothing to compare.
    """

    findings: SegmentTrack[Finding]
    scalars: ScalarTrack


class CrossAnalyzerIntelligence(Analyzer[CrossOptions, CrossFindings]):
    """Compares tracks by stated rules; it looks at neither picture nor sound itself."""

    name = "cross_analyzer_intelligence"
    version = 3
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
        view = View(
            captions=by_evidence(media, CAPTIONS, Caption),
            speech=by_evidence(media, SPEECH, SpeechSegment),
            faces=by_evidence(media, FACES, TrackedObject),
            objects=by_evidence(media, OBJECTS, TrackedObject),
            cuts=by_evidence(media, CUTS, Event),
            beats=by_evidence(media, BEATS, Event),
            reading_speed=options.reading_speed,
        )
        found = sorted((finding for rule in RULES for finding in rule(view)), key=lambda f: (f.start, f.end, f.type))
        numbered = tuple(item.model_copy(update={"id": f"f{number}"}) for number, item in enumerate(found, 1))
        return CrossFindings(
            findings=SegmentTrack(method="heuristic", items=numbered),
            scalars=ScalarTrack(method="heuristic", items=_scalars(view, numbered)),
        )


def _scalars(view: View, findings: tuple[Finding, ...]) -> tuple[Scalar, ...]:
    rates = [reading_rate(screen) for screen in screens_of(view.captions or {})]
    said = list((view.speech or {}).values())
    spoken = sum(segment.end - segment.start for segment in said)
    with_face = None
    if view.faces is not None and spoken > 0:
        faces = view.faces.values()
        with_face = sum((segment.end - segment.start) * covered(segment, faces) for segment in said) / spoken
    on_beat = len(on_beats(view.cuts, view.beats)) / len(view.cuts) if view.cuts and view.beats else None
    verdicts = [finding.verdict for finding in findings]
    contradictable = view.texts_meet_speech or view.objects_meet_words
    agreeable = contradictable or view.faces_meet_speech or view.cuts_meet_beats
    values = (
        ("agreements", "1", verdicts.count("agreement") if agreeable else None),
        ("contradictions", "1", verdicts.count("contradiction") if contradictable else None),
        ("fastest_text", "characters/s", max(rates, default=None)),
        ("speech_with_face", "1", with_face),
        ("cuts_on_beats", "1", on_beat),
    )
    return tuple(
        Scalar(id=name, name=name, unit=unit, value=None if value is None else round(value, 3))
        for name, unit, value in values
    )
