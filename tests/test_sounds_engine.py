"""Classes of sound: the tagger with a tiny AST, what is told of its probabilities, and the analyzers that ask it."""

import numpy as np
import pytest

from services.evaluation.media import LocalMedia
from shared.errors import Skipped
from shared.frames import FrameStore
from tasks.analyzers.audio_environment import AudioEnvironment
from tasks.analyzers.sound_effects import SoundEffects
from tasks.models import Engines, Models
from tasks.sound_classes import Timeline, names, timeline
from tests.support.clips import make_clip, plain
from tests.support.sounds import chords, noise, seconds, tone, write_wav
from tests.support.tiny.speech import ast
from tests.support.tiny.store import need_torch, tiny_weights, with_engine

ENTRY = "ast-audioset"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: ast})


def sounds():
    """Five sounds of different lengths, one of them longer than is heard at once, one shorter than a frame."""
    made = (noise(3), chords(5, amplitude=0.3), tone(440, 12), noise(0.01), noise(1, amplitude=0.001))
    return [one.astype(np.float32) for one in made]


@pytest.mark.engines
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_every_precision_tags_every_sound(weights, precision):
    """A probability for every label of every sound, in batches of at most the engine's size."""
    engine = with_engine(AudioEnvironment(), weights, ENTRY, precision).tagger
    assert engine.files.precision == precision
    answers = list(engine.tags(sounds()))
    assert [len(batch) for batch in answers] == [2, 2, 1]
    assert all(row.shape == (6,) and ((row >= 0) & (row <= 1)).all() for batch in answers for row in batch)
    assert engine.labels[:2] == ("Speech", "Music")


@pytest.mark.engines
def test_a_batch_changes_no_tag(weights):
    """Each sound has the same probabilities alone and beside others, and they are not all alike."""
    engine = with_engine(AudioEnvironment(), weights, ENTRY).tagger
    engine.batch = 5
    together = np.concatenate(list(engine.tags(sounds())))
    engine.batch = 1
    alone = np.concatenate(list(engine.tags(sounds())))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).max() > 0.01


@pytest.mark.engines
def test_spectrograms_are_the_libraries(weights):
    """What is made in a batch on the device is what the feature extractor makes of each sound."""
    import torch

    engine = with_engine(AudioEnvironment(), weights, ENTRY).tagger
    long_enough = [one for one in sounds() if len(one) > 400]
    longest = engine._longest()
    padded = np.stack([np.pad(one[:longest], (0, max(0, longest - len(one)))) for one in long_enough])
    lengths = [min(len(one), longest) for one in long_enough]
    found = engine.spectrograms(torch.from_numpy(padded), lengths).numpy()
    for one, mine in zip(long_enough, found, strict=True):
        wanted = engine._features(one, sampling_rate=16_000, return_tensors="np")["input_values"][0]
        np.testing.assert_allclose(mine, wanted, atol=2e-3)


class Scripted:
    """A tagger that says of a sound what a test wants: how loud it is, and whether it is a tone of 1 kHz."""

    labels = ("Speech", "Beep", "White noise", "Silence")

    def tags(self, sounds):
        for sound in sounds:
            spectrum = np.abs(np.fft.rfft(sound[-16_000:])) ** 2
            share = spectrum[900:1100].sum() / max(spectrum.sum(), 1e-9) if len(sound) >= 16_000 else 0.0
            yield [np.array([0.1, 0.99 * share, 0.9 * (1 - share), 1 - share], np.float32)]


def heard(audio):
    fractions = []
    found = timeline(audio.astype(np.float32), Scripted(), fractions.append)
    assert fractions == sorted(fractions)
    return found


def told(spans):
    return [(span.label, span.start, span.end) for span in spans]


def test_slots_tile_the_sound():
    """Slots of 2.5 s follow one another to the end; a short rest belongs to the last; nothing is no slot."""
    for length, ends in (
        (10, [2.5, 5, 7.5, 10]),
        (11, [2.5, 5, 7.5, 11]),
        (1, [1]),
        (3.74, [3.74]),
        (3.76, [2.5, 3.76]),
    ):
        slots = heard(noise(length)).slots
        assert [slot.end for slot in slots] == pytest.approx(ends, abs=1e-3)
        assert [slot.start for slot in slots] == [0.0, *(slot.end for slot in slots[:-1])]
    assert heard(np.zeros(0)).slots == ()


def test_tags_join_neighbouring_slots():
    """Ten seconds of noise, then ten of a tone: one tag each that ends within a slot of the change."""
    found = heard(np.concatenate((noise(10), tone(1000, 10)))).tags(0.5)
    assert [tag.label for tag in found] == ["White noise", "Beep"]
    assert found[0].start == 0
    assert found[0].end == pytest.approx(10, abs=2.5)
    assert found[1].end == 20
    assert all(0.5 <= tag.confidence <= 1 for tag in found)


def test_silence_has_no_tags():
    """Where nothing sounds the model is not asked, whatever it would say."""
    assert heard(np.zeros(16_000 * 6)).tags(0.1) == ()


def test_kinds_are_told_by_their_classes():
    """White noise is noise; a class below no kind makes none; the likeliest class of a kind counts."""
    assert told(heard(noise(5)).of_kinds(0.5)) == [("noise", 0, 5)]
    assert told(heard(tone(1000, 5)).of_kinds(0.5)) == []
    labels = ("Music", "Pink noise", "White noise", "Speech")
    mixed = Timeline(heard(noise(5)).slots, labels, np.array([[0.9, 0.6, 0.2, 0.7], [0.9, 0.2, 0.6, 0.1]], np.float32))
    assert told(mixed.of_kinds(0.5)) == [("music", 0, 5), ("speech", 0, 2.5), ("noise", 0, 5)]


def test_a_name_is_what_begins():
    """A tone after noise is named; noise that goes on, and what is unlikely, is not."""
    audio = np.concatenate((noise(4), tone(1000, 4))).astype(np.float32)
    found = list(names(audio, [2.0, 4.0], Scripted(), 0.3))
    assert found[0] is None
    assert found[1].label == "Beep"
    assert found[1].probability > 0.9
    assert list(names(audio, [4.0], Scripted(), 0.999)) == [None]
    assert list(names(audio, [], Scripted(), 0.3)) == []


def listen(analyzer, sound, folder, *tracks):
    wanted = analyzer.reads("gpu")
    media = LocalMedia(sound, FrameStore(folder, budget_bytes=1 << 30), wanted, [t for one in tracks for t in one])
    return analyzer.analyze(media, analyzer.options())


def test_effects_are_named_and_cite_tags(tmp_path):
    """A beep in noise is an onset with a name, its probability, and the environment's tag of the same name."""
    audio = noise(8, amplitude=0.005, sample_rate=48_000)
    audio += tone(1000, 8, amplitude=0.5, sample_rate=48_000) * (seconds(8, 48_000) >= 4)
    path = write_wav(tmp_path / "a.wav", audio, 48_000)
    environment, effects = AudioEnvironment(), SoundEffects()
    environment.tagger = effects.tagger = Scripted()
    tags = listen(environment, path, tmp_path / "e")
    (event,) = listen(effects, path, tmp_path / "f", tags.tracks("audio_environment")).events.items
    (beep,) = (tag for tag in tags.tags.items if tag.label == "Beep")
    assert event.t == pytest.approx(4, abs=0.02)
    assert (event.label, event.evidence) == ("Beep", (f"audio_environment/tags/{beep.id}",))
    assert event.confidence > 0.9


@pytest.mark.engines
def test_the_environment_of_a_made_sound(weights, tmp_path):
    """Through the analyzer: tags and spans of the model's classes lie in the sound, and all of it was looked at."""
    analyzer = with_engine(AudioEnvironment(), weights, ENTRY)
    found = listen(analyzer, write_wav(tmp_path / "a.wav", np.concatenate((noise(6), chords(6)))), tmp_path)
    assert found.analysed == ((0, 12),)
    assert {tag.label for tag in found.tags.items} <= set(analyzer.tagger.labels)
    assert found.tags.items
    assert all(0 <= tag.start < tag.end <= 12 and 0.2 <= tag.confidence <= 1 for tag in found.tags.items)
    assert all(0 <= scalar.value <= 1 for scalar in found.scalars.items)


@pytest.mark.engines
def test_effects_and_environment_share_the_model(weights, tmp_path):
    """Two analyzers with the same entry in one process work with one engine, and one name comes from it."""
    shared = Engines()
    found = []
    for analyzer in (AudioEnvironment(), SoundEffects()):
        models = Models(weights, ENTRY, profile="gpu", threads=1, shared=shared)
        analyzer.load(models)
        found.append(analyzer.tagger)
    assert found[0] is found[1]
    click = np.zeros(48_000 * 2)
    click[48_000:48_200] = 0.5
    (event,) = listen(analyzer, write_wav(tmp_path / "a.wav", click, 48_000), tmp_path).events.items
    assert event.label is None or event.confidence >= 0.3


def test_the_local_profile_needs_no_model(tmp_path):
    """Without the gpu profile's model effects are found as before, unnamed, and no other sound is read."""
    click = np.zeros(48_000 * 2)
    click[48_000:48_200] = 0.5
    analyzer = SoundEffects()
    media = LocalMedia(
        write_wav(tmp_path / "a.wav", click, 48_000),
        FrameStore(tmp_path, budget_bytes=1 << 30),
        analyzer.reads("local"),
        [],
    )
    (event,) = analyzer.analyze(media, analyzer.options()).events.items
    assert (event.label, event.confidence) == (None, None)


def test_a_video_without_sound_is_skipped(tmp_path):
    """Nothing is tagged where there is no sound stream."""
    analyzer = AudioEnvironment()
    analyzer.tagger = Scripted()
    with pytest.raises(Skipped):
        listen(analyzer, make_clip(tmp_path / "v.mp4", frames=10, picture=plain(0)), tmp_path)
