"""Analyzers on videos of which somebody knows what is true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from services.demo import Seen, Shown, Span
from services.evaluation.figures import Figure, at_least, at_most, hits, letters_wrong, share_covered, word_error_rate
from services.evaluation.media import look
from services.evaluation.truth import ReelTruth
from shared.schema import Caption, Segment, TrackSet
from tasks.analyzers.age_estimation import AgeTracks
from tasks.analyzers.audio_environment import EnvironmentTracks
from tasks.analyzers.background_segmentation import BackgroundTracks
from tasks.analyzers.body_pose import PoseTracks
from tasks.analyzers.camera_analysis import CameraTracks
from tasks.analyzers.cut_analysis import CutTracks
from tasks.analyzers.eye_tracking import EyeTracks
from tasks.analyzers.face_detection import FaceTracks
from tasks.analyzers.face_emotion import EmotionTracks
from tasks.analyzers.object_detection import ObjectTracks
from tasks.analyzers.product_detection import GOODS, ProductTracks
from tasks.analyzers.speech_flow import SpeechFlow
from tasks.analyzers.speech_transcription import Transcription
from tasks.analyzers.text_overlay import TextTracks

CUT_SECONDS = 0.1
BLINK_SECONDS = 0.15
HELPED_BY = {
    "background_segmentation": ("object_detection", "cut_analysis", "text_overlay"),
    "body_pose": ("object_detection", "face_detection"),
}
LEAST_PAUSE = 0.25
"""Silences of so many seconds are pauses, as speech_flow has it."""
MARGIN_SECONDS = 0.1
"""Cut off a motion's span at both ends: its truth is known to a few frames only."""


def reels(folder: Path, media: Mapping[Path, ReelTruth], only: Collection[str] | None = None) -> Iterator[Figure]:
    """Judge every video by its truth, `only` these analyzers if given; frames are kept in `folder`."""
    for video, truth in media.items():
        names = [name for name in judged_by(truth) if only is None or name in only]
        # what an analyzer of people merely uses is run too: without it some do not look
        helpers = {other for name in names for other in HELPED_BY.get(name, ())}
        found = look(video, folder, [*names, *sorted(helpers - set(names))]) if names else {}
        for name in names:
            result = found[name]
            if isinstance(result, TrackSet):
                yield from judged(result, truth, video.name)
            else:
                yield Figure(name, "not judged", video.name, None, note=result.message)


def judged_by(truth: ReelTruth) -> list[str]:
    """The analyzers that this truth says something about."""
    labels = {seen.label for seen in truth.objects}
    known = {
        "age_estimation": any(face.age is not None for face in truth.faces),
        "audio_environment": truth.speech or truth.spoken,
        "background_segmentation": "person" in labels,
        "body_pose": "person" in labels,
        "camera_analysis": truth.camera,
        "cut_analysis": truth.cuts_seconds is not None,
        "eye_tracking": truth.blinks_seconds is not None,
        "face_detection": truth.faces,
        "face_emotion": any(face.emotion is not None for face in truth.faces),
        "object_detection": truth.objects,
        "product_detection": labels & GOODS,
        "speech_flow": truth.spoken,
        "speech_transcription": truth.transcript,
        "text_overlay": truth.texts,
    }
    return [name for name, says in known.items() if says]


def judged(found: TrackSet, truth: ReelTruth, name: str) -> Iterator[Figure]:
    """Judge one analyzer's result by what is true of the video of that name; nothing where nothing is known."""
    for kind, judge in JUDGES:
        if isinstance(found, kind):
            yield from judge(found, truth, name)


def _cuts(found: CutTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    times = [event.t for event in found.cuts.items if event.type == "cut"]
    f1 = hits(times, truth.cuts_seconds or (), CUT_SECONDS).f1
    yield Figure("cut_analysis", f"F1 of cuts within {CUT_SECONDS:g} s", name, f1, goal=at_least(0.95))
    if truth.dissolves is not None:
        claimed = [one for one in found.transitions.items if not any(_meet(one, span) for span in truth.dissolves)]
        yield Figure("cut_analysis", "dissolves claimed beyond the true", name, len(claimed), goal=at_most(0))


def _texts(found: TextTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    letters, late = 0, 0.0
    for text in truth.texts:
        best = _closest(found.captions.items, text)
        letters = max(letters, len(text.text) if best is None else letters_wrong(best.text, text.text))
        if best is not None:
            late = max(late, abs(best.start - text.start), abs(best.end - text.end))
    yield Figure("text_overlay", "most wrong letters in a caption", name, letters, goal=at_most(2))
    yield Figure("text_overlay", "largest error of a caption's times", name, late, "s", at_most(0.5))


def _closest(captions: tuple[Caption, ...], text: Shown) -> Caption | None:
    return min(captions, key=lambda one: letters_wrong(one.text, text.text), default=None)


def _objects(found: ObjectTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [
        share_covered([one for one in found.objects.items if one.label == seen.label], seen.start, seen.end)
        for seen in truth.objects
    ]
    yield Figure("object_detection", "least share of an object's time", name, min(shares), goal=at_least(0.8))


def _faces(found: FaceTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [share_covered(found.faces.items, span.start, span.end) for span in truth.faces]
    yield Figure("face_detection", "least share of a face's time", name, min(shares), goal=at_least(0.8))


def _camera(found: CameraTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [
        share_covered(
            [one for one in found.motion.items if one.motion == known.motion],
            known.start + MARGIN_SECONDS,
            known.end - MARGIN_SECONDS,
        )
        for known in truth.camera
    ]
    yield Figure("camera_analysis", "least share of a motion's time", name, min(shares), goal=at_least(0.8))


def _speech(found: Transcription, truth: ReelTruth, name: str) -> Iterator[Figure]:
    said = " ".join(one.text for one in found.segments.items)
    rate = word_error_rate(said, truth.transcript or "")
    yield Figure("speech_transcription", "word error rate", name, rate, goal=at_most(0.1))


def _environment(found: EnvironmentTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    if truth.speech is not None:
        named = [one for one in found.spans.items if one.label == "speech"]
        share = share_covered(named, truth.speech.start, truth.speech.end)
        yield Figure("audio_environment", "share of speech named so", name, share, note="pauses count as missed")
    if truth.spoken:
        named = [one for one in found.spans.items if one.label == "speech"]
        yield from _spoken("audio_environment", "speech", [(one.start, one.end) for one in named], truth.spoken, name)


def _flow(found: SpeechFlow, truth: ReelTruth, name: str) -> Iterator[Figure]:
    """Pauses against where nobody speaks: those between the words of one speaker count as wrong where another talks."""
    silent = [(a.end, b.start) for a, b in pairwise(truth.spoken) if b.start - a.end > LEAST_PAUSE]
    pauses = [(one.start, one.end) for one in found.pauses.items]
    missed = sum(not any(a < end and start < b for a, b in pauses) for start, end in silent)
    extra = sum(not any(start < b and a < end for a, b in silent) for start, end in pauses)
    yield Figure("speech_flow", f"missed of {len(silent)} true silences", name, missed)
    yield Figure("speech_flow", f"of {len(pauses)} pauses, those in which somebody speaks", name, extra)


def _spoken(
    analyzer: str, what: str, found: Sequence[tuple[float, float]], truth: Sequence[Span], name: str
) -> Iterator[Figure]:
    """Precision and recall of time."""
    spans = [Segment(id="x", start=one.start, end=one.end) for one in truth]
    right = sum(share_covered(spans, start, end) * (end - start) for start, end in found)
    claimed, there = sum(end - start for start, end in found), sum(one.end - one.start for one in truth)
    yield Figure(analyzer, f"share of {what} that is true", name, right / claimed if claimed else None, note="none")
    yield Figure(analyzer, f"share of true {what} that is named so", name, right / there)


def _background(found: BackgroundTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    series = found.person_share
    shares = [
        float(np.mean([(value or 0) > 0 for value in series.values[start:end]]))
        for start, end in (
            (round(one.start / series.dt) + 1, round(one.end / series.dt) - 1) for one in _persons(truth)
        )
    ]
    on = f"{name}, near persons"
    yield Figure("background_segmentation", "least share of looks with a mask", on, min(shares), goal=at_least(0.8))


def _poses(found: PoseTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [share_covered(found.poses.items, one.start, one.end) for one in _persons(truth)]
    yield Figure("body_pose", "least share of a person's time", name, min(shares), goal=at_least(0.8))


def _persons(truth: ReelTruth) -> list[Seen]:
    return [one for one in truth.objects if one.label == "person"]


def _products(found: ProductTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [
        share_covered([one for one in found.products.items if one.label == seen.label], seen.start, seen.end)
        for seen in truth.objects
        if seen.label in GOODS
    ]
    yield Figure("product_detection", "least share of a product's time", name, min(shares), goal=at_least(0.8))


def _ages(found: AgeTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    known = [face for face in truth.faces if face.age is not None]
    right = [
        any(one.low <= (face.age or 0) <= one.high for one in found.ages.items if _meet(one, face)) for face in known
    ]
    yield Figure("age_estimation", "share of ages in the range given", name, float(np.mean(right)))


def _emotions(found: EmotionTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    for face in truth.faces:
        if face.emotion is not None:
            named = [one.label == face.emotion for one in found.emotions.items if _meet(one, face)]
            share = float(np.mean(named)) if named else None
            note = "" if named else "the analyzer said nothing of it: not sure enough"
            on = f"{name} {face.start:g} s"
            yield Figure("face_emotion", f"share of labels that are {face.emotion}", on, share, note=note)


def _meet(one: Segment, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _blinks(found: EyeTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    f1 = hits([one.t for one in found.blinks.items], truth.blinks_seconds or (), BLINK_SECONDS).f1
    yield Figure("eye_tracking", f"F1 of blinks within {BLINK_SECONDS:g} s", name, f1)


JUDGES: tuple[tuple[type[TrackSet], Callable[..., Iterator[Figure]]], ...] = (
    (AgeTracks, _ages),
    (BackgroundTracks, _background),
    (CameraTracks, _camera),
    (CutTracks, _cuts),
    (EmotionTracks, _emotions),
    (EnvironmentTracks, _environment),
    (EyeTracks, _blinks),
    (FaceTracks, _faces),
    (ObjectTracks, _objects),
    (PoseTracks, _poses),
    (ProductTracks, _products),
    (SpeechFlow, _flow),
    (TextTracks, _texts),
    (Transcription, _speech),
)
"""Who judges what an analyzer found."""
