"""Speech, written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from tasks.engines.utterances import Asked, Heard, Language, Stretch
from tasks.engines.whisper_ctranslate import CTranslateTranscriber
from tasks.engines.whisper_hub import HubTranscriber
from tasks.engines.whisper_openai import OpenAiTranscriber
from tasks.models import Engine, EngineKind


class Transcriber(Engine, Protocol):
    """Writes down what is said, with the times of words."""

    def language(self, stretches: Sequence[Stretch]) -> Language | None:
        """The language that is spoken; None where the model knows only one, or nobody speaks."""

    def transcribe(self, stretches: Sequence[Stretch], asked: Asked) -> Iterator[Heard]:
        """What is said, in order of time; what nobody says may be among it."""


TRANSCRIBERS: Mapping[str, EngineKind[Transcriber]] = {
    "transformers": HubTranscriber,
    "faster-whisper": CTranslateTranscriber,
    "openai-whisper": OpenAiTranscriber,
}
