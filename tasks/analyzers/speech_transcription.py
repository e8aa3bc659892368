"""What is said: text with word times, by Whisper.

The local model is Whisper tiny.en: it knows English only and writes English-looking text for other languages, usually
with low confidence. It detects no language, so none is claimed. Engines write down whatever they take for speech; what
is reported of it is decided here, for all of them alike.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from pydantic import Field

from shared.frames import Audio
from shared.schema import LabelledSegment, SegmentTrack, SpeechSegment, TrackSet, Word
from shared.text import encodable
from tasks.analyzer import ESSENTIAL, Analyzer, Media, ModelContext, Options
from tasks.engines.speech import TRANSCRIBERS, Transcriber
from tasks.engines.utterances import UNSPACED, Asked, Heard, Language, Part, Stretch
from tasks.voice import SAMPLE_RATE, Samples, Spans, VoiceActivity

SPEECH = Audio(SAMPLE_RATE)
BLOCK_SAMPLES = 300 * SAMPLE_RATE
"""Sound is transcribed in blocks of at most five minutes: the features of two hours at once take over 1 GiB."""
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4
"""Whisper's own marks of a failed decoding (Radford et al. 2022, section 4.5); beyond them nothing is reported."""
LIKELIER_THAN_NOT = 0.5
"""A segment in which no word reaches this probability is left out."""
NO_SPEECH = 0.6
"""Where the model says with this probability that nobody speaks (Whisper's own mark), its tokens must be likelier than
not on the whole. Whisper itself asks for a log probability of -1, which is asked here of all.
"""
REPEATS = 3
"""Said so often in a row, whatever the case and punctuation, it is a decoding loop: what goes on with it is dropped."""
TEXTS_IN_TURN = range(1, 5)
"""So many segments may take turns in a loop."""
WORDS_IN_TURN = range(2, 17)
"""So many words may, wherever segments end. People do say one word four times: the compression ratio judges that."""
NEVER_HEARD = 3
"""So many words of no length, where most have none, are text for which Whisper found no sound."""
LATE_SECONDS = 0.6
"""Whisper was seen to set the first word after a pause up to 0.42 s after the voice."""
SLIVER_SECONDS = 0.1


class TranscriptionOptions(Options):
    """How speech is found and written down."""

    beam_size: int | None = Field(
        None,
        ge=1,
        le=10,
        description="hypotheses kept while decoding; 1 is fastest. Left out: 5 with faster-whisper, 1 with the others",
    )
    pause_seconds: float = Field(0.7, gt=0, description="a pause this long ends a segment")
    speech_threshold: float = Field(0.5, gt=0, lt=1, description="voice activity probability that counts as speech")


class Transcription(TrackSet):
    """`segments`: what was said between two pauses. `confidence` is exp(mean log probability of the decoded tokens) of
    the Whisper segment it is part of; a word's confidence is the mean probability of its tokens.

    `languages`: the language spoken, from the first to the last voice: `label` is its ISO 639-1 code (Whisper's own
    where there is none, such as `yue`), `confidence` the probability that the model gave it, once for the video. Empty
    where nobody speaks, and where the model knows one language only.
    """

    segments: SegmentTrack[SpeechSegment]
    languages: SegmentTrack[LabelledSegment]


class SpeechTranscription(Analyzer[TranscriptionOptions, Transcription]):
    """Whisper behind silero voice activity detection."""

    name = "speech_transcription"
    version = 3
    group = "speech"
    summary = "what is said, with word times (Whisper; the local model knows English only)"
    needs = (SPEECH,)
    weights: ClassVar[dict[str, str]] = {"local": "whisper-tiny-en", "gpu": "whisper-large-v3-turbo"}
    cost = 0.05
    cost_in = {"gpu": 0.14}
    value = ESSENTIAL

    def load(self, model: ModelContext) -> None:
        """Load the Whisper that the weights are for, and the voice activity network."""
        self._transcriber: Transcriber = model.engine(TRANSCRIBERS)
        self._voice = VoiceActivity()
        self._voice.spans(np.zeros(SAMPLE_RATE, np.float32), 0.5)  # the first run allocates its memory

    def analyze(self, media: Media, options: TranscriptionOptions) -> Transcription:
        """Find the voices, then write them down; a block without voice is never shown to Whisper."""
        audio = media.audio(SPEECH)
        stretches = []
        for stretch in self._stretches(audio, options):
            media.progress(0.0)
            stretches.append(stretch)
        language = self._transcriber.language(stretches)
        asked = Asked(language.code if language else None, options.beam_size, options.speech_threshold)
        told: list[Told] = []
        for heard in self._transcriber.transcribe(stretches, asked):
            after = told[-1].word.end if told else 0.0
            words = words_of(heard, spaced=asked.language not in UNSPACED, after=after)
            told.extend(Told(word, heard) for word in words)
            # after what is no speech, too: here a job that has ended is heard of
            media.progress(min(1.0, (told[-1].word.end if told else heard.stretch.start) * SAMPLE_RATE / len(audio)))
        said = segments_of(told, asked, options.pause_seconds)
        return Transcription(
            segments=SegmentTrack(method="model", items=tuple(said)),
            languages=SegmentTrack(method="model", items=_spoken(stretches, language)),
        )

    def _stretches(self, audio: Samples, options: TranscriptionOptions) -> Iterator[Stretch]:
        """Yield the sound in blocks, cut where nobody speaks if possible."""
        start = 0
        while start < len(audio):
            block = np.ascontiguousarray(audio[start : start + BLOCK_SAMPLES])
            spans = self._voice.spans(block, options.speech_threshold)
            more = start + len(block) < len(audio)
            if more and len(spans) > 1 and spans[-1][1] > len(block) / SAMPLE_RATE - 0.5:
                *spans, (cut, _) = spans
                block = block[: int(cut * SAMPLE_RATE)]
            yield Stretch(start / SAMPLE_RATE, block, spans)
            start += len(block)


def _spoken(stretches: list[Stretch], language: Language | None) -> tuple[LabelledSegment, ...]:
    voices = [(one.start + start, one.start + end) for one in stretches for start, end in one.spans]
    if language is None or not voices:
        return ()
    probability = min(1.0, language.probability)
    return (
        LabelledSegment(id="l1", start=voices[0][0], end=voices[-1][1], label=language.code, confidence=probability),
    )


# --- from what was decoded to words --------------------------------------------------------------------------------


def words_of(heard: Heard, *, spaced: bool, after: float = 0.0) -> tuple[Word, ...]:
    """The words with times in the file, none before `after`, each where there is voice; none when decoding failed."""
    spans = heard.stretch.spans
    parts = [replace(part, text=encodable(part.text)) for part in heard.parts]
    words = _whole_words(parts) if spaced else _every_part(parts)
    begin = heard.stretch.start
    found = tuple(
        _shifted(word, begin) for word in _led([_trimmed(word, spans) for word in words], spans, after - begin)
    )
    return () if failed(heard, found) else found


def failed(heard: Heard, words: tuple[Word, ...]) -> bool:
    """Tell a guess from speech: voice activity detection lets some buzzes pass, and Whisper then says "You"."""
    likeliest = max((word.confidence or 0.0 for word in words), default=0.0)
    text = encodable(heard.text).encode()
    unsure = heard.log_probability < math.log(LIKELIER_THAN_NOT)
    return (
        likeliest < LIKELIER_THAN_NOT
        or heard.log_probability < MIN_LOG_PROBABILITY
        or (unsure and heard.no_speech is not None and heard.no_speech > NO_SPEECH)
        or len(text) / len(zlib.compress(text)) > MAX_COMPRESSION_RATIO
        or never_heard(words)
    )


def never_heard(words: Sequence[Word]) -> bool:
    """Tell text that goes on where the sound does not: Whisper sets its words all at one moment."""
    without = sum(word.end <= word.start for word in words)
    return without >= NEVER_HEARD and 2 * without > len(words)


def _every_part(parts: Iterable[Part]) -> Iterator[Word]:
    for part in parts:
        if text := part.text.strip():
            yield Word(start=part.start, end=max(part.start, part.end), text=text, confidence=part.probability)


def _whole_words(parts: Iterable[Part]) -> Iterator[Word]:
    """Join a part that no space precedes ("0" + ".3") to the word before; the less sure part gives the confidence."""
    word: Word | None = None
    for part in parts:
        start, end, sure = part.start, max(part.start, part.end), part.probability
        if word is not None and not part.text.startswith(" "):
            word = Word(
                start=word.start,
                end=max(word.end, end),
                text=word.text + part.text,
                confidence=min(word.confidence or 0, sure),
            )
            continue
        if word is not None:
            yield word
        word = Word(start=start, end=end, text=part.text.strip(), confidence=sure)
    if word is not None:
        yield word


def _trimmed(word: Word, spans: Spans) -> Word:
    """Whisper stretches a word over the silence beside it: keep the part in which there is voice."""
    end = min(word.end, spans[-1][1])
    start = min(word.start, end)
    voiced = [(max(start, a), min(end, b)) for a, b in spans if a < end and b > start]
    # a sliver is the neighbour's voice, not this word's
    voiced = [(a, b) for a, b in voiced if b - a >= SLIVER_SECONDS] or voiced
    if voiced:
        start, end = voiced[0][0], voiced[-1][1]
    return word.model_copy(update={"start": start, "end": end})


def _led(words: list[Word], spans: Spans, end: float) -> Iterator[Word]:
    """Let a word begin with the voice it begins in, but not before `end`, where the one before ends.

    Whisper sets the first word after a pause too late.
    """
    for word in words:
        voice = next((a for a, b in spans if a <= word.start < b), word.start)
        begins = voice if end <= voice and word.start - voice <= LATE_SECONDS else max(word.start, end)
        end = max(begins, word.end)
        yield word.model_copy(update={"start": begins, "end": end})


def _shifted(word: Word, seconds: float) -> Word:
    return word.model_copy(update={"start": round(word.start + seconds, 3), "end": round(word.end + seconds, 3)})


@dataclass(frozen=True, slots=True)
class Told:
    """A word and what it was decoded with."""

    word: Word
    heard: Heard

    @property
    def text(self) -> str:
        """The word's text."""
        return self.word.text


def segments_of(told: Sequence[Told], asked: Asked, pause: float) -> Iterator[SpeechSegment]:
    """What was said between pauses, without loops."""
    said: list[SpeechSegment] = []
    for _, group in groupby(unlooped(told, WORDS_IN_TURN), key=lambda one: id(one.heard)):
        together = tuple(group)
        words = tuple(one.word for one in together)
        said.extend(_breaths(words, together[0].heard, asked, pause, first=len(said) + 1))
    return unlooped([one for one in said if not never_heard(one.words)], TEXTS_IN_TURN)


def _breaths(
    words: tuple[Word, ...], heard: Heard, asked: Asked, pause: float, *, first: int
) -> Iterator[SpeechSegment]:
    """Part the words where the speaker paused."""
    between = "" if asked.language in UNSPACED else " "
    part: list[Word] = []
    number = first
    for word, after in zip(words, (*words[1:], None), strict=True):
        part.append(word)
        if after is None or after.start - word.end >= pause:
            yield SpeechSegment(
                id=f"s{number}",
                start=part[0].start,
                end=max(part[0].start, part[-1].end),
                confidence=min(1.0, math.exp(heard.log_probability)),
                text=between.join(word.text for word in part),
                words=tuple(part),
            )
            number += 1
            part = []


class Said(Protocol):
    """A word or a segment."""

    @property
    def text(self) -> str:
        """What was said."""


SaidT = TypeVar("SaidT", bound=Said)


def unlooped(said: Sequence[SaidT], in_turn: Iterable[int]) -> Iterator[SaidT]:
    """What was said without what goes on with a loop in which so many texts take turns."""
    plain = [_plain(one.text) for one in said]
    again = dict.fromkeys(in_turn, 0)
    """How many texts in a row were those of so many texts before."""
    for place, one in enumerate(said):
        for count in again:
            again[count] = again[count] + 1 if place >= count and plain[place] == plain[place - count] else 0
        looped = (count for count, repeated in again.items() if repeated > (REPEATS - 1) * count)
        # of one text alone nothing takes turns: "no no no no" is no loop of "no no"
        if not any(count == 1 or len(set(plain[place - count : place])) > 1 for count in looped):
            yield one


def _plain(text: str) -> str:
    """The words alone, in one case; the text itself where it has none."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text
