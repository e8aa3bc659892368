"""Whisper in CTranslate2, by the faster-whisper package: the fastest on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from shared.errors import BadInput
from tasks.devices import give_back, told
from tasks.engines.utterances import Asked, Heard, Language, Part, Stretch
from tasks.models import Number, Weighted
from tasks.voice import SAMPLE_RATE

COMPUTE_TYPES: dict[Number, str] = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
BEAMS = 5


class CTranslateTranscriber:
    """Writes down one stretch after the other, by Whisper's own sliding window."""

    precisions: ClassVar[tuple[Number, ...]] = tuple(COMPUTE_TYPES)
    batch = 1

    def __init__(self, files: Weighted) -> None:
        self.files = files
        self.worked = 0
        self.notes: tuple[str, ...] = ()
        self._whisper: Any = None

    def load(self) -> None:
        """Load the model. Raises BadInput for a precision that CTranslate2 does not have."""
        from faster_whisper import WhisperModel

        if self.files.precision not in COMPUTE_TYPES:
            raise BadInput(f"faster-whisper holds weights as {', '.join(COMPUTE_TYPES)}, not {self.files.precision}")
        self._whisper = WhisperModel(
            str(self.files.folder),
            device=self.files.device.kind,
            compute_type=COMPUTE_TYPES[self.files.precision],
            cpu_threads=self.files.threads,
            local_files_only=True,
        )

    def warm_up(self) -> None:
        """Go the way of a job with two seconds of noise, then write them down although nobody speaks."""
        noise = np.random.default_rng(0).normal(0, 0.05, 2 * SAMPLE_RATE).astype(np.float32)
        stretch = Stretch(0.0, noise, [(0.0, 2.0)])
        language = self.language([stretch])
        asked = Asked(language.code if language else None)
        list(self.transcribe([stretch], asked))
        list(self._whisper.transcribe(noise, **{**_decoding(asked), "vad_filter": False})[0])

    def free(self) -> None:
        """Let go of the model."""
        self._whisper = None
        give_back()

    def language(self, stretches: Sequence[Stretch]) -> Language | None:
        """The likeliest language of the longest speech; None where the model knows only one."""
        spoken = [(end - start, start, one) for one in stretches for start, end in one.spans]
        if not self._whisper.model.is_multilingual or not spoken:
            return None
        _, start, stretch = max(spoken, key=lambda span: span[0])
        with self._on_device():
            code, probability, _ = self._whisper.detect_language(stretch.samples[int(start * SAMPLE_RATE) :])
        return Language(code, float(probability))

    def transcribe(self, stretches: Sequence[Stretch], asked: Asked) -> Iterator[Heard]:
        """What is said, in order of time."""
        for stretch in stretches:
            if not stretch.spans:
                continue
            for segment in self._segments(stretch, asked):
                parts = tuple(
                    Part(word.word, float(word.start), float(word.end), float(word.probability), segment.avg_logprob)
                    for word in segment.words or ()
                )
                yield Heard(stretch, parts, segment.avg_logprob, segment.no_speech_prob)
            self.worked += 1

    def _segments(self, stretch: Stretch, asked: Asked) -> Iterator[Any]:
        """What faster-whisper makes of a stretch; it decodes while it is read."""
        with self._on_device():
            found, _ = self._whisper.transcribe(stretch.samples, **_decoding(asked))
            yield from found

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """While it is entered, CTranslate2 works. One stretch at a time is the least there is, so nothing is halved.

        Raises:
            OutOfDeviceMemory: memory ran out.
            DeviceLost: the GPU failed; this process cannot use it again.
        """
        try:
            yield
        except RuntimeError as error:
            if (end := told(error, self.files.entry, self.files.device)) is not None:
                raise end from error
            raise


def _decoding(asked: Asked) -> dict[str, Any]:
    """How faster-whisper is asked."""
    return {
        "language": asked.language or "en",
        "beam_size": asked.beams or BEAMS,
        "temperature": 0.0,  # higher temperatures draw at random: the same sound would give other words
        "condition_on_previous_text": False,
        "word_timestamps": True,
        "vad_filter": True,
        "vad_parameters": {"threshold": asked.speech_threshold},
    }
