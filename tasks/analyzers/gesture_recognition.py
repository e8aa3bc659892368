"""Hands: 21 landmarks each, followed over time, and the gestures that they make, named by geometry.

The networks are MediaPipe's (Zhang et al., MediaPipe Hands, 2020): a palm detector (192x192) over the whole picture and
the landmark network "full" (224x224) on each palm's square. Crops and thresholds are those of its graphs
`palm_detection` and `hand_landmark`. The detector sees the picture at 192 pixels: far hands are too small for it. The
smallest palm it found in the clips tried was a sixteenth of the longer side.

A gesture is told from the network's second output, the hand in metres and three dimensions, so a finger that points at
the camera is not short. Rules, all lengths between landmarks:
- a finger is extended when its tip is at least 1.1 times as far from the wrist as its middle joint (PIP) and it is bent
  there by less than 50 degrees; curled when its tip is nearer to the wrist than that joint; else it is neither;
- the thumb is extended when it is bent by less than 50 degrees at its last joint and its tip is farther from the little
  finger's knuckle than that joint, and from the index finger's by half a palm (wrist to middle knuckle);
- `open_palm`: four fingers and the thumb extended; `fist`: four curled, thumb not; `pointing`: the index finger alone
  extended, three curled; `victory`: index and middle finger extended and at least 10 degrees apart, two curled;
  `thumbs_up`, `thumbs_down`: four curled, thumb extended, and in the picture it points up or down by 45 degrees at most
  off; `ok`: tips of thumb and index finger within a quarter palm, the other three extended. Anything else has no name.
- `open_palm`, `victory` and `ok` count only where the middle finger points up in the picture, by 60 degrees at most
  off: the same hand pointing down takes things (one about to grasp a bottle is shaped like an open palm, one that lifts
  it by its cap like an `ok`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.schema import LabelledSegment, ObjectTrack, Point, SegmentTrack, TimedBox, TrackedObject, TrackSet, Unit
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import Floats, answered, as_document_box, groups_of_one, pictures
from tasks.landmarks import Crop, Detector, Network
from tasks.shots import cuts
from tasks.standing import standing
from tasks.tracking import LinkRules, Sighting, Tracklet, link

Gesture = Literal["open_palm", "fist", "pointing", "victory", "thumbs_up", "thumbs_down", "ok"]

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640, colour="rgb")
DETECTOR = Detector(side=192, strides=(8, 16, 16, 16), keypoints=7)
PALM_WRIST, PALM_MIDDLE = 2, 4
"""Rows of a detection's points: the wrist, and the middle finger's knuckle, which MediaPipe turns up."""
PALM_UP, PALM_ROOM = 0.5, 2.6
"""MediaPipe's `shift_y` and `scale_x` from a palm's box to its hand's square."""
SIDE = 224
POINTS = 21
DETECTED, PRESENT = 0.5, 0.5
"""MediaPipe's `min_score_thresh` of the palm detector and least presence of a hand: below, there is none."""
SAME_HAND_OVERLAP = 0.5
"""Two hands of one frame whose boxes overlap more are one hand found twice."""
WRIST, THUMB_KNUCKLE, THUMB_JOINT, THUMB_TIP = 0, 2, 3, 4
INDEX_KNUCKLE, INDEX_TIP, MIDDLE_KNUCKLE, MIDDLE_TIP, LITTLE_KNUCKLE = 5, 8, 9, 12, 17
FINGERS = ((5, 6, 8), (9, 10, 12), (13, 14, 16), (17, 18, 20))
"""Knuckle, middle joint (PIP) and tip of index, middle, ring and little finger."""
REACHING, STRAIGHT_DEGREES, APART_DEGREES, UPRIGHT_DEGREES = 1.1, 50.0, 10.0, 45.0
THUMB_OFF, TOUCHING = 0.5, 0.25
SHOWN_DEGREES = 60.0
BRIDGED = 1
"""So many frames without a name, or with another, do not end a gesture."""


class GestureOptions(Options):
    """Options of gesture recognition."""

    threshold: float = Field(default=0.8, ge=0, le=1, description="Presence that a hand must reach once, 0..1")
    min_seconds: float = Field(default=0.5, ge=0, description="Gestures shorter than this are left out")


class HandPose(TimedBox):
    """A hand at one moment. `confidence` is the presence that the network gave; `box` holds the landmarks.

    `landmarks`: 0..1 of the picture, beyond it where the picture cuts the hand off. Wrist, then four a finger from palm
    to tip: thumb, index, middle, ring, little finger. `right`: 0..1, how surely the network takes it for a right hand.
    """

    landmarks: Annotated[tuple[Point, ...], Field(min_length=POINTS, max_length=POINTS)]
    right: Unit


class Hand(TrackedObject):
    """One hand followed over time.

    `label`: `right_hand` or `left_hand` as the person has them, by the mean of `right`, if the picture is not mirrored.
    """

    boxes: tuple[HandPose, ...]


class HandTracks(TrackSet):
    """`hands`, and `gestures`: labels as the module's rules name them; `evidence` is the hand. They have no confidence.

    A gesture lasts from its first frame to one sampling interval past its last.
    """

    hands: ObjectTrack[Hand]
    gestures: SegmentTrack[LabelledSegment]


@dataclass(frozen=True, slots=True)
class Found:
    """A hand in one frame: landmarks `(21, 2)` in 0..1 of the picture, its gesture, presence and right-handedness."""

    landmarks: Floats
    gesture: Gesture | None
    presence: float
    right: float

    def box(self) -> Floats:
        """Left, top, right, bottom of the landmarks, cut to the picture."""
        box: Floats = np.clip(np.concatenate([self.landmarks.min(axis=0), self.landmarks.max(axis=0)]), 0, 1)
        return box


class GestureRecognition(Analyzer[GestureOptions, HandTracks]):
    """Finds hands in every sampled frame, links them over time, and names what they do."""

    name = "gesture_recognition"
    version = 6
    group = "people"
    summary = "Hands with 21 landmarks (MediaPipe Hands) and seven gestures named by geometric rules"
    needs = (FRAMES,)
    uses = ("cut_analysis",)
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-hands", "gpu": "mediapipe-hands"}
    cost = 0.06
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.065}
    """On the 16 cores beside an H100: 0.65 s for ten seconds of video (docs/performance.md)."""
    value = 1

    def load(self, model: ModelContext) -> None:
        """Load both networks and run them once: the first run allocates their memory."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self.detector = Network(model.tflite("palm_detection_full.tflite"))
        self.landmarker = Network(model.tflite("hand_landmark_full.tflite"))
        black = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.look(black)
        self.hand(black, Crop(SIDE / 2, SIDE / 2, SIDE))

    def analyze(self, media: Media, options: GestureOptions) -> HandTracks:
        """Look at every sampled frame, then name gestures hand by hand."""
        sightings: list[Sighting] = []
        hands: list[list[Found]] = []
        looks_at = answered(pictures(media, FRAMES), lambda shown: ([self.look(frame)] for frame in shown))
        for t, frame, found in looks_at:
            if hands and found is hands[-1]:  # the same picture
                sightings.append(replace(sightings[-1], t=t))
                hands.append(found)
                continue
            hands.append(found)
            boxes = np.array([hand.box() for hand in found]).reshape(-1, 4)
            scores = np.array([hand.presence for hand in found])
            labels, looks = np.zeros(len(found), np.intp), Looks.of(frame, boxes)
            sightings.append(Sighting(t, boxes, scores, labels, looks))
        stood = standing(media, FRAMES, [sighting.t for sighting in sightings])
        tracklets = link(
            sightings,
            LinkRules(start_score=options.threshold),
            stood,
            cuts=cuts(media),
        )
        items, gestures = [], []
        for number, tracklet in enumerate(tracklets, start=1):
            poses = [hands[step.frame][step.row] for step in tracklet.steps]
            items.append(_item(number, tracklet, poses))
            ends = [min(stood.until[step.frame], tracklet.end) for step in tracklet.steps]
            spans = named_spans(tracklet.times, ends, [pose.gesture for pose in poses], options.min_seconds)
            gestures += [(start, end, name, f"gesture_recognition/hands/h{number}") for name, start, end in spans]
        return HandTracks(
            hands=ObjectTrack(method="model", items=tuple(items)),
            gestures=SegmentTrack(
                method="heuristic",
                items=tuple(
                    LabelledSegment(id=f"g{number}", start=start, end=end, label=name, evidence=(hand,))
                    for number, (start, end, name, hand) in enumerate(sorted(gestures), start=1)
                ),
            ),
        )

    def look(self, frame: NDArray[np.uint8]) -> list[Found]:
        """Find hands in an rgb frame `(height, width, 3)`."""
        height, width = frame.shape[:2]
        whole = Crop(width / 2, height / 2, max(width, height))
        shapes, logits = self.detector.run(whole.draw(frame, DETECTOR.side).astype(np.float32) / np.float32(255))
        detections, _ = DETECTOR.decode(shapes, logits[:, 0], DETECTED)
        hands = [self.hand(frame, square_of(whole.to_picture(points, DETECTOR.side))) for points in detections]
        found = [hand for hand in hands if hand]
        if not found:
            return []
        boxes, scores = np.stack([hand.box() for hand in found]), np.array([hand.presence for hand in found])
        return [found[group[0]] for group in groups_of_one(boxes, scores, SAME_HAND_OVERLAP)]

    def hand(self, frame: NDArray[np.uint8], crop: Crop) -> Found | None:
        """The hand in its square; None when the network finds none there."""
        picture = crop.draw(frame, SIDE).astype(np.float32) / np.float32(255)
        flat, presence, right, metres = self.landmarker.run(picture)
        points = crop.to_picture(flat.reshape(POINTS, 3)[:, :2].astype(np.float64), SIDE)
        size = [frame.shape[1], frame.shape[0]]
        inside = ((points >= 0) & (points <= size)).all(axis=1)
        if presence[0] < PRESENT or not inside.any():
            return None
        # MediaPipe's first class is the left hand of a mirrored picture: the right one of a picture that is not
        gesture = name(metres.reshape(POINTS, 3).astype(np.float64), points)
        return Found(points / size, gesture, min(1.0, float(presence[0])), float(np.clip(right[0], 0, 1)))


def square_of(detection: Floats) -> Crop:
    """The square that holds the hand, fingers up, of a palm `(9, 2)` in picture pixels."""
    box, wrist, middle = detection[:2], detection[PALM_WRIST], detection[PALM_MIDDLE]
    side = float((box[1] - box[0]).max())
    return Crop.upright(wrist, middle, box.mean(axis=0), side).shifted(PALM_UP, PALM_ROOM)


def name(metres: Floats, points: Floats) -> Gesture | None:
    """Name what a hand does: landmarks `(21, 3)` in metres and `(21, 2)` in picture pixels; None for nothing known."""
    extended = tuple(_extended(metres, *finger) for finger in FINGERS)
    curled = tuple(_distance(metres, WRIST, tip) < _distance(metres, WRIST, joint) for _, joint, tip in FINGERS)
    thumb = thumb_extended(metres)
    palm = _distance(metres, WRIST, MIDDLE_KNUCKLE)
    if _distance(metres, THUMB_TIP, INDEX_TIP) <= TOUCHING * palm and all(extended[1:]):
        return "ok" if _shown(points) else None
    if all(extended):
        return "open_palm" if thumb and _shown(points) else None
    if all(curled):
        return _thumb_gesture(points) if thumb else "fist"
    if extended[0] and all(curled[1:]):
        return "pointing"
    if all(extended[:2]) and all(curled[2:]) and _shown(points):
        first, second = (metres[tip] - metres[knuckle] for knuckle, _, tip in FINGERS[:2])
        return "victory" if _degrees(first, second) >= APART_DEGREES else None
    return None


def _shown(points: Floats) -> bool:
    return _degrees(points[MIDDLE_TIP] - points[MIDDLE_KNUCKLE], np.array([0.0, -1.0])) <= SHOWN_DEGREES


def thumb_extended(metres: Floats) -> bool:
    """Whether the thumb stands off the hand."""
    bent = _degrees(metres[THUMB_JOINT] - metres[THUMB_KNUCKLE], metres[THUMB_TIP] - metres[THUMB_JOINT])
    away = _distance(metres, THUMB_TIP, LITTLE_KNUCKLE) > _distance(metres, THUMB_JOINT, LITTLE_KNUCKLE)
    palm = _distance(metres, WRIST, MIDDLE_KNUCKLE)
    return bent < STRAIGHT_DEGREES and away and _distance(metres, THUMB_TIP, INDEX_KNUCKLE) >= THUMB_OFF * palm


def _thumb_gesture(points: Floats) -> Gesture | None:
    thumb = points[THUMB_TIP] - points[THUMB_KNUCKLE]
    if _degrees(thumb, np.array([0.0, -1.0])) <= UPRIGHT_DEGREES:
        return "thumbs_up"
    return "thumbs_down" if _degrees(thumb, np.array([0.0, 1.0])) <= UPRIGHT_DEGREES else None


def _extended(metres: Floats, knuckle: int, joint: int, tip: int) -> bool:
    reaching = _distance(metres, WRIST, tip) >= REACHING * _distance(metres, WRIST, joint)
    return reaching and _degrees(metres[joint] - metres[knuckle], metres[tip] - metres[joint]) < STRAIGHT_DEGREES


def _distance(points: Floats, first: int, second: int) -> float:
    return float(np.linalg.norm(points[first] - points[second]))


def _degrees(first: Floats, second: Floats) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(np.clip(first @ second / lengths, -1, 1)))) if lengths else 180.0


def named_spans(
    times: Sequence[float], ends: Sequence[float], names: Sequence[Gesture | None], min_seconds: float
) -> list[tuple[Gesture, float, float]]:
    """Runs of one name as (name, start, end); `names` of each picture of the hand, shown from `times` to `ends`.

    Short interruptions are bridged.
    """
    bridged = list(names)
    for index in range(1, len(names) - BRIDGED):
        if names[index - 1] == names[index + BRIDGED]:
            bridged[index] = names[index - 1]
    spans = []
    for label, run in groupby(range(len(bridged)), key=lambda index: bridged[index]):
        rows = list(run)
        start, end = times[rows[0]], ends[rows[-1]]
        if label and end - start >= min_seconds - 1e-3:
            spans.append((label, start, end))
    return spans


def _item(number: int, tracklet: Tracklet, poses: Sequence[Found]) -> Hand:
    return Hand(
        id=f"h{number}",
        label="right_hand" if np.mean([pose.right for pose in poses]) >= 0.5 else "left_hand",
        start=tracklet.start,
        end=tracklet.end,
        confidence=float(tracklet.scores.mean()),
        boxes=tuple(
            HandPose(
                t=t,
                box=as_document_box(pose.box()),
                confidence=pose.presence,
                landmarks=tuple((float(x), float(y)) for x, y in pose.landmarks),
                right=pose.right,
            )
            for t, pose in zip(tracklet.times, poses, strict=True)
        ),
    )
