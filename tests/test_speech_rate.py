from __future__ import annotations

import pytest

from tasks.analyzers.speech_rate import SpeechRateAnalysis
from tests.support.media import run
from tests.support.tracks import sound_of, spoken


def scalars(result) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in result.scalars.items}


def test_rates_of_a_talk_with_one_pause(tmp_path):
    """Four words in 2 s, 2 s of pause, four words in 2 s: 80 words a minute with the pause, 120 without."""
    said = spoken(("one two three four", 0, 2), ("five six seven eight", 4, 6))
    rate = run(SpeechRateAnalysis(), sound_of(10, tmp_path), tmp_path, said, window_seconds=2)
    assert scalars(rate) == {
        "words": 8,
        "speaking_rate": 80,
        "articulation_rate": 120,
        "pauses": 1,
        "pause_share": pytest.approx(1 / 3, abs=1e-3),
        "longest_pause": 2,
    }
    values = rate.words_per_minute.values
    assert values[1] == values[5] == 120
    assert values[0] == 120, "at the start only the second that exists is counted"
    assert values[3] is None
    assert values[8] is None
    assert len(values) == 10


def test_short_gaps_are_no_pauses(tmp_path):
    """A gap below the option's length belongs to the articulation."""
    said = spoken(("one two", 0, 1), ("three four", 1.2, 2.2))
    assert scalars(run(SpeechRateAnalysis(), sound_of(3, tmp_path), tmp_path, said))["pauses"] == 0
    assert scalars(run(SpeechRateAnalysis(), sound_of(3, tmp_path), tmp_path, said, pause_seconds=0.1))["pauses"] == 1


def test_nobody_speaks(tmp_path):
    """Without words there is no rate: null, not 0."""
    rate = run(SpeechRateAnalysis(), sound_of(3, tmp_path), tmp_path, spoken())
    assert scalars(rate)["speaking_rate"] is None
    assert set(rate.words_per_minute.values) == {None}
