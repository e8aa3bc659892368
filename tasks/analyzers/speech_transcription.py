"""What is said: text with word times, by Whisper.

The local model is Whisper tiny.en: it knows English only and writes English-looking text for other languages, usually
with low confidence. No language is detected, so none is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import SegmentTrack, SpeechSegment, TrackSet, Word
from tasks.analyzer import Analyzer, Media, ModelContext, Options

SAMPLE_RATE = 16_000
SPEECH = Audio(SAMPLE_RATE)
MODEL_FILES = ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")
BLOCK_SAMPLES = 300 * SAMPLE_RATE
"""Sound is transcribed in blocks of at most five minutes: the features of two hours at once take over 1 GiB."""
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4
"""Whisper's own marks of a failed decoding (Radford et al. 2022, section 4.5); beyond them nothing is reported."""
LIKELIER_THAN_NOT = 0.5
"""A segment in which no word reaches this probability is left out."""
REPEATS = 3
"""A text said this often in a row, word for word, is a decoding loop: what follows is left out."""
LATE_SECONDS = 0.6
"""Whisper was seen to set the first word after a pause up to 0.42 s after the voice."""
SLIVER_SECONDS = 0.1

Samples = NDArray[np.float32]
Spans = list[tuple[float, float]]


class TranscriptionOptions(Options):
    """How speech is found and written down."""

    beam_size: int = Field(5, ge=1, le=10, description="hypotheses kept while decoding; 1 is fastest")
    pause_seconds: float = Field(0.7, gt=0, description="a pause this long ends a segment")
    speech_threshold: float = Field(0.5, gt=0, lt=1, description="voice activity probability that counts as speech")


class Transcription(TrackSet):
    """`segments`: what was said between two pauses. `confidence` is exp(mean log probability of the decoded tokens) of
    the Whisper segment it is part of; a word's confidence is the mean probability of its tokens.
    """

    segments: SegmentTrack[SpeechSegment]


class SpeechTranscription(Analyzer[TranscriptionOptions, Transcription]):
    """Whisper in CTranslate2 (faster-whisper) behind silero voice activity detection."""

    name = "speech_transcription"
    version = 1
    group = "speech"
    summary = "what is said, with word times (Whisper; the local model knows English only)"
    needs = (SPEECH,)
    weights: ClassVar[dict[str, str]] = {"local": "whisper-tiny-en"}
    cost = 0.05

    def load(self, model: ModelContext) -> None:
        """Load Whisper from the checked weights folder; int8, as the CPU runs it fastest."""
        from faster_whisper import WhisperModel
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        folder = {Path(model.path(file)).parent for file in MODEL_FILES}.pop()
        self._whisper: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=model.threads, local_files_only=True
        )
        self._find_speech = get_speech_timestamps
        self._vad_options = VadOptions
        # the detector's session is made at its first use, here instead of in the first job
        get_speech_timestamps(np.zeros(SAMPLE_RATE, np.float32))

    def analyze(self, media: Media, options: TranscriptionOptions) -> Transcription:
        """Transcribe block by block; a block without voice is never shown to Whisper."""
        audio = media.audio(SPEECH)
        said: list[SpeechSegment] = []
        for start, block, spans in self._blocks(audio, options):
            if spans:
                for heard, confidence in self._transcribe(block, spans, options):
                    words = tuple(_shifted(word, start / SAMPLE_RATE) for word in heard)
                    said.extend(_breaths(words, confidence, options.pause_seconds, first=len(said) + 1))
                    media.progress(min(1.0, said[-1].end * SAMPLE_RATE / len(audio)))
            media.progress((start + len(block)) / max(len(audio), 1))
        return Transcription(segments=SegmentTrack(method="model", items=_without_loops(said)))

    def _blocks(self, audio: Samples, options: TranscriptionOptions) -> Iterator[tuple[int, Samples, Spans]]:
        """Yield first sample, samples and speech spans (seconds in the block), cut where nobody speaks if possible."""
        start = 0
        while start < len(audio):
            block = np.ascontiguousarray(audio[start : start + BLOCK_SAMPLES])
            spans = self._speech_spans(block, options)
            more = start + len(block) < len(audio)
            if more and len(spans) > 1 and spans[-1][1] > len(block) / SAMPLE_RATE - 0.5:
                *spans, (cut, _) = spans
                block = block[: int(cut * SAMPLE_RATE)]
            yield start, block, spans
            start += len(block)

    def _speech_spans(self, block: Samples, options: TranscriptionOptions) -> Spans:
        vad = self._vad_options(threshold=options.speech_threshold, min_silence_duration_ms=200, speech_pad_ms=30)
        found = self._find_speech(block, vad)
        return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in found]

    def _transcribe(
        self, block: Samples, spans: Spans, options: TranscriptionOptions
    ) -> Iterator[tuple[tuple[Word, ...], float]]:
        """Words (times in the block) and confidence of each Whisper segment that did not fail."""
        found, _ = self._whisper.transcribe(
            block,
            language="en",
            beam_size=options.beam_size,
            temperature=0.0,  # higher temperatures draw at random: the same sound would give other words
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters={"threshold": options.speech_threshold},
        )
        for segment in found:
            words = tuple(_led([_trimmed(word, spans) for word in _whole_words(segment.words or ())], spans))
            if not _failed(segment, words):
                yield words, min(1.0, math.exp(segment.avg_logprob))


def _failed(segment: Any, words: tuple[Word, ...]) -> bool:
    """Tell a guess from speech: voice activity detection lets some buzzes pass, and Whisper then says "You"."""
    likeliest = max((word.confidence or 0.0 for word in words), default=0.0)
    return bool(
        likeliest < LIKELIER_THAN_NOT
        or segment.avg_logprob < MIN_LOG_PROBABILITY
        or segment.compression_ratio > MAX_COMPRESSION_RATIO
    )


def _whole_words(parts: Iterable[Any]) -> Iterator[Word]:
    """Join a part that no space precedes ("0" + ".3") to the word before; the less sure part gives the confidence."""
    word: Word | None = None
    for part in parts:
        start, end, sure = float(part.start), max(float(part.start), float(part.end)), float(part.probability)
        if word is not None and not part.word.startswith(" "):
            word = Word(
                start=word.start,
                end=max(word.end, end),
                text=word.text + part.word,
                confidence=min(word.confidence or 0, sure),
            )
            continue
        if word is not None:
            yield word
        word = Word(start=start, end=end, text=part.word.strip(), confidence=sure)
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


def _led(words: list[Word], spans: Spans) -> Iterator[Word]:
    """Let a word begin with the voice it begins in: Whisper sets the first one after a pause too late."""
    end = 0.0
    for word in words:
        voice = next((a for a, b in spans if a <= word.start < b), word.start)
        begins = voice if end <= voice and word.start - voice <= LATE_SECONDS else word.start
        yield word.model_copy(update={"start": begins})
        end = word.end


def _shifted(word: Word, seconds: float) -> Word:
    return word.model_copy(update={"start": round(word.start + seconds, 3), "end": round(word.end + seconds, 3)})


def _breaths(words: tuple[Word, ...], confidence: float, pause: float, *, first: int) -> Iterator[SpeechSegment]:
    """Part the words where the speaker paused."""
    part: list[Word] = []
    number = first
    for word, after in zip(words, (*words[1:], None), strict=True):
        part.append(word)
        if after is None or after.start - word.end >= pause:
            yield SpeechSegment(
                id=f"s{number}",
                start=part[0].start,
                end=max(part[0].start, part[-1].end),
                confidence=confidence,
                text=" ".join(word.text for word in part),
                words=tuple(part),
            )
            number += 1
            part = []


def _without_loops(said: list[SpeechSegment]) -> tuple[SpeechSegment, ...]:
    kept: list[SpeechSegment] = []
    for segment in said:
        before = [other.text.lower() for other in kept[-REPEATS:]]
        if before.count(segment.text.lower()) < REPEATS:
            kept.append(segment)
    return tuple(kept)
