"""Boxes and pictures on their way into a detector and back.

Boxes are float arrays `(n, 4)` of left, top, right, bottom. Their unit is the caller's: pixels or 0..1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.frames import Frames
from shared.schema import Box
from tasks.analyzer import Media

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]
AnswerT = TypeVar("AnswerT")
MANY = 128
"""Up to so many boxes are compared with one another all at once; of more it takes longer than one after another."""
FEW = 16
"""Every so many pixels of every so many rows are compared first."""


def pictures(media: Media, need: Frames) -> Iterator[tuple[float, Picture]]:
    """Every frame of a rendition with its time in seconds; says after each how far the work is."""
    return ((t, frame) for t, _, frame in stills(media, need))


def stills(media: Media, need: Frames) -> Iterator[tuple[float, float, Picture]]:
    """The same, with the second until which the video showed each frame."""
    # one by one: a batch across two windows of the frame store would be copied, and the first would come later
    for batch in media.frames(need, batch=1):
        t = float(batch.times[0])
        yield t, float(batch.until[0]), batch.frames[0]
        media.progress(min(1.0, t / max(media.info.duration_seconds, 1e-3)))


def answered(
    shown: Iterable[tuple[float, Picture]], ask: Callable[[Iterator[Picture]], Iterator[list[AnswerT]]]
) -> Iterator[tuple[float, Picture, AnswerT]]:
    """Pictures, with their seconds, and what an engine answers to each; it takes as many at once as it likes.

    Of pictures that are equal in every pixel, one after another, it is asked about the first, which stands for all.
    """
    waiting: deque[tuple[Picture, list[float]]] = deque()

    def given() -> Iterator[Picture]:
        for t, picture in shown:
            if waiting and same(waiting[-1][0], picture):
                waiting[-1][1].append(t)
                continue
            waiting.append((picture, [t]))
            yield picture

    found: deque[AnswerT] = deque()
    for answers in ask(given()):
        found.extend(answers)
        # the newest picture waits for another: it may be shown again
        while found and len(waiting) > 1:
            yield from _each(*waiting.popleft(), found.popleft())
    for (picture, times), answer in zip(waiting, found, strict=True):
        yield from _each(picture, times, answer)


def _each(picture: Picture, times: list[float], answer: AnswerT) -> Iterator[tuple[float, Picture, AnswerT]]:
    return ((t, picture, answer) for t in times)


def same(one: Picture, other: Picture) -> bool:
    """Whether two pictures are equal in every pixel; told from a few of them where they are not."""
    if one.shape != other.shape or not np.array_equal(one[::FEW, ::FEW], other[::FEW, ::FEW]):
        return False
    return np.array_equal(one, other)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture scaled to fit a canvas without changing its shape, centred, black around it. All sizes in pixels."""

    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    @classmethod
    def fit(cls, picture: tuple[int, int], canvas: tuple[int, int]) -> Self:
        """Letterbox a `(width, height)` picture on a `(width, height)` canvas."""
        scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
        inner_width, inner_height = max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
        left, top = (canvas[0] - inner_width) // 2, (canvas[1] - inner_height) // 2
        return cls(*canvas, left, top, inner_width, inner_height)

    def draw(self, picture: Picture) -> Picture:
        """Draw the picture on its canvas, uint8 `(height, width, 3)`."""
        import cv2

        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        shrinks = self.inner_width < picture.shape[1]
        inner = cv2.resize(
            picture,
            (self.inner_width, self.inner_height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        canvas[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width] = inner
        return canvas

    def to_picture(self, points: Floats) -> Floats:
        """Turn points `(..., 2)` in canvas pixels into 0..1 of the picture; on the border they lie beyond that."""
        inside: Floats = (points - np.array([self.left, self.top])) / np.array([self.inner_width, self.inner_height])
        return inside


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box of `first` `(n, 4)` with every box of `second` `(m, 4)`: `(n, m)`, 0..1."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    ratio: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def _areas(boxes: Floats) -> Floats:
    areas: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas


def groups_of_one(boxes: Floats, scores: Floats, max_overlap: float) -> list[NDArray[np.intp]]:
    """Rows that show the same thing: the best row first, with it all that overlap it by more than `max_overlap`.

    Non-maximum suppression keeps the first row of each group; the weighted kind averages the group.
    """
    rest = np.argsort(-scores, kind="stable")
    # a call for each thing costs more than the comparing itself
    known = overlaps(boxes, boxes) > max_overlap if len(boxes) <= MANY else None
    groups = []
    while len(rest):
        same = overlaps(boxes[rest[:1]], boxes[rest])[0] > max_overlap if known is None else known[rest[0], rest]
        same[0] = True
        groups.append(rest[same])
        rest = rest[~same]
    return groups


def as_document_box(box: Floats) -> Box:
    """Write a box in 0..1 `(4,)` as the document does: `(x, y, width, height)`."""
    left, top, right, bottom = (float(edge) for edge in box)
    return left, top, right - left, bottom - top


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes of the document, `(x, y, width, height)`."""
    shared = covered(a, b) * a[2] * a[3]
    return shared / (a[2] * a[3] + b[2] * b[3] - shared or 1.0)


def covered(box: Box, by: Box) -> float:
    """Share of a document's box that lies in another."""
    wide = min(box[0] + box[2], by[0] + by[2]) - max(box[0], by[0])
    high = min(box[1] + box[3], by[1] + by[3]) - max(box[1], by[1])
    return max(wide, 0.0) * max(high, 0.0) / (box[2] * box[3] or 1.0)
