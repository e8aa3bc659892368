"""The sound measured: loudness, pitch, spectrum, silence, tempo and beats.

Loudness is that of ITU-R BS.1770-4 and EBU R 128 (`tasks.loudness`); pitch is YIN (de Cheveigne and Kawahara, JASA 111,
2002); beats are found by dynamic programming (Ellis, JNMR 36, 2007). A value is null where there is nothing to measure;
tempo and beats are missing where the onsets keep no time. Which of two tempos an octave apart is told is a guess
(`_octave`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import Event, EventTrack, LabelledSegment, Scalar, ScalarTrack, SegmentTrack, SeriesTrack, TrackSet
from tasks import loudness
from tasks.analyzer import Analyzer, Media, Options

STEREO = Audio(48_000, mono=False)
MONO = Audio(16_000)

DT = 0.05
"""Seconds between pitch and spectral values."""
HOP = 256
WINDOW = 1024
"""Samples at 16 kHz between onset values (16 ms) and in a spectral frame (64 ms)."""
PITCH_HZ = (60.0, 1000.0)
APERIODICITY = 0.15
"""YIN's threshold (the paper uses 0.1 to 0.15): above it the frame has no pitch."""
TEMPO_BPM = (55.0, 210.0)
RHYTHM = 0.3
"""Least correlation of the onsets with themselves one to four beats later. Measured: noise, random clicks and speech
stay under 0.2, regular clicks and beeps reach over 0.9."""
SMOOTH = np.array([1.0, 3.0, 4.0, 3.0, 1.0]) / 12
"""What an onset is spread over before onsets are correlated. Unspread, it is one or two values wide: a beat that falls
between two values is read beside it, and its half or third, which falls on one, repeats better by over a tenth."""
GLIDE = 1.2
"""Largest step of a voice in 50 ms, as a ratio; a value that no neighbour supports is a slip by an octave."""
ONSET_BANDS = 24
DRUM_HZ = 140
"""Below it beats the bass drum, above it all the others."""
LIKELY_BPM = 120.0
"""The tempo that is likeliest before anything is heard (Ellis 2007)."""
RARE_BPM = 180.0
"""Music is rarely faster."""
KEPT, SAME = 0.2, 0.9
"""Shares of the best repetition: less, and nothing keeps that beat; as much, and all beats are alike."""
ANSWER, BAR, LEAN = 1.25, 3.0, 0.4
"""What speaks for the faster of two tempos, beside octaves of nearness to `LIKELY_BPM`; fitted to made drum loops."""
MIN_ONSET = 1.0
"""Sum over the bands of the rise in log(1 + magnitude): rounding noise stays far below."""
BLOCK_SECONDS = 60

Floats = NDArray[np.float64]


class AudioOptions(Options):
    """What counts as silence."""

    silence_dbfs: float = Field(-50.0, le=0, description="quieter than this (RMS of 50 ms) is silence")
    silence_seconds: float = Field(0.5, gt=0, description="silence shorter than this is not reported")


class Sound(TrackSet):
    """What the sound measures.

    `loudness`: momentary, LUFS, of the 0.4 s around each time; null below -70 LUFS. `pitch`: fundamental in Hz of the
    64 ms around each time; null where unvoiced. `centroid` (Hz) and `flatness` (0 for a tone, about 0.56 for white
    noise) of the power spectrum around each time; null in silence. `silence`: spans quieter than the option says.
    `beats`: only when the onsets keep time. `scalars`: integrated_loudness (LUFS), loudness_range (LU, EBU Tech 3342;
    null where under ten windows of 3 s, one every 0.1 s, are heard), true_peak (dBTP, oversampled), sample_peak (dBFS),
    silence_share, tempo (BPM; may be double or half of what is felt) and rhythm_strength (autocorrelation of the onsets
    at the beat or an octave beside it, where it is best).
    """

    loudness: SeriesTrack
    pitch: SeriesTrack
    centroid: SeriesTrack
    flatness: SeriesTrack
    silence: SegmentTrack[LabelledSegment]
    beats: EventTrack[Event]
    scalars: ScalarTrack


class AudioAnalysis(Analyzer[AudioOptions, Sound]):
    """Signal measures on the whole sound, block by block."""

    name = "audio_analysis"
    version = 5
    group = "light"
    summary = "loudness (EBU R 128), pitch (YIN), spectrum, silence, tempo and beats"
    needs = (STEREO, MONO)
    cost = 0.01

    def analyze(self, media: Media, options: AudioOptions) -> Sound:
        """Measure; see `Sound`."""
        level = _loudness(media, media.audio(STEREO))
        media.progress(0.4)
        signal = _signal(media, media.audio(MONO))
        quiet = signal.level_dbfs < options.silence_dbfs
        tempo = _tempo(signal.onsets, signal.accents)
        silence = _silence(quiet, options.silence_seconds, end=signal.duration)
        quiet_seconds = sum(segment.end - segment.start for segment in silence)
        scalars = (
            *level.scalars,
            Scalar(
                id="silence_share",
                name="silence_share",
                unit="1",
                value=_rounded(quiet_seconds / signal.duration, 3) if signal.duration else None,
            ),
            Scalar(id="tempo", name="tempo", unit="BPM", value=_rounded(tempo.bpm, 1)),
            Scalar(id="rhythm_strength", name="rhythm_strength", unit="1", value=_rounded(tempo.strength, 3)),
        )
        return Sound(
            loudness=level.momentary,
            pitch=_series("Hz", _supported(np.where(quiet, np.nan, signal.pitch)), 1),
            centroid=_series("Hz", np.where(quiet, np.nan, signal.centroid), 0),
            flatness=_series("1", np.where(quiet, np.nan, signal.flatness), 4),
            silence=SegmentTrack(method="measurement", items=silence),
            beats=EventTrack(method="measurement", items=_beats(signal.onsets, tempo)),
            scalars=ScalarTrack(method="measurement", items=scalars),
        )


# --- loudness --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loudness:
    momentary: SeriesTrack
    scalars: tuple[Scalar, ...]


def _loudness(media: Media, audio: NDArray[np.float32]) -> _Loudness:
    """Run samples `(n, channels)` at 48 kHz through the EBU R 128 meter."""
    meter = loudness.Meter(STEREO.sample_rate, audio.shape[1])
    block = BLOCK_SECONDS * STEREO.sample_rate
    for start in range(0, len(audio), block):
        meter.push(audio[start : start + block])
        media.progress(0.4 * start / len(audio))
    meter.finish()
    momentary = meter.momentary

    def scalar(name: str, unit: str, value: float | None) -> Scalar:
        return Scalar(id=name, name=name, unit=unit, value=_rounded(value, 2))

    return _Loudness(
        momentary=_series(
            "LUFS",
            np.where(momentary < loudness.ABSOLUTE_GATE_LUFS, np.nan, momentary),
            1,
            t0=loudness.MOMENTARY_SECONDS / 2,
            dt=loudness.STEP_SECONDS,
        ),
        scalars=(
            scalar("integrated_loudness", "LUFS", loudness.integrated(momentary)),
            scalar("loudness_range", "LU", loudness.loudness_range(meter.short_term)),
            scalar("true_peak", "dBTP", _decibels(meter.true_peak)),
            scalar("sample_peak", "dBFS", _decibels(meter.sample_peak)),
        ),
    )


# --- pitch, spectrum, onsets -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Signal:
    """Measures of a mono signal: one value every `DT` seconds, onsets one every `HOP` samples.

    `accents` `(2, n)` are onsets below and above `DRUM_HZ` that weigh by how loud they are.
    """

    duration: float
    level_dbfs: Floats
    pitch: Floats
    centroid: Floats
    flatness: Floats
    onsets: Floats
    accents: Floats


def _signal(media: Media, audio: NDArray[np.float32]) -> _Signal:
    """Measure samples `(n,)` at 16 kHz."""
    step, block_samples = round(DT * MONO.sample_rate), BLOCK_SECONDS * MONO.sample_rate
    rows, onsets = [np.zeros((4, 0))], [np.zeros((3, 0))]
    bands: Floats | None = None
    for start in range(0, len(audio), block_samples):
        count = min(block_samples, len(audio) - start)
        block = _padded(audio, start, start + count)
        frames = sliding_window_view(block, WINDOW)[:count:step]
        # a constant level is no sound
        frames = frames - frames.mean(axis=1, keepdims=True)
        rows.append(np.stack((_level(frames), _yin(frames), *_spectrum(frames))))
        flux, bands = _flux(sliding_window_view(block, WINDOW)[:count:HOP], bands)
        onsets.append(flux)
        media.progress(0.4 + 0.5 * start / len(audio))
    level, pitch, centroid, flatness = np.concatenate(rows, axis=1)
    begun = np.concatenate(onsets, axis=1)
    return _Signal(len(audio) / MONO.sample_rate, level, pitch, centroid, flatness, begun[0], begun[1:])


def _padded(audio: NDArray[np.float32], start: int, stop: int) -> Floats:
    """Cut out samples from half a window before `start` to half a window after `stop`, zeros outside the sound."""
    half = WINDOW // 2
    inside = audio[max(0, start - half) : stop + half].astype(np.float64)
    before = max(0, half - start)
    return np.pad(inside, (before, stop - start + 2 * half - before - len(inside)))


def _level(frames: Floats) -> Floats:
    """RMS in dB of full scale (a full-scale sine is -3 dB)."""
    power: Floats = np.mean(frames**2, axis=1)
    return 10 * np.log10(power + 1e-12)


def _yin(frames: Floats) -> Floats:
    """Fundamental of frames `(n, WINDOW)` in Hz; NaN where there is none. YIN's steps 1 to 5."""
    longest = int(MONO.sample_rate / PITCH_HZ[0]) + 2
    window = WINDOW - longest
    spectrum = np.fft.rfft(frames, 2 * WINDOW) * np.fft.rfft(frames[:, :window], 2 * WINDOW).conj()
    correlation = np.fft.irfft(spectrum)[:, :longest]
    energy = np.pad(np.cumsum(frames**2, axis=1), ((0, 0), (1, 0)))
    energy = energy[:, window : window + longest] - energy[:, :longest]
    difference = np.maximum(energy[:, :1] + energy - 2 * correlation, 0)
    lags = np.arange(longest)
    normal = difference[:, 1:] * lags[1:] / np.maximum(np.cumsum(difference[:, 1:], axis=1), 1e-12)
    dip = (normal[:, 1:-1] < APERIODICITY) & (normal[:, 1:-1] <= normal[:, 2:]) & (normal[:, 1:-1] < normal[:, :-2])
    lag = np.argmax(dip, axis=1) + 2
    left, centre, right = (difference[np.arange(len(frames)), lag + offset] for offset in (-1, 0, 1))
    bend = left - 2 * centre + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1), 0)
    hertz = MONO.sample_rate / (lag + shift)
    voiced = dip.any(axis=1) & (hertz >= PITCH_HZ[0]) & (hertz <= PITCH_HZ[1])
    return np.where(voiced, hertz, np.nan)


def _supported(pitch: Floats) -> Floats:
    """Keep the values that the one before or the one after supports."""
    with np.errstate(invalid="ignore"):
        close = np.abs(np.diff(np.log(pitch))) <= math.log(GLIDE)
    return np.where(np.append(close, False) | np.insert(close, 0, False), pitch, np.nan)


def _spectrum(frames: Floats) -> tuple[Floats, Floats]:
    """Centroid in Hz and flatness (geometric over arithmetic mean of the power) of frames `(n, WINDOW)`."""
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))[:, 1:]) ** 2 + 1e-12
    hertz = np.fft.rfftfreq(WINDOW, 1 / MONO.sample_rate)[1:]
    return power @ hertz / power.sum(axis=1), np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)


def _flux(frames: Floats, before: Floats | None) -> tuple[Floats, Floats]:
    """How much louder the frames `(n, WINDOW)` get, and the last frame's bands `(1, bands)`.

    Rows: the rise in log(1 + magnitude) over all bands, that of the magnitude itself below `DRUM_HZ`, and above it.
    """
    edges = np.unique(np.geomspace(2, WINDOW // 2, ONSET_BANDS + 1).astype(int))
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))
    bands = np.add.reduceat(magnitude[:, :-1], edges[:-1], axis=1)
    before = bands[:1] if before is None else before
    rise = np.maximum(np.diff(np.log1p(bands), axis=0, prepend=np.log1p(before)), 0)
    louder = np.maximum(np.diff(bands, axis=0, prepend=before), 0)
    drum = int(np.searchsorted(edges, DRUM_HZ * WINDOW / MONO.sample_rate))
    return np.stack((rise.sum(axis=1), louder[:, :drum].sum(axis=1), louder[:, drum:].sum(axis=1))), bands[-1:]


# --- tempo and beats -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tempo:
    """`bpm` is None when the onsets keep no time; `strength` is None when there are none."""

    bpm: float | None
    strength: float | None


def _tempo(onsets: Floats, accents: Floats) -> _Tempo:
    """Tempo by autocorrelation of the onsets: the fastest that repeats nearly as well as the best, or its octave."""
    rate = MONO.sample_rate / HOP
    multiples = np.arange(1, 5)
    sounding = _sounding(onsets)
    if sounding.sum() < 2 * multiples[-1] * rate * 60 / TEMPO_BPM[0]:
        return _Tempo(None, None)
    spread = np.convolve(onsets, SMOOTH, mode="same")
    correlation = _correlation(spread, spread, sounding)
    bpm = np.arange(*TEMPO_BPM, 0.1)
    lags = 60 * rate / bpm
    score = _between(correlation, np.outer(multiples, lags)).mean(axis=0)
    if score.max() <= 0:
        return _Tempo(None, 0.0)
    fastest = np.flatnonzero(score >= 0.9 * score.max())[-1]
    around = np.abs(np.log2(bpm / bpm[fastest])) < 0.1
    best = int(np.argmax(np.where(around, score, -1)))
    strength = float(max(score[best], 0))
    return _Tempo(_octave(accents, sounding, float(bpm[best])) if strength >= RHYTHM else None, strength)


def _octave(accents: Floats, sounding: NDArray[np.bool_], bpm: float) -> float:
    """The likelier of two tempos an octave apart, by the beat of the faster.

    For the faster speak: it is nearer to `LIKELY_BPM`; what is above the bass drum answers it after one beat, not
    after two (a snare on 2 and 4); a bar of four beats repeats as well as any.
    """
    slow = bpm / 2 if bpm >= 2 * TEMPO_BPM[0] else bpm
    if 2 * slow > TEMPO_BPM[1]:
        return bpm
    beat = 60 * MONO.sample_rate / HOP / (2 * slow)
    drum, rest = (np.convolve(row, SMOOTH, mode="same") for row in accents)
    alike = (_correlation(drum, drum, sounding) + _correlation(rest, rest, sounding)) / 2
    across = _correlation(drum, rest, sounding)
    repeats = _between(alike, beat * np.array([1, 2, 4, 8]))
    best = max(float(repeats.max()), 0.05)
    one_beat, two_beats, bar = (repeats[:3] / best).tolist()
    if max(one_beat, two_beats) < KEPT:
        # a beat slower than `TEMPO_BPM`, of which this is a multiple
        return bpm
    if one_beat >= SAME:
        # a metronome: nothing makes pairs of its beats
        return 2 * slow
    after_one, after_two = _between(across, beat * np.array([1, 2])).tolist()
    evidence = math.log2(LIKELY_BPM / math.sqrt(2) / slow) + ANSWER * (after_one - after_two) / best
    evidence += BAR * (bar - 1) + LEAN
    return 2 * slow if evidence > 0 and 2 * slow <= RARE_BPM else slow


def _sounding(onsets: Floats) -> NDArray[np.bool_]:
    """From the first to the last onset, without the gaps in which nothing begins for two beats of the slowest tempo.

    Silence beside a sound would be a shape of its own: of one mean over both, all that sounds is above.
    """
    begun = np.flatnonzero(onsets >= MIN_ONSET)
    sounding = np.zeros(len(onsets), np.bool_)
    breaks = np.flatnonzero(np.diff(begun) > 2 * MONO.sample_rate / HOP * 60 / TEMPO_BPM[0]) + 1
    for group in np.split(begun, breaks) if len(begun) else ():
        sounding[group[0] : group[-1] + 1] = True
    return sounding


def _correlation(one: Floats, other: Floats, sounding: NDArray[np.bool_]) -> Floats:
    """Correlation of what sounds by lag either way, up to half of its length, per pair of values that both sound."""
    flat = [np.where(sounding, onsets - onsets[sounding].mean(), 0.0) for onsets in (one, other)]
    size = 2 ** int(np.ceil(np.log2(2 * len(one))))
    a, b, heard = (np.fft.rfft(values, size) for values in (*flat, sounding.astype(float)))
    products, pairs = np.fft.irfft((a * b.conj()).real), np.fft.irfft(np.abs(heard) ** 2)
    lags = int(sounding.sum()) // 2
    # Parts with silence between them may share few pairs at a lag: those prove nothing.
    whole = math.sqrt(float((flat[0] ** 2).sum() * (flat[1] ** 2).sum()))
    found: Floats = products[:lags] / np.maximum(pairs[:lags], pairs[0] / 2) * pairs[0] / max(whole, 1e-9)
    return found


def _between(values: Floats, places: Floats) -> Floats:
    """Values at fractional places, by Catmull-Rom: straight lines would have peaks on whole places only."""
    places = np.clip(places, 1, len(values) - 2)
    left = np.minimum(places.astype(int), len(values) - 3)
    part = places - left
    a, b, c, d = (values[left + offset] for offset in (-1, 0, 1, 2))
    found: Floats = b + part / 2 * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
    return found


def _beats(onsets: Floats, tempo: _Tempo) -> tuple[Event, ...]:
    """Beat times that keep the tempo and fall on onsets (Ellis 2007: tightness 100, transitions of 0.5 to 2 beats)."""
    if tempo.bpm is None:
        return ()
    rate = MONO.sample_rate / HOP
    period = 60 * rate / tempo.bpm
    steps = np.arange(-round(2 * period), -round(period / 2) + 1)
    penalty = -100 * np.log(-steps / period) ** 2
    lead = -int(steps[0])
    local = np.concatenate((np.zeros(lead), onsets / onsets.std()))
    score = local.copy()
    origin = np.full(len(score), -1)
    for now in range(lead, len(score)):
        reached = score[now + steps] + penalty
        best = int(np.argmax(reached))
        score[now] += reached[best]
        origin[now] = now + steps[best]
    beat = len(score) - 1 - int(np.argmax(score[::-1][: round(period)]))
    frames: list[int] = []
    while beat >= lead:
        frames.append(beat)
        beat = int(origin[beat])
    on_beat = local[frames[::-1]]
    # before the first and after the last struck beat nobody keeps time
    struck = np.flatnonzero(on_beat >= 0.5 * np.sqrt(np.mean(on_beat**2)))
    times = [(frame - lead) / rate for frame in frames[::-1][struck[0] : struck[-1] + 1]]
    return tuple(Event(id=f"b{number}", t=t, type="beat") for number, t in enumerate(times, 1))


# --- values ----------------------------------------------------------------------------------------------------


def _silence(quiet: NDArray[np.bool_], shortest: float, *, end: float) -> tuple[LabelledSegment, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(int))) * DT
    spans = [(start, min(stop, end)) for start, stop in edges.reshape(-1, 2)]
    long = [(start, stop) for start, stop in spans if stop - start >= shortest]
    return tuple(
        LabelledSegment(id=f"q{number}", start=start, end=stop, label="silence")
        for number, (start, stop) in enumerate(long, 1)
    )


def _series(unit: str, values: Floats, digits: int, *, t0: float = 0.0, dt: float = DT) -> SeriesTrack:
    return SeriesTrack(
        method="measurement",
        unit=unit,
        t0=t0,
        dt=dt,
        values=tuple(_rounded(value, digits) for value in values.tolist()),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or math.isnan(value) else round(value, digits)


def _decibels(amplitude: float) -> float | None:
    return 20 * math.log10(amplitude) if amplitude > 0 else None
