from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from shared.errors import Skipped
from tasks.analyzers.audio_environment import (
    AudioEnvironment,
    EnvironmentTracks,
    features,
    mel_bank,
    viterbi,
    with_energy,
)
from tests.support.clips import make_clip, plain
from tests.support.media import run
from tests.support.models import loaded
from tests.support.real import real_clip
from tests.support.sounds import chords, noise, samples_of, seconds, tone, write_wav


@pytest.fixture(scope="module")
def environment() -> AudioEnvironment:
    return loaded(AudioEnvironment())


def scalars(result: EnvironmentTracks) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in result.scalars.items}


def spans(result: EnvironmentTracks) -> list[tuple[str, float, float]]:
    return [(span.label, span.start, span.end) for span in result.spans.items]


def close(found, *expected: tuple[str, float, float], within: float) -> bool:
    return [label for label, _, _ in found] == [label for label, _, _ in expected] and all(
        abs(one - other) <= within
        for a, b in zip(found, expected, strict=True)
        for one, other in zip(a[1:], b[1:], strict=True)
    )


@pytest.mark.parametrize(
    ("label", "sound"),
    [
        ("music", chords(6)),
        ("noise", noise(6)),
        ("noise", np.convolve(noise(6, amplitude=0.5), np.ones(30) / 30, "same")),
    ],
    ids=["chords", "white noise", "rumble"],
)
def test_one_kind_of_sound_is_one_span(environment, tmp_path, label, sound):
    """Plucked chords are music, white noise and a low rumble are noise, from beginning to end."""
    result = run(environment, write_wav(tmp_path / "a.wav", sound), tmp_path)
    assert close(spans(result), (label, 0, 6), within=0.1)
    assert scalars(result)[f"{label}_share"] == pytest.approx(1, abs=0.02)
    assert result.spans.items[0].confidence > 0.9


def test_volume_changes_nothing(environment, tmp_path):
    """The same sound 20 dB softer has the same spans: patches are normalised, the energy gate is relative."""
    sound = np.concatenate((chords(4), noise(4, amplitude=0.03)))
    found = [spans(run(environment, write_wav(tmp_path / f"{gain}.wav", gain * sound), tmp_path)) for gain in (1, 0.1)]
    assert close(found[0], ("music", 0, 4), ("noise", 4, 8), within=0.2)
    assert close(found[0], *found[1], within=0.05)


def test_kinds_of_sound_in_turn(environment, tmp_path):
    """Speech, music, noise, silence, speech: each is named, to a quarter of a second; silence is in no span."""
    speech = samples_of(real_clip("jfk.flac"))[131_200:174_400]
    quiet = np.zeros(16_000 * 3)
    sound = np.concatenate((speech, chords(5), noise(4), quiet, speech))
    result = run(environment, write_wav(tmp_path / "a.wav", sound), tmp_path)
    expected = (("speech", 0, 2.7), ("music", 2.7, 7.7), ("noise", 7.7, 11.7), ("speech", 14.7, 17.4))
    assert close(spans(result), *expected, within=0.25)
    assert sum(value or 0 for value in scalars(result).values()) == pytest.approx(14.4 / 17.4, abs=0.03)


def test_clear_speech_is_speech(environment, tmp_path):
    """A recorded speech is named nothing but speech, and its two long pauses are in no span."""
    found = spans(run(environment, real_clip("jfk.flac"), tmp_path))
    assert close(found, ("speech", 0.3, 2.35), ("speech", 3.3, 4.6), ("speech", 5.4, 11), within=0.15)


@pytest.mark.parametrize("sound", [np.zeros(16_000 * 3), noise(3, amplitude=5e-5)], ids=["silence", "dither"])
def test_silence_has_no_name(environment, tmp_path, sound):
    """Digital silence and dither are looked at and named nothing."""
    result = run(environment, write_wav(tmp_path / "a.wav", sound), tmp_path)
    assert result.spans.items == ()
    assert scalars(result) == {"speech_share": 0, "music_share": 0, "noise_share": 0}
    assert result.analysed == ((0, 3),)


@pytest.mark.parametrize("duration", [0.01, 0.5])
def test_too_short_a_sound_is_not_judged(environment, tmp_path, duration):
    """Sound shorter than one patch was not looked at: no span, null instead of 0."""
    result = run(environment, write_wav(tmp_path / "a.wav", tone(440, duration)), tmp_path)
    assert (result.analysed, result.spans.items) == ((), ())
    assert set(scalars(result).values()) == {None}


def test_one_second_is_judged(environment, tmp_path):
    """One second of noise is one span of it."""
    assert close(
        spans(run(environment, write_wav(tmp_path / "a.wav", noise(1)), tmp_path)), ("noise", 0, 1), within=0.1
    )


def test_video_without_sound_is_skipped(environment, tmp_path):
    """Black pictures without a sound stream end as skipped."""
    with pytest.raises(Skipped):
        run(environment, make_clip(tmp_path / "v.mp4", frames=10, picture=plain(0)), tmp_path)


def test_a_tone_lands_in_its_mel_band():
    """A tone at the middle of a band is strongest there; the bands' middles are those of 24 HTK mel bands."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (100, 8000))
    for band in (3, 12, 20):
        hertz = 700 * (10 ** ((low + (band + 1) * (high - low) / 25) / 2595) - 1)
        _, mel = features(tone(hertz, 0.5).astype(np.float32))
        assert set(mel.argmax(axis=1)) == {band}
    assert mel_bank().shape == (21, 257)


def test_features_do_not_depend_on_blocks():
    """Frames beyond the first block have the values that they have alone."""
    sound = noise(65).astype(np.float32)
    energy, mel = features(sound)
    tail_energy, tail_mel = features(sound[16_000 * 62 :])
    np.testing.assert_allclose(energy[6200:], tail_energy)
    np.testing.assert_allclose(mel[6200:], tail_mel, rtol=1e-6)


def likelihood(path, emitted, change, stay):
    moves = sum(stay[a] if a == b else change for a, b in pairwise(path))
    return moves + sum(row[state] for row, state in zip(emitted, path, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_viterbi_finds_the_likeliest_path(seed):
    """The decoded path is as likely as the best of all paths, tried one by one."""
    draw = np.random.default_rng(seed)
    emitted, stay, change = np.log(draw.dirichlet((1, 1, 1), 7)), (-0.5, 0.0, -0.1), -1.2
    best = max(likelihood(path, emitted, change, stay) for path in product(range(3), repeat=7))
    found = viterbi(emitted, change=change, stay=stay)
    assert likelihood([int(state) for state in found], emitted, change, stay) == pytest.approx(best)


def test_energy_follows_the_sound():
    """Two seconds of tone between seconds of silence have energy, and the silence has none; 30 dB less has none."""
    loudness = np.repeat([0.0, 1.0, 1.0, 0.0, 0.03], 16_000)
    energy, _ = features((loudness * np.sin(2000 * seconds(5))).astype(np.float32))
    loud = with_energy(energy)
    assert loud[105:295].all()
    assert not loud[:95].any()
    assert not loud[305:].any()
