"""Where eyes look, how far they are open, and when they blink.

Networks: MediaPipe's face mesh finds the corners of the eyes, its iris network (Ablavatski et al., Real-time Pupil
Tracking from Monocular Video, 2020) 16 points of the lids and 5 of the iris in a crop 2.3 times as wide as the eye, as
in the graph `iris_landmark_landmarks_to_roi`; it was trained on right eyes, so left ones are mirrored.

The rest is geometry. All lengths are in eye widths (corner to corner, 30 mm), along the eye and square to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from shared.schema import Event, EventTrack, Face, LabelledSegment, Seconds, Segment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.boxes import Floats, Picture, stills
from tasks.face_mesh import LEFT_INNER, LEFT_OUTER, RIGHT_INNER, RIGHT_OUTER, FaceMesh, as_input
from tasks.faces import ClearLooks, FacePath, FaceView, back, crop, upright_square
from tasks.shots import shown_until
from tasks.standing import ROUNDING

RATE = 10
NEXT = 1.5 / RATE
"""Seconds: looks further apart have another between them that is missing."""
PICTURES = Frames(fps=RATE, short_side=240, colour="gray")
"""A blink lasts 0.1 to 0.4 s (Soukupova and Cech, 2016), so one of these frames falls into each."""
SIDE, MARGIN = 64, 2.3
MIRROR = np.array([(-1.0, 0.0, SIDE - 1.0), (0.0, 1.0, 0.0)])
LIDS, IRIS = 71, 5
OUTER, INNER = 0, 8
ASPECT = (OUTER, 11, 13, INNER, 5, 3)
"""Of the lid points, those of the eye aspect ratio: corner, two above, corner, two below."""
LEAST_EYE_DISTANCE = 24
"""Pixels between the eyes. Faces of four clips, scaled down to it, moved by 0.06 eye widths at most and their aspect
ratio by 0.05; at 12 pixels by 0.11 and 0.13."""
ASIDE, BESIDE = 0.08, 0.06
"""How far the network's iris is off its place when eyes look aside, and up or down. It moves less than the true one:
half as far when the irises of a frame of reel.mp4 were moved sideways, a fifth as far up and down (the lids stayed).
So aside is 0.15 in truth, 22 degrees on a ball of 12 mm; up and down are strong ones."""
REST = -0.04
"""The iris of eyes that look ahead stands this far above the line between the corners: seen in three clips."""
FIXATION_SECONDS = 0.3
"""Eyes rest for 0.2 to 0.3 s (Rayner, 1998); shorter runs of a direction are on the way to another."""
AROUND = 10
"""Looks before and after one, a second each, whose median is how far the eyes are open else. A fixed bound (0.2 is
common) is no good here: eyes differ, and this network's points of closed lids stay apart: in faces.mp4 the ratio falls
from 0.33 to 0.23."""
LONGEST_BLINK = 0.5
"""Seconds: eyes that stay closed for longer do not blink."""
LONGEST_GAP = 0.5
"""Seconds without a look, a blink among them, over which a gaze goes on."""

Direction = Literal["left", "right", "up", "down", "centre"]
Ratio = Annotated[float, AfterValidator(lambda value: round(value, 3))]


class EyeOptions(Options):
    """Options of eye tracking."""

    closed: float = Field(
        default=0.8, gt=0, lt=1, description="Share of a face's usual eye aspect ratio below which its eyes are closed"
    )


class Blink(Event):
    """Both eyes closing and opening again; `t` is when they were closed most, `seconds` how long they were closed."""

    seconds: Seconds


class EyeSeries(Segment):
    """The eyes of one face every `dt` seconds from `start`; null where they could not be measured.

    `aspect_ratio`: height by width of the open eye, mean of both (Soukupova and Cech, 2016). `across`, `down`: where
    the iris stands in eye widths from the middle between the corners, to the right and downwards in the level face.
    Where a picture stands, so do they.
    """

    dt: float
    aspect_ratio: tuple[Ratio | None, ...]
    across: tuple[Ratio | None, ...]
    down: tuple[Ratio | None, ...]


class EyeTracks(TrackSet):
    """Everything cites its face in `face_detection/faces`.

    `gaze`: labels `left`, `right`, `up`, `down`, `centre`: how the eyes are turned in the head, left and right as the
    picture has them; nothing where eyes are closed or move on. `blinks`: type `blink`; none can be seen in pictures
    more than 0.15 s apart. `eyes`: the measures.
    `analysed` leaves out where there were faces, all of them too small or turned away.
    """

    gaze: SegmentTrack[LabelledSegment]
    blinks: EventTrack[Blink]
    eyes: SegmentTrack[EyeSeries]


@dataclass(frozen=True, slots=True)
class Look:
    """Both eyes in one frame, see `EyeSeries`. It holds `until` then: a tenth of a second, or as its picture."""

    t: float
    aspect_ratio: float
    across: float
    down: float
    until: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", max(self.until, self.t + 1 / RATE))

    @property
    def seconds(self) -> float:
        """How long it holds."""
        return self.until - self.t


@dataclass(frozen=True, slots=True)
class Eyes:
    """Points of both eyes in pixels of the picture: lids `(2, 16, 2)`, irises `(2, 5, 2)`; the right eye first."""

    lids: Floats
    irises: Floats


class EyeTracking(Analyzer[EyeOptions, EyeTracks]):
    """Ten looks a second at every face that is large enough and seen from the front."""

    name = "eye_tracking"
    version = 3
    group = "people"
    summary = "Gaze direction, blinks and how far eyes are open, per face (MediaPipe mesh and iris, geometric rules)"
    needs = (PICTURES,)
    requires = ("face_detection",)
    uses = ("cut_analysis",)
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-face-mesh", "gpu": "mediapipe-face-mesh"}
    cost = 0.08
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.017}
    """On the 16 cores beside an H100: 0.17 s for ten seconds of video (docs/performance.md)."""
    value = 1

    def load(self, model: ModelContext) -> None:
        """Load both networks."""
        self.mesh = FaceMesh(model.tflite("face_landmark.tflite"))
        self.network = model.tflite("iris_landmark.tflite")
        self.picture = self.network.get_input_details()[0]["index"]
        by_width = {int(output["shape"][-1]): output["index"] for output in self.network.get_output_details()}
        self.lids, self.iris = by_width[3 * LIDS], by_width[3 * IRIS]

    def analyze(self, media: Media, options: EyeOptions) -> EyeTracks:
        """Measure frame by frame, then name what was measured."""
        faces = media.items("face_detection/faces", Face)
        cuts = sorted(cut.t for cut in media.items("cut_analysis/cuts", Event))
        paths = [FacePath(face, cuts) for face in faces]
        looks: list[list[Look]] = [[] for _ in faces]
        looked = ClearLooks(LEAST_EYE_DISTANCE)
        for t, until, frame in stills(media, PICTURES) if faces else ():
            seen = [path.at(t, (frame.shape[1], frame.shape[0])) for path in paths]
            for number, face in looked.at(t, seen):
                if (eyes := self.find(frame, face)) is not None:
                    looks[number].append(measure(t, eyes, until))
        return EyeTracks(
            analysed=looked.spans(shown_until(media, PICTURES)) if faces else None,
            gaze=_gaze(faces, looks, options),
            blinks=_blinks(faces, looks, options),
            eyes=_series(faces, looks),
        )

    def find(self, picture: Picture, face: FaceView) -> Eyes | None:
        """Both eyes of a face in a picture; None where the mesh sees no face."""
        points = self.mesh.look(picture, face)
        if points is None:
            return None
        right, right_iris = self._eye(picture, points[RIGHT_OUTER], points[RIGHT_INNER], mirrored=False)
        left, left_iris = self._eye(picture, points[LEFT_INNER], points[LEFT_OUTER], mirrored=True)
        return Eyes(np.stack([right, left]), np.stack([right_iris, left_iris]))

    def _eye(self, picture: Picture, start: Floats, end: Floats, *, mirrored: bool) -> tuple[Floats, Floats]:
        """Lids and iris between two corners, the one on the picture's left first."""
        across = end - start
        matrix = upright_square((start + end) / 2, MARGIN * float(np.linalg.norm(across)), across, SIDE)
        if mirrored:
            matrix = MIRROR @ np.vstack([matrix, (0, 0, 1)])
        self.network.set_tensor(self.picture, as_input(crop(picture, matrix, SIDE)))
        self.network.invoke()
        lids = self.network.get_tensor(self.lids).reshape(LIDS, 3)[:16, :2].astype(np.float64)
        iris = self.network.get_tensor(self.iris).reshape(IRIS, 3)[:, :2].astype(np.float64)
        return back(matrix, lids), back(matrix, iris)


def measure(t: float, eyes: Eyes, until: float = 0.0) -> Look:
    """The mean of both eyes in a picture that stands until then: irises stand 0.1 eye widths outwards of the middle,
    which the mean takes out.
    """
    measures = []
    for lids, iris, left_corner, right_corner in zip(
        eyes.lids, eyes.irises, (OUTER, INNER), (INNER, OUTER), strict=True
    ):
        corner, across = lids[left_corner], lids[right_corner] - lids[left_corner]
        width = max(float(np.linalg.norm(across)), 1e-9)
        right = across / width
        offset = (iris[0] - corner - across / 2) / width
        measures.append((aspect_ratio(lids), float(offset @ right), float(offset @ np.array([-right[1], right[0]]))))
    ratio, aside, beside = np.mean(measures, axis=0)
    return Look(t, float(ratio), float(aside), float(beside), until)


def aspect_ratio(lids: Floats) -> float:
    """The eye aspect ratio of lid points `(16, 2)`: (|p2 p6| + |p3 p5|) / (2 |p1 p4|)."""
    p1, p2, p3, p4, p5, p6 = lids[list(ASPECT)]
    height = np.linalg.norm(p2 - p6) + np.linalg.norm(p3 - p5)
    return float(height / max(2 * float(np.linalg.norm(p1 - p4)), 1e-9))


def closed(looks: Sequence[Look], options: EyeOptions) -> list[bool]:
    """Whether the eyes are closed, look by look, compared with how far they are open in the seconds around."""
    ratios = np.array([look.aspect_ratio for look in looks])
    usual = [np.median(ratios[max(0, row - AROUND) : row + AROUND + 1]) for row in range(len(ratios))]
    return [bool(ratio < options.closed * near) for ratio, near in zip(ratios, usual, strict=True)]


def steady(looks: Sequence[Look]) -> list[tuple[float, float]]:
    """Where the iris stands, across and down, as the median of three looks; of one look where it holds as long."""
    places = np.array([(look.across, look.down) for look in looks]).reshape(-1, 2)
    near = (
        places[row] if look.seconds >= FIXATION_SECONDS else np.median(places[max(0, row - 1) : row + 2], axis=0)
        for row, look in enumerate(looks)
    )
    return [(float(across), float(down)) for across, down in near]


def direction(across: float, down: float) -> Direction:
    """The name of a gaze: the axis that is further beyond its threshold."""
    aside, beside = across / ASIDE, (down - REST) / BESIDE
    if max(abs(aside), abs(beside)) <= 1:
        return "centre"
    if abs(aside) >= abs(beside):
        return "right" if aside > 0 else "left"
    return "down" if beside > 0 else "up"


def _runs(looks: Sequence[Look], key: Callable[[int], object], gap: float) -> Iterator[list[int]]:
    """Rows of looks with the same key, each within `gap` seconds of the last tenth in which the one before held."""
    breaks = np.cumsum([0, *(b.t - a.until > gap - 1 / RATE for a, b in pairwise(looks))])
    for _, rows in groupby(range(len(looks)), key=lambda row: (breaks[row], key(row))):
        yield list(rows)


def _source(face: Face) -> tuple[str]:
    return (f"face_detection/faces/{face.id}",)


def _gaze(faces: Sequence[Face], looks: Sequence[Sequence[Look]], options: EyeOptions) -> SegmentTrack[LabelledSegment]:
    found: list[LabelledSegment] = []
    for face, seen in zip(faces, looks, strict=True):
        shut = closed(seen, options)
        opened = [look for row, look in enumerate(seen) if not shut[row]]
        names = [direction(across, down) for across, down in steady(opened)]
        for rows in _runs(opened, names.__getitem__, LONGEST_GAP):
            start, end, name = opened[rows[0]].t, min(opened[rows[-1]].until, face.end), names[rows[0]]
            if sum(opened[row].seconds for row in rows) >= FIXATION_SECONDS - ROUNDING and end > start:
                found.append(LabelledSegment(id="", start=start, end=end, label=name, evidence=_source(face)))
    found.sort(key=lambda item: (item.start, item.evidence))
    items = tuple(item.model_copy(update={"id": f"g{number}"}) for number, item in enumerate(found, start=1))
    return SegmentTrack[LabelledSegment](method="heuristic", items=items)


def _blinks(faces: Sequence[Face], looks: Sequence[Sequence[Look]], options: EyeOptions) -> EventTrack[Blink]:
    found: list[Blink] = []
    for face, seen in zip(faces, looks, strict=True):
        shut = closed(seen, options)
        for rows in _runs(seen, shut.__getitem__, NEXT):
            seconds = seen[rows[-1]].until - seen[rows[0]].t
            if shut[rows[0]] and seconds <= LONGEST_BLINK and _between_open(seen, rows):
                t = min((seen[row] for row in rows), key=lambda look: look.aspect_ratio).t
                found.append(Blink(id="", t=t, type="blink", seconds=seconds, evidence=_source(face)))
    found.sort(key=lambda item: (item.t, item.evidence))
    items = tuple(item.model_copy(update={"id": f"b{number}"}) for number, item in enumerate(found, start=1))
    return EventTrack[Blink](method="heuristic", items=items)


def _between_open(looks: Sequence[Look], rows: Sequence[int]) -> bool:
    """Whether the looks right before and after were measured: without them nobody saw the eyes close and open."""
    before, after = rows[0] - 1, rows[-1] + 1
    there = before >= 0 and after < len(looks)
    return there and looks[rows[0]].t - looks[before].t <= NEXT and looks[after].t - looks[rows[-1]].t <= NEXT


def _places(look: Look, start: float) -> range:
    """The tenths of a second after the start in which a look holds; one at least."""
    first = round((look.t - start) * RATE)
    return range(first, max(first + 1, round((look.until - start) * RATE)))


def _series(faces: Sequence[Face], looks: Sequence[Sequence[Look]]) -> SegmentTrack[EyeSeries]:
    items: list[EyeSeries] = []
    for face, seen in zip(faces, looks, strict=True):
        if not seen:
            continue
        start = seen[0].t
        places = {place: look for look in seen for place in _places(look, start)}
        row = [places.get(place) for place in range(max(places) + 1)]
        series = EyeSeries(
            id=f"y{len(items) + 1}",
            start=start,
            end=max(seen[-1].t, min(seen[-1].until, face.end)),
            evidence=_source(face),
            dt=1 / RATE,
            aspect_ratio=tuple(look and look.aspect_ratio for look in row),
            across=tuple(look and look.across for look in row),
            down=tuple(look and look.down for look in row),
        )
        items.append(series)
    return SegmentTrack[EyeSeries](method="model", items=tuple(items))
