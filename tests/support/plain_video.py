"""Videos of plain pictures with exact cuts."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_plain_video(path: Path, *shots: tuple[float, tuple[int, int, int]], fps: int = 20) -> Path:
    """Write `(seconds, rgb)` shots one after another; a darker corner keeps them from being one flat colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for seconds, colour in shots:
            picture = np.full((96, 160, 3), colour, np.uint8)
            picture[:24, :40] //= 2
            for _ in range(round(seconds * fps)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
