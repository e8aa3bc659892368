"""Body poses: 33 landmarks a person, followed over time.

The networks are MediaPipe's BlazePose (Bazarevsky et al., 2020): a detector (224x224) that finds a body's hips and
extent, and the landmark network "full" (256x256) on the square that they span. Crops, thresholds and the refinement by
heatmaps are those of its graphs `pose_detection` and `pose_landmark_by_roi`.

BlazePose is made for one person, and alone it takes bottles for bodies (presence 0.91). So the detector looks into the
person boxes of object detection, one by one, and below faces that are in none of them; only when nobody looked for
either it looks at the whole picture. The body is found anew in every frame: at 4 a second the last pose says little
about the next, so nothing is smoothed.

Measured on three clips with near faces against the eyes and noses of face detection, in eye distances: medians of 0.16,
0.17 and 0.11. Without the heatmaps, with the detector on the whole picture, 0.56, 0.28 and 0.19 instead of 0.15, 0.16
and 0.15. A second pass from MediaPipe's auxiliary points made it no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.schema import Coordinate, Face, ObjectTrack, TimedBox, TrackedObject, TrackSet, Unit
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import Floats, as_document_box, groups_of_one, pictures
from tasks.landmarks import Crop, Detector, Network, sigmoid
from tasks.shots import cuts
from tasks.tracking import LinkRules, Sighting, Tracklet, link, there

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640, colour="rgb")
DETECTOR = Detector(side=224, strides=(8, 16, 32, 32, 32), keypoints=4)
HIPS, EXTENT = 2, 3
"""Rows of a detection's points: the middle of the hips, and a point on the circle about it that holds the body."""
ROOM = 1.25
"""MediaPipe's `scale_x` of a body's square."""
AROUND = 1.6
"""Room around a place that the detector sees. Eyes and noses came out best with it; 1.25 and 2.0 were worse."""
SIDE = 256
POINTS, ALL_POINTS, VALUES = 33, 39, 5
HEATMAP = 64
REACH, LEAST_HEAT = 3, 0.5
"""MediaPipe's refinement: a 7x7 window of the heatmap about a landmark, used where it is at least this hot."""
DETECTED = 0.5
"""MediaPipe's `min_score_thresh` of the detector."""
PRESENT = 0.5
"""MediaPipe's least presence of a pose: below, there is none."""
VISIBLE, LEAST_VISIBLE = 0.5, 5
"""A pose's box holds its landmarks that are this visible and in the picture; with fewer of them there is no pose."""
SAME_BODY_OVERLAP = 0.7
"""Two poses of one frame whose boxes overlap more are one body seen in two crops."""
BODY_OF_FACE = (-1.0, -0.5, 2.0, 5.5)
"""Left, top, right, bottom of a body in widths and heights of its face, from the face's top left corner: shoulders
are about three faces wide, and hips four faces below the chin."""

Landmark = tuple[Coordinate, Coordinate, Unit]


class PoseOptions(Options):
    """Options of body poses."""

    threshold: float = Field(default=0.8, ge=0, le=1, description="Presence that a pose must reach once, 0..1")
    people: int = Field(default=4, ge=1, description="Most people looked at in one frame, the largest first")


class Pose(TimedBox):
    """A body at one moment. `confidence` is the presence that the network gave; `box` holds the visible landmarks.

    `landmarks`: x and y in 0..1 of the picture, beyond it where the network places what the picture cuts off, and
    visibility 0..1, in BlazePose's order, sides as the person has them: nose; inner, middle and outer left eye, then
    right; left and right ear; left and right of the mouth; then left, right of shoulder, elbow, wrist, little finger,
    index finger, thumb, hip, knee, ankle, heel, foot.
    """

    landmarks: Annotated[tuple[Landmark, ...], Field(min_length=POINTS, max_length=POINTS)]


class Body(TrackedObject):
    """One body followed over time. `evidence`: the objects or faces by whose boxes it was found."""

    boxes: tuple[Pose, ...]


class PoseTracks(TrackSet):
    """`body_pose/poses`: label `person`, with 33 landmarks a box."""

    poses: ObjectTrack[Body]


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look for bodies: a box `(4,)`, left, top, right, bottom in 0..1, and the item it comes from."""

    source: str
    box: Floats


@dataclass(frozen=True, slots=True)
class Found:
    """A body in one frame, in 0..1 of the picture: landmarks `(33, 3)` with visibility, box `(4,)`, presence."""

    landmarks: Floats
    box: Floats
    presence: float
    source: str | None = None


class BodyPose(Analyzer[PoseOptions, PoseTracks]):
    """Finds bodies in every sampled frame and links them over time."""

    name = "body_pose"
    version = 2
    group = "people"
    summary = "33 body landmarks of each person, followed over time (BlazePose full)"
    needs = (FRAMES,)
    uses = ("object_detection", "face_detection", "cut_analysis")
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-pose", "gpu": "mediapipe-pose"}
    cost = 0.15

    def load(self, model: ModelContext) -> None:
        """Load both networks and run them once: the first run allocates their memory."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self.detector = Network(model.tflite("pose_detection.tflite"))
        self.landmarker = Network(model.tflite("pose_landmark_full.tflite"))
        black = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.detect(black, Crop(SIDE / 2, SIDE / 2, SIDE))
        self.pose(black, Crop(SIDE / 2, SIDE / 2, SIDE))

    def analyze(self, media: Media, options: PoseOptions) -> PoseTracks:
        """Look at every sampled frame: where persons and faces are, or at all of it when nobody looked for them."""
        looked = media.has("object_detection") or media.has("face_detection")
        objects = media.items("object_detection/objects", TrackedObject)
        persons = [item for item in objects if item.label == "person"]
        faces = media.items("face_detection/faces", Face)
        sightings: list[Sighting] = []
        bodies: list[list[Found]] = []
        for t, frame in pictures(media, FRAMES):
            places = places_at(persons, faces, t)[: options.people]
            found = self.in_places(frame, places) if looked else self.in_picture(frame)
            found = without_doubles(found)[: options.people]
            bodies.append(found)
            shapes = np.array([body.box for body in found]).reshape(-1, 4)
            scores = np.array([body.presence for body in found])
            labels, looks = np.zeros(len(found), np.intp), Looks.of(frame, shapes)
            sightings.append(Sighting(t, shapes, scores, labels, looks))
        tracklets = link(
            sightings,
            LinkRules(start_score=options.threshold),
            interval=1 / SAMPLES_PER_SECOND,
            duration=media.info.duration_seconds,
            cuts=cuts(media),
        )
        items = tuple(_item(number, tracklet, bodies) for number, tracklet in enumerate(tracklets, start=1))
        return PoseTracks(poses=ObjectTrack(method="model", items=items))

    def in_places(self, frame: NDArray[np.uint8], places: Sequence[Place]) -> list[Found]:
        """Bodies whose heads are in one of the places."""
        height, width = frame.shape[:2]
        found = []
        for place in places:
            left, top, right, bottom = (float(edge) for edge in place.box * [width, height, width, height])
            size = max(right - left, bottom - top) * AROUND
            detections = self.detect(frame, Crop((left + right) / 2, (top + bottom) / 2, size))
            heads = detections[:, :2].mean(axis=1)
            inside = ((heads >= [left, top]) & (heads <= [right, bottom])).all(axis=1)
            found += [self.pose(frame, square_of(detection), place.source) for detection in detections[inside]]
        return [body for body in found if body]

    def in_picture(self, frame: NDArray[np.uint8]) -> list[Found]:
        """Bodies anywhere in the picture."""
        height, width = frame.shape[:2]
        detections = self.detect(frame, Crop(width / 2, height / 2, max(width, height)))
        found = [self.pose(frame, square_of(detection)) for detection in detections]
        return [body for body in found if body]

    def detect(self, frame: NDArray[np.uint8], crop: Crop) -> Floats:
        """Bodies in a crop, the surest first: points `(n, 6, 2)` in picture pixels."""
        picture = crop.draw(frame, DETECTOR.side).astype(np.float32) / np.float32(127.5) - 1
        shapes, logits = self.detector.run(picture)
        points, _ = DETECTOR.decode(shapes, logits[:, 0], DETECTED)
        return crop.to_picture(points, DETECTOR.side)

    def pose(self, frame: NDArray[np.uint8], crop: Crop, source: str | None = None) -> Found | None:
        """The body in its square; None when the network finds none there."""
        values, presence, _, heat, _ = self.landmarker.run(crop.draw(frame, SIDE).astype(np.float32) / np.float32(255))
        if presence[0] < PRESENT:
            return None
        raw = values.reshape(ALL_POINTS, VALUES)[:POINTS]
        points = refined(raw[:, :2].astype(np.float64) / SIDE, sigmoid(heat[..., :POINTS])) * SIDE
        points = crop.to_picture(points, SIDE) / [frame.shape[1], frame.shape[0]]
        visibility = sigmoid(raw[:, 3])
        seen = points[(visibility >= VISIBLE) & ((points >= 0) & (points <= 1)).all(axis=1)]
        if len(seen) < LEAST_VISIBLE:
            return None
        box = np.concatenate([seen.min(axis=0), seen.max(axis=0)])
        return Found(np.column_stack([points, visibility]), box, min(1.0, float(presence[0])), source)


def places_at(persons: Sequence[TrackedObject], faces: Sequence[TrackedObject], t: float) -> list[Place]:
    """Where bodies are to be looked for at `t`: persons, then faces in no person's box, the largest first."""
    bodies = [Place(f"object_detection/objects/{person.id}", box) for person, box in there(persons, t)]
    below = []
    for face, box in there(faces, t):
        middle, size = (box[:2] + box[2:]) / 2, np.tile(box[2:] - box[:2], 2)
        if not any((place.box[:2] <= middle).all() and (middle <= place.box[2:]).all() for place in bodies):
            body = np.clip(np.tile(box[:2], 2) + np.array(BODY_OF_FACE) * size, 0, 1)
            below.append(Place(f"face_detection/faces/{face.id}", body))
    return bodies + below


def square_of(detection: Floats) -> Crop:
    """The square about the hips that holds the body, its head up, of a detection `(6, 2)` in picture pixels."""
    hips, extent = detection[HIPS], detection[EXTENT]
    return Crop.upright(hips, extent, hips, 2 * float(np.linalg.norm(extent - hips))).shifted(0, ROOM)


def refined(points: Floats, heat: Floats) -> Floats:
    """Landmarks `(n, 2)`, 0..1 of the crop, moved to the middle of the heat about them; `heat` `(64, 64, n)`, 0..1."""
    moved = points.copy()
    for index, (column, row) in enumerate(np.floor(points * HEATMAP).astype(int)):
        if not (0 <= column < HEATMAP and 0 <= row < HEATMAP):
            continue
        left, top = max(0, column - REACH), max(0, row - REACH)
        window = heat[top : row + REACH + 1, left : column + REACH + 1, index]
        if window.max() >= LEAST_HEAT:
            x = left + window.sum(axis=0) @ np.arange(window.shape[1]) / window.sum()
            y = top + window.sum(axis=1) @ np.arange(window.shape[0]) / window.sum()
            moved[index] = np.array([x, y]) / HEATMAP
    return moved


def without_doubles(found: Sequence[Found]) -> list[Found]:
    """The surest of those that are one body."""
    if not found:
        return []
    boxes, scores = np.stack([body.box for body in found]), np.array([body.presence for body in found])
    return [found[group[0]] for group in groups_of_one(boxes, scores, SAME_BODY_OVERLAP)]


def _item(number: int, tracklet: Tracklet, bodies: Sequence[Sequence[Found]]) -> Body:
    poses = [bodies[step.frame][step.row] for step in tracklet.steps]
    sources = dict.fromkeys(pose.source for pose in poses if pose.source)
    return Body(
        id=f"p{number}",
        evidence=tuple(sources),
        label="person",
        start=tracklet.start,
        end=tracklet.end,
        confidence=float(tracklet.scores.mean()),
        boxes=tuple(
            Pose(
                t=t,
                box=as_document_box(pose.box),
                confidence=pose.presence,
                landmarks=tuple((float(x), float(y), float(visibility)) for x, y, visibility in pose.landmarks),
            )
            for t, pose in zip(tracklet.times, poses, strict=True)
        ),
    )
