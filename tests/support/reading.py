"""Reading a clip through a frame store beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.frames import Audio, FrameReader, Frames, FrameStore, Rendition
from shared.media import probe
from tests.support.clips import number_of

GIB = 1 << 30


def opened(video: Path, *wanted: Rendition) -> FrameReader:
    """A reader of these renditions."""
    return FrameStore(video.parent / "store", budget_bytes=GIB).open(video, probe(video), wanted)


def seen(reader: FrameReader, need: Frames, batch: int = 16) -> list[tuple[int, float]]:
    """Number and time of every frame."""
    return [
        (number_of(frame), round(float(time), 3))
        for part in reader.frames(need, batch=batch)
        for time, frame in zip(part.times, part.frames, strict=True)
    ]


def clicks_in(samples: NDArray[np.float32], need: Audio) -> list[float]:
    """Seconds at which a click of `clips.click` begins: loud after 10 ms without."""
    loud = np.flatnonzero(np.abs(samples.reshape(len(samples), -1)).max(axis=1) > 0.4) / need.sample_rate
    return [float(at) for at, before in zip(loud, [-1.0, *loud[:-1]], strict=True) if at - before > 0.01]
