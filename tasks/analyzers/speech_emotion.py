"""In which mood something is said, by a wav2vec2 emotion classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import LabelledSegment, SegmentTrack, SpeechSegment, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options

SAMPLE_RATE = 16_000
VOICE = Audio(SAMPLE_RATE)
SEGMENTS = "speech_transcription/segments"
MIN_SECONDS = 0.5
"""Shorter utterances carry too little voice; they are left out."""


class EmotionOptions(Options):
    """How much of the speech is heard at once."""

    max_seconds: float = Field(10.0, ge=1, le=30, description="an utterance is judged by its first so many seconds")
    batch: int = Field(8, ge=1, le=64, description="utterances judged at once")


class Emotions(TrackSet):
    """`emotions`: one item for each speech segment of at least half a second, which it cites. `label` is one of the
    classes of the model's configuration, `confidence` its softmax probability.
    """

    emotions: SegmentTrack[LabelledSegment]


class SpeechEmotion(Analyzer[EmotionOptions, Emotions]):
    """Classifies the sound of every speech segment, in batches of like length."""

    name = "speech_emotion"
    version = 1
    group = "speech"
    summary = "the mood in which each segment is said (wav2vec2)"
    needs = (VOICE,)
    requires = ("speech_transcription",)
    weights: ClassVar[dict[str, str]] = {"gpu": "wav2vec2-emotion"}
    cost = 0.1
    infers_personal_traits = True

    def load(self, model: ModelContext) -> None:
        """Load feature extractor and classifier from the weights folder."""
        import torch
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        folder = Path(model.path("config.json")).parent
        device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
        self._torch: Any = torch
        self._features: Any = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForAudioClassification.from_pretrained(folder, dtype=dtype, local_files_only=True)
        self._model.to(device).eval()

    def analyze(self, media: Media, options: EmotionOptions) -> Emotions:
        """Judge every long enough speech segment."""
        audio = media.audio(VOICE)
        said = [item for item in media.items(SEGMENTS, SpeechSegment) if item.end - item.start >= MIN_SECONDS]
        # like lengths share a batch, so that little of it is padding
        said.sort(key=lambda item: item.end - item.start)
        found: list[LabelledSegment] = []
        for first in range(0, len(said), options.batch):
            batch = said[first : first + options.batch]
            sounds = [_cut(audio, item, options.max_seconds) for item in batch]
            for item, (label, confidence) in zip(batch, self._classify(sounds), strict=True):
                found.append(
                    LabelledSegment(
                        id=f"e-{item.id}",
                        start=item.start,
                        end=item.end,
                        label=label,
                        confidence=confidence,
                        evidence=(f"{SEGMENTS}/{item.id}",),
                    )
                )
            media.progress((first + len(batch)) / len(said))
        found.sort(key=lambda item: item.start)
        return Emotions(emotions=SegmentTrack(method="model", items=tuple(found)))

    def _classify(self, sounds: list[NDArray[np.float32]]) -> list[tuple[str, float]]:
        """Label and probability of each sound `(samples,)`."""
        inputs = self._features(sounds, sampling_rate=SAMPLE_RATE, padding=True, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        inputs["input_values"] = inputs["input_values"].to(self._model.dtype)
        with self._torch.inference_mode():
            probabilities = self._model(**inputs).logits.float().softmax(-1).cpu().numpy()
        names = self._model.config.id2label
        return [(names[int(row.argmax())], float(row.max())) for row in probabilities]


def _cut(audio: NDArray[np.float32], item: SpeechSegment, max_seconds: float) -> NDArray[np.float32]:
    start = int(item.start * SAMPLE_RATE)
    stop = int(min(item.end, item.start + max_seconds) * SAMPLE_RATE)
    return np.array(audio[start:stop])
