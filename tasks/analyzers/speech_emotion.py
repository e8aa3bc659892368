"""In which mood something is said, by a wav2vec2 emotion classifier."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import LabelledSegment, SegmentTrack, SpeechSegment, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.moods import MOOD_CLASSIFIERS, MoodClassifier

SAMPLE_RATE = 16_000
VOICE = Audio(SAMPLE_RATE)
SEGMENTS = "speech_transcription/segments"
STEP_SECONDS = 0.5
"""Utterances are heard in whole half seconds, the rest cut off, so that many have one length and share a batch.

Shorter ones carry too little voice; they are left out.
"""


class EmotionOptions(Options):
    """How much of the speech is heard."""

    max_seconds: float = Field(10.0, ge=1, le=30, description="an utterance is judged by its first so many seconds")


class Emotions(TrackSet):
    """`emotions`: one item for each speech segment of at least half a second, which it cites. `label` is one of the
    classes of the model's configuration, `confidence` its softmax probability.
    """

    emotions: SegmentTrack[LabelledSegment]


class SpeechEmotion(Analyzer[EmotionOptions, Emotions]):
    """Classifies the sound of every speech segment, those of one length in batches."""

    name = "speech_emotion"
    version = 1
    group = "speech"
    summary = "the mood in which each segment is said (wav2vec2)"
    needs = (VOICE,)
    requires = ("speech_transcription",)
    weights: ClassVar[dict[str, str]] = {"gpu": "wav2vec2-emotion"}
    cost = 0.1
    cost_in = {"gpu": 0.0045}
    """0.045 s on an H100 for a clip of ten seconds with speech in most of it (docs/performance.md)."""
    value = 1
    infers_personal_traits = True

    def load(self, model: ModelContext) -> None:
        """Load the classifier that the weights are for."""
        self._classifier: MoodClassifier = model.engine(MOOD_CLASSIFIERS)

    def analyze(self, media: Media, options: EmotionOptions) -> Emotions:
        """Judge every long enough speech segment."""
        audio = media.audio(VOICE)
        cut = [(item, cut_out(audio, item, options.max_seconds)) for item in media.items(SEGMENTS, SpeechSegment)]
        said = sorted(((item, sound) for item, sound in cut if len(sound)), key=lambda one: len(one[1]))
        found: list[LabelledSegment] = []
        for item, (label, confidence) in zip(
            (item for item, _ in said),
            chain.from_iterable(self._classifier.moods([sound for _, sound in said])),
            strict=True,
        ):
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
            media.progress(len(found) / len(said))
        found.sort(key=lambda item: item.start)
        return Emotions(emotions=SegmentTrack(method="model", items=tuple(found)))


def cut_out(audio: NDArray[np.float32], item: SpeechSegment, max_seconds: float) -> NDArray[np.float32]:
    """The sound of an utterance from its start: whole half seconds, none if there is not one."""
    start = int(item.start * SAMPLE_RATE)
    stop = min(int(item.end * SAMPLE_RATE), len(audio))
    steps = int(min((stop - start) / SAMPLE_RATE, max_seconds) / STEP_SECONDS)
    return np.array(audio[start : start + max(0, steps) * round(STEP_SECONDS * SAMPLE_RATE)])
