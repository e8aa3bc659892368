"""NanoDet: small enough for a CPU.

The network is NanoDet-g at 416 (Lyu, 2021; its v0.x configuration `nanodet-g`: CSP backbone, PAN neck, GFL head). Boxes
come as distributions over 11 distances to each side (Generalized Focal Loss, Li et al., 2020).

The picture is letterboxed, as in training. Squashing a 16:9 picture into the square instead found the person of one
test clip in 0 of 80 frames; letterboxed it was found in 68. The network takes any multiples of its coarsest stride, so
the canvas is the smallest that holds the frame. A rendition with a short side of 240 gave the same objects as one with
416: the canvas then holds a 9:16 picture at 234x416.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.boxes import Floats, Letterbox, Picture, groups_of_one
from tasks.engines.objects import Found
from tasks.models import Number, Weighted, kept_on_cpu, onnx_session

LONG_SIDE = 416
STRIDES = (8, 16, 32)
BINS = 11
# channel means and deviations of the network's training, blue first
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)
MAX_OVERLAP = 0.6
"""Two boxes of one class that overlap more are one object: NanoDet's own post-processing."""

# fmt: off
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on


class NanoDet:
    """One picture at a time: batches were no faster on a CPU. Runs there in every profile."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32",)

    def __init__(self, files: Weighted) -> None:
        self.files, self.notes = kept_on_cpu(files, "ONNX Runtime")
        self.batch, self.worked = 1, 0
        self.labels: tuple[str, ...] = COCO
        self.session: Any = None

    def load(self) -> None:
        """Open the network."""
        self.session = onnx_session(str(self.files.folder / "nanodet.onnx"), self.files.threads)

    def warm_up(self) -> None:
        """Run the network once: the first run allocates its memory."""
        self.look(np.zeros((240, 240, 3), np.uint8), 0.5)

    def free(self) -> None:
        """Let go of the network."""
        self.session = None

    def objects(self, pictures: Iterable[Picture], floor: float) -> Iterator[list[Found]]:
        """What is in each rgb picture `(height, width, 3)` with a score of at least `floor`, in order."""
        return ([self.look(picture, floor)] for picture in pictures)

    def look(self, picture: Picture, floor: float) -> Found:
        """What is in one picture."""
        self.worked += 1
        height, width = picture.shape[:2]
        letterbox = Letterbox.fit((width, height), canvas_size(width, height))
        outputs = self.session.run(None, {self.session.get_inputs()[0].name: as_input(letterbox.draw(picture))})
        boxes, scores, labels = decode(outputs, letterbox.width, letterbox.height, floor)
        boxes = np.clip(letterbox.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4), 0, 1)
        rows = _best_of_each_class(boxes, scores, labels)
        return Found(boxes[rows], scores[rows], labels[rows])


def canvas_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the smallest canvas for a frame of that size whose longer side becomes 416.

    256x416 instead of 416x416 for a vertical video costs two fifths less.
    """
    coarsest, longest = STRIDES[-1], max(width, height)
    columns, rows = (math.ceil(side * LONG_SIDE / longest / coarsest) for side in (width, height))
    return columns * coarsest, rows * coarsest


def as_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's tensor `(1, 3, height, width)`, blue first, of an rgb picture `(height, width, 3)`."""
    tensor = np.empty((1, 3, *picture.shape[:2]), np.float32)
    for plane in range(3):
        # in place and a plane at a time: three times as fast as one expression over the picture
        tensor[0, plane] = picture[..., 2 - plane]
        tensor[0, plane] -= MEAN[plane]
        tensor[0, plane] /= DEVIATION[plane]
    return tensor


def decode(
    outputs: Sequence[NDArray[np.float32]], width: int, height: int, floor: float
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Boxes `(n, 4)` in canvas pixels, scores `(n,)` and classes `(n,)` of all cells that score at least `floor`.

    `outputs`, in any order: for each stride class scores `(1, cells, 80)` and the sides' distances `(1, cells, 44)`.
    """
    boxes, scores, labels = [], [], []
    for stride in STRIDES:
        columns, rows = width // stride, height // stride
        level = {out.shape[2]: out[0] for out in outputs if out.shape[1] == columns * rows}
        best = level[len(COCO)].max(axis=1)
        cells = np.flatnonzero(best >= floor)
        weights = np.exp(level[4 * BINS][cells].reshape(-1, 4, BINS).astype(np.float64))
        sides = weights @ np.arange(BINS) / weights.sum(axis=2) * stride
        centres = np.stack([cells % columns + 0.5, cells // columns + 0.5], axis=1) * stride
        boxes.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1))
        scores.append(best[cells].astype(np.float64))
        labels.append(level[len(COCO)][cells].argmax(axis=1))
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)


def _best_of_each_class(boxes: Floats, scores: Floats, labels: NDArray[np.intp]) -> list[int]:
    keep: list[int] = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        keep += [int(rows[group[0]]) for group in groups_of_one(boxes[rows], scores[rows], MAX_OVERLAP)]
    return keep
