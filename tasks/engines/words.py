"""Things in pictures that words name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from shared.errors import BadInput
from tasks.boxes import Picture, groups_of_one
from tasks.engines.base import TorchEngine
from tasks.engines.objects import Found
from tasks.engines.pictures import full_size, grey, inferring, prepared, rehearsed, whole
from tasks.engines.prompts import PromptRefused, refuse_marks
from tasks.models import Engine, EngineKind, Number

FAMILY = frozenset({"owlv2", "owlvit"})
PROMPT = "a photo of a {}"
"""The plainest of the prompts that OWL-ViT was evaluated with."""
MOST_BOXES = 300
"""The surest boxes of a picture that are looked at: OWLv2 gives 3,600, and a model that is sure of all must not take
minutes for their overlaps. DETR's detectors give as many."""
MOST_THINGS = 100
"""Things in a picture: COCO's evaluation counts no more."""
MAX_OVERLAP = 0.5
"""Two boxes of one word that overlap more are one thing: the model has a box for each patch of the picture."""


class WordFinder(Engine, Protocol):
    """Finds things of any name."""

    def objects(self, pictures: Iterable[Picture], words: Sequence[str], floor: float) -> Iterator[list[Found]]:
        """Things in each rgb picture `(height, width, 3)` that score at least `floor`, a list for each batch.

        Class numbers are places in `words`. All pictures have one size. Raises PromptRefused for a word that is too
        long or holds tokens of the model's own.
        """


class HubWordFinder(TorchEngine):
    """OWLv2 (Minderer et al., 2023) and OWL-ViT (2022): each patch says how like each word its thing is, and where."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 1

    def load(self) -> None:
        """Load processor and model.

        Raises:
            BadInput: the checkpoint is of another family, or its processor adds margins, or int8 or nf4 is asked for.
        """
        import torch
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        self._torch: Any = torch
        self.model = full_size(AutoModelForZeroShotObjectDetection, self.files)
        kind = self.model.config.model_type
        if kind not in FAMILY:
            raise BadInput(f"{self.files.entry} is a {kind}; known are {', '.join(sorted(FAMILY))}", code="wrong_model")
        processor = AutoProcessor.from_pretrained(self.files.folder, local_files_only=True)
        # OWLv2 was trained on pictures with margins, which `_objects` counts in
        pictures = processor.image_processor
        self._pictures: Any = pictures if kind == "owlv2" else whole(pictures, self.files)
        self._tokenizer: Any = processor.tokenizer

    def objects(self, pictures: Iterable[Picture], words: Sequence[str], floor: float) -> Iterator[list[Found]]:
        """Things in each rgb picture `(height, width, 3)` that score at least `floor`, a list for each batch."""
        for word in words:
            self._refuse(word)
        return self.batches(pictures, lambda batch: self._objects(batch, words, floor))

    def probe(self, count: int) -> None:
        """Look for twenty words in grey pictures."""
        self._objects(grey(count), ["thing"] * 20, 1.0)

    def rehearse(self) -> None:
        """Look at an upright, a wide and a square picture."""
        for picture in rehearsed(self.files):
            list(self.objects([picture], ["thing", "dog"], 0.5))

    def _objects(self, pictures: Sequence[Picture], words: Sequence[str], floor: float) -> list[Found]:
        height, width = pictures[0].shape[:2]
        with inferring(self.files):
            pixels = prepared(self._pictures, pictures, self.files)["pixel_values"]
            outputs = self.model(pixel_values=pixels, **self._asked(words, len(pictures)))
            scores, labels = outputs.logits.float().sigmoid().max(-1)
            columns = (outputs.pred_boxes.float(), scores[..., None], labels[..., None].float())
            rows = self._torch.cat(columns, dim=-1).cpu().numpy().astype(np.float64)
        # OWLv2's picture is padded to a square at its right or lower edge
        padded = [max(height, width)] * 2 if self.model.config.model_type == "owlv2" else [width, height]
        return [_found(each[each[:, 4] >= floor], np.array(padded) / [width, height]) for each in rows]

    def _refuse(self, word: str) -> None:
        """Raise PromptRefused for a word of which the model would read a part only, or something else."""
        refuse_marks(self._tokenizer, word, self.files.entry, name=f"the word {word!r}")
        prompt = PROMPT.format(word)
        if (length := len(self._tokenizer(prompt)["input_ids"])) > (longest := self._longest()):
            what = f"the word {word!r}, asked for as {prompt!r}, takes {length} tokens"
            raise PromptRefused(f"{what}: {self.files.entry} reads {longest} at most; name the thing shorter")

    def _longest(self) -> int:
        longest: int = self.model.config.text_config.max_position_embeddings
        return longest

    def _asked(self, words: Sequence[str], count: int) -> Any:
        """The words' tokens, once for each picture."""
        text = [PROMPT.format(word) for word in words]
        tokens = self._tokenizer(text, padding="max_length", max_length=self._longest(), return_tensors="pt")
        kept = {name: tokens[name].repeat(count, 1) for name in ("input_ids", "attention_mask")}
        return {name: each.to(self.files.device.name) for name, each in kept.items()}


def _found(rows: Any, scale: Any) -> Found:
    """The best box of each thing; `rows` `(n, 6)`: centre and size in 0..1 of the padded picture, score, word."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MOST_BOXES]]
    middles, halves = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.clip(np.concatenate([(middles - halves) * scale, (middles + halves) * scale], axis=1), 0, 1)
    kept: list[int] = []
    for word in np.unique(rows[:, 5]):
        of_word = np.flatnonzero(rows[:, 5] == word)
        groups = groups_of_one(boxes[of_word], rows[of_word, 4], MAX_OVERLAP)
        kept += [int(of_word[group[0]]) for group in groups]
    kept = sorted(kept)[:MOST_THINGS]
    return Found(boxes[kept], rows[kept, 4], rows[kept, 5].astype(np.intp))


WORD_FINDERS: Mapping[str, EngineKind[WordFinder]] = {"transformers": HubWordFinder}
