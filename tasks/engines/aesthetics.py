"""How pleasing people would find a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from shared.errors import BadInput
from tasks.boxes import Picture
from tasks.engines.base import TorchEngine
from tasks.engines.pictures import full_size, grey, inferring, prepared, rehearsed
from tasks.models import Engine, EngineKind, Number

HEAD = (0, 2, 4, 6, 7)
"""Places of the head's five linear layers in the checkpoint; those between them only drop values in training."""


class AestheticJudge(Engine, Protocol):
    """Gives pictures marks."""

    def marks(self, pictures: Iterable[Picture]) -> Iterator[list[float]]:
        """The mark of each rgb picture `(height, width, 3)`, about 1 (worst) to 10, in order, a list for each batch.

        All pictures of a batch have one size.
        """


class ClipJudge(TorchEngine):
    """LAION's improved aesthetic predictor (Schuhmann, 2022): five linear layers on CLIP's embedding of a picture.

    Trained on marks of people for photographs (AVA), logos and generated pictures. A vertical picture is judged by the
    square in its middle, as CLIP's processor cuts it out.
    """

    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")

    def load(self) -> None:
        """Load CLIP's vision tower and the head.

        Raises:
            BadInput: the checkpoint has no such head, or int8 or nf4 is asked for.
        """
        import torch
        from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

        self._torch: Any = torch
        self.model = full_size(CLIPVisionModelWithProjection, self.files)
        self._processor: Any = AutoImageProcessor.from_pretrained(self.files.folder, local_files_only=True)
        found = self._stored()
        names = [f"layers.{place}.{part}" for place in HEAD for part in ("weight", "bias")]
        if missing := [name for name in names if name not in found]:
            raise BadInput(f"{self.files.entry} has no aesthetic head: {missing[0]} is missing", code="wrong_model")
        self._head = [found[name].to(self.files.device.name, torch.float32) for name in names]

    def free(self) -> None:
        """Let go of the model and its head."""
        self._head = []
        super().free()

    def marks(self, pictures: Iterable[Picture]) -> Iterator[list[float]]:
        """The mark of each picture."""
        return self.batches(pictures, self._marks)

    def probe(self, count: int) -> None:
        """Judge grey pictures."""
        self._marks(grey(count))

    def rehearse(self) -> None:
        """Look at an upright, a wide and a square picture."""
        for picture in rehearsed(self.files):
            list(self.marks([picture]))

    def _marks(self, pictures: Sequence[Picture]) -> list[float]:
        functions = self._torch.nn.functional
        with inferring(self.files):
            embeddings = self.model(**prepared(self._processor, pictures, self.files)).image_embeds.float()
            x = functions.normalize(embeddings, dim=-1)
            # in fp32: a mark is a small difference of large sums
            with self._torch.autocast(x.device.type, enabled=False):
                for weight, bias in zip(self._head[::2], self._head[1::2], strict=True):
                    x = functions.linear(x, weight, bias)
            return [float(mark) for mark in x[:, 0].cpu().numpy()]

    def _stored(self) -> dict[str, Any]:
        """The checkpoint's tensors by name; nothing else is read of it."""
        folder = self.files.folder
        if (file := folder / "model.safetensors").is_file():
            from safetensors.torch import load_file

            return dict(load_file(file))
        return dict(self._torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True))


AESTHETIC_JUDGES: Mapping[str, EngineKind[AestheticJudge]] = {"clip-aesthetics": ClipJudge}
