"""The numbers that makers of short videos look at first, each from other analyzers' tracks by a stated formula."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from shared.schema import Caption, Event, Scalar, Segment, SpeechSegment, TrackedObject
from tasks.analyzer import Media

CUTS = "cut_analysis/cuts"
FACES = "face_detection/faces"
CAPTIONS = "text_overlay/captions"
SPEECH = "speech_transcription/segments"
SOUND = "audio_analysis/scalars"

READING_SPEED = 20.0
"""Characters a second: Netflix Timed Text Style Guide, English, adults."""
NEAR_SECONDS = 3.0
"""A word that is shown and said counts as the same mention within this time."""
SHORTEST_WORD = 4
"""Letters a word needs to be compared: shorter ones are said all the time."""


def scalars(media: Media, hook: float | None, whole: float | None) -> tuple[Scalar, ...]:
    """The pack. A value is null where an analyzer it rests on has no result, or has nothing to measure it on.

    `hook_strength`: activity of the `hook` over that of the `whole` video, both 0..1; 1 is as busy as the rest. Both
    are measured in stretches as long as the hook, so that nothing after it counts for it.
    `cuts_per_minute`: hard cuts x 60 / duration.
    `text_dwell`: median over the captions of the seconds that each stands, over letters / 20 a second; 1 is just
    enough time to read it once.
    `text_to_speech_lag`: median over words of four letters or more that are shown and said within 3 s of one another,
    of the time its caption appears minus the time it is said; negative: the text comes first.
    `loudness_range`: EBU Tech 3342, of audio_analysis.
    `face_share`: share of the duration in which at least one face is followed.
    """
    captions = media.items(CAPTIONS, Caption)
    speech = media.items(SPEECH, SpeechSegment)
    loudness = next((one.value for one in media.items(SOUND, Scalar) if one.name == "loudness_range"), None)
    duration = media.info.duration_seconds
    values = (
        ("hook_strength", "1", hook / whole if hook is not None and whole else None),
        ("cuts_per_minute", "1/min", _per_minute(media, duration)),
        ("text_dwell", "1", median(_dwells(captions)) if captions else None),
        ("text_to_speech_lag", "s", median(lags) if (lags := list(_lags(captions, speech))) else None),
        ("loudness_range", "LU", loudness),
        ("face_share", "1", _face_share(media, duration)),
    )
    return tuple(
        Scalar(id=name, name=name, unit=unit, value=None if value is None else round(value, 3))
        for name, unit, value in values
    )


def _per_minute(media: Media, duration: float) -> float | None:
    if not media.has("cut_analysis") or duration <= 0:
        return None
    return 60 * sum(cut.type == "cut" for cut in media.items(CUTS, Event)) / duration


def _dwells(captions: Iterable[Caption]) -> list[float]:
    letters = ((caption, max(1, len(caption.text))) for caption in captions)
    return [(caption.end - caption.start) * READING_SPEED / count for caption, count in letters]


def _lags(captions: Sequence[Caption], speech: Sequence[SpeechSegment]) -> Iterator[float]:
    """Yield, for each word of a caption that is said nearby, how much later it is shown; the nearest saying counts."""
    said: dict[str, list[float]] = {}
    for word in (word for segment in speech for word in segment.words):
        for text in _words(word.text):
            said.setdefault(text, []).append(word.start)
    for caption in captions:
        for text in _words(caption.text):
            lag = min((caption.start - t for t in said.get(text, ())), key=abs, default=None)
            if lag is not None and abs(lag) <= NEAR_SECONDS:
                yield lag


def _face_share(media: Media, duration: float) -> float | None:
    if not media.has("face_detection") or duration <= 0:
        return None
    return min(1.0, covered(media.items(FACES, TrackedObject)) / duration)


def covered(segments: Iterable[Segment]) -> float:
    """Seconds in which at least one of the segments holds."""
    total = reached = 0.0
    for segment in sorted(segments, key=lambda one: one.start):
        total += max(0.0, segment.end - max(reached, segment.start))
        reached = max(reached, segment.end)
    return total


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z0-9]+", text.lower()) if len(word) >= SHORTEST_WORD}
