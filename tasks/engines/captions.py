"""Captions of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput
from tasks.engines.base import pretrained
from tasks.engines.decoder import REHEARSED_TOKENS, Decoder, Prompt, WritingEngine, rules_of
from tasks.engines.prompts import refuse_marks
from tasks.models import Engine, EngineKind

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a caption begins, and its longest length in tokens."""

    prompt: str
    max_new_tokens: int


class Captioner(Engine, Protocol):
    """Says what a picture shows."""

    def captions(self, pictures: Iterable[Picture], asked: Asked, check: Callable[[], None]) -> Iterator[list[str]]:
        """One caption for each rgb picture `(height, width, 3)`, in order, a list for each batch.

        All pictures of a call have one size. `check` is called for every token and ends the work by raising.
        Raises PromptRefused for a prompt that is too long or holds tokens of the model's own.
        """


class Blip2(WritingEngine):
    """BLIP-2 (Li et al. 2023) with a language model of decoders only (OPT), in transformers."""

    # 32 of the picture, about 4 of the prompt, 30 of the caption
    capacity = 128

    def load(self) -> None:
        """Load processor and model.

        Raises:
            BadInput: the checkpoint is of another kind, or its language model has an encoder, as T5 has.
        """
        import torch
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

        self._torch: Any = torch
        config = AutoConfig.from_pretrained(self.files.folder, local_files_only=True)
        if config.model_type != "blip-2" or not config.use_decoder_only_language_model:
            inside = f" with {config.text_config.model_type}" if config.model_type == "blip-2" else ""
            what = f"{self.files.entry} is a {config.model_type}{inside}"
            raise BadInput(f"{what}; known is blip-2 with a language model of decoders only, OPT", code="wrong_model")
        self._processor: Any = AutoProcessor.from_pretrained(self.files.folder, local_files_only=True)
        # captions of a batch begin together, so the prompts are padded before their start
        self._processor.tokenizer.padding_side = "left"
        self.model = pretrained(AutoModelForImageTextToText, self.files)
        writer = self.model.language_model
        dtype, rules = writer.get_input_embeddings().weight.dtype, rules_of(writer.generation_config)
        self.decoder = Decoder(self.files, writer.config, dtype, self._step, rules)

    def captions(self, pictures: Iterable[Picture], asked: Asked, check: Callable[[], None]) -> Iterator[list[str]]:
        """One caption for each rgb picture `(height, width, 3)`, in order, a list for each batch."""
        refuse_marks(self._processor.tokenizer, asked.prompt, self.files.entry)
        return self.batches(pictures, lambda batch: self._captions(batch, asked, check))

    def probe(self, count: int) -> None:
        """Caption grey pictures as a vertical video has them, at full length."""
        picture = np.full((644, 364, 3), 127, np.uint8)
        self._captions([picture] * count, Asked("a photo of", 30), lambda: None)

    def rehearse(self) -> None:
        """Caption an upright, a wide and a square picture, then as many as each recorded size has."""
        shapes = ((644, 364), (364, 644), (364, 364)) if self.files.device.is_gpu else ((364, 364),)
        pictures = [np.full((*shape, 3), 127, np.uint8) for shape in shapes]
        for some in [[picture] for picture in pictures] + [pictures[:1] * size for size in self.decoder.recorded]:
            list(self.captions(some, Asked("a photo of", REHEARSED_TOKENS), lambda: None))

    def _captions(self, pictures: Sequence[Picture], asked: Asked, check: Callable[[], None]) -> list[str]:
        spare = self.decoder.rows(len(pictures), self.at_once) - len(pictures)
        inputs = self._inputs([*pictures, *[pictures[-1]] * spare], asked.prompt)
        prompt = Prompt(inputs["input_ids"], inputs["attention_mask"])
        answers = self.decoder.answers(prompt, lambda cache: self._prefill(inputs, cache), asked.max_new_tokens, check)
        texts: list[str] = self._processor.batch_decode(answers[: len(pictures)], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _inputs(self, pictures: Sequence[Picture], prompt: str) -> Any:
        """The model's inputs: pixels on its device, the rest on the host."""
        seen = self._torch.from_numpy(np.stack(pictures)).to(self.files.device.name).permute(0, 3, 1, 2)
        return self._processor(
            images=list(seen),
            text=[prompt] * len(pictures),
            input_data_format="channels_first",
            padding=True,
            return_tensors="pt",
        )

    def _prefill(self, inputs: Any, cache: Any) -> tuple[Any, Any]:
        device, mask = self.files.device.name, inputs["attention_mask"]
        scores = self.model(
            pixel_values=inputs["pixel_values"].to(device, self.decoder.dtype),
            input_ids=inputs["input_ids"].to(device),
            attention_mask=mask.to(device),
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        return scores, mask.sum(1, keepdim=True)

    def _step(self, tokens: Any, positions: Any, mask: Any, cache: Any) -> Any:
        return self.model.language_model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).logits[:, -1]


CAPTIONERS: Mapping[str, EngineKind[Captioner]] = {"blip-2": Blip2}
