"""Faces, followed over time.

The network is MediaPipe's full-range BlazeFace (192x192, Bazarevsky et al., 2019). Anchors, decoding and weighted
suppression follow MediaPipe's graph `face_detection`, its numbers `face_detection_full_range`.

Measured at 4 frames a second on six clips against the short-range network (128x128) and against square tiles: full
range saw a signer from the waist up (score 0.92, short range 0.65), and it alone kept backs of heads apart from faces
(0.65 at most against 0.66 at least). Tiles cost three times as much and lowered the scores of near faces.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from shared.schema import Face, FaceBox, ObjectTrack, TrackSet
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.boxes import Floats, Letterbox, Picture, as_document_box, pictures
from tasks.landmarks import Detector, Network
from tasks.tracking import LinkRules, Sighting, Tracklet, link

SAMPLES_PER_SECOND = 4
SHORT_SIDE = 240
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=SHORT_SIDE)
DETECTOR = Detector(side=192, strides=(4,), keypoints=6, per_cell=1)
WEAK_SCORE = 0.6
"""MediaPipe's `min_score_thresh` for full range: from here on a box may carry on a face that was surer before."""


class FaceOptions(Options):
    """Options of face detection."""

    threshold: float = Field(default=0.7, ge=0, le=1, description="Score that a face must reach once, 0..1")


class FaceTracks(TrackSet):
    """`face_detection/faces`: label `face`, with six keypoints a box."""

    faces: ObjectTrack[Face]


class FaceDetection(Analyzer[FaceOptions, FaceTracks]):
    """Finds faces in every sampled frame and links them over time."""

    name = "face_detection"
    version = 1
    group = "people"
    summary = "Faces with eyes, nose, mouth and ears, followed over time (BlazeFace full range)"
    needs = (FRAMES,)
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-face", "gpu": "mediapipe-face"}
    cost = 0.02

    def load(self, model: ModelContext) -> None:
        """Load the network and run it once: the first run allocates its memory."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self.network = Network(model.tflite("face_detection_full_range_sparse.tflite"))
        self.look(0.0, np.zeros((SHORT_SIDE, SHORT_SIDE, 3), np.uint8), WEAK_SCORE)

    def analyze(self, media: Media, options: FaceOptions) -> FaceTracks:
        """Look at every sampled frame; the network takes one picture at a time."""
        floor = min(options.threshold, WEAK_SCORE)
        sightings: list[Sighting] = []
        keypoints: list[Floats] = []
        for t, frame in pictures(media, FRAMES):
            sighting, points = self.look(t, frame, floor)
            sightings.append(sighting)
            keypoints.append(points)
        tracklets = link(
            sightings,
            LinkRules(start_score=options.threshold),
            interval=1 / SAMPLES_PER_SECOND,
            duration=media.info.duration_seconds,
        )
        items = tuple(_item(number, tracklet, keypoints) for number, tracklet in enumerate(tracklets, start=1))
        return FaceTracks(faces=ObjectTrack(method="model", items=items))

    def look(self, t: float, frame: Picture, floor: float) -> tuple[Sighting, Floats]:
        """Find faces in one rgb frame `(height, width, 3)` that score at least `floor`; keypoints are `(n, 6, 2)`."""
        letterbox = Letterbox.fit((frame.shape[1], frame.shape[0]), (DETECTOR.side, DETECTOR.side))
        shapes, logits = self.network.run(letterbox.draw(frame).astype(np.float32) / np.float32(127.5) - 1)
        points, scores = DETECTOR.decode(shapes, logits[:, 0], floor)
        points = letterbox.to_picture(points)
        boxes = np.clip(points[:, :2].reshape(-1, 4), 0, 1)
        return Sighting(t, boxes, scores, np.zeros(len(scores), np.intp)), points[:, 2:]


def _item(number: int, tracklet: Tracklet, keypoints: list[Floats]) -> Face:
    boxes = zip(tracklet.times, tracklet.boxes, tracklet.scores, tracklet.steps, strict=True)
    return Face(
        id=f"f{number}",
        label="face",
        start=tracklet.start,
        end=tracklet.end,
        confidence=float(tracklet.scores.mean()),
        boxes=tuple(
            FaceBox(
                t=t,
                box=as_document_box(box),
                confidence=float(score),
                keypoints=tuple((float(x), float(y)) for x, y in keypoints[step.frame][step.row]),
            )
            for t, box, score, step in boxes
        ),
    )
