"""Sounds with exact truth: those that `reelgraph eval` is measured on, and some that only tests need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from services.evaluation.sounds import beeps, chords, clicks, noise, rumble, seconds, tone, write_wav

__all__ = [
    "beeps",
    "chords",
    "clicks",
    "drum_loop",
    "noise",
    "rumble",
    "samples_of",
    "seconds",
    "tone",
    "write_wav",
]


def samples_of(path: Path, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """The sound of a file, mono."""
    resampler = av.AudioResampler("flt", "mono", sample_rate)
    with av.open(str(path)) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([*parts, *(part.to_ndarray()[0] for part in resampler.resample(None))]).astype(np.float64)


def drum_loop(
    bpm: float, duration: float, *, kick: Sequence[float] = (), snare: Sequence[float] = (), hat: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Drums over silence at 16 kHz: each is struck at so many beats from the start of every bar of four."""
    time = seconds(0.2)
    hiss = noise(0.2, amplitude=1)
    strokes = (
        (kick, 0.9 * np.sin(2 * np.pi * np.cumsum(45 + 90 * np.exp(-30 * time)) / 16_000) * np.exp(-18 * time)),
        (snare, 0.3 * hiss * np.exp(-22 * time) + 0.3 * np.sin(2 * np.pi * 190 * time) * np.exp(-28 * time)),
        (hat, 0.08 * np.diff(hiss, 2, append=(0, 0)) * np.exp(-80 * time)),
    )
    samples = np.zeros(round((duration + 0.2) * 16_000))
    for beats, stroke in strokes:
        for beat in beats:
            for start in np.arange(beat * 60 / bpm, duration, 4 * 60 / bpm):
                samples[round(start * 16_000) :][: len(stroke)] += stroke
    return 0.5 * samples[: round(duration * 16_000)]
