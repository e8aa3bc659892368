"""How speech flows: pauses, fillers, changes of pace, stressed words; from the words' times, loudness and pitch.

Fillers are found only where the transcript has them, and Whisper leaves many out: it was trained on edited subtitles.
Syllables are counted in the spelling, by English rules. One speaker is assumed: medians are over all words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.schema import (
    Event,
    EventTrack,
    LabelledSegment,
    Scalar,
    ScalarTrack,
    Segment,
    SegmentTrack,
    SeriesTrack,
    SpeechSegment,
    TrackSet,
    Word,
)
from tasks.analyzer import Analyzer, Media, Options

SEGMENTS = "speech_transcription/segments"
LOUDNESS, PITCH = "audio_analysis/loudness", "audio_analysis/pitch"

Floats = NDArray[np.float64]

FILLERS = frozenset(("um", "umm", "uhm", "uh", "uhh", "er", "err", "erm", "eh", "hm", "hmm", "mm", "mmm"))
"""Sounds of hesitation. "Like", "you know" and "well" mostly mean something: they are not counted."""
WINDOW_SECONDS, DT = 5.0, 1.0
LEAST_SPOKEN_SECONDS = 1.5
"""With less speech in a window its pace is not told."""
LEAST_WORDS = 10
"""With fewer words there is no usual loudness or pitch to stand out of."""


class FlowOptions(Options):
    """What counts as a pause, a change of pace, a stress."""

    pause_seconds: float = Field(
        0.25,
        gt=0,
        description="a gap between two words counts as a pause from here on (de Jong and Bosker 2013: 0.25 s)",
    )
    pace_factor: float = Field(
        1.3,
        gt=1,
        description="a change of pace: five seconds differ from the five before by this factor; listeners notice 1.05 "
        "(Quene 2007), but counted syllables and word times are not as exact",
    )
    stress_semitones: float = Field(
        3.0,
        gt=0,
        description="a stressed word is higher than the median word by this much ('t Hart 1981: smaller differences "
        "hardly play a part in speech)",
    )
    stress_lu: float = Field(
        2.0, gt=0, description="and louder than the median word by this much (chosen on two recordings)"
    )


class PaceChange(Event):
    """`faster` or `slower`; paces in syllables per second, pauses left out, of the five seconds before and after."""

    before: float
    after: float


class StressedWord(Segment):
    """A word that is louder and higher than the median word, by so many LU and semitones."""

    text: str
    louder_lu: float
    higher_semitones: float


class SpeechFlow(TrackSet):
    """Items cite the transcript's segments that their words are in.

    `pauses`: label `pause`, gaps between words. `fillers`: label is the word, confidence the transcript's. `pace`:
    syllables per second in the five seconds around each time, pauses left out; null where too little is said.
    `pace_changes`. `stressed`. `scalars`: pauses (number), mean_pause (s), fillers (number), pace (syllables/s), and
    pace_changes and stressed_words (number; null where there was too little to compare, or no sound measured).
    """

    pauses: SegmentTrack[LabelledSegment]
    fillers: SegmentTrack[LabelledSegment]
    pace: SeriesTrack
    pace_changes: EventTrack[PaceChange]
    stressed: SegmentTrack[StressedWord]
    scalars: ScalarTrack


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word, its number of syllables, and the segment it is in."""

    word: Word
    syllables: int
    segment: str


@dataclass(frozen=True, slots=True)
class Prosody:
    """A word's mean loudness in LUFS and median pitch in Hz."""

    spoken: Spoken
    loudness: float
    pitch: float


class SpeechFlowAnalysis(Analyzer[FlowOptions, SpeechFlow]):
    """Compares words with their neighbours and with the speaker's median; every threshold is an option."""

    name = "speech_flow"
    version = 1
    group = "light"
    summary = "pauses, fillers, changes of pace and stressed words, from the transcript, loudness and pitch"
    requires = ("speech_transcription",)
    uses = ("audio_analysis",)
    cost = 0.002

    def analyze(self, media: Media, options: FlowOptions) -> SpeechFlow:
        """Compare; without words every track is empty."""
        words = [
            Spoken(word, syllables(word.text), f"{SEGMENTS}/{segment.id}")
            for segment in media.items(SEGMENTS, SpeechSegment)
            for word in segment.words
        ]
        times = np.arange(0, media.info.duration_seconds, DT)
        pace = Pace(words, options.pause_seconds)
        half = WINDOW_SECONDS / 2
        around = pace.between(times - half, times + half, least_seconds=LEAST_SPOKEN_SECONDS)
        overall = pace.between(np.zeros(1), np.full(1, np.inf), least_seconds=LEAST_SPOKEN_SECONDS)
        pauses, fillers = find_pauses(words, options.pause_seconds), find_fillers(words)
        changes = find_changes(words, pace, options.pace_factor)
        sung = measured(words, media.series(LOUDNESS), media.series(PITCH))
        stressed = find_stressed(sung, options)
        counted = {"pace_changes": changes, "stressed_words": stressed}
        return SpeechFlow(
            pauses=SegmentTrack(method="measurement", items=pauses),
            fillers=SegmentTrack(method="heuristic", items=fillers),
            pace=SeriesTrack(method="heuristic", unit="syllables/s", t0=0.0, dt=DT, values=_known(around)),
            pace_changes=EventTrack(method="heuristic", items=changes or ()),
            stressed=SegmentTrack(method="heuristic", items=stressed or ()),
            scalars=ScalarTrack(
                method="heuristic",
                items=(
                    _scalar("pauses", "1", len(pauses)),
                    _scalar("mean_pause", "s", _mean([pause.end - pause.start for pause in pauses])),
                    _scalar("fillers", "1", len(fillers)),
                    _scalar("pace", "syllables/s", _known(overall)[0]),
                    *(_scalar(name, "1", None if found is None else len(found)) for name, found in counted.items()),
                ),
            ),
        )


# --- pauses and fillers ----------------------------------------------------------------------------------------


def find_pauses(words: Sequence[Spoken], least: float) -> tuple[LabelledSegment, ...]:
    """Gaps of at least `least` seconds between two words."""
    gaps = [(one, other) for one, other in pairwise(words) if other.word.start - one.word.end >= least]
    return tuple(
        LabelledSegment(
            id=f"p{number}",
            start=one.word.end,
            end=other.word.start,
            label="pause",
            evidence=_segments((one, other)),
        )
        for number, (one, other) in enumerate(gaps, 1)
    )


def find_fillers(words: Sequence[Spoken]) -> tuple[LabelledSegment, ...]:
    """Words that are sounds of hesitation."""
    found = [(spoken, plain(spoken.word.text)) for spoken in words]
    return tuple(
        LabelledSegment(
            id=f"h{number}",
            start=spoken.word.start,
            end=spoken.word.end,
            label=label,
            confidence=spoken.word.confidence,
            evidence=(spoken.segment,),
        )
        for number, (spoken, label) in enumerate(((s, text) for s, text in found if text in FILLERS), 1)
    )


def plain(text: str) -> str:
    """The word in small letters, without punctuation at its ends."""
    return text.lower().strip(".,!?;:-\"'()[]\u2026\u2014")


# --- pace ------------------------------------------------------------------------------------------------------


def syllables(text: str) -> int:
    """About how many syllables an English word has: groups of vowels, a silent e at the end not counted.

    A digit counts as one, and so does a letter of an abbreviation in capitals. Against the CMU Pronouncing Dictionary:
    right for 97 of 100 words of running text, and 1 % too few in all.
    """
    if re.fullmatch(r"[A-Z]{2,}s?", bare := text.strip(".,!?;:'\"")):
        return len(bare.rstrip("s"))
    word = re.sub(r"[^a-z]", "", text.lower())
    stem = re.sub(r"(?<![td])ed$|(?<=[^aeiouyl])e$|(?<=[aeiouy][^aeiouycgsxz])es$|(?<=[aeiouy]l)e$", "", word)
    return max(1, len(re.findall(r"[aeiouy]+", stem)) + sum(letter.isdigit() for letter in text))


class Pace:
    """Syllables and spoken seconds since the beginning, straight lines between the ends of words."""

    def __init__(self, words: Sequence[Spoken], pause: float) -> None:
        ends = [time for one in words for time in (one.word.start, one.word.end)]
        self._times = np.maximum.accumulate(ends) if ends else np.zeros(1)
        gained = [count for one in words for count in (0, one.syllables)]
        gaps = np.diff(self._times, prepend=self._times[0])
        # every second gap lies between two words
        gaps[::2] = np.where(gaps[::2] < pause, gaps[::2], 0)
        self._syllables, self._seconds = np.cumsum(gained or [0]), np.cumsum(gaps)

    def between(self, starts: Floats, ends: Floats, *, least_seconds: float) -> Floats:
        """Syllables per second between times, pauses left out; NaN where less is said than `least_seconds`."""
        count, spoken = (
            np.interp(ends, self._times, total) - np.interp(starts, self._times, total)
            for total in (self._syllables, self._seconds)
        )
        return np.where(spoken >= least_seconds, count / np.maximum(spoken, 1e-6), np.nan)


def find_changes(words: Sequence[Spoken], pace: Pace, factor: float) -> tuple[PaceChange, ...] | None:
    """Beginnings of words at which the pace changes most, none nearer than a window to a greater change.

    None where there is nothing to compare.
    """
    times = np.array([spoken.word.start for spoken in words[1:]])
    before = pace.between(times - WINDOW_SECONDS, times, least_seconds=WINDOW_SECONDS / 2)
    after = pace.between(times, times + WINDOW_SECONDS, least_seconds=WINDOW_SECONDS / 2)
    compared = [
        PaceChange(id="unnumbered", t=t, type="faster" if b > a else "slower", before=round(a, 2), after=round(b, 2))
        for t, a, b in zip(times.tolist(), before.tolist(), after.tolist(), strict=True)
        if a > 0 and b > 0
    ]
    kept: list[PaceChange] = []
    for change in sorted(compared, key=_factor, reverse=True):
        if _factor(change) < factor:
            break
        if all(abs(change.t - one.t) >= WINDOW_SECONDS for one in kept):
            kept.append(change)
    kept.sort(key=lambda change: change.t)
    found = tuple(
        change.model_copy(update={"id": f"c{number}", "evidence": _around(words, change.t)})
        for number, change in enumerate(kept, 1)
    )
    return found if compared else None


def _around(words: Sequence[Spoken], t: float) -> tuple[str, ...]:
    return _segments(
        [one for one in words if one.word.end > t - WINDOW_SECONDS and one.word.start < t + WINDOW_SECONDS]
    )


def _factor(change: PaceChange) -> float:
    return max(change.before / change.after, change.after / change.before)


# --- stress ----------------------------------------------------------------------------------------------------


def measured(words: Sequence[Spoken], loudness: SeriesTrack | None, pitch: SeriesTrack | None) -> list[Prosody]:
    """Words with both loudness and pitch."""
    found = []
    for spoken in words:
        loud, high = _during(loudness, spoken.word), _during(pitch, spoken.word)
        if loud and high:
            found.append(Prosody(spoken, float(np.mean(loud)), median(high)))
    return found


def _during(series: SeriesTrack | None, word: Word) -> list[float]:
    if series is None:
        return []
    first = max(0, math.ceil((word.start - series.t0) / series.dt))
    last = math.floor((word.end - series.t0) / series.dt)
    return [value for value in series.values[first : last + 1] if value is not None]


def find_stressed(words: Sequence[Prosody], options: FlowOptions) -> tuple[StressedWord, ...] | None:
    """Words above the median in both; None where there are too few to know the median."""
    if len(words) < LEAST_WORDS:
        return None
    usual_loudness, usual_pitch = median(one.loudness for one in words), median(one.pitch for one in words)
    marked = [(one, one.loudness - usual_loudness, 12 * math.log2(one.pitch / usual_pitch)) for one in words]
    return tuple(
        StressedWord(
            id=f"w{number}",
            start=one.spoken.word.start,
            end=one.spoken.word.end,
            text=one.spoken.word.text,
            louder_lu=round(louder, 1),
            higher_semitones=round(higher, 1),
            evidence=(one.spoken.segment,),
        )
        for number, (one, louder, higher) in enumerate(
            (mark for mark in marked if mark[1] >= options.stress_lu and mark[2] >= options.stress_semitones), 1
        )
    )


def _segments(words: Sequence[Spoken]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.segment for one in words))


def _known(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else round(value, 2) for value in values.tolist())


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _scalar(name: str, unit: str, value: float | None) -> Scalar:
    return Scalar(id=name, name=name, unit=unit, value=None if value is None else round(value, 3))
