"""Faces, followed over time.

The network is MediaPipe's full-range BlazeFace (192x192, Bazarevsky et al., 2019). Anchors, decoding and weighted
suppression follow MediaPipe's graph `face_detection`, its numbers `face_detection_full_range`.

Measured at 4 frames a second on six clips against the short-range network (128x128) and against square tiles: full
range saw a signer from the waist up (score 0.92, short range 0.65), and it alone kept backs of heads apart from faces
(0.65 at most against 0.66 at least). Tiles cost three times as much and lowered the scores of near faces.

What is followed counts as a face when MediaPipe's face mesh, a second network, sees one in one of its boxes, as in the
graph `face_landmark_front`. BlazeFace alone saw faces in a field of galaxies (0.78) and on a drawn rabbit's belly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from shared.schema import Face, FaceBox, ObjectTrack, TrackSet
from tasks.analyzer import ESSENTIAL, Analyzer, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import Floats, Letterbox, Picture, answered, as_document_box, pictures
from tasks.face_mesh import FaceMesh
from tasks.faces import FaceView, view
from tasks.landmarks import Detector, Network
from tasks.shots import cuts
from tasks.standing import standing
from tasks.tracking import LinkRules, Sighting, Tracklet, link

SAMPLES_PER_SECOND = 4
SHORT_SIDE = 240
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=SHORT_SIDE)
CLOSE = Frames(fps=SAMPLES_PER_SECOND, short_side=640)
DETECTOR = Detector(side=192, strides=(4,), keypoints=6, per_cell=1)
WEAK_SCORE = 0.6
"""MediaPipe's `min_score_thresh` for full range: from here on a box may carry on a face that was surer before."""
CONFIRMING_LOOKS = 8
"""Of each candidate so many boxes are shown to the mesh, the surest first: one known face is enough."""
LEAST_SIDE = 22
"""Pixels of a box's longer side. Drawn smaller, true faces of five clips were known in all looks or most down to 22
pixels, and in half of them or fewer at 10 to 18. What is smaller stays on the detector's word."""
SAME_TIME = 0.001
"""Seconds: times of one frame in two renditions are equal but for rounding."""


class FaceOptions(Options):
    """Options of face detection."""

    threshold: float = Field(default=0.7, ge=0, le=1, description="Score that a face must reach once, 0..1")


class FaceTracks(TrackSet):
    """`face_detection/faces`: label `face`, with six keypoints a box."""

    faces: ObjectTrack[Face]


class FaceDetection(Analyzer[FaceOptions, FaceTracks]):
    """Finds faces in every sampled frame and links them over time."""

    name = "face_detection"
    version = 6
    group = "people"
    summary = "Faces with eyes, nose, mouth and ears, followed over time (BlazeFace full range)"
    needs = (FRAMES, CLOSE)
    uses = ("cut_analysis",)
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-face", "gpu": "mediapipe-face"}
    cost = 0.02
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.023}
    """On the 16 cores beside an H100: 0.23 s for ten seconds of video (docs/performance.md)."""
    value = ESSENTIAL

    def load(self, model: ModelContext) -> None:
        """Load both networks and run them once: the first run allocates their memory."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self.network = Network(model.tflite("face_detection_full_range_sparse.tflite"))
        self.mesh = FaceMesh(model.tflite("face_landmark.tflite"))
        black = np.zeros((SHORT_SIDE, SHORT_SIDE, 3), np.uint8)
        self.look(black, WEAK_SCORE)
        self.mesh.look(black, FaceView(np.array([(80, 100), (160, 100), (120, 140), (60, 60), (180, 180)], np.float64)))

    def analyze(self, media: Media, options: FaceOptions) -> FaceTracks:
        """Look at every sampled frame; the network takes one picture at a time."""
        floor = min(options.threshold, WEAK_SCORE)
        sightings: list[Sighting] = []
        keypoints: list[Floats] = []
        seen = answered(pictures(media, FRAMES), lambda shown: ([self.look(frame, floor)] for frame in shown))
        for t, _, (sighting, points) in seen:
            sightings.append(replace(sighting, t=t))
            keypoints.append(points)
        tracklets = link(
            sightings,
            LinkRules(start_score=options.threshold),
            standing(media, FRAMES, [sighting.t for sighting in sightings]),
            cuts=cuts(media),
        )
        faces = [(tracklet, _boxes(tracklet, keypoints)) for tracklet in tracklets]
        confirmed = [(tracklet, boxes) for tracklet, boxes in faces if self.is_face(media, tracklet, boxes)]
        items = tuple(_item(number, *face) for number, face in enumerate(confirmed, start=1))
        return FaceTracks(faces=ObjectTrack(method="model", items=items))

    def look(self, frame: Picture, floor: float) -> tuple[Sighting, Floats]:
        """Find faces in one rgb frame `(height, width, 3)` that score at least `floor`; keypoints are `(n, 6, 2)`.

        The sighting is that of 0 seconds.
        """
        letterbox = Letterbox.fit((frame.shape[1], frame.shape[0]), (DETECTOR.side, DETECTOR.side))
        shapes, logits = self.network.run(letterbox.draw(frame).astype(np.float32) / np.float32(127.5) - 1)
        points, scores = DETECTOR.decode(shapes, logits[:, 0], floor)
        points = letterbox.to_picture(points)
        boxes = np.clip(points[:, :2].reshape(-1, 4), 0, 1)
        return Sighting(0.0, boxes, scores, np.zeros(len(scores), np.intp), Looks.of(frame, boxes)), points[:, 2:]

    def is_face(self, media: Media, tracklet: Tracklet, boxes: Sequence[FaceBox]) -> bool:
        """Whether the mesh sees a face in one of the surest boxes, or can look at none of them."""
        judged = False
        for index in np.argsort(-tracklet.scores, kind="stable")[:CONFIRMING_LOOKS]:
            t = tracklet.times[index]
            shown, frame = media.frame_at(CLOSE, t)
            face = view(boxes[index], (frame.shape[1], frame.shape[0]))
            # a long video may get fewer close frames: an earlier one does not show this face
            if abs(shown - t) > SAME_TIME or face.side < LEAST_SIDE:
                continue
            judged = True
            if self.mesh.look(frame, face) is not None:
                return True
        return not judged


def _boxes(tracklet: Tracklet, keypoints: list[Floats]) -> tuple[FaceBox, ...]:
    return tuple(
        FaceBox(
            t=t,
            box=as_document_box(box),
            confidence=float(score),
            keypoints=tuple((float(x), float(y)) for x, y in keypoints[step.frame][step.row]),
        )
        for t, box, score, step in zip(tracklet.times, tracklet.boxes, tracklet.scores, tracklet.steps, strict=True)
    )


def _item(number: int, tracklet: Tracklet, boxes: tuple[FaceBox, ...]) -> Face:
    return Face(
        id=f"f{number}",
        label="face",
        start=tracklet.start,
        end=tracklet.end,
        confidence=float(tracklet.scores.mean()),
        boxes=boxes,
    )
