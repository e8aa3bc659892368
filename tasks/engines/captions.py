"""Captions of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.engines.base import TorchEngine, pretrained
from tasks.models import Engine, EngineKind

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a caption begins, and its longest length in tokens."""

    prompt: str
    max_new_tokens: int


class Captioner(Engine, Protocol):
    """Says what a picture shows."""

    def captions(self, pictures: Iterable[Picture], asked: Asked) -> Iterator[list[str]]:
        """One caption for each rgb picture `(height, width, 3)`, in order, a list for each batch."""


class HubCaptioner(TorchEngine):
    """BLIP-2 (Li et al. 2023) and its kin in transformers."""

    def load(self) -> None:
        """Load processor and model."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._torch: Any = torch
        self._processor: Any = AutoProcessor.from_pretrained(self.files.folder, local_files_only=True)
        self.model = pretrained(AutoModelForImageTextToText, self.files)

    def captions(self, pictures: Iterable[Picture], asked: Asked) -> Iterator[list[str]]:
        """One caption for each rgb picture `(height, width, 3)`, in order, a list for each batch."""
        return self.batches(pictures, lambda batch: self._captions(batch, asked))

    def probe(self, count: int) -> None:
        """Caption grey pictures, at full length."""
        self._captions([np.full((364, 364, 3), 127, np.uint8)] * count, Asked("a photo of", 30))

    def _captions(self, pictures: Sequence[Picture], asked: Asked) -> list[str]:
        inputs = self._processor(
            images=list(pictures), text=[asked.prompt] * len(pictures), padding=True, return_tensors="pt"
        ).to(self.model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        with self._torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=asked.max_new_tokens, do_sample=False)
        answers = self._processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [answer.strip() for answer in answers]


CAPTIONERS: Mapping[str, EngineKind[Captioner]] = {"transformers": HubCaptioner}
