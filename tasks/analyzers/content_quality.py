"""Picture quality of every shot: sharpness, exposure, noise, blocking, BRISQUE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Scalar, ScalarTrack, Segment, SegmentTrack, TrackSet
from shared.spans import merged
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.bars import between, found_bars, inside
from tasks.boxes import Picture
from tasks.brisque import Brisque
from tasks.engines.aesthetics import AESTHETIC_JUDGES, AestheticJudge
from tasks.shots import Part, parts, spread

PICTURES = Frames(fps=2, short_side=None, colour="gray")
"""Every pixel as it is: scaling would wipe out noise and move the coder's grid of 8 pixels."""
JUDGED = Frames(fps=4, short_side=640)
"""What object detection and background segmentation look at, too."""

DARK, LIGHT = 4, 251
"""Luma 0..255 at or beyond which a value counts as clipped: 0 and 255, and what coding makes of them."""
BLOCK = 8
"""Side of the transform blocks of JPEG and MPEG-2, and of most of H.264's."""
BLOCK_LEAST = 0.25
"""Mean step between pixels, in levels, below which a picture is too flat to see a grid in."""
BRISQUE_SIDE = 512
"""Short side in pixels that pictures are scaled down to for BRISQUE: that of LIVE, on which it was trained."""
SECONDS_APART = 10.0
"""A long shot is measured at least this often."""


class QualityOptions(Options):
    """How closely a shot is looked at."""

    frames: int = Field(3, ge=1, le=20, description="Frames measured in a shot; more in shots longer than 10 s each")


class ShotQuality(Segment):
    """Medians over the measured frames of one shot; null where a picture is too flat or too small to tell.

    sharpness: variance of the Laplacian over the variance of the picture (Pech-Pacheco et al., 2000, divided by the
    contrast so that dull shots are not blurred ones); more is sharper. tenengrad: mean squared Sobel gradient, levels
    squared per pixel (Krotkov, 1987). mean: mean luma 0..255. clipped_dark, clipped_light: share of values at most 4
    and at least 251. noise: standard deviation of noise in levels (Immerkaer, Fast Noise Variance Estimation, 1996);
    fine texture counts as well. blocking: mean step across the borders of 8 x 8 blocks over the mean step between
    (after Wang, Sheikh and Bovik, 2002), graphics aside; 1 is none. brisque: about 0 (best) to 100. aesthetic: the mean
    mark that people would give its pictures, about 1 (worst) to 10, by LAION's predictor on CLIP; null without it.
    `frames`: how many were measured.
    """

    sharpness: float | None
    tenengrad: float
    mean: float
    clipped_dark: float
    clipped_light: float
    noise: float | None
    blocking: float | None
    brisque: float | None
    aesthetic: float | None
    frames: int


class ContentQuality(TrackSet):
    """`shots`: quality of each, citing it. `overall`: means over shots, weighted by their length."""

    shots: SegmentTrack[ShotQuality]
    overall: ScalarTrack


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of one picture; in the order of `ShotQuality`."""

    sharpness: float | None
    tenengrad: float
    mean: float
    clipped_dark: float
    clipped_light: float
    noise: float | None
    blocking: float | None
    brisque: float | None


MEASURED = tuple(one.name for one in fields(Measures))
UNITS = {
    "sharpness": "ratio",
    "tenengrad": "levels^2",
    "mean": "levels",
    "clipped_dark": "share",
    "clipped_light": "share",
    "noise": "levels",
    "blocking": "ratio",
    "brisque": "score",
    "aesthetic": "mark",
}


class ContentQualityAnalysis(Analyzer[QualityOptions, ContentQuality]):
    """Measures a few frames of each shot at full size. Shots without a frame of their own are not in `analysed`."""

    name: ClassVar[str] = "content_quality"
    version: ClassVar[int] = 4
    group: ClassVar[str] = "light"
    summary: ClassVar[str] = "Sharpness, exposure, noise, blocking, BRISQUE of shots; an aesthetic mark (CLIP) in gpu"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    needs_in: ClassVar[dict[str, tuple[Frames, ...]]] = {"gpu": (PICTURES, JUDGED)}
    uses: ClassVar[tuple[str, ...]] = ("cut_analysis", "visual_effects")
    weights: ClassVar[dict[str, str]] = {"local": "brisque", "gpu": "brisque"}
    extra: ClassVar[dict[str, str]] = {"gpu": "aesthetics-v2-l14"}
    cost: ClassVar[float] = 0.08
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.07}

    def load(self, model: ModelContext) -> None:
        """Import OpenCV and read the support vectors."""
        import cv2  # noqa: F401

        self.brisque = Brisque.read(Path(model.path("svm.txt")))
        self._judge: AestheticJudge | None = model.extra_engine(AESTHETIC_JUDGES)

    def analyze(self, media: Media, options: QualityOptions) -> ContentQuality:
        """Measure shot by shot."""
        bars = found_bars(media)
        shots = list(parts(media, PICTURES))
        marks = self._marks(media, shots, options)
        items: list[ShotQuality] = []
        for part, mark in zip(shots, marks, strict=True):
            count = max(options.frames, int(part.seconds / SECONDS_APART))
            filmed = between(bars, (part.start + part.end) / 2)
            pictures = spread(media, PICTURES, part, count)
            found = [self.measure(inside(picture, filmed, grid=BLOCK)) for picture in pictures]
            if found:
                items.append(_item(len(items) + 1, part, found, mark))
            media.progress(min(1.0, part.end / max(media.info.duration_seconds, 1e-3)))
        return ContentQuality(
            analysed=tuple(merged((item.start, item.end) for item in items)),
            shots=SegmentTrack[ShotQuality](method="measurement", items=tuple(items)),
            overall=ScalarTrack(method="measurement", items=tuple(_overall(items))),
        )

    def _marks(self, media: Media, shots: Sequence[Part], options: QualityOptions) -> list[float | None]:
        """How people would mark each shot; pictures of all shots go through the model together."""
        if self._judge is None:
            return [None] * len(shots)
        counts: list[int] = []

        def shown() -> Iterator[Picture]:
            for part in shots:
                pictures = spread(media, JUDGED, part, max(options.frames, int(part.seconds / SECONDS_APART)))
                counts.append(len(pictures))
                yield from pictures

        marks = list(chain.from_iterable(self._judge.marks(shown())))
        ends = np.cumsum(counts)
        return [
            float(np.mean(marks[end - count : end])) if count else None for end, count in zip(ends, counts, strict=True)
        ]

    def measure(self, luma: NDArray[np.uint8]) -> Measures:
        """Measure one picture, uint8 `(height, width)`."""
        import cv2

        mean, deviation = (float(one.item()) for one in cv2.meanStdDev(luma))
        variance = deviation**2
        # what masks answer to whole numbers are whole numbers: 16 bits a pixel, summed in 64
        laplacian = float(cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))[1].item()) ** 2
        slopes = [cv2.Sobel(luma, cv2.CV_16S, *axis) for axis in ((1, 0), (0, 1))]
        scale = min(1.0, BRISQUE_SIDE / min(luma.shape))
        small = luma
        if scale < 1:
            small = np.asarray(cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        return Measures(
            sharpness=laplacian / variance if variance >= 1 else None,
            tenengrad=sum(cv2.norm(slope, cv2.NORM_L2SQR) for slope in slopes) / luma.size,
            mean=mean,
            clipped_dark=np.count_nonzero(luma <= DARK) / luma.size,
            clipped_light=np.count_nonzero(luma >= LIGHT) / luma.size,
            noise=noise(luma),
            blocking=blocking(luma),
            brisque=self.brisque.score(small) if variance >= 1 else None,
        )


def noise(luma: NDArray[np.uint8]) -> float | None:
    """Standard deviation of noise in levels, by Immerkaer's mask, which no plane or straight edge answers to.

    None for pictures that are too small.
    """
    import cv2

    height, width = luma.shape
    if min(height, width) < BLOCK:
        return None
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    answer = cv2.filter2D(luma, cv2.CV_16S, mask)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) * cv2.norm(answer, cv2.NORM_L1) / answer.size / 6)


def blocking(luma: NDArray[np.uint8]) -> float | None:
    """Mean step across borders of 8 x 8 blocks over the mean step elsewhere, rows and columns together; 1 is none.

    None when the picture is too small or too flat.
    """
    if min(luma.shape) < 3 * BLOCK:
        return None
    import cv2

    at_border, elsewhere = [], []
    for changes, along in ((cv2.absdiff(luma[:, 1:], luma[:, :-1]), 0), (cv2.absdiff(luma[1:], luma[:-1]), 1)):
        steps = cv2.reduce(changes, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / changes.shape[along]
        border = np.arange(1, len(steps) + 1) % BLOCK == 0
        at_border.append(_trimmed(steps[border]))
        elsewhere.append(_trimmed(steps[~border]))
    between = float(np.mean(elsewhere))
    return float(np.mean(at_border)) / between if between >= BLOCK_LEAST else None


def _trimmed(steps: NDArray[np.float64]) -> float:
    """Mean without the largest tenth: edges of graphics and bars run along whole rows, and some along the grid."""
    return float(np.sort(steps)[: max(1, round(len(steps) * 0.9))].mean())


def _item(number: int, part: Part, found: Sequence[Measures], mark: float | None) -> ShotQuality:
    columns = zip(*(astuple(one) for one in found), strict=True)
    values = {name: _median(column) for name, column in zip(MEASURED, columns, strict=True)}
    values["aesthetic"] = None if mark is None else round(mark, 4)
    own = {"id": f"q{number}", **asdict(part), "frames": len(found)}
    return ShotQuality.model_validate({**own, **values})


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 4) if known else None


def _overall(items: Sequence[ShotQuality]) -> list[Scalar]:
    scalars = []
    for number, (name, unit) in enumerate(UNITS.items(), start=1):
        known = [(value, item.end - item.start) for item in items if (value := getattr(item, name)) is not None]
        seconds = sum(length for _, length in known)
        mean = round(sum(value * length for value, length in known) / seconds, 4) if seconds > 0 else None
        scalars.append(Scalar(id=f"o{number}", name=name, value=mean, unit=unit))
    return scalars
