"""The engines that write down speech, with tiny Whispers in every precision that a CPU can run."""

from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from shared.errors import BadInput
from tasks.analyzers.speech_transcription import SpeechTranscription
from tasks.engines.utterances import WINDOW_SECONDS, Asked, Part, Stretch, Window, Written, heard, windows
from tests.support.media import run
from tests.support.real import real_clip
from tests.support.sounds import noise, write_wav
from tests.support.system import missing
from tests.support.tiny.speech import LANGUAGES, openai_whisper, whisper
from tests.support.tiny.store import need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
ENTRY, OPENAI = "whisper-large-v3-turbo", "whisper-large-v3-turbo-openai"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: whisper})


@pytest.fixture(scope="module")
def openai_weights(tmp_path_factory):
    need_torch()
    if find_spec("whisper") is None:
        missing("openai-whisper is not installed; docs/engines.md says how to get it")
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {OPENAI: openai_whisper}, engine="openai-whisper")


def engine_of(weights, precision="auto", entry=ENTRY):
    return with_engine(SpeechTranscription(), weights, entry, precision)._transcriber


def sounds(seconds=70.0):
    """Noise in which five spans pass for speech, three windows of it; as two stretches."""
    sound = noise(seconds, amplitude=0.3).astype(np.float32)
    sound *= (1 + np.sin(np.arange(len(sound)) / 4000)).astype(np.float32)
    return [
        Stretch(0.0, sound[: 16_000 * 40], [(0.5, 6.0), (6.5, 12.0), (15.0, 36.5)]),
        Stretch(40.0, sound[16_000 * 40 :], [(1.0, 3.0), (9.0, 12.5)]),
    ]


def same(one, other):
    assert [a.text for a in one] == [b.text for b in other]
    for a, b in zip(one, other, strict=True):
        assert a.log_probability == pytest.approx(b.log_probability, abs=1e-4)
        assert a.no_speech == pytest.approx(b.no_speech, abs=1e-5)
        assert [p.start for p in a.parts] == pytest.approx([p.start for p in b.parts])


def in_bounds(found):
    assert found
    for one in found:
        assert one.log_probability <= 0
        assert 0 <= one.no_speech <= 1
        starts = [part.start for part in one.parts]
        assert starts == sorted(starts)
        assert all(0 <= part.start <= part.end <= one.stretch.seconds for part in one.parts)
        assert all(0 <= part.probability <= 1 for part in one.parts)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_every_precision_writes_within_bounds(weights, precision):
    """Times inside the sound and in order, probabilities between 0 and 1, and a language that the model knows."""
    engine = engine_of(weights, precision)
    assert (engine.files.precision, engine.files.device.name) == (precision, "cpu")
    short = sounds()[1:]
    language = engine.language(short)
    assert language.code in LANGUAGES
    assert 0 < language.probability <= 1
    in_bounds(list(engine.transcribe(short, Asked(language.code))))


def test_a_batch_changes_nothing(weights):
    """Each window gets the same words, times and probabilities alone and beside others."""
    engine = engine_of(weights)
    engine.batch = 3
    together = list(engine.transcribe(sounds(), Asked("en")))
    engine.batch = 1
    alone = list(engine.transcribe(sounds(), Asked("en")))
    same(together, alone)
    assert len({one.text for one in alone}) > 1


def test_the_spectrogram_is_the_processors(weights):
    """The log mel spectrogram made in a batch on the device is the feature extractor's of each window."""
    import torch

    engine = engine_of(weights)
    sound = np.stack([window.samples() for window in windows(sounds())])
    wanted = engine._features(list(sound), sampling_rate=16_000, return_tensors="np")["input_features"]
    np.testing.assert_allclose(engine.log_mel(torch.from_numpy(sound)).numpy(), wanted, atol=1e-4)


def test_the_tokens_are_those_of_whispers_own_search(weights):
    """What is decoded is what transformers' Whisper decodes without time tokens."""
    import torch

    engine = engine_of(weights)
    (window, *_) = windows(sounds())
    features = engine.log_mel(torch.from_numpy(window.samples()[None]))
    end, size = engine._config.eos_token_id, engine.model.config.vocab_size
    wanted = engine.model.generate(
        features,
        language="en",
        task="transcribe",
        return_timestamps=False,
        max_new_tokens=30,
        do_sample=False,
        suppress_tokens=list(range(end + 1, size)),
    )
    with torch.inference_mode():
        start = engine._start("en")
        (found,) = engine._tokens(engine._encoded([window]), start, Asked(), at_most=30)
    assert found == [token for token in wanted[0].tolist() if token < end]
    assert found


def test_beams_are_kept(weights):
    """A search with beams writes within the same bounds."""
    in_bounds(list(engine_of(weights).transcribe(sounds()[1:], Asked("de", beams=2))))


@pytest.mark.parametrize("name", ["jfk.flac"])
def test_through_the_analyzer(weights, tmp_path, name):
    """A real voice goes through voice activity, windows and alignment; what is reported lies in the sound."""
    analyzer = with_engine(SpeechTranscription(), weights, ENTRY)
    found = run(analyzer, real_clip(name), tmp_path)
    (language,) = found.languages.items
    assert language.label in LANGUAGES
    assert (language.start, language.end) == pytest.approx((0.3, 10.5), abs=0.2)
    assert all(0 <= one.start <= one.end <= 11.1 for one in found.segments.items)


def test_nobody_speaks_in_noise(weights, tmp_path):
    """Sound without voice reaches no Whisper: no segment and no language."""
    analyzer = with_engine(SpeechTranscription(), weights, ENTRY)
    found = run(analyzer, write_wav(tmp_path / "a.wav", noise(4)), tmp_path)
    assert (found.segments.items, found.languages.items) == ((), ())


# --- openai-whisper ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_openai_package_writes_within_bounds(openai_weights, precision):
    """A `.pt` checkpoint, loaded by path, writes within bounds from arrays."""
    engine = engine_of(openai_weights, precision, OPENAI)
    short = sounds()[1:]
    language = engine.language(short)
    assert 0 < language.probability <= 1
    in_bounds(list(engine.transcribe(short, Asked(language.code))))


def test_the_openai_package_batches(openai_weights):
    """Each window gets the same words alone and beside others."""
    engine = engine_of(openai_weights, entry=OPENAI)
    engine.batch = 2
    together = list(engine.transcribe(sounds(), Asked("en")))
    engine.batch = 1
    same(together, list(engine.transcribe(sounds(), Asked("en"))))


def test_the_openai_package_has_two_precisions(openai_weights):
    """Another precision is refused in a sentence."""
    with pytest.raises(BadInput, match="fp32 or bf16, not nf4"):
        engine_of(openai_weights, "nf4", OPENAI)


# --- windows ----------------------------------------------------------------------------------------------------


def test_windows_hold_all_speech_once():
    """Every window is at most 30 s, pieces are in order, apart, and cover every span of speech."""
    sound = np.zeros(16_000 * 300, np.float32)
    draw = np.random.default_rng(3)
    times = np.sort(draw.uniform(0, 300, 60)).reshape(-1, 2)
    spans = [(float(a), float(b)) for a, b in times]
    packed = list(windows([Stretch(0.0, sound, spans)]))
    pieces = [piece for window in packed for piece in window.pieces]
    assert all(window.seconds <= WINDOW_SECONDS + 1e-6 for window in packed)
    assert all(one.end <= other.start + 1e-6 for one, other in pairwise(pieces))
    assert all(one.until < other.at for window in packed for one, other in pairwise(window.pieces))
    assert all(any(p.start <= a + 1e-6 and b <= p.end + 1e-6 for p in pieces) for a, b in spans if b - a < 20)
    assert sum(p.end - p.start for p in pieces) >= sum(b - a for a, b in spans) - 1e-6


def test_a_long_speech_is_cut_where_it_is_softest():
    """Seventy seconds without a pause become three windows, cut in the short dips of loudness."""
    sound = noise(70).astype(np.float32)
    for dip in (27.0, 54.5):
        sound[round(dip * 16_000) :][:800] *= 0.01
    found = [window.pieces[0] for window in windows([Stretch(0.0, sound, [(0.0, 70.0)])])]
    assert [piece.start for piece in found] == pytest.approx([0, 27.02, 54.52], abs=0.03)
    assert found[-1].end == 70


def test_a_window_sounds_like_its_pieces():
    """The samples of a piece lie where the window says, and the rest is silence."""
    sound = noise(20).astype(np.float32)
    (window,) = windows([Stretch(0.0, sound, [(1.0, 3.0), (10.0, 12.0)])])
    assert isinstance(window, Window)
    filled = window.samples()
    first, second = window.pieces
    assert (first.start, first.end, second.start, second.end) == pytest.approx((0.8, 3.2, 9.8, 12.2))
    at = round(second.at * 16_000)
    np.testing.assert_array_equal(filled[at : at + 16_000], sound[round(9.8 * 16_000) :][:16_000])
    assert not filled[round(first.until * 16_000) : at].any()
    assert not filled[round(second.until * 16_000) + 1 :].any()


def test_sentences_are_judged_one_by_one_and_placed():
    """Words go to the piece they lie in, in its own time; a full stop ends a sentence only before silence."""
    sound = Stretch(0.0, np.zeros(16_000 * 20, np.float32), [(1.0, 5.0), (10.0, 12.0)])
    (window,) = windows([sound])
    times = ((" Dr.", 0.2, 0.5), (" No.", 0.6, 1.0), (" Yes.", 1.5, 2.0), (" And", 5.2, 5.6))
    said = Written(tuple(Part(text, start, end, 0.9, -start) for text, start, end in times), 0.1)
    found = list(heard(window, said))
    assert [one.text for one in found] == [" Dr. No.", " Yes.", " And"]
    assert [one.parts[0].start for one in found] == pytest.approx([1.0, 2.3, 9.8 + 5.2 - window.pieces[1].at])
    assert [one.log_probability for one in found] == pytest.approx([-0.4, -1.5, -5.2])
