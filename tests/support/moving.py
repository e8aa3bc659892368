"""Moving pictures made on the spot, so that every test knows the exact truth."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def write_video(path: Path, frames: Iterable[Picture], *, fps: float = 30.0, times: Iterable[float] = ()) -> Path:
    """Write rgb frames `(height, width, 3)` as H.264; `times` in seconds make the frame rate variable."""
    seconds = iter(times)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16", "preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 90_000)
        for index, picture in enumerate(frames):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round(next(seconds, index / fps) * 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
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
