from __future__ import annotations

import numpy as np
import pytest

from shared.errors import Skipped
from shared.schema import LabelledSegment
from tasks.analyzers.sound_effects import SoundEffects, SoundEvent, _single, band_filters, filtered
from tests.support.clips import make_clip, plain
from tests.support.media import run
from tests.support.sounds import chords, noise, rumble, seconds, tone, write_wav
from tests.support.tracks import result, segments, spoken

RATE = 48_000


@pytest.fixture
def find(tmp_path):
    def found(samples, *others, sample_rate=RATE, **options):
        sound = write_wav(tmp_path / "a.wav", samples, sample_rate)
        return run(SoundEffects(), sound, tmp_path, *others, **options)

    return found


def times(found, kind: str | None = None) -> list[float]:
    return [event.t for event in found.events.items if kind in (None, event.type)]


def random_times(count: int, duration: float) -> np.ndarray:
    """At least 0.2 s apart, off every grid."""
    steps = np.random.default_rng(5).uniform(0.2, 2 * duration / count - 0.2, count)
    return np.cumsum(steps)[np.cumsum(steps) < duration - 0.1]


def with_bursts(background: np.ndarray, starts, *, length: float = 0.003, amplitude: float = 0.5) -> np.ndarray:
    sound = background.copy()
    for start in starts:
        burst = noise(length, amplitude=amplitude, sample_rate=RATE)
        sound[round(start * RATE) :][: len(burst)] += burst
    return sound


@pytest.mark.parametrize("seed", range(4))
def test_steady_rumble_has_no_events(find, seed):
    """The level of low noise goes up and down by 10 dB and more: that is no sound that begins, loud or soft."""
    for amplitude in (0.1, 0.01):
        assert find(rumble(seed, 12, amplitude=amplitude, sample_rate=RATE)).events.items == ()


def test_claps_and_tones_in_rumble_are_found(find):
    """What begins above the rumble is found, all of it and nothing else."""
    truth = random_times(20, 14)
    sound = with_bursts(rumble(1, 14, sample_rate=RATE), truth, length=0.05, amplitude=0.4)
    assert times(find(sound)) == pytest.approx(truth, abs=0.02)
    late = (seconds(4, RATE) >= 2.0) * tone(1000, 4, amplitude=0.3, sample_rate=RATE)
    assert times(find(late + rumble(2, 4, amplitude=0.05, sample_rate=RATE))) == pytest.approx([2.0], abs=0.02)


def test_soft_clicks_in_time_are_found(find):
    """Eight soft clicks a second, each weaker than a clear one, stand out though they are as many as the falls."""
    truth = np.arange(0.5, 5.5, 0.125)
    sound = with_bursts(noise(6, amplitude=0.001, sample_rate=RATE), truth, amplitude=0.02)
    assert times(find(sound)) == pytest.approx(truth, abs=0.02)


def test_one_attack_is_one_event():
    """Of two rises that belong to one attack the stronger is kept; 50 ms later it is another sound."""
    told = [(1.0, 4.83), (1.0, 31.46), (1.05, 9.0), (2.0, 9.0), (2.02, 8.0)]
    events = [SoundEvent(id="x", t=t, type="transient", strength=strength, rise_db=20) for t, strength in told]
    assert [(one.t, one.strength) for one in _single(events)] == [(1.0, 31.46), (1.05, 9.0), (2.0, 9.0)]


@pytest.mark.parametrize("background", [0.0, 0.01, 0.05], ids=["silence", "faint noise", "noise"])
def test_every_click_is_a_transient_within_20_ms(find, background):
    """Clicks at random times, in silence and in noise: each is found within 20 ms, and nothing else is."""
    truth = random_times(30, 18)
    found = find(with_bursts(noise(18, amplitude=background, sample_rate=RATE), truth))
    assert times(found, "transient") == pytest.approx(truth, abs=0.02)
    assert len(found.events.items) == len(truth) > 20


@pytest.mark.parametrize("hertz", [220, 1000, 6000])
def test_a_sound_that_goes_on_is_an_onset(find, hertz):
    """A tone that begins in silence, at once or in 20 ms, and stays is one onset within 20 ms; its end is no event."""
    for attack in (0.001, 0.02):
        level = np.clip((seconds(3, RATE) - 1.0) / attack, 0, 1) * (seconds(3, RATE) < 2.5)
        found = find(level * tone(hertz, 3, amplitude=0.3, sample_rate=RATE))
        assert times(found, "onset") == pytest.approx([1.0], abs=0.02)
        assert times(found, "transient") == []


def test_plucked_chords_are_onsets(find):
    """Every change of chord is an onset within 20 ms; the first, at the very start, has no before and is none."""
    found = find(chords(8, sample_rate=RATE))
    assert times(found, "onset") == pytest.approx(np.arange(0.5, 7.9, 0.5), abs=0.02)
    assert times(found, "transient") == []


def test_louder_is_stronger(find):
    """Of three clicks, each twice as strong as the one before, strength and rise grow, the rise by 6 dB."""
    sound = noise(4, amplitude=0.002, sample_rate=RATE)
    for start, amplitude in ((1, 0.1), (2, 0.2), (3, 0.4)):
        sound = with_bursts(sound, [start], length=0.02, amplitude=amplitude)
    strengths, rises = zip(*((event.strength, event.rise_db) for event in find(sound).events.items), strict=True)
    assert list(strengths) == sorted(strengths)
    assert np.diff(rises) == pytest.approx([6, 6], abs=0.5)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(RATE * 3),
        noise(8, sample_rate=RATE),
        noise(8, amplitude=0.001, sample_rate=RATE),
        tone(440, 3, sample_rate=RATE),
        tone(440, 3, sample_rate=RATE) * (1 + 0.3 * np.sin(20 * seconds(3, RATE))),
        noise(0.01, sample_rate=RATE),
        np.zeros(RATE // 1000),
    ],
    ids=["silence", "noise", "faint noise", "tone", "tremolo", "10 ms", "1 ms"],
)
def test_nothing_is_made_up(find, sound):
    """Silence, steady noise, steady tones and sounds shorter than a frame have no event."""
    assert find(sound).events.items == ()


def test_one_second_with_a_click(find):
    """One second of sound is enough."""
    assert times(find(with_bursts(np.zeros(RATE), [0.5]))) == pytest.approx([0.5], abs=0.02)


def test_video_without_sound_is_skipped(tmp_path):
    """Black pictures without a sound stream end as skipped."""
    with pytest.raises(Skipped):
        run(SoundEffects(), make_clip(tmp_path / "v.mp4", frames=10, picture=plain(0)), tmp_path)


def test_words_are_left_out(find):
    """Clicks within a quarter of a second of words are not reported, and those spans are not called analysed."""
    truth = np.arange(0.5, 6, 0.5)
    found = find(with_bursts(np.zeros(RATE * 6), truth), spoken(("one two", 1.4, 2.4), ("three", 4.1, 4.6)))
    assert times(found) == pytest.approx([0.5, 1.0, 3.0, 3.5, 5.0, 5.5], abs=0.02)
    assert found.analysed == ((0, 1.15), (2.65, 3.85), (4.85, 6))


def test_speech_that_nobody_wrote_down_is_left_out(find):
    """A span that sounds like speech is left out where the transcript has no words; with words, only those are."""
    named = (("speech", 0.2, 2.2), ("music", 2.2, 3.2), ("speech", 3.2, 5.8))
    heard = [
        LabelledSegment(id=f"e{n}", label=label, start=start, end=end) for n, (label, start, end) in enumerate(named)
    ]
    environment = result("audio_environment", spans=segments(*heard))
    found = find(with_bursts(np.zeros(RATE * 6), np.arange(0.5, 6, 0.5)), environment, spoken(("word", 3.6, 4.1)))
    assert times(found) == pytest.approx([2.5, 3.0, 4.5, 5.0, 5.5], abs=0.02)
    assert found.analysed == ((0, 0.2), (2.2, 3.35), (4.35, 6))


def test_blocks_do_not_show(find):
    """Clicks around a seam of two blocks (10 s) are found once each, and none is invented at the seam."""
    truth = [9.5, 9.99, 10.5]
    assert times(find(with_bursts(noise(11, amplitude=0.01, sample_rate=RATE), truth))) == pytest.approx(
        truth, abs=0.02
    )


def test_bands_cover_the_spectrum():
    """Between 60 Hz and 15 kHz every bin counts once, whichever bands it lies in."""
    total = band_filters().sum(axis=1)
    hertz = np.fft.rfftfreq(2048, 1 / RATE)
    np.testing.assert_allclose(total[(hertz > 60) & (hertz < 15_000)], 1)


def test_octaves_are_the_whole_filter_bank() -> None:
    """Bands made octave by octave are those of the whole bank, but for the last digits."""
    filters, numbers = band_filters(), np.random.default_rng(3)
    spectrum = numbers.normal(size=(4, len(filters))) + 1j * numbers.normal(size=(4, len(filters)))
    assert filtered(spectrum, filters) == pytest.approx(np.abs(spectrum) @ filters, rel=1e-12)
