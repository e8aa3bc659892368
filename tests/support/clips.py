"""Clips with exact truth, made by the tests: every frame carries its number, sound is what the test says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from services.evaluation.pictures import write_pictures

BITS = 12
"""Bars of the upper half, the lowest bit on the left: white is 1. Numbers up to 4095."""

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""Bars of the lower half, from the left."""

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}

FAST = {"preset": "ultrafast", "crf": "12"}

Drawing = Callable[[int, int, int], NDArray[np.uint8]]
"""Draws the frame of a number at a width and height."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples `(channels, n)`, float32; `start_seconds` is where they begin on the clip's clock."""

    samples: NDArray[np.float32]
    sample_rate: int = 48_000
    start_seconds: float = 0.0
    codec: str = "aac"


def numbered(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a frame: its number in black and white bars above, four colours below. `(height, width, 3)`."""
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            image[: height // 2, bit * width // BITS : (bit + 1) * width // BITS] = 255
    for at, colour in enumerate(COLOURS):
        image[height // 2 :, at * width // 4 : (at + 1) * width // 4] = colour
    return image


def plain(level: int) -> Drawing:
    """Frames of one grey level."""
    return lambda number, width, height: np.full((height, width, 3), level, np.uint8)


def number_of(frame: NDArray[np.uint8]) -> int:
    """The number in a frame that `numbered` drew, at any size, in rgb or gray."""
    gray = frame if frame.ndim == 2 else frame.mean(axis=2)
    height, width = gray.shape
    row = gray[height // 8 : height * 3 // 8].mean(axis=0)
    return sum(1 << bit for bit in range(BITS) if row[(2 * bit + 1) * width // (2 * BITS)] > 127)


def click(seconds: float, at: Sequence[float], *, sample_rate: int = 48_000, channels: int = 1) -> Sound:
    """Silence with a click of 1 ms at each of the given times."""
    samples = np.zeros((channels, round(seconds * sample_rate)), np.float32)
    for time in at:
        first = round(time * sample_rate)
        samples[:, first : first + sample_rate // 1000] = 0.9
    return Sound(samples, sample_rate)


@contextmanager
def same_priority() -> Iterator[None]:
    """This thread keeps its rank: as root, SVT-AV1 makes the thread that calls it one in real time, and whatever that
    starts later, browsers and workers, would push all else from the cores."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, rank = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, rank)


def make_clip(
    path: Path,
    *,
    frames: int = 20,
    fps: int | Fraction = 10,
    size: tuple[int, int] = (160, 120),
    pts_ms: Sequence[int] | None = None,
    picture: Drawing = numbered,
    rotation: int = 0,
    mirrored: bool = False,
    pixel_shape: Fraction = Fraction(1),
    keyframe_every: int = 10,
    sound: Sound | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    encoder: dict[str, str] | None = None,
) -> Path:
    """Write a clip; its container follows from the name.

    `pts_ms`: a presentation time for every frame (variable rate), else one frame each 1/fps second. `rotation`: degrees
    counterclockwise, by display matrix; `mirrored`: left to right after it. `frames=0`: no video stream. `options`: of
    the container, `encoder`: of the codec.
    """
    with same_priority(), av.open(os.fspath(path), "w", options=options or {}) as container:
        video = audio = None
        if frames:
            video = container.add_stream(codec, rate=fps, options=FAST if encoder is None else encoder)
            video.width, video.height, video.pix_fmt = *size, pix_fmt
            video.codec_context.sample_aspect_ratio = pixel_shape
            video.codec_context.time_base = tick = Fraction(1, 1000) if pts_ms else 1 / Fraction(fps)
            video.codec_context.gop_size = keyframe_every
            if rotation or mirrored:
                video.set_display_rotation(rotation, hflip=mirrored)
        if sound is not None:
            audio = container.add_stream(sound.codec, rate=sound.sample_rate)
            audio.layout = LAYOUTS[len(sound.samples)]
        if video is not None:
            drawn = (picture(number, *size) for number in range(frames))
            write_pictures(container, video, zip(pts_ms or range(frames), drawn, strict=False), tick)
        if audio is not None and sound is not None:
            _write_sound(container, audio, sound)
    return path


def _write_sound(container: av.container.OutputContainer, stream: av.audio.AudioStream, sound: Sound) -> None:
    first = round(sound.start_seconds * sound.sample_rate)
    resampler = av.AudioResampler(stream.format.name, stream.layout.name, sound.sample_rate)
    for at in range(0, sound.samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound.samples[:, at : at + 1024]), "fltp", stream.layout.name
        )
        frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate, first + at, Fraction(1, sound.sample_rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    container.mux(stream.encode(None))
