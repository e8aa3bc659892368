from __future__ import annotations

import numpy as np

from shared.schema import SpeechSegment
from tasks.analyzers.speech_emotion import SpeechEmotion, _cut


def test_an_utterance_is_cut_out_of_the_sound():
    """From its start, at most so many seconds, and never past the end of the sound."""
    audio = np.arange(16_000 * 4, dtype=np.float32)
    said = SpeechSegment(id="s1", start=1.5, end=3.5, text="one two")
    assert (_cut(audio, said, 10)[0], len(_cut(audio, said, 10))) == (24_000, 32_000)
    assert len(_cut(audio, said, 1)) == 16_000
    assert len(_cut(audio, said.model_copy(update={"end": 9.0}), 10)) == 40_000


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(SpeechEmotion.weights) == {"gpu"}
    assert SpeechEmotion.requires == ("speech_transcription",)
