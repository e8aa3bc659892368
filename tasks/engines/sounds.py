"""What sounds: classes of an ontology, each with a probability of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.engines.base import TorchEngine, pretrained
from tasks.models import Engine, EngineKind
from tasks.voice import SAMPLE_RATE, Samples

FRAME, HOP, FFT = 400, 160, 512
"""Samples in a frame (25 ms), between two (10 ms), and of its spectrum: Kaldi's `fbank`, which AST was trained on."""
PRE_EMPHASIS = 0.97
LEAST_HZ = 20
FLOOR = float(np.finfo(np.float32).eps)

Probabilities = NDArray[np.float32]


class SoundTagger(Engine, Protocol):
    """Says what sounds."""

    labels: tuple[str, ...]

    def tags(self, sounds: Iterable[Samples]) -> Iterator[list[Probabilities]]:
        """Probability of each label `(labels,)` in each sound `(samples,)` at 16 kHz, in order, a list for each batch.

        What a sound is longer than the model hears at once (AST: 10.25 s) is cut off.
        """


class HubSoundTagger(TorchEngine):
    """Audio Spectrogram Transformer (Gong et al. 2021) in transformers; its spectrograms are made on its device."""

    cpu_batch: ClassVar[int] = 2
    labels: tuple[str, ...] = ()

    def load(self) -> None:
        """Load feature extractor and model."""
        import torch
        from transformers import ASTFeatureExtractor, ASTForAudioClassification
        from transformers.audio_utils import mel_filter_bank

        self._torch: Any = torch
        self._features: Any = ASTFeatureExtractor.from_pretrained(self.files.folder, local_files_only=True)
        self.model = pretrained(ASTForAudioClassification, self.files, heads=["classifier"])
        names = self.model.config.id2label
        self.labels = tuple(names[number] for number in range(len(names)))
        bank = mel_filter_bank(
            num_frequency_bins=FFT // 2 + 1,
            num_mel_filters=self._features.num_mel_bins,
            min_frequency=LEAST_HZ,
            max_frequency=SAMPLE_RATE // 2,
            sampling_rate=SAMPLE_RATE,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        device = self.model.device
        self._mel: Any = torch.as_tensor(bank, dtype=torch.float32, device=device)
        self._taper: Any = torch.hann_window(FRAME, periodic=False, device=device)

    def tags(self, sounds: Iterable[Samples]) -> Iterator[list[Probabilities]]:
        """Probability of each label in each sound, in order, a list for each batch."""
        return self.batches(sounds, self._tags)

    def probe(self, count: int) -> None:
        """Tag noise as long as is heard at once."""
        noise = np.random.default_rng(0).normal(0, 0.05, self._longest()).astype(np.float32)
        self._tags([noise] * count)

    def _longest(self) -> int:
        """Samples that are heard at once."""
        return FRAME + HOP * (int(self._features.max_length) - 1)

    def _tags(self, sounds: Sequence[Samples]) -> list[Probabilities]:
        padded = np.zeros((len(sounds), self._longest()), np.float32)
        for row, sound in zip(padded, sounds, strict=True):
            row[: len(sound)] = sound[: len(row)]
        lengths = [min(len(sound), padded.shape[1]) for sound in sounds]
        with self._torch.inference_mode():
            features = self.spectrograms(self._torch.from_numpy(padded).to(self.model.device), lengths)
            logits = self.model(input_values=features.to(self.model.dtype)).logits
            return list(logits.float().sigmoid().cpu().numpy())

    def spectrograms(self, sounds: Any, lengths: Sequence[int]) -> Any:
        """Normalised log mel spectrograms `(n, frames, bands)` of sounds `(n, samples)`, of which so much is sound.

        As `ASTFeatureExtractor` makes them one by one: what is not sound is zero before it is normalised.
        """
        torch = self._torch
        frames = sounds.unfold(1, FRAME, HOP)
        frames = frames - frames.mean(-1, keepdim=True)
        before = torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)
        power = torch.fft.rfft((frames - PRE_EMPHASIS * before) * self._taper, FFT).abs() ** 2
        bands = (power @ self._mel).clamp(min=FLOOR).log()
        whole = torch.tensor([max(0, 1 + (length - FRAME) // HOP) for length in lengths], device=bands.device)
        sounding = torch.arange(bands.shape[1], device=bands.device) < whole[:, None]
        bands = torch.where(sounding[..., None], bands, 0.0)
        return (bands - self._features.mean) / (2 * self._features.std) if self._features.do_normalize else bands


SOUND_TAGGERS: Mapping[str, EngineKind[SoundTagger]] = {"transformers": HubSoundTagger}
