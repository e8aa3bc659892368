"""Objects of the 80 COCO classes, followed over time.

An object is reported when the mean of its scores, its confidence in the document, reaches the threshold. One sure frame
alone is not enough: of eleven objects of eight clips that NanoDet gave one and a lower mean, four were things that are
not there (a window called a tv for 17 s, on 4 of 68 frames surely), one a pile of wood called a chair, five a hand, one
a person.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.schema import ObjectTrack, TimedBox, TrackedObject, TrackSet
from tasks.analyzer import ESSENTIAL, Analyzer, Audio, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import answered, as_document_box, pictures
from tasks.engines.detectors import DETECTORS
from tasks.engines.objects import ObjectDetector
from tasks.shots import cuts
from tasks.standing import standing
from tasks.tracking import LinkRules, Sighting, Tracklet, link

SAMPLES_PER_SECOND = 4
SMALL = Frames(fps=SAMPLES_PER_SECOND, short_side=240)
LARGE = Frames(fps=SAMPLES_PER_SECOND, short_side=640)
"""RT-DETR and D-FINE look at 640x640."""
WEAK_SCORE = 0.3
"""Boxes from here on may carry on an object that was surer before; below lies noise."""


class ObjectOptions(Options):
    """Options of object detection."""

    threshold: float = Field(default=0.45, ge=0, le=1, description="Score that an object must reach on average, 0..1")


class ObjectTracks(TrackSet):
    """`object_detection/objects`: labels are the names of the 80 COCO classes."""

    objects: ObjectTrack[TrackedObject]


class ObjectDetection(Analyzer[ObjectOptions, ObjectTracks]):
    """Finds objects in every sampled frame and links them over time."""

    name = "object_detection"
    version = 7
    group = "detect"
    summary = "Objects of the 80 COCO classes, followed over time (NanoDet; RT-DETRv2, D-FINE or mmdet on a GPU)"
    needs = (SMALL,)
    needs_in: ClassVar[dict[str, tuple[Frames | Audio, ...]]] = {"gpu": (LARGE,)}
    uses = ("cut_analysis",)
    weights: ClassVar[dict[str, str]] = {"local": "nanodet-m-416", "gpu": "rtdetr-v2-r50"}
    cost = 0.1
    cost_in = {"gpu": 0.035}
    value = ESSENTIAL

    def load(self, model: ModelContext) -> None:
        """Load the detector that the weights are for."""
        import scipy.optimize  # noqa: F401  (linking needs it later, and it is slow to import)

        self._frames = LARGE if model.profile == "gpu" else SMALL
        self._detector: ObjectDetector = model.engine(DETECTORS)

    def analyze(self, media: Media, options: ObjectOptions) -> ObjectTracks:
        """Look at every sampled frame."""
        sightings = self.sightings(media, min(options.threshold, WEAK_SCORE))
        tracklets = link(
            sightings,
            LinkRules(start_score=options.threshold),
            standing(media, self._frames, [sighting.t for sighting in sightings]),
            cuts=cuts(media),
        )
        lasting = [tracklet for tracklet in tracklets if tracklet.scores.mean() >= options.threshold]
        items = tuple(self._item(number, tracklet) for number, tracklet in enumerate(lasting, start=1))
        return ObjectTracks(objects=ObjectTrack(method="model", items=items))

    def sightings(self, media: Media, floor: float) -> list[Sighting]:
        """What is in every sampled frame with a score of at least `floor`."""
        seen = answered(pictures(media, self._frames), lambda shown: self._detector.objects(shown, floor))
        return [
            Sighting(t, found.boxes, found.scores, found.labels, Looks.of(picture, found.boxes))
            for t, picture, found in seen
        ]

    def _item(self, number: int, tracklet: Tracklet) -> TrackedObject:
        boxes = zip(tracklet.times, tracklet.boxes, tracklet.scores, strict=True)
        return TrackedObject(
            id=f"o{number}",
            label=self._detector.labels[tracklet.label],
            start=tracklet.start,
            end=tracklet.end,
            confidence=float(tracklet.scores.mean()),
            boxes=tuple(TimedBox(t=t, box=as_document_box(box), confidence=float(score)) for t, box, score in boxes),
        )
