"""Sounds with exact truth, written as WAV files."""

from __future__ import annotations

import wave
from collections.abc import Sequence
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


def rumble(seed: int, duration: float, *, amplitude: float = 0.1, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """Brown noise from 20 Hz on: its power falls by the square of the frequency. `amplitude` is its RMS."""
    samples = np.random.default_rng(seed).normal(size=round(duration * sample_rate))
    hertz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    brown = np.fft.irfft(np.fft.rfft(samples) * (hertz >= 20) / np.maximum(hertz, 20), len(samples))
    found: NDArray[np.float64] = amplitude * brown / brown.std()
    return found


def clicks(bpm: float, duration: float, *, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """A short burst on every beat, the first at 0.1 s, over silence."""
    samples = np.zeros(round(duration * sample_rate))
    burst = noise(0.02, amplitude=0.4, sample_rate=sample_rate) * np.linspace(1, 0, round(0.02 * sample_rate))
    for beat in np.arange(0.1, duration - 0.03, 60 / bpm):
        first = round(beat * sample_rate)
        samples[first : first + len(burst)] += burst
    return samples


def beeps(bpm: float, duration: float, *, length: float, sample_rate: int = 16_000) -> NDArray[np.float64]:
    """A metronome: 1 kHz of so many seconds on every beat, the first at 0.3 s, cut off at both ends, over silence."""
    samples = np.zeros(round(duration * sample_rate))
    beep = tone(1000, length, sample_rate=sample_rate)
    for beat in np.arange(0.3, duration - length, 60 / bpm):
        first = round(beat * sample_rate)
        samples[first : first + len(beep)] = beep
    return samples


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


def bursts(starts: Sequence[float], duration: float, *, background: float, sample_rate: int) -> NDArray[np.float64]:
    """Clicks of 3 ms at these seconds over white noise of that amplitude."""
    samples = noise(duration, amplitude=background, sample_rate=sample_rate)
    click = noise(0.003, amplitude=0.5, sample_rate=sample_rate)
    for start in starts:
        first = round(start * sample_rate)
        samples[first : first + len(click)] += click
    return samples
