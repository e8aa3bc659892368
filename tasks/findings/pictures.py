"""Faces and objects against what is said and written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from shared.schema import Caption, SpeechSegment, TrackedObject
from tasks.findings.text import words_of
from tasks.findings.view import (
    PAUSE_SECONDS,
    Finding,
    FindingType,
    View,
    covered,
    finding,
    nearby,
    overlap,
    span_of,
)

FACE_SHARE = 0.8
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


def face_and_voice(view: View) -> Iterator[Finding]:
    """Find runs of speech with a face in the picture, and runs without one; a long pause ends a run."""
    if view.faces is None:
        return
    for run in runs_of(view.speech or {}):
        yield from _seen_or_not(view.faces, run)


def runs_of(speech: dict[str, SpeechSegment]) -> Iterator[dict[str, SpeechSegment]]:
    """Speech without a long pause in it."""
    run: dict[str, SpeechSegment] = {}
    for key, said in sorted(speech.items(), key=lambda pair: pair[1].start):
        if run and said.start - max(before.end for before in run.values()) > PAUSE_SECONDS:
            yield run
            run = {}
        run[key] = said
    if run:
        yield run


def _seen_or_not(faces: dict[str, TrackedObject], speech: dict[str, SpeechSegment]) -> Iterator[Finding]:
    shares = [(key, said, covered(said, faces.values())) for key, said in speech.items()]
    for kind, part in groupby(shares, key=lambda entry: face_state(entry[2])):
        spoken = {key: said for key, said, _ in part}
        span = span_of(spoken.values())
        if kind == "face_with_speech":
            seen = [key for key, face in faces.items() if any(overlap(face, said) > 0 for said in spoken.values())]
            yield finding(kind, "agreement", span, "a face is seen while somebody speaks", *spoken, *seen)
        elif kind == "voice_over":
            yield finding(kind, "observation", span, "somebody speaks and no face is seen", *spoken)


def face_state(share: float) -> FindingType | None:
    """What a share of speech with a face in the picture means; None in between."""
    if share == 0:
        return "voice_over"
    return "face_with_speech" if share >= FACE_SHARE else None


def objects_and_words(view: View) -> Iterator[Finding]:
    """Find objects that are named while they are seen, and unmistakable names of things never seen."""
    if view.objects is None:
        return
    texts: dict[str, Caption | SpeechSegment] = {**(view.captions or {}), **(view.speech or {})}
    labels = {thing.label for thing in view.objects.values()}
    for cited, item in texts.items():
        words = set(words_of(item.text))
        for label in sorted(labels | UNMISTAKABLE):
            named = sorted(words & names_of(label))
            seen = [key for key, thing in nearby(item, view.objects).items() if thing.label == label]
            if named and seen:
                message = f'"{named[0]}" is named while a {label} is seen'
                yield finding("object_named", "agreement", item, message, cited, *seen)
            elif named and label not in labels:
                message = f'"{named[0]}" is named and no {label} is seen in the whole video'
                yield finding("named_but_unseen", "contradiction", item, message, cited)


def names_of(label: str) -> set[str]:
    """Words that name a detector's class."""
    return OTHER_NAMES.get(label, {label, f"{label}s"})
