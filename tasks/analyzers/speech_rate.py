"""How fast somebody speaks: words per minute over time, articulation and pauses, from the times of the words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field

from shared.schema import Scalar, ScalarTrack, SeriesTrack, SpeechSegment, TrackSet, Word
from tasks.analyzer import Analyzer, Media, Options

SEGMENTS = "speech_transcription/segments"
DT = 1.0


class RateOptions(Options):
    """How the rate is measured."""

    window_seconds: float = Field(5.0, ge=1, le=60, description="words are counted in windows of this length")
    pause_seconds: float = Field(
        0.25,
        gt=0,
        description="a gap between two words counts as a pause from here on (de Jong and Bosker 2013: 0.25 s)",
    )


class SpeechRate(TrackSet):
    """`words_per_minute`: words in the window around each time; null where it holds none. `scalars`: words,
    speaking_rate (words per minute from the first word to the last, pauses in), articulation_rate (the same, pauses
    out), pauses (number), pause_share (of the time from the first word to the last), longest_pause (s).
    """

    words_per_minute: SeriesTrack
    scalars: ScalarTrack


class SpeechRateAnalysis(Analyzer[RateOptions, SpeechRate]):
    """Counts words; the words' times carry the transcript's errors, the counting adds none."""

    name = "speech_rate"
    version = 1
    group = "light"
    summary = "words per minute over time, articulation rate and pauses, counted on the transcript"
    requires = ("speech_transcription",)
    cost = 0.001

    def analyze(self, media: Media, options: RateOptions) -> SpeechRate:
        """Count; without words every value is null or 0."""
        words = [word for segment in media.items(SEGMENTS, SpeechSegment) for word in segment.words]
        return SpeechRate(
            words_per_minute=_series(words, media.info.duration_seconds, options.window_seconds),
            scalars=ScalarTrack(method="measurement", items=_scalars(words, options.pause_seconds)),
        )


def _series(words: list[Word], duration: float, window: float) -> SeriesTrack:
    middles = np.sort([(word.start + word.end) / 2 for word in words])
    times = np.arange(0, duration, DT)
    starts, ends = np.maximum(times - window / 2, 0), np.minimum(times + window / 2, duration)
    counts = np.searchsorted(middles, ends) - np.searchsorted(middles, starts)
    values = tuple(
        round(60 * int(count) / float(length), 1) if count else None
        for count, length in zip(counts, ends - starts, strict=True)
    )
    return SeriesTrack(method="measurement", unit="words/min", t0=0.0, dt=DT, values=values)


def _scalars(words: list[Word], pause_seconds: float) -> tuple[Scalar, ...]:
    gaps = [after.start - word.end for word, after in pairwise(words)]
    pauses = [gap for gap in gaps if gap >= pause_seconds]
    span = words[-1].end - words[0].start if words else 0.0
    voiced = span - sum(pauses)

    def scalar(name: str, unit: str, value: float | None) -> Scalar:
        return Scalar(id=name, name=name, unit=unit, value=None if value is None else round(value, 3))

    return (
        scalar("words", "1", len(words)),
        scalar("speaking_rate", "words/min", 60 * len(words) / span if span > 0 else None),
        scalar("articulation_rate", "words/min", 60 * len(words) / voiced if voiced > 0 else None),
        scalar("pauses", "1", len(pauses)),
        scalar("pause_share", "1", sum(pauses) / span if span > 0 else None),
        scalar("longest_pause", "s", max(pauses, default=None)),
    )
