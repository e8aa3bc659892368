"""Colour and light: palettes of the shots, and how bright, colourful, contrasty and warm the picture is over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.errors import Skipped
from shared.frames import Frames
from shared.schema import Frozen, Segment, SegmentTrack, SeriesTrack, TrackSet, Unit
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.bars import between, found_bars, inside
from tasks.shots import parts

PICTURES = Frames(fps=None, short_side=90, colour="rgb")
"""The rendition of cut_analysis, of which two frames a second are used: no further one has to be written."""

STEP_SECONDS = 0.5
PIXEL_STRIDE = 11
"""Every how many-th pixel of a sampled frame is kept: 4 KB a frame, 60 MB for a shot of two hours; a prime, so that the
pixels kept do not line up in columns."""
PALETTE_PIXELS = 4096
"""Pixels of a shot that are clustered, taken evenly from its sampled frames."""
ATTEMPTS, ITERATIONS, EPSILON = 3, 30, 0.5
"""k-means++ starts, steps of each, and the move of the centres in Lab units at which it stops."""
SEED = 1

Pixels = NDArray[np.uint8]


class ColorOptions(Options):
    """What is counted as dominant."""

    colours: int = Field(5, ge=1, le=12, description="Most colours in a palette")
    least_share: float = Field(0.02, ge=0, lt=1, description="Colours over less of the picture are left out")
    merge_distance: float = Field(10.0, ge=0, description="Colours closer than this in CIELAB (Delta E 1976) are one")


class Swatch(Frozen):
    """One colour as `#rrggbb` and the share of the pixels nearest to it."""

    hex: str
    share: Unit


class Palette(Segment):
    """Dominant colours of one shot, the largest first."""

    colours: tuple[Swatch, ...]


class ColorTracks(TrackSet):
    """`palette`: one item a shot. The series have a value every half second, null where no frame was shown anew.

    `brightness`: mean CIE L*, 0..100. `contrast`: standard deviation of L*. `saturation`: mean saturation of HSV, 0..1.
    `warmth`: mean CIE b*, blue (negative) to yellow (positive). `colourfulness`: Hasler and Suesstrunk, Measuring
    Colourfulness in Natural Images (2003), metric M3: 0 none, 15 slight, 33 moderate, 59 high, 82 and more extreme.
    """

    palette: SegmentTrack[Palette]
    brightness: SeriesTrack
    contrast: SeriesTrack
    saturation: SeriesTrack
    warmth: SeriesTrack
    colourfulness: SeriesTrack


class ColorAnalysis(Analyzer[ColorOptions, ColorTracks]):
    """k-means in CIELAB over two frames a second of every shot, and five measures of each of these frames.

    Without cut_analysis the whole video is one shot. The same video gives the same palette: the start is seeded.
    """

    name: ClassVar[str] = "color_analysis"
    version: ClassVar[int] = 3
    group: ClassVar[str] = "light"
    summary: ClassVar[str] = "Palettes of shots, brightness, contrast, saturation, warmth, colourfulness (measured)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    uses: ClassVar[tuple[str, ...]] = ("cut_analysis", "visual_effects")
    cost: ClassVar[float] = 0.015

    def load(self, model: ModelContext) -> None:
        """Import OpenCV."""
        import cv2  # noqa: F401

    def analyze(self, media: Media, options: ColorOptions) -> ColorTracks:
        """Measure. Raises Skipped when the video has no picture."""
        shots = [(part.start, part.end) for part in parts(media, PICTURES)]
        bars = found_bars(media)
        values: dict[int, tuple[float, ...]] = {}
        pixels: list[list[Pixels]] = [[] for _ in shots]
        for batch in media.frames(PICTURES, batch=64):
            for t, whole in zip(batch.times.tolist(), batch.frames, strict=True):
                frame = inside(whole, between(bars, t))
                shot = shot_at(shots, t)
                slot = int(t / STEP_SECONDS + 1e-6)
                # A shot shorter than the step gets its first frame, so that no shot lacks a palette.
                if slot not in values or not pixels[shot]:
                    pixels[shot].append(frame.reshape(-1, 3)[::PIXEL_STRIDE].copy())
                if slot not in values:
                    values[slot] = measures(frame)
            media.progress(min(1.0, float(batch.times[-1]) / max(media.info.duration_seconds, 1e-3)))
        if not values:
            raise Skipped("there is no picture to measure")
        return tracks(values, palettes(shots, pixels, options))


def shot_at(shots: Sequence[tuple[float, float]], t: float) -> int:
    """Find the shot on screen at `t`; the last one from its start on."""
    # Times of shots are rounded to a millisecond, those of frames are not.
    return next((i for i, (_, end) in enumerate(shots) if t < end - 0.001), len(shots) - 1)


def measures(frame: Pixels) -> tuple[float, ...]:
    """Measure brightness, contrast, saturation, warmth and colourfulness of an rgb frame `(height, width, 3)`."""
    import cv2

    lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    red, green, blue = (frame[..., i].astype(np.float32) for i in range(3))
    high, low = frame.max(-1).astype(np.float32), frame.min(-1).astype(np.float32)
    saturation = np.divide(high - low, high, out=np.zeros_like(high), where=high > 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = float(np.linalg.norm(opponents.std((1, 2))))
    offset = float(np.linalg.norm(opponents.mean((1, 2))))
    return (
        float(light.mean()),
        float(light.std()),
        float(saturation.mean()),
        float(lab[..., 2].mean()),
        spread + 0.3 * offset,
    )


def palettes(
    shots: Sequence[tuple[float, float]], pixels: Sequence[Sequence[Pixels]], options: ColorOptions
) -> tuple[Palette, ...]:
    """Build the palette of each shot that has a frame, from uint8 rgb pixels `(n, 3)` of its frames."""
    return tuple(
        Palette(id=f"p{i}", start=start, end=end, colours=dominant(np.concatenate(list(frames)), options))
        for i, ((start, end), frames) in enumerate(zip(shots, pixels, strict=True), 1)
        if frames
    )


def dominant(pixels: Pixels, options: ColorOptions) -> tuple[Swatch, ...]:
    """Find the dominant colours of uint8 rgb pixels `(n, 3)`, the largest first."""
    import cv2

    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), PALETTE_PIXELS)).astype(np.intp)
    rgb = pixels[chosen][None].astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0], np.float32)
    count = min(options.colours, len(np.unique(lab, axis=0)))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, ITERATIONS, EPSILON)
    cv2.setRNGSeed(SEED)
    start = np.zeros((len(lab), 1), np.int32)
    _, labels, centres = cv2.kmeans(lab, count, start, stop, ATTEMPTS, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(labels.ravel(), minlength=count) / len(lab)
    merged = merge(np.asarray(centres, np.float64), shares, options.merge_distance)
    return tuple(
        Swatch(hex=hex_of(colour), share=share)
        for colour, share in sorted(merged, key=lambda pair: -pair[1])
        if share >= options.least_share
    )


def merge(
    centres: NDArray[np.float64], shares: NDArray[np.float64], distance: float
) -> list[tuple[NDArray[np.float64], float]]:
    """Join Lab colours `(k, 3)` closer than `distance` into their weighted mean, the largest first."""
    merged: list[tuple[NDArray[np.float64], float]] = []
    for index in np.argsort(-shares, kind="stable"):
        colour, share = centres[index], float(shares[index])
        near = next((i for i, (other, _) in enumerate(merged) if np.linalg.norm(other - colour) < distance), None)
        if near is None:
            merged.append((colour, share))
        else:
            other, weight = merged[near]
            merged[near] = ((other * weight + colour * share) / (weight + share), weight + share)
    return merged


def hex_of(lab: NDArray[np.float64]) -> str:
    """Write a Lab colour as `#rrggbb`."""
    import cv2

    rgb = cv2.cvtColor(lab.astype(np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB).ravel()
    red, green, blue = np.clip(np.rint(np.asarray(rgb) * 255), 0, 255).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def tracks(values: dict[int, tuple[float, ...]], items: tuple[Palette, ...]) -> ColorTracks:
    """Build the tracks from measures by half second and palettes by shot."""

    def series(part: int, unit: str) -> SeriesTrack:
        found = (values.get(slot) for slot in range(max(values) + 1))
        return SeriesTrack(
            method="measurement",
            unit=unit,
            t0=0.0,
            dt=STEP_SECONDS,
            values=tuple(None if value is None else round(value[part], 3) for value in found),
        )

    return ColorTracks(
        palette=SegmentTrack[Palette](method="measurement", items=items),
        brightness=series(0, "L*"),
        contrast=series(1, "L*"),
        saturation=series(2, "share"),
        warmth=series(3, "b*"),
        colourfulness=series(4, "M3"),
    )
