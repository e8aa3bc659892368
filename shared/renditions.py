"""Renditions: which frames and which sound of a video an analyzer reads, how large they are, how to make them fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from shared.schema import MediaInfo

DEFAULT_FPS = 30.0
"""Taken for the size estimate of a video whose headers name no frame rate."""

LOWEST_FPS = 1 / 16
"""`fit` goes no lower: a frame every 16 s."""


@dataclass(frozen=True, slots=True)
class Frames:
    """A rendition of the pictures.

    `fps` None keeps every frame; else the first frame of each 1/fps second, and what is held for longer than that.
    `short_side` in pixels (never enlarged; None keeps the size). Rotation and pixel shape are applied. Gray is
    full-range luma, 0..255.
    """

    fps: float | None = None
    short_side: int | None = None
    colour: Literal["rgb", "gray"] = "rgb"

    @property
    def key(self) -> str:
        """Name of the rendition's folder."""
        fps = "all" if self.fps is None else f"{self.fps:g}"
        return f"frames-{fps}fps-{self.short_side or 'full'}-{self.colour}"

    @property
    def format(self) -> Literal["rgb24", "gray"]:
        """FFmpeg's name of the pixel format."""
        return "rgb24" if self.colour == "rgb" else "gray"

    def size(self, info: MediaInfo) -> tuple[int, int]:
        """Width and height in pixels, as displayed."""
        width, height = info.width or 1, info.height or 1
        scale = min(1.0, (self.short_side or math.inf) / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True, slots=True)
class Audio:
    """A rendition of the sound: float32, full scale -1..1. `mono` is the mean of the channels, by FFmpeg's downmix."""

    sample_rate: int = 16_000
    mono: bool = True

    @property
    def key(self) -> str:
        """Name of the rendition's folder."""
        return f"audio-{self.sample_rate}-{'mono' if self.mono else 'all'}"


Rendition = Frames | Audio


@dataclass(frozen=True, slots=True)
class Fit:
    """What is read instead of what was wanted. `notes` say in sentences what was lowered, for the document."""

    renditions: dict[Rendition, Rendition]
    notes: tuple[str, ...] = ()


def estimate_bytes(need: Rendition, info: MediaInfo) -> int:
    """Bytes that the rendition takes in the frame store, from the video's headers; 0 when its stream is missing."""
    if isinstance(need, Audio):
        sound = next((stream for stream in info.streams if stream.chosen and stream.kind == "audio"), None)
        channels = 1 if need.mono else (sound.channels or 1) if sound else 1
        return math.ceil(info.duration_seconds * need.sample_rate) * channels * 4 if sound else 0
    if not info.has_video:
        return 0
    width, height = need.size(info)
    frames = math.ceil(info.duration_seconds * min(need.fps or math.inf, source_fps(info)))
    return max(1, frames) * width * height * (3 if need.colour == "rgb" else 1)


def fit(wanted: Sequence[Rendition], info: MediaInfo, budget_bytes: int) -> Fit:
    """Halve the frame rate of the largest rendition until all fit the budget. Sound is never touched.

    Pure: every process of a job comes to the same answer.
    """
    chosen = {need: need for need in wanted}
    while sum(estimate_bytes(need, info) for need in set(chosen.values())) > budget_bytes:
        pictures = [need for need in chosen.values() if isinstance(need, Frames) and rate(need, info) > LOWEST_FPS]
        if not pictures:
            break
        largest = max(pictures, key=lambda need: estimate_bytes(need, info))
        lowered = replace(largest, fps=rate(largest, info) / 2)
        chosen = {need: lowered if now == largest else now for need, now in chosen.items()}
    notes = tuple(
        f"{need.key} was read at {now.fps:.3g} frames per second: "
        f"all of it would not fit the {budget_bytes / 2**30:.3g} GiB that frames of one video may take."
        for need, now in chosen.items()
        if isinstance(need, Frames) and isinstance(now, Frames) and need != now
    )
    return Fit(dict(chosen), notes)


def rate(need: Frames, info: MediaInfo) -> float:
    """Frames a second that the rendition has."""
    return min(need.fps or math.inf, source_fps(info))


def source_fps(info: MediaInfo) -> float:
    """Return the nominal frame rate of the video."""
    return float(Fraction(info.fps)) if info.fps else DEFAULT_FPS
