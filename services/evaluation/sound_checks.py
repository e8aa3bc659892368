"""audio_analysis on tones, clicks and the test signals of the loudness standards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.evaluation.figures import Figure, at_least, at_most
from services.evaluation.media import ready, run
from services.evaluation.sounds import beeps, clicks, noise, tone, write_wav
from tasks.analyzers.audio_analysis import AudioAnalysis, Sound

PITCHES = (62.0, 82.4, 110.0, 196.0, 261.6, 440.0, 659.3, 880.0, 990.0)
TEMPOS = (60, 75, 90, 100, 120, 128, 140, 150, 174, 180)
BEEPS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)
BEEP_TEMPOS = (61, 83, 104, 119, 123, 147, 153, 168, 173, 183, 198)
STANDARD_RATE = 48_000

Part = tuple[float, float]
"""Seconds and dBFS of a stereo 1 kHz sine."""

LOUDNESS: dict[str, tuple[float, tuple[Part, ...]]] = {
    # EBU Tech 3341 (2016), table 1: minimum requirements test signals, by what they must read in LUFS.
    "Tech 3341 case 1": (-23.0, ((20, -23),)),
    "Tech 3341 case 2": (-33.0, ((20, -33),)),
    "Tech 3341 case 3": (-23.0, ((10, -36), (60, -23), (10, -36))),
    "Tech 3341 case 4": (-23.0, ((10, -72), (10, -36), (60, -23), (10, -36), (10, -72))),
    "Tech 3341 case 5": (-23.0, ((20, -26), (20.1, -20), (20, -26))),
}
RANGES: dict[str, tuple[float, tuple[Part, ...]]] = {
    # EBU Tech 3342 (2016), table 1.
    "Tech 3342 case 1": (10.0, ((20, -20), (20, -30))),
    "Tech 3342 case 2": (5.0, ((20, -20), (20, -15))),
    "Tech 3342 case 3": (20.0, ((20, -40), (20, -20))),
    "Tech 3342 case 4": (15.0, ((20, -50), (20, -35), (20, -20), (20, -35), (20, -50))),
}


def sound(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Pitch, tempo, loudness and loudness range."""
    folder.mkdir(parents=True, exist_ok=True)
    yield from _pitch(folder)
    yield from _tempo(folder)
    yield from _loudness(folder)


def _pitch(folder: Path) -> Iterator[Figure]:
    cents, heard = [0.0], []
    for hertz in PITCHES:
        rich = np.sum([tone(hertz * n, 2, amplitude=0.4 / n) for n in (1, 2, 3, 4)], axis=0)
        for samples in (tone(hertz, 2), rich + noise(2, amplitude=0.005)):
            values = _measured(samples, folder).pitch.values
            known = np.array([value for value in values if value is not None])
            cents.append(float(np.abs(1200 * np.log2(known / hertz)).max(initial=0)))
            heard.append(len(known) / len(values))
    on = f"{2 * len(PITCHES)} tones, 62 to 990 Hz"
    yield Figure("audio_analysis", "largest error of pitch", on, max(cents), "cents", at_most(20))
    yield Figure("audio_analysis", "least share of frames with a pitch", on, min(heard), goal=at_least(0.9))


def _tempo(folder: Path) -> Iterator[Figure]:
    errors = []
    for bpm in TEMPOS:
        found = _scalar(_measured(clicks(bpm, 15) + noise(15, amplitude=0.01), folder), "tempo")
        errors.append(1.0 if found is None else abs(found / bpm - 1))
    on = f"clicks in noise at {len(TEMPOS)} tempos"
    yield Figure("audio_analysis", "largest error of tempo", on, max(errors), goal=at_most(0.02))
    errors = []
    for length in BEEPS:
        for bpm in BEEP_TEMPOS:
            found = _scalar(_measured(beeps(bpm, 20, length=length), folder), "tempo")
            errors.append(1.0 if found is None else abs(found / bpm - 1))
    on = f"beeps of {len(BEEPS)} lengths at {len(BEEP_TEMPOS)} tempos"
    yield Figure("audio_analysis", "largest error of tempo", on, max(errors), goal=at_most(0.02))


def _loudness(folder: Path) -> Iterator[Figure]:
    sine = tone(997, 5, amplitude=1, sample_rate=STANDARD_RATE)
    one_channel = np.stack([sine, 0 * sine], axis=1)
    readings = {"ITU-R BS.1770: 997 Hz, 0 dBFS, left": (-3.01, one_channel)}
    readings |= {name: (lufs, _sines(parts)) for name, (lufs, parts) in LOUDNESS.items()}
    for name, (lufs, samples) in readings.items():
        found = _scalar(_measured(samples, folder, STANDARD_RATE), "integrated_loudness")
        off = None if found is None else abs(found - lufs)
        yield Figure("audio_analysis", "error of loudness", name, off, "LU", at_most(0.5))
    for name, (range_lu, parts) in RANGES.items():
        found = _scalar(_measured(_sines(parts), folder, STANDARD_RATE), "loudness_range")
        off = None if found is None else abs(found - range_lu)
        yield Figure("audio_analysis", "error of loudness range", name, off, "LU", at_most(1))


def _sines(parts: tuple[Part, ...]) -> NDArray[np.float64]:
    """A stereo 1 kHz sine of these levels, one after another: `(samples, 2)`."""
    levels = (tone(1000, seconds, amplitude=10 ** (dbfs / 20), sample_rate=STANDARD_RATE) for seconds, dbfs in parts)
    mono = np.concatenate(list(levels))
    return np.stack([mono, mono], axis=1)


def _measured(samples: NDArray[np.float64], folder: Path, sample_rate: int = 16_000) -> Sound:
    return run(ready(AudioAnalysis), write_wav(folder / "sound.wav", samples, sample_rate), folder)


def _scalar(sound: Sound, name: str) -> float | None:
    return next(one.value for one in sound.scalars.items if one.name == name)
