"""Whisper in OpenAI's own package, from its `.pt` checkpoints. The package is optional: `docs/engines.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from shared.errors import BadInput, Unavailable
from tasks.engines.utterances import (
    WINDOW_SECONDS,
    Asked,
    Part,
    Piece,
    Stretch,
    Window,
    WindowedTranscriber,
    Written,
)
from tasks.models import Number
from tasks.voice import SAMPLE_RATE

HOPS_PER_SECOND = 100


class OpenAiTranscriber(WindowedTranscriber):
    """The package's decoder over batches of windows, and its word times one window at a time."""

    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch: ClassVar[int] = 2

    def load(self) -> None:
        """Load the one `.pt` file of the entry.

        Raises:
            Unavailable: the package is not installed, or the entry has not one checkpoint.
            BadInput: a precision that the package does not have.
        """
        if find_spec("whisper") is None:
            raise Unavailable(
                "the package openai-whisper is not installed; docs/engines.md says how", code="no_package"
            )
        if self.files.precision not in ("fp32", "bf16"):
            raise BadInput(f"openai-whisper holds weights as fp32 or bf16, not {self.files.precision}")
        checkpoints = sorted(self.files.folder.glob("*.pt"))
        if len(checkpoints) != 1:
            raise Unavailable(f"{self.files.entry} has {len(checkpoints)} .pt files instead of one", code="load_failed")
        import torch
        import whisper
        from whisper import timing, tokenizer

        self._torch: Any = torch
        self._whisper: Any = whisper
        self._tokenizer: Any = tokenizer.get_tokenizer
        self._align: Any = timing.find_alignment
        self._dtype: Any = torch.float32 if self.files.precision == "fp32" else torch.bfloat16
        model = whisper.load_model(str(checkpoints[0]), device=self.files.device.name)
        for layer in model.modules():
            # the package normalises in fp32, whatever it is given
            if not isinstance(layer, torch.nn.LayerNorm):
                for weight in layer.parameters(recurse=False):
                    weight.data = weight.data.to(self._dtype)
        self.model = model.eval()

    def languages(self, window: Window) -> Mapping[str, float] | None:
        """Probability of each language."""
        if not self.model.is_multilingual:
            return None
        with self._torch.inference_mode():
            _, (found,) = self._whisper.detect_language(self.model, self._encoded(self._mel([window])))
        return {str(code): float(probability) for code, probability in found.items()}

    def probe(self, count: int) -> None:
        """Write down noise."""
        noise = np.random.default_rng(0).normal(0, 0.05, round(WINDOW_SECONDS * SAMPLE_RATE)).astype(np.float32)
        stretch = Stretch(0.0, noise, [(0.0, WINDOW_SECONDS)])
        full = [Window(stretch, (Piece(0.0, 0.0, WINDOW_SECONDS),))] * count
        self.written(full, Asked("en" if self.model.is_multilingual else None))

    def written(self, windows: Sequence[Window], asked: Asked) -> Sequence[Written]:
        """What is said in each window."""
        language = asked.language if self.model.is_multilingual else "en"
        options = self._whisper.DecodingOptions(
            language=language, temperature=0.0, beam_size=asked.beams, without_timestamps=True, fp16=False
        )
        speller = self._tokenizer(
            self.model.is_multilingual, num_languages=self.model.num_languages, language=language, task="transcribe"
        )
        with self._torch.inference_mode():
            mel = self._mel(windows)
            decoded = self._whisper.decode(self.model, self._encoded(mel), options)
            found = []
            for window, one, sound in zip(windows, decoded, mel, strict=True):
                text = [token for token in one.tokens if token < speller.eot]
                frames = max(2, round(window.seconds * HOPS_PER_SECOND))
                words = self._align(self.model, speller, text, sound, frames) if text else []
                parts = tuple(
                    Part(word.word, float(word.start), float(word.end), float(word.probability), one.avg_logprob)
                    for word in words
                )
                found.append(Written(parts, float(one.no_speech_prob)))
        return found

    def _mel(self, windows: Sequence[Window]) -> Any:
        """Log mel spectrograms `(n, bands, 3000)` on the device."""
        sound = self._torch.from_numpy(np.stack([window.samples() for window in windows])).to(self.model.device)
        # one by one: of a batch the package would clip all to the loudest
        each = [self._whisper.log_mel_spectrogram(one, self.model.dims.n_mels) for one in sound]
        return self._torch.stack(each).to(self._dtype)

    def _encoded(self, mel: Any) -> Any:
        """The encoder's output `(n, 1500, channels)`, in the precision that the package's decoder insists on."""
        return self.model.encoder(mel).float()
