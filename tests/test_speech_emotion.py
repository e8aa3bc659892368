from __future__ import annotations

import numpy as np
import pytest

from shared.schema import SpeechSegment
from tasks.analyzers.speech_emotion import SpeechEmotion, cut_out
from tests.support.media import run
from tests.support.sounds import noise, write_wav
from tests.support.tiny.speech import wav2vec2
from tests.support.tiny.store import need_torch, tiny_weights, with_engine
from tests.support.tracks import spoken

ENTRY = "wav2vec2-emotion"


def test_an_utterance_is_cut_out_of_the_sound():
    """From its start, whole half seconds, at most so many seconds, and never past the end of the sound."""
    audio = np.arange(16_000 * 4, dtype=np.float32)
    said = SpeechSegment(id="s1", start=1.5, end=3.6, text="one two")
    assert (cut_out(audio, said, 10)[0], len(cut_out(audio, said, 10))) == (24_000, 32_000)
    assert len(cut_out(audio, said, 1.2)) == 16_000
    assert len(cut_out(audio, said.model_copy(update={"end": 9.0}), 10)) == 40_000
    assert len(cut_out(audio, said.model_copy(update={"end": 1.9}), 10)) == 0
    assert len(cut_out(audio, said.model_copy(update={"start": 8.0, "end": 9.0}), 10)) == 0


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(SpeechEmotion.weights) == {"gpu"}
    assert SpeechEmotion.requires == ("speech_transcription",)


# --- with a tiny model -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: wav2vec2})


def voices(*seconds: float) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.normal(0.1 * n, 0.1 + n / 20, round(16_000 * s)).astype(np.float32) for n, s in enumerate(seconds)]


@pytest.mark.engines
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_every_precision_judges_every_utterance(weights, precision):
    """One label of the model's and one probability for each sound; only equal lengths share a batch."""
    engine = with_engine(SpeechEmotion(), weights, ENTRY, precision)._classifier
    assert engine.files.precision == precision
    answers = list(engine.moods(voices(0.5, 0.5, 0.5, 0.5, 0.5, 1.5, 2.0, 2.0)))
    assert [len(batch) for batch in answers] == [4, 1, 1, 2]
    assert all(label in ("neu", "hap") and 0.5 <= sure <= 1 for batch in answers for label, sure in batch)


@pytest.mark.engines
def test_a_batch_changes_no_mood(weights):
    """Each utterance has the same mood and probability alone and beside others, and as the library's own pipeline."""
    from transformers import AutoFeatureExtractor

    engine = with_engine(SpeechEmotion(), weights, ENTRY)._classifier
    sounds = voices(1, 1, 1, 1, 1, 1)
    together = [mood for batch in engine.moods(sounds) for mood in batch]
    engine.batch = 1
    alone = [mood for batch in engine.moods(sounds) for mood in batch]
    extract = AutoFeatureExtractor.from_pretrained(engine.files.folder)
    wanted = [
        engine.model(**extract(one, sampling_rate=16_000, return_tensors="pt")).logits.softmax(-1).max().item()
        for one in sounds
    ]
    assert [label for label, _ in together] == [label for label, _ in alone]
    for found in (together, alone):
        assert [sure for _, sure in found] == pytest.approx(wanted, abs=1e-5)
    assert len({round(sure, 4) for sure in wanted}) > 1


@pytest.mark.engines
def test_every_utterance_has_a_mood_and_cites_its_words(weights, tmp_path):
    """Through the analyzer: an item per segment of half a second or more, in order, with its times and evidence."""
    analyzer = with_engine(SpeechEmotion(), weights, ENTRY)
    sound = write_wav(tmp_path / "a.wav", noise(8))
    said = spoken(("a long one", 0.5, 3.7), ("um", 4.0, 4.3), ("short", 5.0, 5.9), ("again", 6.0, 7.0))
    found = run(analyzer, sound, tmp_path, said).emotions.items
    assert [(item.id, item.start, item.end) for item in found] == [("e-s1", 0.5, 3.7), ("e-s3", 5, 5.9), ("e-s4", 6, 7)]
    assert [item.evidence for item in found] == [(f"speech_transcription/segments/s{n}",) for n in (1, 3, 4)]


@pytest.mark.engines
def test_nobody_speaks(weights, tmp_path):
    """Without segments there is no mood."""
    analyzer = with_engine(SpeechEmotion(), weights, ENTRY)
    assert run(analyzer, write_wav(tmp_path / "a.wav", noise(2)), tmp_path, spoken()).emotions.items == ()
