"""What every pixel of a picture belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput
from tasks.boxes import Picture
from tasks.engines.base import TorchEngine
from tasks.engines.pictures import full_size, grey, inferring, prepared, rehearsed, whole
from tasks.landmarks import Network
from tasks.models import Engine, EngineKind, Number, Weighted, kept_on_cpu, tflite_interpreter

SHORT_SIDE = 90
"""Of the maps, in pixels."""
SURE = 0.5
"""MediaPipe's own threshold of a person's pixel."""

Map = NDArray[np.uint8]


class Segmenter(Engine, Protocol):
    """Gives each pixel one class."""

    labels: tuple[str, ...]
    """Names of the classes by number; one of them is `person`."""
    names_things: bool
    """Whether it tells what is behind people, not only that it is no person."""
    least_share: float
    """Patches of people that are a smaller share of the picture are noise."""

    def maps(self, pictures: Iterable[Picture]) -> Iterator[list[Map]]:
        """Class numbers `(height, width)`, the short side 90, of each rgb picture, in order, a list for each batch."""


class Selfie:
    """MediaPipe's two networks of selfie segmentation, square (256x256) and landscape (144x256), on the CPU.

    Each alone takes bottles for people, but seldom the same ones: in 20 frames of a clip with bottles and hands the
    square one marked 2 % of the picture or more in 11, the landscape one in 9, and where no hand was in it both
    together 1.9 % at most. So a pixel is a person's only where both say so. They know near people, and no distant ones.
    """

    precisions: ClassVar[tuple[Number, ...]] = ("fp32",)
    labels: tuple[str, ...] = ("background", "person")
    names_things = False
    least_share = 0.02

    def __init__(self, files: Weighted) -> None:
        self.files, self.notes = kept_on_cpu(files, "LiteRT")
        self.batch, self.worked = 1, 0
        self._networks: tuple[tuple[Network, tuple[int, int]], ...] = ()

    def load(self) -> None:
        """Open both networks."""
        names = (("selfie_segmentation.tflite", (256, 256)), ("selfie_segmentation_landscape.tflite", (256, 144)))
        self._networks = tuple(
            (Network(tflite_interpreter(str(self.files.folder / name), self.files.threads)), shape)
            for name, shape in names
        )

    def warm_up(self) -> None:
        """Run both once: the first run allocates their memory."""
        self._map(np.zeros((256, 256, 3), np.uint8))

    def free(self) -> None:
        """Let go of the networks."""
        self._networks = ()

    def maps(self, pictures: Iterable[Picture]) -> Iterator[list[Map]]:
        """1 where both networks see a person, else 0."""
        return ([self._map(picture)] for picture in pictures)

    def _map(self, picture: Picture) -> Map:
        import cv2

        self.worked += 1
        height, width = small(*picture.shape[:2])
        both = []
        for network, shape in self._networks:
            seen = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
            both.append(cv2.resize(network.run(seen)[0][..., 0], (width, height), interpolation=cv2.INTER_LINEAR))
        return (np.minimum(*both) > SURE).astype(np.uint8)


class HubSegmenter(TorchEngine):
    """UperNet, SegFormer, BEiT, DPT and others of transformers that score every class at every pixel."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 2
    most = 32  # torch's bilinear kernels count pixels in 32 bits: 255 classes of 512x512 pixels fit 32 times
    names_things = True
    least_share = 0.001

    def load(self) -> None:
        """Load processor and model.

        Raises:
            BadInput: it knows no persons, or more classes than a byte holds, or comes not in this precision, or its
                processor adds margins.
        """
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        self.model = full_size(AutoModelForSemanticSegmentation, self.files, unread=["auxiliary_head."])
        if getattr(self.model, "auxiliary_head", None) is not None:
            self.model.auxiliary_head = None  # it serves training alone, and its scores are as large as the others
        processor = AutoImageProcessor.from_pretrained(self.files.folder, local_files_only=True)
        self._processor: Any = whole(processor, self.files)
        names = self.model.config.id2label
        # some ADE20K checkpoints carry all synonyms: "person;individual;someone"
        self.labels = tuple(names[number].replace(";", ",").split(",")[0].strip() for number in range(len(names)))
        if "person" not in self.labels or len(self.labels) > 255:
            raise BadInput(f"{self.files.entry} has {len(self.labels)} classes; person, and at most 255, are needed")

    def maps(self, pictures: Iterable[Picture]) -> Iterator[list[Map]]:
        """The likeliest class of each pixel."""
        return self.batches(pictures, self._maps)

    def probe(self, count: int) -> None:
        """Look at grey pictures."""
        self._maps(grey(count))

    def rehearse(self) -> None:
        """Look at an upright, a wide and a square picture."""
        for picture in rehearsed(self.files):
            list(self.maps([picture]))

    def _maps(self, pictures: Sequence[Picture]) -> list[Map]:
        from torch.nn.functional import interpolate

        with inferring(self.files):
            scores = self.model(**prepared(self._processor, pictures, self.files)).logits.float()
            size = small(*pictures[0].shape[:2])
            classes = interpolate(scores, size=size, mode="bilinear", align_corners=False).argmax(1)
            return list(classes.byte().cpu().numpy())


def small(height: int, width: int) -> tuple[int, int]:
    """Height and width of the map of a picture."""
    scale = SHORT_SIDE / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


SEGMENTERS: Mapping[str, EngineKind[Segmenter]] = {"mediapipe-selfie": Selfie, "transformers": HubSegmenter}
