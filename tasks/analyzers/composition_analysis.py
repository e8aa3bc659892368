"""Composition of every shot: where the subject stands, how it is framed, symmetry, empty space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.errors import Skipped
from shared.frames import Frames
from shared.renditions import source_fps
from shared.schema import Box, Face, Segment, SegmentTrack, TrackedObject, TrackSet
from shared.spans import merged
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.bars import between, found_bars, inside
from tasks.shots import Part, parts, spread

PICTURES = Frames(fps=4, short_side=240, colour="rgb")
"""The rate at which faces and objects are followed: a frame for each of their boxes."""
FACES, OBJECTS = "face_detection/faces", "object_detection/objects"

BOXES_A_SECOND = 4.0
"""How often the detectors look, where the video has so many frames."""
SEEN_SHARE = 1 / 3
"""Least share of a shot in which its subject is seen; less is a glimpse, or a detection on the frame at the cut."""
THIRDS = (1 / 3, 2 / 3)
EDGE_LEVELS = 40.0
"""Sobel magnitude |gx| + |gy| of an edge, levels: a step of 10 of 255; below lie noise and soft shading."""
CELL = 16
"""Side in pixels (of 240) of the cells that are empty or not."""
EMPTY_SHARE = 0.02
"""Most edge pixels in an empty cell: 5 of 256."""
FLAT = 4.0
"""Standard deviation of luma, levels, below which a picture has nothing to be symmetrical."""

Looked = Literal["face", "object"]
DETECTORS: tuple[tuple[Looked, str], ...] = (("face", "face_detection"), ("object", "object_detection"))
SubjectKind = Literal["face", "person", "object", "none"]


class CompositionOptions(Options):
    """How closely a shot is looked at."""

    frames: int = Field(5, ge=1, le=40, description="Frames measured in a shot")


class ShotComposition(Segment):
    """Medians over the measured frames of one shot. Distances and places are shares of the picture.

    subject: of what is seen in a third of the shot, the face that covers the most; without faces the person, else the
    object that does; none when neither was found (`looked_for` says who looked). It is what the detectors saw, not
    what the eye is drawn to. Cited in `evidence` after the shot.
    subject_place: its centre (x, y) from the left upper corner. subject_size: its box's share of the picture.
    third_point, third_line: distance of the centre to the nearest crossing of the lines at 1/3 and 2/3, and to the
    nearest line, as a share of the diagonal and of the side across it: 0 on it, 0.24 and 0.33 at most.
    headroom: from the top of the picture to the top of the face (brow, not hair); null when the subject is no face. It
    and the thirds are those of the picture between bars, like the rest; place and size are those of the whole.
    symmetry: correlation of luma with its mirror image left to right, -1..1; null for a flat picture.
    negative_space: share of cells of 16 pixels (short side 240) that have next to no edges.
    """

    subject: SubjectKind
    label: str | None
    looked_for: tuple[Looked, ...]
    subject_place: tuple[float, float] | None
    subject_size: float | None
    third_point: float | None
    third_line: float | None
    headroom: float | None
    symmetry: float | None
    negative_space: float
    frames: int


class Composition(TrackSet):
    """`shots`: composition of each shot that has a frame, citing the shot and its subject."""

    shots: SegmentTrack[ShotComposition]


class CompositionAnalysis(Analyzer[CompositionOptions, Composition]):
    """Geometry of tracked boxes, and two measures of pictures. Without cut_analysis the whole video is one shot."""

    name: ClassVar[str] = "composition_analysis"
    version: ClassVar[int] = 3
    group: ClassVar[str] = "light"
    summary: ClassVar[str] = "Subject, thirds, headroom, symmetry, negative space of shots (measured)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    uses: ClassVar[tuple[str, ...]] = ("cut_analysis", "object_detection", "face_detection", "visual_effects")
    cost: ClassVar[float] = 0.01
    value = 1

    def load(self, model: ModelContext) -> None:
        """Import OpenCV."""
        import cv2  # noqa: F401

    def analyze(self, media: Media, options: CompositionOptions) -> Composition:
        """Measure shot by shot. Raises Skipped when the video has no picture."""
        rate = min(BOXES_A_SECOND, source_fps(media.info))
        subjects = [
            *(Subject("face", face, f"{FACES}/{face.id}", rate) for face in media.items(FACES, Face)),
            *(
                Subject("person" if item.label == "person" else "object", item, f"{OBJECTS}/{item.id}", rate)
                for item in media.items(OBJECTS, TrackedObject)
            ),
        ]
        looked_for = tuple(kind for kind, name in DETECTORS if media.has(name))
        bars = found_bars(media)
        items: list[ShotComposition] = []
        for part in parts(media, PICTURES):
            frames = spread(media, PICTURES, part, options.frames)
            filmed = between(bars, (part.start + part.end) / 2)
            if frames:
                items.append(_item(f"c{len(items) + 1}", part, frames, chosen(subjects, part), looked_for, filmed))
            media.progress(min(1.0, part.end / max(media.info.duration_seconds, 1e-3)))
        if not items:
            raise Skipped("there is no picture to measure")
        track = SegmentTrack[ShotComposition](method="measurement", items=tuple(items))
        return Composition(analysed=tuple(merged((item.start, item.end) for item in items)), shots=track)


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that a shot may be about."""

    kind: Literal["face", "person", "object"]
    item: TrackedObject
    evidence: str
    looks_a_second: float = BOXES_A_SECOND

    def boxes(self, part: Part) -> list[Box]:
        """Its boxes in that shot."""
        return [seen.box for seen in self.item.boxes if part.holds(seen.t)]

    def share(self, part: Part) -> float:
        """Share of the shot in which it is seen; may pass 1 in a short one."""
        return len(self.boxes(part)) / max(1.0, part.seconds * self.looks_a_second)

    def presence(self, part: Part) -> float:
        """Area times time in that shot: a large one that is seen throughout has most."""
        return sum(w * h for _, _, w, h in self.boxes(part))


def chosen(subjects: Sequence[Subject], part: Part) -> Subject | None:
    """Choose the subject of a shot: the face with the most presence, else the person, else the object."""
    for kind in ("face", "person", "object"):
        there = [one for one in subjects if one.kind == kind and one.share(part) >= SEEN_SHARE]
        if there:
            return max(there, key=lambda one: one.presence(part))
    return None


def thirds(x: float, y: float) -> tuple[float, float]:
    """Distance of a point to the nearest crossing of the thirds over the diagonal's, and to the nearest line."""
    across, down = (min(abs(value - line) for line in THIRDS) for value in (x, y))
    return float(np.hypot(across, down) / np.sqrt(2)), min(across, down)


def symmetry(luma: NDArray[np.uint8]) -> float | None:
    """Pearson correlation of a picture with its mirror image left to right; None for a flat one."""
    values = luma.astype(np.float64)
    if values.std() < FLAT:
        return None
    centred = values - values.mean()
    return float((centred * centred[:, ::-1]).mean() / values.var())


def negative_space(luma: NDArray[np.uint8]) -> float:
    """Share of cells that have next to no edges."""
    import cv2

    values = luma.astype(np.float32)
    strength = np.abs(cv2.Sobel(values, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(values, cv2.CV_32F, 0, 1))
    height, width = (max(1, side // CELL) for side in luma.shape)
    edges = (strength >= EDGE_LEVELS).astype(np.float32)
    shares = cv2.resize(edges, (width, height), interpolation=cv2.INTER_AREA)
    return float((np.asarray(shares) <= EMPTY_SHARE).mean())


def _item(
    name: str,
    part: Part,
    frames: Sequence[NDArray[np.uint8]],
    subject: Subject | None,
    looked_for: tuple[Looked, ...],
    filmed: Box,
) -> ShotComposition:
    import cv2

    lumas = [np.asarray(cv2.cvtColor(inside(frame, filmed), cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]
    mirrored = [value for luma in lumas if (value := symmetry(luma)) is not None]
    boxes = np.array(subject.boxes(part)) if subject else np.zeros((0, 4))
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    points = np.array([thirds(float(x), float(y)) for x, y in (centres - filmed[:2]) / filmed[2:]]).reshape(-1, 2)
    face = subject is not None and subject.kind == "face"
    return ShotComposition(
        id=name,
        start=part.start,
        end=part.end,
        evidence=part.evidence + ((subject.evidence,) if subject else ()),
        subject=subject.kind if subject else "none",
        label=subject.item.label if subject else None,
        looked_for=looked_for,
        subject_place=(_median(centres[:, 0]), _median(centres[:, 1])) if subject else None,
        subject_size=_median(boxes[:, 2] * boxes[:, 3]) if subject else None,
        third_point=_median(points[:, 0]) if subject else None,
        third_line=_median(points[:, 1]) if subject else None,
        headroom=_median(np.maximum(0, boxes[:, 1] - filmed[1]) / filmed[3]) if face else None,
        symmetry=_median(mirrored) if mirrored else None,
        negative_space=_median([negative_space(luma) for luma in lumas]),
        frames=len(frames),
    )


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    return round(float(np.median(values)), 4)
