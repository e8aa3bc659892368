"""RT-DETR (Zhao et al., 2024), RT-DETRv2 (Lv et al., 2024) and D-FINE (Peng et al., 2024) in transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from shared.errors import BadInput
from tasks.boxes import Picture
from tasks.engines.base import TorchEngine
from tasks.engines.objects import Found
from tasks.engines.pictures import full_size, grey, inferring, prepared, rehearsed, whole
from tasks.models import Number

FAMILY = frozenset({"rt_detr", "rt_detr_v2", "d_fine"})
"""Model types whose queries score every class on its own; DETR's softmax over a class "nothing" is read otherwise."""
COCO_NAMES = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}
"""Names of PASCAL VOC, which checkpoints of this family give to classes of COCO."""


class HubDetector(TorchEngine):
    """Queries that each answer with one box, so nothing has to be suppressed."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 2

    def load(self) -> None:
        """Load processor and model.

        Raises:
            BadInput: the checkpoint is of another family, or its processor adds margins, or int8 or nf4 is asked for.
        """
        import torch
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        self._torch: Any = torch
        self.model = full_size(AutoModelForObjectDetection, self.files)
        kind = self.model.config.model_type
        if kind not in FAMILY:
            raise BadInput(f"{self.files.entry} is a {kind}; known are {', '.join(sorted(FAMILY))}", code="wrong_model")
        processor = AutoImageProcessor.from_pretrained(self.files.folder, local_files_only=True)
        self._processor: Any = whole(processor, self.files)
        names = self.model.config.id2label
        self.labels = tuple(COCO_NAMES.get(names[number], names[number]) for number in range(len(names)))

    def objects(self, pictures: Iterable[Picture], floor: float) -> Iterator[list[Found]]:
        """What is in each rgb picture `(height, width, 3)` with a score of at least `floor`, a list for each batch."""
        return self.batches(pictures, lambda batch: self._objects(batch, floor))

    def probe(self, count: int) -> None:
        """Look at grey pictures."""
        self._objects(grey(count), 1.0)

    def rehearse(self) -> None:
        """Look at an upright, a wide and a square picture."""
        for picture in rehearsed(self.files):
            list(self.objects([picture], 0.5))

    def _objects(self, pictures: Sequence[Picture], floor: float) -> list[Found]:
        with inferring(self.files):
            outputs = self.model(**prepared(self._processor, pictures, self.files))
            rows = self._best(outputs.logits.float(), outputs.pred_boxes.float()).cpu().numpy().astype(np.float64)
        found = []
        for each in rows:
            kept = each[each[:, 4] >= floor]
            found.append(Found(np.clip(kept[:, :4], 0, 1), kept[:, 4], kept[:, 5].astype(np.intp)))
        return found

    def _best(self, logits: Any, boxes: Any) -> Any:
        """As many answers as there are queries: `(n, queries, 6)` of corners, score and class, the best first.

        `logits` `(n, queries, classes)`; `boxes` `(n, queries, 4)` of centre and size in 0..1. One query may answer
        with two classes, as in the family's own post-processing.
        """
        queries, classes = logits.shape[1:]
        scores, places = logits.sigmoid().flatten(1).topk(queries, dim=1)
        chosen = boxes.gather(1, (places // classes)[..., None].expand(-1, -1, 4))
        middles, halves = chosen[..., :2], chosen[..., 2:] / 2
        columns = (middles - halves, middles + halves, scores[..., None], (places % classes)[..., None].float())
        return self._torch.cat(columns, dim=-1)
