"""Sounds with exact truth: those that `reelgraph eval` is measured on, and some that only tests need."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from services.evaluation.sounds import beeps, chords, clicks, noise, rumble, seconds, tone, write_wav

__all__ = ["beeps", "chords", "clicks", "noise", "rumble", "samples_of", "seconds", "tone", "write_wav"]


def samples_of(path: Path, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """The sound of a file, mono."""
    resampler = av.AudioResampler("flt", "mono", sample_rate)
    with av.open(str(path)) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([*parts, *(part.to_ndarray()[0] for part in resampler.resample(None))]).astype(np.float64)
