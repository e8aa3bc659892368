"""The mood in which something is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, Protocol

import numpy as np

from tasks.engines.base import TorchEngine, pretrained
from tasks.models import Engine, EngineKind
from tasks.voice import SAMPLE_RATE, Samples

Mood = tuple[str, float]
"""A label of the model's configuration, and its probability."""
PROBED_SECONDS = 10


class MoodClassifier(Engine, Protocol):
    """Tells moods of utterances."""

    def moods(self, sounds: Sequence[Samples]) -> Iterator[list[Mood]]:
        """The likeliest mood of each sound `(samples,)` at 16 kHz, in order, a list for each batch.

        Only neighbours of equal length share a batch: filling up a sound with silence would change its mood.
        """


class HubMoodClassifier(TorchEngine):
    """wav2vec 2.0 (Baevski et al. 2020) and its kin with a classifier on top, in transformers."""

    cpu_batch: ClassVar[int] = 4

    def load(self) -> None:
        """Load feature extractor and classifier."""
        import torch
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        self._torch: Any = torch
        extractor: Any = AutoFeatureExtractor.from_pretrained(self.files.folder, local_files_only=True)
        self._normalises: bool = extractor.do_normalize
        self.model = pretrained(
            AutoModelForAudioClassification,
            self.files,
            heads=["projector", "classifier"],
            unread=["masked_spec_embed"],  # what masked sound becomes in training
        )

    def moods(self, sounds: Sequence[Samples]) -> Iterator[list[Mood]]:
        """The likeliest mood of each sound, in order, a list for each batch."""
        for _, alike in groupby(sounds, key=len):
            yield from self.batches(alike, self._moods)

    def probe(self, count: int) -> None:
        """Judge noise as long as utterances are by default."""
        noise = np.random.default_rng(0).normal(0, 0.05, PROBED_SECONDS * SAMPLE_RATE).astype(np.float32)
        self._moods([noise] * count)

    def rehearse(self) -> None:
        """Judge noise of each length that utterances have, since for each length convolutions are chosen anew."""
        noise = np.random.default_rng(0).normal(0, 0.05, PROBED_SECONDS * SAMPLE_RATE).astype(np.float32)
        half = SAMPLE_RATE // 2
        halves = range(1, 2 * PROBED_SECONDS + 1) if self.files.device.is_gpu else (2,)
        list(self.moods([noise[: number * half] for number in halves]))

    def _moods(self, sounds: Sequence[Samples]) -> list[Mood]:
        with self._torch.inference_mode():
            sound = self._torch.from_numpy(np.stack(sounds)).to(self.model.device)
            if self._normalises:
                variance, mean = self._torch.var_mean(sound, dim=1, keepdim=True, correction=0)
                sound = (sound - mean) / (variance + 1e-7).sqrt()  # as Wav2Vec2FeatureExtractor does
            logits = self.model(input_values=sound.to(self.model.dtype)).logits.float()
            best, index = logits.softmax(-1).max(-1)
            found = self._torch.stack((best, index.float())).cpu().numpy()
        names = self.model.config.id2label
        return [(names[int(index)], float(best)) for best, index in found.T]


MOOD_CLASSIFIERS: Mapping[str, EngineKind[MoodClassifier]] = {"transformers": HubMoodClassifier}
