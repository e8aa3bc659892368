"""Faces that `face_detection` found, brought before networks that look at one face at a time.

Points are `(x, y)` in pixels of a picture. Matrices are `(2, 3)` affine maps from the picture's pixels to a crop's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

import numpy as np

from shared.frames import Frames
from shared.schema import Face, FaceBox, Span
from shared.spans import merged
from tasks.analyzer import Media
from tasks.boxes import Floats, Picture, stills

MOST_TURN = 0.25
"""A head turned further (see `FaceView.turn`: about 23 degrees) hides half of what networks for front faces look at."""
SAMPLE_SECONDS = 0.25
"""How far apart `face_detection` looks."""
LONGEST_GAP = 2.5 * SAMPLE_SECONDS
"""Between two boxes further apart than this, more than one was missed: where the face was is not known."""
FINEST = 4
"""A crop that shrinks the picture is drawn up to this many times as large and averaged, against aliasing."""


@dataclass(frozen=True, slots=True)
class FaceView:
    """One face in one picture. `points` `(5, 2)`: right eye, left eye, nose, box's top left and bottom right corner."""

    points: Floats

    @property
    def eyes(self) -> Floats:
        """From the right eye to the left one: x, y."""
        between: Floats = self.points[1] - self.points[0]
        return between

    @property
    def eye_distance(self) -> float:
        """Pixels between the middles of the eyes."""
        return float(np.linalg.norm(self.eyes))

    @property
    def eye_middle(self) -> Floats:
        """The point between the eyes."""
        middle: Floats = self.points[:2].mean(axis=0)
        return middle

    @property
    def middle(self) -> Floats:
        """The middle of the box."""
        middle: Floats = self.points[3:].mean(axis=0)
        return middle

    @property
    def side(self) -> float:
        """The longer side of the box."""
        return float((self.points[4] - self.points[3]).max())

    @property
    def turn(self) -> float:
        """How far the tip of the nose lies beside the middle of the eyes, in eye distances along the eyes.

        0 from the front. The tip lies some 0.6 eye distances before the eyes (40 of 63 mm), so a head turned by `a`
        has 0.6 tan(a). Infinite where the eyes fall on one point.
        """
        square = float(self.eyes @ self.eyes)
        return abs(float((self.points[2] - self.eye_middle) @ self.eyes)) / square if square else inf

    def is_clear(self, least_eye_distance: float) -> bool:
        """Whether it is large enough and seen from the front."""
        return self.eye_distance >= least_eye_distance and self.turn <= MOST_TURN


def view(seen: FaceBox, size: tuple[int, int]) -> FaceView:
    """A face of the document in a picture of `(width, height)` pixels."""
    return FaceView(_points(seen) * np.array(size))


def _points(seen: FaceBox) -> Floats:
    left, top, width, height = seen.box
    return np.array([*seen.keypoints[:3], (left, top), (left + width, top + height)], np.float64)


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame that was looked at for faces, shown from `t` until `until` seconds, and every face's view in it."""

    t: float
    until: float
    frame: Picture
    seen: list[FaceView | None]


def views(media: Media, need: Frames, faces: Sequence[Face]) -> Iterator[Moment]:
    """Each frame that was looked at for faces, with every face's view, None where it is not.

    Frames of a rendition at the same or a lower rate than that of `face_detection`; times are equal to a millisecond.
    Without faces there are none to be looked at.
    """
    boxes = [{round(seen.t, 3): seen for seen in face.boxes} for face in faces]
    for t, until, frame in stills(media, need) if faces else ():
        size = frame.shape[1], frame.shape[0]
        found = [seen.get(round(t, 3)) for seen in boxes]
        yield Moment(t, until, frame, [view(one, size) if one else None for one in found])


class FacePath:
    """Where one face is at any moment, in straight lines between its boxes; across a `cut` there is no line."""

    def __init__(self, face: Face, cuts: Sequence[float]) -> None:
        self._times = [seen.t for seen in face.boxes]
        self._points = [_points(seen) for seen in face.boxes]
        # times of cuts and boxes are rounded alike, so a box at a cut belongs to what follows
        self._shots = [bisect_right(cuts, t) for t in self._times]
        self._cuts = cuts

    def at(self, t: float, size: tuple[int, int]) -> FaceView | None:
        """Its view at `t` seconds in a picture of `(width, height)`; None where it was not seen around that time."""
        after, shot = bisect_right(self._times, t), bisect_right(self._cuts, t + 0.0005)
        near = [n for n in (after - 1, after) if 0 <= n < len(self._times) and self._shots[n] == shot]
        if len(near) == 2 and self._times[after] - self._times[after - 1] <= LONGEST_GAP:
            share = (t - self._times[after - 1]) / (self._times[after] - self._times[after - 1])
            points = (1 - share) * self._points[after - 1] + share * self._points[after]
            return FaceView(points * np.array(size))
        near = [n for n in near if abs(self._times[n] - t) < SAMPLE_SECONDS]
        if not near:
            return None
        nearest = min(near, key=lambda n: abs(self._times[n] - t))
        return FaceView(self._points[nearest] * np.array(size))


@dataclass(slots=True)
class ClearLooks:
    """Which faces of each frame can be looked at, and so which frames were looked at.

    A frame is missed when it shows faces and none of them is clear. `least_eye_distance` in pixels.
    """

    least_eye_distance: float
    _times: list[float] = field(default_factory=list)
    _missed: set[float] = field(default_factory=set)

    def at(self, t: float, seen: Sequence[FaceView | None]) -> list[tuple[int, FaceView]]:
        """The faces of the next frame, shown from `t` on, that are large and frontal enough, with their numbers."""
        clear = [(number, face) for number, face in enumerate(seen) if face and face.is_clear(self.least_eye_distance)]
        self._times.append(t)
        if any(seen) and not clear:
            self._missed.add(t)
        return clear

    def spans(self, end: float) -> tuple[Span, ...] | None:
        """What was looked at, frames being shown until the next one or the `end`; None when that is everything."""
        if not self._missed:
            return None
        ends = [*self._times[1:], max(end, self._times[-1])]
        shown = zip(self._times, ends, strict=True)
        return tuple(merged((start, stop) for start, stop in shown if start not in self._missed))


def upright_square(middle: Floats, side: float, across: Floats, size: int) -> Floats:
    """The map of a square of `side` pixels around `middle`, turned so that `across` points right, to `size` pixels."""
    right = across / max(float(np.linalg.norm(across)), 1e-9) * (size / max(side, 1e-9))
    turned = np.array([right, (-right[1], right[0])])
    return np.hstack([turned, (size / 2 - turned @ middle)[:, None]])


def similarity(source: Floats, target: Floats) -> Floats:
    """The map by turning, scaling and moving that takes points `(n, 2)` nearest to others (Umeyama, 1991)."""
    source_middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    a, b = (source - source_middle) @ np.array([1, 1j]), (target - target_middle) @ np.array([1, 1j])
    factor = complex((a.conj() * b).sum() / max(float((abs(a) ** 2).sum()), 1e-9))
    turned = np.array([(factor.real, -factor.imag), (factor.imag, factor.real)])
    return np.hstack([turned, (target_middle - turned @ source_middle)[:, None]])


def back(matrix: Floats, points: Floats) -> Floats:
    """Points `(n, 2)` of a crop in the picture."""
    there: Floats = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return there


def crop(picture: Picture, matrix: Floats, size: int) -> Picture:
    """What the map shows of a picture `(height, width[, 3])`, `size` pixels square; black beyond the picture."""
    import cv2

    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    finer = min(FINEST, ceil(1 / scale)) if scale < 1 else 1
    larger = matrix * finer
    larger[:, 2] += (finer - 1) / 2  # pixels are counted from their middles
    drawn = cv2.warpAffine(picture, larger, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA) if finer > 1 else drawn, np.uint8)
