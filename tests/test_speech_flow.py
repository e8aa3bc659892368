from __future__ import annotations

import numpy as np
import pytest

from shared.schema import SeriesTrack
from tasks.analyzers.speech_flow import SpeechFlowAnalysis, syllables
from tests.support.clips import make_clip, plain
from tests.support.media import run
from tests.support.tracks import result, sound_of, spoken


@pytest.fixture
def flow(tmp_path):
    def found(*others, duration=30.0, **options):
        return run(SpeechFlowAnalysis(), sound_of(duration, tmp_path), tmp_path, *others, **options)

    return found


def scalars(found) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in found.scalars.items}


def prosody(*levels: tuple[float, float], seconds: float = 1.0):
    """What audio_analysis measured: for every stretch of that length a loudness in LUFS and a pitch in Hz."""

    def series(unit, dt, values):
        steps = np.repeat(values, round(seconds / dt)).tolist()
        return SeriesTrack(method="measurement", unit=unit, t0=0, dt=dt, values=tuple(steps))

    loudness, pitch = zip(*levels, strict=True)
    return result("audio_analysis", loudness=series("LUFS", 0.1, loudness), pitch=series("Hz", 0.05, pitch))


def test_pauses_are_the_gaps_between_words(flow):
    """Gaps of a quarter of a second and more are pauses and cite the segments on both sides; shorter ones are none."""
    found = flow(spoken(("one two", 1, 2), ("three four", 2.2, 3.2), ("five", 4, 5)))
    assert [(one.label, one.start, one.end) for one in found.pauses.items] == [("pause", 3.2, 4)]
    assert found.pauses.items[0].evidence == ("speech_transcription/segments/s2", "speech_transcription/segments/s3")
    assert (scalars(found)["pauses"], scalars(found)["mean_pause"]) == (1, 0.8)


def test_fillers_are_told_from_words(flow):
    """Sounds of hesitation are found as they are written, with their times and segment; words like them are not."""
    said = spoken(("Um, I like", 0, 3), ("errors, umbrellas, uh... and", 4, 8), ("Hmm.", 9, 10))
    found = [(one.label, one.start, one.evidence[0].rpartition("/")[2]) for one in flow(said).fillers.items]
    assert found == [("um", 0, "s1"), ("uh", 6, "s2"), ("hmm", 9, "s3")]
    assert scalars(flow(said))["fillers"] == 3


def test_pace_leaves_pauses_out(flow):
    """Four syllables a second, with a pause of two seconds between, are a pace of four throughout."""
    found = flow(spoken(("data " * 20, 0, 10), ("data " * 20, 12, 22)), duration=28)
    assert set(found.pace.values[:24]) == {4}
    assert found.pace.values[25:] == (None, None, None), "nothing is said any more"
    assert scalars(found)["pace"] == 4
    assert found.pace_changes.items == ()
    assert scalars(found)["pace_changes"] == 0


@pytest.mark.parametrize(("before", "after", "kind"), [(20, 30, "faster"), (30, 20, "slower")])
def test_a_change_of_pace_is_found_where_it_is(flow, before, after, kind):
    """Ten seconds at one pace and ten at one and a half times of it: one change, at its moment, with both paces."""
    found = flow(spoken(("data " * before, 0, 10), ("data " * after, 10, 20)))
    (change,) = found.pace_changes.items
    assert change.type == kind
    assert change.t == pytest.approx(10, abs=0.4)
    assert (change.before, change.after) == pytest.approx((before / 5, after / 5), rel=0.03)
    assert change.evidence == ("speech_transcription/segments/s1", "speech_transcription/segments/s2")
    assert len(flow(spoken(("data " * 20, 0, 10), ("data " * 24, 10, 20))).pace_changes.items) == 0


TEN = "a b c d e f g h i j"


def test_a_word_both_louder_and_higher_is_stressed(flow):
    """Of ten words, the one that is 6 LU louder and 4 semitones higher is stressed; only loud, or only high, is not."""
    usual = (-20.0, 200.0)
    heard = [
        usual,
        (-14.0, 200 * 2 ** (4 / 12)),
        usual,
        (-14.0, 200.0),
        usual,
        (-20.0, 260.0),
        usual,
        usual,
        usual,
        usual,
    ]
    (word,) = flow(spoken((TEN, 0, 10)), prosody(*heard)).stressed.items
    assert (word.text, word.start) == ("b", 1)
    assert (word.louder_lu, word.higher_semitones) == pytest.approx((6, 4), abs=1)
    assert word.evidence == ("speech_transcription/segments/s1",)


def test_stress_is_null_where_it_cannot_be_told(flow):
    """Without measured sound, or with fewer than ten words, the number of stressed words is null, not 0."""
    loud = [(-20.0, 200.0)] * 9
    assert scalars(flow(spoken((TEN, 0, 10))))["stressed_words"] is None
    assert scalars(flow(spoken((TEN[:17], 0, 9)), prosody(*loud)))["stressed_words"] is None
    assert scalars(flow(spoken((TEN, 0, 10)), prosody(*loud, (-20.0, 200.0))))["stressed_words"] == 0


@pytest.mark.parametrize("said", [(), (("word", 0.2, 0.8),)], ids=["nobody speaks", "one word"])
def test_nothing_is_made_up(flow, said):
    """Without words, or with one in one second, there is no pause, pace or stress, and the numbers are null."""
    found = flow(spoken(*said), duration=1)
    assert [track.items for track in (found.pauses, found.fillers, found.pace_changes, found.stressed)] == [()] * 4
    assert found.pace.values == (None,)
    expected = {
        "pauses": 0,
        "mean_pause": None,
        "fillers": 0,
        "pace": None,
        "pace_changes": None,
        "stressed_words": None,
    }
    assert scalars(found) == expected


def test_a_black_video_without_words(tmp_path):
    """A black video in which nothing was said gives empty tracks."""
    video = make_clip(tmp_path / "v.mp4", frames=30, picture=plain(0))
    found = run(SpeechFlowAnalysis(), video, tmp_path, spoken())
    assert found.pace.values == (None, None, None)
    assert found.pauses.items == ()


def test_words_without_length_count(flow):
    """A word to which Whisper gave no length, and words that overlap, break nothing: their syllables still count."""
    said = spoken(("data " * 10, 0, 5), ("data", 5, 5), ("data " * 10, 4.9, 10))
    assert scalars(flow(said))["pace"] == pytest.approx(4.2, abs=0.05)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("ask", 1),
        ("country.", 2),
        ("Americans", 4),
        ("made", 1),
        ("little", 2),
        ("wanted", 2),
        ("looked", 1),
        ("faces", 2),
        ("names", 1),
        ("the", 1),
        ("URLs", 3),
        ("NASA", 4),
        ("430", 3),
        ("\u2014", 1),
    ],
)
def test_syllables_of_words(word, count):
    """Syllables follow English spelling; abbreviations are spelt (NASA, which is not, counts too many)."""
    assert syllables(word) == count
