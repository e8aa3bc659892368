"""Sounds with exact truth, written as WAV files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_wav(path: Path, samples: NDArray[np.floating], sample_rate: int = 16_000) -> Path:
    """Write `(samples,)` or `(samples, channels)`, -1..1, as 16-bit PCM."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def seconds(duration: float, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """The time of every sample."""
    return np.arange(round(duration * sample_rate)) / sample_rate


def tone(hertz: float, duration: float, *, amplitude: float = 0.5, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """A sine."""
    return amplitude * np.sin(2 * np.pi * hertz * seconds(duration, sample_rate))


def noise(duration: float, *, amplitude: float = 0.1, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """White noise, the same at every call."""
    return np.random.default_rng(7).normal(0, amplitude, round(duration * sample_rate))


def clicks(bpm: float, duration: float, *, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """A short burst on every beat, the first at 0.1 s, over silence."""
    samples = np.zeros(round(duration * sample_rate))
    burst = noise(0.02, amplitude=0.4, sample_rate=sample_rate) * np.linspace(1, 0, round(0.02 * sample_rate))
    for beat in np.arange(0.1, duration - 0.03, 60 / bpm):
        first = round(beat * sample_rate)
        samples[first : first + len(burst)] += burst
    return samples
