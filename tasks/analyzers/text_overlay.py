"""Text on screen: captions, titles, slides, signs, with the time each line is seen."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Box, Caption, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options

PICTURES = Frames(fps=4, short_side=640, colour="rgb")
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"

EDGE_SIDE = 640
"""Long side, in pixels, of the edge maps that decide when to read again."""
EDGE_STRENGTH = 200.0
"""Sobel magnitude |gx| + |gy| of a strong edge: a step of 50 of 255 levels, half of what readable text has."""
TILE = (20, 64)
"""Height and width, in pixels of the edge map, of the tiles in which new edges are counted: a short word."""
TILE_EDGES = 64
"""New lasting edge pixels in one tile that ask for a reading; a word of five letters 12 pixels high has about 120."""
STILL_THERE = 0.65
"""How much of a line's edge pixels must be met again for the line to be still on screen, chance agreement taken off
as in Cohen's kappa (1960): in a page of other text most pixels lie near some edge. Fading titles pass 0.7."""
UNTOUCHED = 0.05
"""A line is not recognised again while fewer new edge pixels than this share of its own have come into its box."""
SAME_TEXT = 0.75
"""Least similarity (Ratcliff and Obershelp) of two readings of one line."""
SURE = 0.95
"""Two readings of at least this confidence that differ are two texts, unless the pixels stayed: "Step 1", "Step 2"."""
SAME_PLACE = 0.3
"""Least overlap (intersection over union) of one line's boxes in two readings."""
REPLACED = 0.6
"""A line is over when another text is read over this share of its box: two texts cannot stand in one place."""
PATIENCE_SECONDS = 1.3
"""A line not met for longer has ended; moving text is met at readings only, at most every second."""
LASTING_SECONDS = (0.0, 0.5, 1.0)
"""Least time since the last reading when lasting edges ask for one, after 0, 1, 2 or more readings without news."""
CHANGED_FACTORS = (1, 2, 4)
"""The same for mere change, in multiples of `reread_seconds`."""
PAGE_LINES, PAGE_SIDE = 6, 960
"""This many new lines at once are a page (a slide, credits): it is read again with a finer detector."""

Mask = NDArray[np.bool_]


class TextOptions(Options):
    """What is read and kept."""

    min_confidence: float = Field(0.8, ge=0, le=1, description="Lines that the recogniser trusts less are dropped")
    detector_side: int = Field(640, ge=320, le=1280, description="Long side in pixels of the picture text is found in")
    min_characters: int = Field(2, ge=1, description="Shorter lines are dropped: lone characters are mostly texture")
    reread_seconds: float = Field(1.0, gt=0, le=1.2, description="How often moving footage is read without a cause")


class TextTracks(TrackSet):
    """`captions`: one item a line of text; times to a quarter of a second, confidence from the recogniser."""

    captions: SegmentTrack[Caption]


@dataclass(slots=True, eq=False)
class Line:
    """One line while it is on screen. Boxes are `(x, y, w, h)` in 0..1; `signature` are its edges in the edge map."""

    first: float
    last: float
    """Time of the last frame with it."""
    box: Box
    signature: Mask
    readings: list[tuple[float, str]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    read: float = -1.0
    """Time of the last reading."""
    end: float = 0.0
    """Time of the first frame without it; 0 while it is there."""

    def best(self) -> tuple[float, str]:
        """Confidence and text of the best reading, or of a fuller one that contains it: captions build up by words."""
        best = max(self.readings)
        fuller = [r for r in self.readings if plain(best[1]) in plain(r[1])]
        return max(fuller, key=lambda reading: (len(plain(reading[1])), reading[0]))

    def agreement(self, grown: Mask) -> float:
        """How well the line's edges are met again in a grown edge map: 1 fully, 0 as by chance."""
        there = grown[span(self.box, grown.shape)]
        chance = float(there.mean())
        if not self.signature.any() or chance == 1:
            return 0.0
        return (float(there[self.signature].mean()) - chance) / (1 - chance)


class TextOverlay(Analyzer[TextOptions, TextTracks]):
    """PP-OCRv6 (detector and recogniser) on frames in which text may have come, lines followed by their edges.

    Four frames a second are compared cheaply; a frame is read when strong edges came that stay for two frames (text
    stands still while footage moves), and at growing intervals while anything changes. Only regions that no known line
    explains are recognised. Text that is part of the scene is text as well. Missed may be: text shorter than half a
    second (one second over fast motion), text on its side, and a change of a single character in small text.
    """

    name: ClassVar[str] = "text_overlay"
    version: ClassVar[int] = 1
    group: ClassVar[str] = "detect"
    summary: ClassVar[str] = "Text on screen line by line with its times (PP-OCRv6)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"local": "ppocr-v6", "gpu": "ppocr-v6"}
    cost: ClassVar[float] = 0.25

    _engine: Any

    def load(self, model: ModelContext) -> None:
        """Load both networks from verified files; RapidOCR downloads only files that it was not given."""
        from rapidocr import RapidOCR

        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        self._engine = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_vertical_padding": False,
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": model.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.model_path": model.path(DETECTOR),
                "Det.limit_type": "max",
                "Rec.model_path": model.path(RECOGNISER),
                "Rec.rec_batch_num": 6,
            }
        )
        # The first reading makes RapidOCR load its networks: better here than in the first job.
        self._engine(np.full((64, 256, 3), 255, np.uint8), use_rec=False)
        self._engine(np.full((48, 320, 3), 255, np.uint8), use_det=False, use_rec=True)

    def analyze(self, media: Media, options: TextOptions) -> TextTracks:
        """Read the video. An empty track means that it was looked at and no text was found."""
        reading = Reading(self._engine, options)
        last: tuple[float, NDArray[np.uint8]] | None = None
        for batch in media.frames(PICTURES, batch=8):
            for t, frame in zip(batch.times, batch.frames, strict=True):
                reading.step(float(t), frame)
            last = float(batch.times[-1]), batch.frames[-1]
            media.progress(min(1.0, last[0] / max(media.info.duration_seconds, 1e-3)))
        if last is not None:
            reading.finish(*last)
        return TextTracks(captions=SegmentTrack[Caption](method="model", items=captions(reading, media)))


class Reading:
    """The walk over one video's frames."""

    def __init__(self, engine: Any, options: TextOptions) -> None:
        self.engine, self.options = engine, options
        self.live: list[Line] = []
        self.done: list[Line] = []
        self._since: deque[tuple[float, Mask]] = deque(maxlen=16)
        self._read_edges: Mask | None = None
        self._read_at = 0.0
        self._without_news = 0

    def step(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 rgb `(height, width, 3)`."""
        sharp = edge_map(frame)
        grown = grow(sharp)
        self._follow(t, grown)
        if self._should_read(t, sharp):
            found = self._read(t, frame, sharp, self.options.detector_side)
            if found >= PAGE_LINES and self.options.detector_side < PAGE_SIDE:
                self._read(t, frame, sharp, PAGE_SIDE)
            self._without_news = 0 if found else min(self._without_news + 1, 2)
            self._read_edges, self._read_at = grown, t
        self._since.append((t, sharp))

    def finish(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Look at the last frame once more when lines that may have moved were lost since the last reading."""
        if any(line.end for line in self.live) and self._read_at < t:
            self._read(t, frame, edge_map(frame), self.options.detector_side)

    def _follow(self, t: float, grown: Mask) -> None:
        for line in self.live:
            if line.agreement(grown) >= STILL_THERE:
                line.last, line.end = t, 0.0
            elif not line.end:
                line.end = t
        self.done += [line for line in self.live if t - line.last > PATIENCE_SECONDS]
        self.live = [line for line in self.live if t - line.last <= PATIENCE_SECONDS]

    def _should_read(self, t: float, sharp: Mask) -> bool:
        if self._read_edges is None:
            return True
        waited = t - self._read_at
        new = sharp & ~self._read_edges
        if waited >= LASTING_SECONDS[self._without_news] and fullest_tile(new & grow(self._since[-1][1])) >= TILE_EDGES:
            return True
        lost = any(line.end for line in self.live)
        factor = 1 if lost else CHANGED_FACTORS[self._without_news]
        return waited >= factor * self.options.reread_seconds and fullest_tile(new) >= TILE_EDGES

    def _read(self, t: float, frame: NDArray[np.uint8], sharp: Mask, side: int) -> int:
        """Read a frame; give the number of lines that were not known."""
        known = [line.box for line in self.live if line.last == t and not self._touched(line, sharp)]
        new = 0
        for text, confidence, box in recognise(self.engine, frame, known, side):
            if confidence < self.options.min_confidence or len(plain(text)) < self.options.min_characters:
                continue
            line = self._match(text, confidence, box, sharp)
            if line is None:
                new += 1
                line = Line(t, t, box, sharp[span(box, sharp.shape)])
                line.first = self._came(line)
                self._replace(line)
                self.live.append(line)
            line.box, line.signature, line.last, line.end = box, sharp[span(box, sharp.shape)], t, 0.0
            line.read = t
            line.readings.append((confidence, text))
            line.boxes.append(box)
        return new

    def _touched(self, line: Line, sharp: Mask) -> bool:
        if self._read_edges is None:
            return False
        place = span(line.box, sharp.shape)
        new = sharp[place] & ~self._read_edges[place]
        return bool(new.sum() > UNTOUCHED * line.signature.sum())

    def _match(self, text: str, confidence: float, box: Box, sharp: Mask) -> Line | None:
        def fits(line: Line) -> bool:
            theirs, other = line.best()
            if overlap(line.box, box) < SAME_PLACE:
                return False
            if plain(other) == plain(text):
                return True
            changed = min(confidence, theirs) >= SURE and self._touched(line, sharp)
            return not changed and similarity(other, text) >= SAME_TEXT

        return max((line for line in self.live if fits(line)), key=lambda line: overlap(line.box, box), default=None)

    def _replace(self, by: Line) -> None:
        over = [line for line in self.live if line.read < by.last and covered(line.box, by.box) >= REPLACED]
        for line in over:
            line.last = line.end = max(by.first, line.first)
        self.live = [line for line in self.live if line not in over]
        self.done += over

    def _came(self, line: Line) -> float:
        """Walk back from its first reading to the first frame that shows this line and no other in its place."""
        rivals = [other for other in self.live if other.read < line.last and covered(other.box, line.box) >= REPLACED]
        came = line.first
        for t, sharp in reversed(self._since):
            grown = grow(sharp)
            likeness = line.agreement(grown)
            if likeness < STILL_THERE or any(rival.agreement(grown) >= likeness for rival in rivals):
                break
            came = t
        return came


def recognise(
    engine: Any, frame: NDArray[np.uint8], known: Sequence[Box], side: int
) -> Iterable[tuple[str, float, Box]]:
    """Texts, confidences and boxes (0..1) of the lines of a frame, those that a known line covers left out.

    `side` is the long side in pixels of the picture that the detector gets.
    """
    from rapidocr.main import RapidOCRError

    engine.text_det.limit_side_len = side
    bgr = np.ascontiguousarray(frame[:, :, ::-1])
    try:
        crops, detected = engine.detect_and_crop(bgr, {})
    except RapidOCRError:  # its word for "no text here"
        return []
    height, width = frame.shape[:2]
    boxes = [bounds(corners, width, height) for corners in detected.boxes]
    fresh = [i for i, box in enumerate(boxes) if all(overlap(box, other) < 2 * SAME_PLACE for other in known)]
    if not fresh:
        return []
    read = engine.recognize_txt([crops[i] for i in fresh])
    return [
        (text.strip(), float(score), boxes[i]) for i, text, score in zip(fresh, read.txts, read.scores, strict=True)
    ]


def edge_map(frame: NDArray[np.uint8]) -> Mask:
    """Strong edges of a frame, bool `(h, w)`, long side at most EDGE_SIDE."""
    import cv2

    scale = min(1.0, EDGE_SIDE / max(frame.shape[:2]))
    gray = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gx, gy = cv2.Sobel(gray, cv2.CV_16S, 1, 0), cv2.Sobel(gray, cv2.CV_16S, 0, 1)
    strong: Mask = np.abs(gx) + np.abs(gy) > EDGE_STRENGTH
    return strong


def grow(mask: Mask) -> Mask:
    """Set every pixel of the mask and those beside it: compression moves edges by a pixel."""
    import cv2

    grown: Mask = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    return grown


def fullest_tile(mask: Mask) -> int:
    """Most pixels set in any tile."""
    height, width = (max(1, size // tile) * tile for size, tile in zip(mask.shape, TILE, strict=True))
    padded = np.zeros((height, width), np.uint16)
    inside = mask[:height, :width]
    padded[: inside.shape[0], : inside.shape[1]] = inside
    tiles = padded.reshape(height // TILE[0], TILE[0], width // TILE[1], TILE[1])
    return int(tiles.sum((1, 3)).max())


def span(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of an edge map that a box covers."""
    (x, y, w, h), (height, width) = box, shape
    return (
        slice(int(y * height), max(int(np.ceil((y + h) * height)), 1)),
        slice(int(x * width), max(int(np.ceil((x + w) * width)), 1)),
    )


def bounds(corners: NDArray[Any], width: int, height: int) -> Box:
    """Upright box in 0..1 around the four corners `(4, 2)` in pixels."""
    low = np.clip(corners.min(0) / (width, height), 0, 1)
    high = np.clip(corners.max(0) / (width, height), 0, 1)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    shared = covered(a, b) * a[2] * a[3]
    return shared / (a[2] * a[3] + b[2] * b[3] - shared or 1.0)


def covered(box: Box, by: Box) -> float:
    """Share of a box that lies in another."""
    wide = min(box[0] + box[2], by[0] + by[2]) - max(box[0], by[0])
    high = min(box[1] + box[3], by[1] + by[3]) - max(box[1], by[1])
    return max(wide, 0.0) * max(high, 0.0) / (box[2] * box[3] or 1.0)


def plain(text: str) -> str:
    """Keep the letters and digits of a text, in lower case: recognisers disagree on spaces and dots."""
    return "".join(character for character in text.casefold() if character.isalnum())


def similarity(a: str, b: str) -> float:
    """0..1 of two texts, spaces and punctuation aside."""
    return SequenceMatcher(None, plain(a), plain(b), autojunk=False).ratio()


def captions(reading: Reading, media: Media) -> tuple[Caption, ...]:
    """All lines, ordered by start and then from top to bottom."""
    lines = sorted(reading.done + reading.live, key=lambda line: (line.first, line.box[1]))
    items = []
    for number, line in enumerate(lines, 1):
        confidence, text = line.best()
        box = tuple(np.median(np.array(line.boxes), axis=0))
        end = line.end or media.info.duration_seconds
        items.append(
            Caption(
                id=f"x{number}", start=line.first, end=max(end, line.last), text=text, box=box, confidence=confidence
            )
        )
    return tuple(items)
