"""Body poses: up to 33 landmarks a person, followed over time.

Bodies are looked for in the person boxes of object detection, one by one, and below faces that are in none of them;
only when nobody looked for either, and the model can, in the whole picture. The body is found anew in every frame: at 4
a second the last pose says little about the next, so nothing is smoothed.

Locally the model is BlazePose, which finds people itself: bodies are linked by their boxes. On a GPU it is ViTPose,
which gives every box a pose: the poses of one object are one body.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from shared.errors import Skipped
from shared.schema import Coordinate, Face, ObjectTrack, TimedBox, TrackedObject, TrackSet, Unit
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import Picture, as_document_box, groups_of_one, pictures, same
from tasks.engines.body_finders import BODY_FINDERS
from tasks.engines.poses import POINTS, Asked, BodyFinder, Found, Place
from tasks.shots import cuts
from tasks.standing import Standing, standing
from tasks.tracking import LinkRules, Sighting, Step, Tracklet, link, there

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640, colour="rgb")
SAME_BODY_OVERLAP = 0.7
"""Two poses of one frame whose boxes overlap more are one body seen in two crops."""
BODY_OF_FACE = (-1.0, -0.5, 2.0, 5.5)
"""Left, top, right, bottom of a body in widths and heights of its face, from the face's top left corner: shoulders
are about three faces wide, and hips four faces below the chin."""

Landmark = tuple[Coordinate, Coordinate, Unit]


class PoseOptions(Options):
    """Options of body poses."""

    threshold: float = Field(
        default=0.8, ge=0, le=1, description="Presence that a pose of BlazePose must reach once, 0..1"
    )
    people: int = Field(default=4, ge=1, le=100, description="Most people looked at in one frame, the largest first")


class Pose(TimedBox):
    """A body at one moment. `box` holds the visible landmarks.

    `confidence` is the presence that BlazePose gave, or the mean score of ViTPose's landmarks.

    `landmarks`: x and y in 0..1 of the picture, beyond it where the network places what the picture cuts off, and
    visibility 0..1 (ViTPose: its score). Null where the model does not know the landmark: ViTPose knows COCO's 17. In
    BlazePose's order, sides as the person has them: nose; inner, middle and outer left eye, then
    right; left and right ear; left and right of the mouth; then left, right of shoulder, elbow, wrist, little finger,
    index finger, thumb, hip, knee, ankle, heel, foot.
    """

    landmarks: Annotated[tuple[Landmark | None, ...], Field(min_length=POINTS, max_length=POINTS)]


class Body(TrackedObject):
    """One body followed over time. `evidence`: the objects or faces by whose boxes it was found."""

    boxes: tuple[Pose, ...]


class PoseTracks(TrackSet):
    """`body_pose/poses`: label `person`, with 33 landmarks a box."""

    poses: ObjectTrack[Body]


class BodyPose(Analyzer[PoseOptions, PoseTracks]):
    """Finds bodies in every sampled frame and links them over time."""

    name = "body_pose"
    version = 7
    group = "people"
    summary = "Body landmarks of each person, followed over time (BlazePose: 33; ViTPose on a GPU: 17)"
    needs = (FRAMES,)
    uses = ("object_detection", "face_detection", "cut_analysis")
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-pose", "gpu": "vitpose-base-simple"}
    cost = 0.15
    cost_in = {"gpu": 0.015}

    def load(self, model: ModelContext) -> None:
        """Load the model that the weights are for."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self._finder: BodyFinder = model.engine(BODY_FINDERS)

    def analyze(self, media: Media, options: PoseOptions) -> PoseTracks:
        """Look at every sampled frame: where persons and faces are, or at all of it when nobody looked for them."""
        if not self._finder.finds_people and not looked_for_people(media):
            raise Skipped("neither object_detection nor face_detection has looked for people, and ViTPose needs both")
        sightings: list[Sighting] = []
        bodies: list[list[Found]] = []
        for t, frame, found in self._seen(media, options.people):
            if bodies and found is bodies[-1]:  # the same picture, and the same places in it
                sightings.append(replace(sightings[-1], t=t))
                bodies.append(found)
                continue
            bodies.append(found)
            shapes = np.array([body.box for body in found]).reshape(-1, 4)
            scores = np.array([body.presence for body in found])
            labels, looks = np.zeros(len(found), np.intp), Looks.of(frame, shapes)
            sightings.append(Sighting(t, shapes, scores, labels, looks))
        stood = standing(media, FRAMES, [sighting.t for sighting in sightings])
        if self._finder.finds_people:
            rules = LinkRules(start_score=options.threshold)
            tracklets = link(sightings, rules, stood, cuts=cuts(media))
        else:
            sources = [[body.source for body in found] for found in bodies]
            tracklets = gathered(sightings, sources, stood)
        items = tuple(_item(number, tracklet, bodies) for number, tracklet in enumerate(tracklets, start=1))
        return PoseTracks(poses=ObjectTrack(method="model", items=items))

    def _seen(self, media: Media, most: int) -> Iterator[tuple[float, Picture, list[Found]]]:
        """Every sampled frame, with its seconds, and at most so many bodies in it."""
        objects = media.items("object_detection/objects", TrackedObject)
        persons = [item for item in objects if item.label == "person"]
        faces = media.items("face_detection/faces", Face)
        whole: list[Place | None] = [] if looked_for_people(media) else [None]
        waiting: deque[tuple[float, Picture, int | None]] = deque()  # None: the same as before
        answers: deque[tuple[Found, ...]] = deque()
        found: list[Found] = []

        def asked() -> Iterator[Asked]:
            before: Picture | None = None
            asked_for: list[Place | None] = []
            for t, picture in pictures(media, FRAMES):
                places = whole or [*places_at(persons, faces, t)[:most]]
                if before is not None and same(before, picture) and same_places(asked_for, places):
                    waiting.append((t, before, None))
                    continue
                before, asked_for = picture, places
                waiting.append((t, picture, len(places)))
                yield from (Asked(picture, place) for place in places)

        def complete() -> Iterator[tuple[float, Picture, list[Found]]]:
            nonlocal found
            while waiting and (waiting[0][2] or 0) <= len(answers):
                t, picture, count = waiting.popleft()
                if count is not None:
                    found = without_doubles([body for _ in range(count) for body in answers.popleft()])[:most]
                yield t, picture, found

        for batch in self._finder.bodies(asked()):
            answers.extend(batch)
            yield from complete()
        yield from complete()


def same_places(ones: Sequence[Place | None], others: Sequence[Place | None]) -> bool:
    """Whether the same is asked for: the same boxes of the same items."""
    one, other = ([(place.source, place.box.tolist()) if place else None for place in some] for some in (ones, others))
    return one == other


def looked_for_people(media: Media) -> bool:
    """Whether it is known where people and faces are."""
    return media.has("object_detection") or media.has("face_detection")


def gathered(sightings: Sequence[Sighting], sources: Sequence[Sequence[str | None]], stood: Standing) -> list[Tracklet]:
    """The bodies found by the boxes of one object, or of one face, as one; `sources` name it for every row."""
    times = [one.t for one in sightings]
    steps: dict[str | None, list[Step]] = {}
    for frame, named in enumerate(sources):
        for row, source in enumerate(named):
            steps.setdefault(source, []).append(Step(frame, row))
    tracklets = []
    for one in steps.values():
        boxes = np.stack([sightings[step.frame].boxes[step.row] for step in one])
        scores = np.array([sightings[step.frame].scores[step.row] for step in one])
        seen = tuple(times[step.frame] for step in one)
        tracklets.append(Tracklet(0, seen[0], stood.until[one[-1].frame], seen, boxes, scores, tuple(one)))
    return tracklets


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
                landmarks=tuple(_landmark(*row) for row in pose.landmarks.tolist()),
            )
            for t, pose in zip(tracklet.times, poses, strict=True)
        ),
    )


def _landmark(x: float, y: float, visibility: float) -> Landmark | None:
    return None if math.isnan(x) else (x, y, visibility)
