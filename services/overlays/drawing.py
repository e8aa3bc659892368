"""Boxes, points, texts and masks of a document drawn into one frame."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from services.overlays.words import lasts
from shared.schema import BaseTrack, Box, Caption, Document, EventTrack, FaceBox, ObjectTrack, SegmentTrack, TimedBox
from tasks.analyzers.background_segmentation import PersonMask
from tasks.analyzers.body_pose import Pose
from tasks.analyzers.composition_analysis import ShotComposition
from tasks.analyzers.gesture_recognition import HandPose
from tasks.analyzers.visual_effects import Effect

Colour = tuple[int, int, int]
FONT = 12
MASK_COLOUR = (0, 255, 120)
LIMBS = ((11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24))
LEGS = ((23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32))
VISIBLE = 0.5
"""Landmarks of a body that are less likely visible are drawn hollow."""


def colour_of(track: str) -> Colour:
    """A colour for a track, always the same."""
    red, green, blue = colorsys.hsv_to_rgb(crc32(track.encode()) % 360 / 360, 0.55, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def drawn(picture: Image.Image, document: Document, t: float, within: float) -> Image.Image:
    """The rgb picture of second `t` with what the document places in it.

    A box is drawn at the place it had last; a mask only if it is of a moment within `within` seconds.
    """
    picture = picture.copy()
    for track in document.tracks:
        if isinstance(track, EventTrack):
            for one in track.items:
                if isinstance(one, PersonMask) and abs(one.t - t) <= within:
                    picture = _masked(picture, one)
    draw = ImageDraw.Draw(picture)
    for track in document.tracks:
        _Pen(draw, picture.size, colour_of(track.id)).track(track, t)
    return picture


class _Pen:
    """Draws items of one track in its colour; coordinates of items are 0..1 of the picture."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour) -> None:
        self._draw, self._size, self._colour = draw, size, colour
        self._font = ImageFont.load_default(size=FONT)

    def track(self, track: BaseTrack, t: float) -> None:
        """What the track says about `t`."""
        if isinstance(track, ObjectTrack):
            for one in track.items:
                before = [box for box in one.boxes if box.t <= t]
                if lasts(one, t) and before:
                    self._thing(before[-1], f"{one.id} {one.label}")
        elif isinstance(track, SegmentTrack):
            for one in track.items:
                if lasts(one, t):
                    self._segment(one)

    def _segment(self, one: object) -> None:
        if isinstance(one, Caption):
            self._box(one.box, one.text)
        elif isinstance(one, Effect) and one.box is not None:
            self._box(one.box, one.label)
        elif isinstance(one, ShotComposition) and one.subject_place is not None:
            x, y = self._at(one.subject_place)
            self._draw.line((x - 8, y, x + 8, y), self._colour, 2)
            self._draw.line((x, y - 8, x, y + 8), self._colour, 2)

    def _thing(self, box: TimedBox, name: str) -> None:
        if isinstance(box, Pose):
            points = {n: (self._at(one[:2]), one[2] >= VISIBLE) for n, one in enumerate(box.landmarks) if one}
            self._lines([points[a][0], points[b][0]] for a, b in LIMBS + LEGS if a in points and b in points)
            for point in points.values():
                self._dot(*point)
            return
        sure = "" if box.confidence is None else f" {box.confidence:.2f}"
        self._box(box.box, f"{name}{sure}")
        if isinstance(box, FaceBox):
            for place in box.keypoints:
                self._dot(self._at(place), solid=True)
        elif isinstance(box, HandPose):
            places = [self._at(one) for one in box.landmarks]
            self._lines([places[0], *places[first : first + 4]] for first in range(1, 21, 4))

    def _box(self, box: Box, name: str) -> None:
        x, y, w, h = box
        first, last = self._at((x, y)), self._at((x + w, y + h))
        self._draw.rectangle((*first, *last), outline=self._colour, width=2)
        place = (first[0] + 2, max(0, first[1] - FONT - 2))
        self._draw.rectangle(self._draw.textbbox(place, name, self._font), fill=(0, 0, 0))
        self._draw.text(place, name, self._colour, self._font)

    def _lines(self, lines: Iterable[Sequence[tuple[float, float]]]) -> None:
        for line in lines:
            for one, other in pairwise(line):
                self._draw.line((*one, *other), self._colour, 2)

    def _dot(self, place: tuple[float, float], solid: bool) -> None:  # noqa: FBT001  (of a point, with its place)
        x, y = place
        self._draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=self._colour if solid else None, outline=self._colour)

    def _at(self, place: Sequence[float]) -> tuple[float, float]:
        return place[0] * self._size[0], place[1] * self._size[1]


def _masked(picture: Image.Image, mask: PersonMask) -> Image.Image:
    """The picture with the persons of a mask tinted. See PersonMask for its run lengths."""
    values = np.repeat(np.arange(len(mask.counts)) % 2, mask.counts).astype(np.uint8)
    grid = Image.fromarray(110 * values.reshape(mask.size, order="F")).resize(picture.size)
    return Image.composite(Image.new("RGB", picture.size, MASK_COLOUR), picture, grid)
