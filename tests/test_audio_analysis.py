from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from shared.frames import Audio
from shared.schema import SeriesTrack
from tasks.analyzers.audio_analysis import AudioAnalysis
from tests.support.clips import Sound, make_clip
from tests.support.media import run
from tests.support.sounds import beeps, clicks, drum_loop, noise, seconds, tone, write_wav


@pytest.fixture
def measure(tmp_path):
    def measured(samples, sample_rate=16_000, **options):
        return run(AudioAnalysis(), write_wav(tmp_path / "a.wav", samples, sample_rate), tmp_path, **options)

    return measured


def scalars(result) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in result.scalars.items}


def known(series: SeriesTrack) -> np.ndarray:
    return np.array([value for value in series.values if value is not None])


def stereo(left, right):
    return np.stack([left, right], axis=1)


def test_loudness_of_one_full_scale_channel_is_that_of_the_standard(measure):
    """BS.1770-4: a 997 Hz sine at 0 dBFS in one of two channels reads -3.01 LUFS, momentary and integrated."""
    sine = tone(997, 5, amplitude=1, sample_rate=48_000)
    sound = measure(stereo(sine, 0 * sine), 48_000)
    assert scalars(sound)["integrated_loudness"] == pytest.approx(-3.01, abs=0.1)
    assert known(sound.loudness) == pytest.approx(-3.01, abs=0.1)
    assert scalars(sound)["true_peak"] == pytest.approx(0, abs=0.1)


def k_weighted(samples, sample_rate):
    """Samples `(n,)` weighted as BS.1770-4's filters for 48 kHz weigh each frequency, whatever the rate."""
    hertz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    back = np.exp(-2j * np.pi * hertz / 48_000)
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585])
    high_pass = ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621])
    gains = [abs(np.polyval(over[::-1], back) / np.polyval(under[::-1], back)) for over, under in (shelf, high_pass)]
    return np.fft.irfft(gains[0] * gains[1] * np.fft.rfft(samples), len(samples))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_loudness_at_any_rate_is_that_of_the_standard(measure, sample_rate, channels):
    """White noise, and a sine at nine tenths of what the rate holds, against BS.1770-4's weights in numpy: 0.12 LU."""
    for samples in (
        noise(6, sample_rate=sample_rate),
        tone(0.45 * sample_rate, 6, amplitude=0.3, sample_rate=sample_rate),
    ):
        # no window of either is gated
        true = -0.691 + 10 * np.log10(channels * np.mean(k_weighted(samples, sample_rate) ** 2))
        found = scalars(measure(samples if channels == 1 else stereo(samples, samples), sample_rate))
        assert found["integrated_loudness"] == pytest.approx(true, abs=0.12)


def test_loudness_gate_leaves_out_the_silence(measure):
    """EBU Tech 3341, case 3: quiet spans around a stereo tone at -23 LUFS do not lower the integrated loudness."""
    level = 10 ** (-23 / 20)
    parts = [
        tone(1000, length, amplitude=level * 10 ** (gain / 20), sample_rate=48_000)
        for length, gain in ((5, -13), (20, 0), (5, -13))
    ]
    sine = np.concatenate(parts)
    assert scalars(measure(stereo(sine, sine), 48_000))["integrated_loudness"] == pytest.approx(-23, abs=0.5)


def test_loudness_range_is_the_step_between_two_levels(measure):
    """EBU Tech 3342, case 1: 20 s at -20 LUFS and 20 s at -30 LUFS have a range of 10 LU."""
    sine = np.concatenate([tone(1000, 20, amplitude=10 ** (level / 20), sample_rate=48_000) for level in (-20, -30)])
    assert scalars(measure(stereo(sine, sine), 48_000))["loudness_range"] == pytest.approx(10, abs=1)


@pytest.mark.parametrize(("length", "known"), [(1.0, False), (3.0, False), (3.3, False), (4.0, True), (12.0, True)])
def test_even_noise_has_no_range_at_any_length(measure, length, known):
    """Stationary noise: a range near 0 where there are windows enough to tell, else null; never a number made up."""
    found = scalars(measure(noise(length, amplitude=0.1, sample_rate=48_000), 48_000))["loudness_range"]
    assert found == (pytest.approx(0, abs=0.1) if known else None)


def test_a_late_sound_has_no_range(measure):
    """Silence, and a tone in the last 0.2 s: too few windows hear it to tell a range."""
    late = np.concatenate([np.zeros(48_000 * 8), tone(997, 0.2, sample_rate=48_000)])
    assert scalars(measure(late, 48_000))["loudness_range"] is None


def test_loudness_far_above_full_scale_is_not_cut_off(tmp_path):
    """Floating-point sound at +20 dBFS is as loud as it is: 20 LU over the same sound at full scale, as is its peak."""
    sine = tone(997, 5, amplitude=1, sample_rate=48_000)[None].astype(np.float32)
    found = [
        scalars(run(AudioAnalysis(), make_clip(tmp_path / f"{gain}.wav", frames=0, sound=sound), tmp_path / str(gain)))
        for gain in (1, 10)
        for sound in [Sound(gain * sine, codec="pcm_f32le")]
    ]
    for name in ("integrated_loudness", "true_peak", "sample_peak"):
        assert found[1][name] - found[0][name] == pytest.approx(20, abs=0.05)


def test_loudness_values_stand_at_the_middle_of_their_window(measure):
    """A tone that starts at 2 s reaches half its power in the window around 2 s."""
    sound = measure(np.concatenate([np.zeros(96_000), tone(997, 2, sample_rate=48_000)]), 48_000)
    at = {round(sound.loudness.t0 + i * sound.loudness.dt, 1): value for i, value in enumerate(sound.loudness.values)}
    assert at[1.5] is None
    assert at[2.0] == pytest.approx(at[3.0] - 3, abs=0.3)


def test_silence_has_no_numbers(measure):
    """Digital silence: one silent span over everything, and null wherever there is nothing to measure."""
    sound = measure(np.zeros(16_000 * 12))
    assert [(span.start, span.end) for span in sound.silence.items] == [(0, 12)]
    assert not any(len(known(series)) for series in (sound.loudness, sound.pitch, sound.centroid, sound.flatness))
    values = scalars(sound)
    assert values.pop("silence_share") == 1
    assert set(values.values()) == {None}
    assert sound.beats.items == ()


def test_silent_spans_are_found_with_their_times(measure):
    """A gap of 1.5 s between two tones is reported, one of 0.2 s is not."""
    parts = [tone(300, 2), np.zeros(24_000), tone(300, 1), np.zeros(3200), tone(300, 1)]
    (gap,) = measure(np.concatenate(parts)).silence.items
    assert (gap.start, gap.end) == pytest.approx((2, 3.5), abs=0.1)


@pytest.mark.parametrize("hertz", [62, 82.4, 196, 440, 880, 990])
def test_pitch_of_a_tone_is_within_20_cents(measure, hertz):
    """Every frame of a steady tone has its pitch, also when the tone has strong harmonics."""
    sawtooth = sum(tone(hertz * n, 2, amplitude=0.4 / n) for n in (1, 2, 3, 4))
    for sound in (tone(hertz, 2), sawtooth):
        pitch = known(measure(sound).pitch)
        assert len(pitch) >= 38
        assert np.abs(1200 * np.log2(pitch / hertz)).max() < 20


@pytest.mark.parametrize("sound", [noise(3), tone(2500, 3)], ids=["noise", "tone above the range"])
def test_no_pitch_is_made_up(measure, sound):
    """Noise has no pitch; a tone above the range is not reported an octave lower."""
    assert len(known(measure(sound).pitch)) == 0


def test_spectrum_tells_tone_from_noise(measure):
    """A tone's centroid is its frequency and its flatness near 0; white noise is centred at 4 kHz and far flatter."""
    hum, hiss = measure(tone(1000, 2)), measure(noise(2))
    assert np.median(known(hum.centroid)) == pytest.approx(1000, rel=0.02)
    assert np.median(known(hum.flatness)) < 0.01
    assert np.median(known(hiss.centroid)) == pytest.approx(4000, rel=0.05)
    assert np.median(known(hiss.flatness)) > 0.5


@pytest.mark.parametrize("bpm", [60, 75, 90, 120, 128, 150, 180])
def test_tempo_and_beats_of_clicks(measure, bpm):
    """Clicks in noise: the tempo is within 2 % and a beat lies within 40 ms of every click."""
    sound = measure(clicks(bpm, 15) + noise(15, amplitude=0.01))
    assert scalars(sound)["tempo"] == pytest.approx(bpm, rel=0.02)
    beats = np.array([beat.t for beat in sound.beats.items])
    truth = np.arange(0.1, 15 - 0.03, 60 / bpm)
    assert len(beats) == pytest.approx(len(truth), abs=1)
    assert np.abs(beats - truth[np.abs(beats[:, None] - truth).argmin(axis=1)]).max() < 0.04


@pytest.mark.parametrize(
    ("length", "bpm"), [(0.02, 173), (0.04, 123), (0.06, 147), (0.06, 180), (0.1, 168), (0.15, 183)]
)
def test_a_metronome_keeps_its_tempo(measure, length, bpm):
    """Beeps whose beat falls between two onset values are not told at half or a third of their tempo."""
    sound = measure(beeps(bpm, 20, length=length, sample_rate=48_000), 48_000)
    assert scalars(sound)["tempo"] == pytest.approx(bpm, rel=0.003)


EIGHTHS = tuple(np.arange(0, 4, 0.5))
DRUMS = {
    "rock": {"kick": (0, 2, 2.5), "snare": (1, 3), "hat": EIGHTHS},
    "disco": {"kick": (0, 1, 2, 3), "snare": (1, 3), "hat": (0.5, 1.5, 2.5, 3.5)},
    "hip-hop": {"kick": (0, 0.75, 2.5), "snare": (1, 3), "hat": EIGHTHS},
    "reggaeton": {"kick": (0, 1, 2, 3), "snare": (0.75, 1.5, 2.75, 3.5)},
    "no hi-hat": {"kick": (0, 1, 2, 3), "snare": (1, 3)},
}


@pytest.mark.parametrize("name", DRUMS)
@pytest.mark.parametrize("bpm", [120, 140])
def test_drums_at_common_tempos_are_not_told_at_half(measure, name, bpm):
    """Bars of four with kick and snare: the beat is told, though two beats repeat better than one."""
    assert scalars(measure(drum_loop(bpm, 16, **DRUMS[name])))["tempo"] == pytest.approx(bpm, rel=0.02)


@pytest.mark.parametrize(("name", "bpm"), [("rock", 88), ("hip-hop", 84), ("reggaeton", 96)])
def test_slow_drums_are_not_told_at_double(measure, name, bpm):
    """What is played on every half beat is not taken for the beat."""
    assert scalars(measure(drum_loop(bpm, 20, **DRUMS[name])))["tempo"] == pytest.approx(bpm, rel=0.02)


@pytest.mark.parametrize("bpm", [40, 50])
def test_clicks_too_slow_for_a_beat_are_told_at_double(measure, bpm):
    """Below 55 BPM the tempo is twice the true one, not four times."""
    assert scalars(measure(clicks(bpm, 25)))["tempo"] == pytest.approx(2 * bpm, rel=0.02)


@pytest.mark.parametrize(("before", "after"), [(0, 12), (12, 0), (5, 5)])
def test_silence_beside_a_rhythm_takes_nothing_from_it(measure, before, after):
    """Clicks with silence before or after keep their tempo, and no beat lies in the silence."""
    sound = measure(np.concatenate((np.zeros(16_000 * before), clicks(105, 15), np.zeros(16_000 * after))))
    assert scalars(sound)["tempo"] == pytest.approx(105, rel=0.02)
    assert all(before <= beat.t <= before + 15 for beat in sound.beats.items)
    assert len(sound.beats.items) == pytest.approx(15 * 105 / 60, abs=2)


def random_clicks() -> np.ndarray:
    samples = np.zeros(16_000 * 20)
    for start in np.random.default_rng(3).uniform(0, 19.9, 60):
        samples[int(start * 16_000) :][:400] += noise(0.025, amplitude=0.3)
    return samples


SILENCE = np.zeros(16_000 * 12)


@pytest.mark.parametrize(
    "sound",
    [
        noise(15),
        tone(440, 15),
        tone(300, 15) * (1 + np.sin(2 * seconds(15))) / 2,
        random_clicks(),
        clicks(120, 2),
        np.concatenate((noise(11), SILENCE)),
        np.concatenate((SILENCE, noise(11))),
        np.concatenate((noise(6), SILENCE, noise(6))),
        np.concatenate((noise(11), SILENCE)) + noise(23, amplitude=1e-4),
        np.concatenate((random_clicks(), SILENCE)),
    ],
    ids=[
        "noise",
        "tone",
        "swelling tone",
        "clicks out of time",
        "too short",
        "noise, then silence",
        "silence, then noise",
        "noise with a gap",
        "noise, then next to none",
        "clicks out of time, then silence",
    ],
)
def test_no_tempo_is_made_up(measure, sound):
    """Without onsets that keep time, or too few of them, there is neither tempo nor beat."""
    found = measure(sound)
    assert scalars(found)["tempo"] is None
    assert found.beats.items == ()


def test_a_constant_level_is_silence(measure):
    """A direct current has no pitch and is silence; a tone upon one keeps its pitch."""
    level = np.full(16_000 * 3, 0.5)
    flat = measure(level)
    assert set(flat.pitch.values) == set(flat.centroid.values[1:-1]) == {None}
    (silence,) = flat.silence.items
    assert silence.end - silence.start >= 2.9
    assert np.median(known(measure(level + tone(220, 3, amplitude=0.2)).pitch)) == pytest.approx(220, rel=0.005)


def test_sound_shorter_than_every_window_is_no_error(measure):
    """A tenth of a second has no loudness window and no tempo, and fails nothing."""
    sound = measure(tone(440, 0.1))
    assert sound.loudness.values == ()
    assert scalars(sound)["integrated_loudness"] is None
    assert len(sound.pitch.values) == 2


class LongSound:
    """Media with nothing but sound of any length, as the frame store hands it out: the samples are not copied."""

    def __init__(self, duration: float) -> None:
        self.samples = {need: np.broadcast_to(np.float32(0.1), shape) for need, shape in self.shapes(duration)}

    def shapes(self, duration):
        yield Audio(48_000, mono=False), (round(duration * 48_000), 2)
        yield Audio(16_000), (round(duration * 16_000),)

    def audio(self, need):
        return self.samples[need]

    def progress(self, fraction):
        assert 0 <= fraction <= 1


def test_memory_does_not_grow_with_the_length():
    """Four times the sound needs about the same memory: it is read in blocks."""
    peaks = []
    for minutes in (1.5, 6):
        tracemalloc.start()
        AudioAnalysis().analyze(LongSound(minutes * 60), AudioAnalysis.options())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 300e6
