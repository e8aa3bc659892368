"""Sounds with exact truth: those that `reelgraph eval` is measured on, and some that only tests need."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from services.evaluation.sounds import clicks, noise, seconds, tone, write_wav

__all__ = ["chords", "clicks", "noise", "samples_of", "seconds", "tone", "write_wav"]


def chords(duration: float, *, amplitude: float = 0.05, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """Music: plucked chords (Am F Dm E), two a second, each of three notes with six harmonics that die away."""
    notes = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (146.8, 174.6, 220.0), (164.8, 207.7, 246.9))
    time = seconds(0.5, sample_rate)
    shape = amplitude * np.minimum(1, time / 0.01) * np.exp(-2 * time)
    plucked = [
        shape * sum(np.sin(2 * np.pi * hertz * h * time) / h**1.5 for hertz in chord for h in range(1, 7))
        for chord in notes
    ]
    count = round(duration * sample_rate)
    return np.tile(np.concatenate(plucked), -(-count // (len(time) * len(notes))))[:count]


def samples_of(path: Path, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """The sound of a file, mono."""
    resampler = av.AudioResampler("flt", "mono", sample_rate)
    with av.open(str(path)) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([*parts, *(part.to_ndarray()[0] for part in resampler.resample(None))]).astype(np.float64)
