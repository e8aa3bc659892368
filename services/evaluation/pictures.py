"""Moving pictures made on the spot, so that whoever judges by them knows the exact truth."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def write_pictures(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    pictures: Iterable[tuple[int, Picture]],
    tick: Fraction,
) -> None:
    """Encode rgb frames `(height, width, 3)`, each with its presentation time in ticks of so many seconds."""
    for pts, picture in pictures:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        frame.pts, frame.time_base = pts, tick
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_video(path: Path, frames: Iterable[Picture], *, fps: float = 30.0, times: Iterable[float] = ()) -> Path:
    """Write rgb frames `(height, width, 3)` as H.264; `times` in seconds make the frame rate variable."""
    pictures, seconds, tick = iter(frames), iter(times), Fraction(1, 90_000)
    first = next(pictures)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16", "preset": "ultrafast"}
        stream.height, stream.width = first.shape[:2]
        stream.codec_context.time_base = tick
        stamps = (round(next(seconds, index / fps) / tick) for index in count())
        write_pictures(container, stream, zip(stamps, chain([first], pictures), strict=False), tick)
    return path


def texture(seed: int, height: int, width: int) -> Picture:
    """A colourful picture with structure at every scale, like a photograph: summed octaves of smooth noise."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 9):
        coarse = rng.uniform(-1, 1, (2**octave, 2**octave, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    tint = rng.uniform(70, 180, 3)
    return np.clip(total * 55 + tint, 0, 255).astype(np.uint8)


def window(picture: Picture, x: float, y: float, zoom: float, height: int, width: int) -> Picture:
    """What a camera sees that stands over (x, y) of the picture, in pixels, at that zoom: bilinear, sub-pixel."""
    matrix = np.array([[1 / zoom, 0, x - width / 2 / zoom], [0, 1 / zoom, y - height / 2 / zoom]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
