"""Text in pictures, by PP-OCR."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput
from shared.log import logger
from shared.schema import Box
from shared.text import encodable
from tasks import devices
from tasks.boxes import Picture, overlap
from tasks.engines.base import TorchEngine
from tasks.engines.graphs import Graph, UnknownOperator
from tasks.models import Engine, EngineKind, Number, Weighted

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
LINES_AT_ONCE = 6
"""Lines that are recognised at once, all as wide as the widest (rapidocr's default)."""
KNOWN = 0.6
"""A line that overlaps a known one more is not recognised again."""
REHEARSED = ((1138, 640, 640), (640, 1138, 640), (640, 640, 640), (1138, 640, 960), (640, 1138, 960))
"""Heights, widths, and long sides for the detector, of the pictures that the warm-up reads."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """One line of text, the recogniser's confidence in 0..1, and its box."""

    text: str
    confidence: float
    box: Box


class TextReader(Engine, Protocol):
    """Reads what stands in pictures."""

    def lines(self, picture: Picture, known: Sequence[Box], side: int) -> list[Read]:
        """The lines of text of an rgb picture `(height, width, 3)`, those that a known box covers left out.

        `side` is the long side in pixels of the picture in which they are looked for.
        """


class PpOcr(TorchEngine):
    """PP-OCR's detector and recogniser through rapidocr: in ONNX Runtime on a CPU, in torch on a GPU, in fp32 on both.

    Pictures are prepared, and boxes and letters made of the networks' answers, by rapidocr on the CPU either way.
    """

    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    precisions: ClassVar[tuple[Number, ...]] = ("fp32",)
    cpu_batch = 1
    most = 1

    def __init__(self, files: Weighted) -> None:
        super().__init__(replace(files, precision="fp32"))
        self._asked = files.precision

    def load(self) -> None:
        """Load both networks; rapidocr downloads only files that it was not given.

        Raises:
            BadInput: int8 or nf4 is asked for.
        """
        from omegaconf import flag_override
        from rapidocr import RapidOCR

        from tasks.sessions import session

        if self._asked in ("int8", "nf4"):
            raise BadInput(f"{self.files.entry} comes in fp32, not in {self._asked}", code="wrong_precision")
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        self.model = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_vertical_padding": False,
                "Global.log_level": "critical",
                "Det.limit_type": "max",
                "Rec.rec_batch_num": LINES_AT_ONCE,
            }
        )
        for part, file in ((self.model.cfg.Det, DETECTOR), (self.model.cfg.Rec, RECOGNISER)):
            with flag_override(part, "allow_objects", values=True):
                # an arena took 76 MiB more and was no faster
                part.session = session(str(self.files.folder / file), self.files.threads, arena=False)
        # rapidocr loads its networks at the first reading
        self.model(np.full((64, 256, 3), 255, np.uint8), use_rec=False)
        self.model(np.full((48, 320, 3), 255, np.uint8), use_det=False, use_rec=True)
        if self.files.device.is_gpu:
            self._move()

    def _move(self) -> None:
        """Let torch run both networks on the GPU; where it cannot they stay on the CPU, and a note says why."""
        try:
            detector, recogniser = (
                Graph(self.files.folder / name, self.files.device.name) for name in (DETECTOR, RECOGNISER)
            )
        except UnknownOperator as error:
            self.files = replace(self.files, device=devices.CPU)
            self.notes = (f"on the CPU: {error.message}",)
            log.warning("stays_on_the_cpu", entry=self.files.entry, reason=error.message)
            return
        self.model.text_det.session = detector
        self.model.text_rec.session = lambda crops: Scores(recogniser, crops)

    def probe(self, count: int) -> None:
        """Read upright pictures with a line of text."""
        for picture in [signpost(1138, 640)] * count:
            self._lines(picture, (), 640)

    def rehearse(self) -> None:
        """Read upright, wide and square pictures, coarsely and finely."""
        for height, width, side in REHEARSED if self.files.device.is_gpu else REHEARSED[:1]:
            self.lines(signpost(height, width), (), side)

    def lines(self, picture: Picture, known: Sequence[Box], side: int) -> list[Read]:
        """The lines of text of a picture, those that a known box covers left out."""
        (answers,) = self.batches([picture], lambda _: [self._lines(picture, known, side)])
        return answers[0]

    def _lines(self, picture: Picture, known: Sequence[Box], side: int) -> list[Read]:
        from rapidocr.main import RapidOCRError

        self.model.text_det.limit_side_len = side
        bgr = np.ascontiguousarray(picture[:, :, ::-1])
        try:
            crops, detected = self.model.detect_and_crop(bgr, {})
        except RapidOCRError:  # its word for "no text here"
            return []
        height, width = picture.shape[:2]
        boxes = [bounds(corners, width, height) for corners in detected.boxes]
        fresh = [i for i, box in enumerate(boxes) if all(overlap(box, other) < KNOWN for other in known)]
        if not fresh:
            return []
        read = self.model.recognize_txt([crops[i] for i in fresh])
        return [
            Read(encodable(text).strip(), float(score), boxes[i])
            for i, text, score in zip(fresh, read.txts, read.scores, strict=True)
        ]


class Scores:
    """A recogniser's scores `(lines, places, letters)` on a device, with what rapidocr asks of an array of them.

    There are 18,710 letters: the best of each place alone are brought to the host.
    """

    def __init__(self, recogniser: Graph, crops: NDArray[np.float32]) -> None:
        values, places = recogniser.on_device(crops).max(-1)
        self._best: NDArray[np.float32] = values.cpu().numpy()
        self._places: NDArray[np.int64] = places.cpu().numpy()

    def max(self, axis: int) -> NDArray[np.float32]:
        """The best score of each place; `axis` is 2."""
        return self._best

    def argmax(self, axis: int) -> NDArray[np.int64]:
        """Its letter; `axis` is 2."""
        return self._places


def bounds(corners: NDArray[Any], width: int, height: int) -> Box:
    """Upright box in 0..1 around the four corners `(4, 2)` in pixels."""
    low = np.clip(corners.min(0) / (width, height), 0, 1)
    high = np.clip(corners.max(0) / (width, height), 0, 1)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def signpost(height: int, width: int) -> Picture:
    """A grey picture with a short line and a long one."""
    import cv2

    picture = np.full((height, width, 3), 127, np.uint8)
    for text, y, scale in (("REELGRAPH", 0.3, 2.0), ("every word of a long caption", 0.7, 1.1)):
        cv2.putText(picture, text, (20, int(y * height)), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 3)
    return picture


TEXT_READERS: Mapping[str, EngineKind[TextReader]] = {"ppocr": PpOcr}
