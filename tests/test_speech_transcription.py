from __future__ import annotations

import re
from itertools import pairwise

import jiwer
import numpy as np
import pytest

from services.demo import PINS, Assets
from shared.errors import Cancelled
from shared.schema import SpeechSegment, Word
from shared.settings import settings
from shared.weights import Weights
from tasks.analyzers.speech_transcription import (
    TEXTS_IN_TURN,
    SpeechTranscription,
    Told,
    _breaths,
    _trimmed,
    _whole_words,
    failed,
    segments_of,
    unlooped,
    words_of,
)
from tasks.engines.utterances import Asked, Heard, Part, Stretch
from tasks.voice import VoiceActivity
from tests.support.media import LocalMedia, run
from tests.support.models import loaded
from tests.support.real import real_clip
from tests.support.sounds import clicks, noise, samples_of, seconds, tone, write_wav

JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


SOUND = Stretch(10.0, np.zeros(16_000 * 5, np.float32), [(0.0, 5.0)])


@pytest.fixture(scope="module")
def transcriber():
    return loaded(SpeechTranscription())


def words(*times: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(text=text, start=start, end=end, confidence=0.5) for text, start, end in times)


@pytest.mark.parametrize("name", ["jfk.flac", "reel.mp4"])
def test_clear_speech_is_written_down_with_times(transcriber, tmp_path, name):
    """The words of a clear speaker come out with at most one error in ten, and start when they are heard."""
    said = run(transcriber, real_clip(name), tmp_path).segments.items
    text = re.sub(r"[^a-z ]", "", " ".join(segment.text.lower() for segment in said))
    assert jiwer.wer(JFK, text) <= 0.1
    starts = [word.start for segment in said for word in segment.words]
    assert starts == sorted(starts)
    # heard in the wave form: "And" at 0.3 s, "ask" after a pause at 3.3 s, "what" after another at 5.4 s
    assert [segment.start for segment in said[:3]] == pytest.approx([0.3, 3.3, 5.4], abs=0.15)
    assert all(0 < segment.confidence < 1 for segment in said)


@pytest.mark.weights
def test_stretches_are_written_one_by_one(transcriber):
    """faster-whisper has batches of one: of several stretches each is written as it is alone, and counted once."""
    speech = Assets.pinned(Weights(settings().weights_dir.parent / "demo" / "assets", PINS).path).speech
    sound = samples_of(speech).astype(np.float32)
    cut = 5 * 16_000
    stretches = [Stretch(0.0, sound[:cut], [(0.3, 5.0)]), Stretch(5.0, sound[cut : 2 * cut], [(0.0, 5.0)])]
    engine, before = transcriber._transcriber, transcriber._transcriber.worked
    together = list(engine.transcribe(stretches, Asked()))
    assert engine.worked - before == 2
    assert together == [heard for one in stretches for heard in engine.transcribe([one], Asked())]
    assert all({heard.text for heard in together if heard.stretch is one} for one in stretches)


SILENT = {
    "silence": np.zeros(16_000 * 8),
    "white noise": noise(8),
    "faint noise": noise(8, amplitude=0.002),
    "tone": tone(440, 8),
    "chord": sum(tone(hertz, 8, amplitude=0.1) for hertz in (262, 330, 392)),
    "clicks": clicks(120, 8),
    "wobbling buzz": (2 * ((120 * seconds(8) + np.sin(18 * seconds(8))) % 1) - 1) * 0.2 * np.sin(9 * seconds(8)) ** 2,
    "shorter than a window": noise(0.01),
}


@pytest.mark.parametrize("sound", SILENT)
def test_nothing_is_made_up_where_nobody_speaks(transcriber, tmp_path, sound):
    """Silence, noise, tones and rhythm give no words."""
    assert run(transcriber, write_wav(tmp_path / "a.wav", SILENT[sound]), tmp_path).segments.items == ()


def test_blocks_keep_the_times(transcriber, tmp_path, monkeypatch):
    """Sound that is cut into blocks gives the same text, with times counted from the start of the file."""
    whole = run(transcriber, real_clip("slides_talk.mp4"), tmp_path / "a").segments.items
    monkeypatch.setattr("tasks.analyzers.speech_transcription.BLOCK_SAMPLES", 20 * 16_000)
    parts = run(transcriber, real_clip("slides_talk.mp4"), tmp_path / "b").segments.items
    text, again = (" ".join(segment.text.lower() for segment in said) for said in (whole, parts))
    assert jiwer.wer(text, again) < 0.15
    assert parts[-1].end == pytest.approx(whole[-1].end, abs=0.3)


def test_a_pause_ends_a_segment():
    """Words on both sides of a long pause are in two segments; a short pause keeps them together."""
    heard = Heard(SOUND, (), -0.2, None)
    spoken = words(("ask", 0, 1), ("not", 1.2, 2), ("what", 3, 4))
    said = tuple(_breaths(spoken, heard, Asked(), 0.7, first=4))
    assert [(segment.id, segment.text, segment.start, segment.end) for segment in said] == [
        ("s4", "ask not", 0, 2),
        ("s5", "what", 3, 4),
    ]


def test_a_word_is_cut_to_its_voice():
    """A word stretched over silence keeps only the part in which somebody speaks."""
    (word,) = words(("ask", 2.2, 3.9))
    trimmed = _trimmed(word, [(0.2, 2.25), (3.3, 4.4)])
    assert (trimmed.start, trimmed.end) == (3.3, 3.9)


def test_no_word_ends_after_the_voice():
    """Whisper may place the last word past the end of the sound: it ends with the last voice."""
    (word,) = words(("cane", 40.1, 40.4))
    trimmed = _trimmed(word, [(0.0, 39.98)])
    assert (trimmed.start, trimmed.end) == (39.98, 39.98)


def test_parts_of_a_word_are_joined():
    """Whisper's parts "0" and ".3" are one word, as sure as its less sure part."""
    parts = [Part(" 0", 1, 1.5, 0.9, -0.1), Part(".3.", 1.5, 2, 0.4, -0.9)]
    assert list(_whole_words(parts)) == [Word(start=1, end=2, text="0.3.", confidence=0.4)]


def test_a_decoding_loop_is_cut_off():
    """The same segment again and again is kept three times at most; a different one in between is kept."""
    said = [
        SpeechSegment(id=f"s{i}", start=i, end=i + 1, text="Thank you." if i != 2 else "Good night.") for i in range(9)
    ]
    kept = [segment.text for segment in unlooped(said, TEXTS_IN_TURN)]
    assert kept == ["Thank you.", "Thank you.", "Good night.", "Thank you.", "Thank you.", "Thank you."]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["Thank you.", "Thank you", "Thank you!", "thank you.", "Thank you."], 3),
        (["Thank you.", "Bye."] * 6, 6),
        (["One.", "two", "Three!", "four"] * 4, 12),
        (["Row row.", "Row row.", "Row row.", "Gently.", "Row row."], 5),
        (["Yes.", "No.", "Yes.", "No.", "Perhaps.", "Yes.", "No.", "Yes."], 8),
        (["...", "!", "...", "?"], 4),
        (["\u8c22\u8c22\u3002", "\u8c22\u8c22"] * 3, 3),
    ],
)
def test_a_loop_is_told_by_its_words(said, kept):
    """Case and punctuation make no difference, texts may take turns, and a refrain or a dialogue is no loop."""
    segments = [SpeechSegment(id=f"s{i}", start=i, end=i + 1, text=text) for i, text in enumerate(said)]
    assert list(unlooped(segments, TEXTS_IN_TURN)) == segments[:kept]


def test_a_loop_inside_a_segment_is_cut():
    """A phrase that comes a fourth time in a row is left out, the words after it stay; one word may come often."""
    assert spoken("I am " * 6 + "here") == "I am I am I am here"
    assert spoken("no " * 5 + "never") == "no no no no no never"
    assert spoken("row " * 3 + "your boat") == "row row row your boat"


FOOD = "you don't plan all your food in the garden on a Sunday "


def test_a_loop_is_cut_wherever_its_segments_end():
    """A phrase of 12 words is kept three times, though Whisper parts it elsewhere each time; what follows stays."""
    looped = (FOOD * 7 + "now").split()
    cut = (0, 9, 25, 31, 50, 62, 70, len(looped))
    heard = [" ".join(looped[start:stop]) for start, stop in pairwise(cut)]
    assert spoken(*heard) == FOOD * 3 + "now"


@pytest.mark.parametrize("said", [["no no no"] * 3, ["no " * 9], [FOOD] * 2, ["row row row your boat", "gently"] * 2])
def test_who_repeats_himself_loses_no_word(said):
    """One word over and over, in one breath or several, and a chorus said twice are no loop."""
    assert spoken(*said) == " ".join(" ".join(said).split())


def spoken(*texts: str) -> str:
    """What is left of these texts, each heard in one go, one after the other."""
    told = [
        Told(word, heard)
        for text in texts
        for heard in [said_as(*(f" {word}" for word in text.split()))]
        for word in words_of(heard, spaced=True)
    ]
    return " ".join(segment.text for segment in segments_of(told, Asked(), 0.7))


def said_as(
    *words: str, likely: float = -0.2, no_speech: float | None = 0.1, sure: float = 0.9, soundless: int = 0
) -> Heard:
    """The words, each of a tenth of a second; the last so many have no length."""
    heard = len(words) - soundless
    times = [(min(n, heard) / 10, min(n + 1, heard) / 10) for n in range(len(words))]
    parts = tuple(Part(word, *time, sure, likely) for word, time in zip(words, times, strict=True))
    return Heard(SOUND, parts, likely, no_speech)


FAILED = {
    "no word is likelier than not": said_as(" you", sure=0.45),
    "unlikely on the whole": said_as(" and", " so", likely=-1.1),
    "the model says that nobody speaks": said_as(" you", likely=-0.8, no_speech=0.7),
    "one word over and over": said_as(*[" go"] * 40),
    "most words have no sound": said_as(" ask", " not", " what", " you", " can", soundless=3),
    "nothing": said_as(),
}


@pytest.mark.parametrize("reason", FAILED)
def test_a_failed_decoding_gives_no_words(reason):
    """Each of Whisper's marks of a guess, of whichever engine, drops the text that bears it."""
    assert words_of(FAILED[reason], spaced=True) == ()


def test_sound_decoding_is_kept_and_placed_in_the_file():
    """Likely text stays, though the model doubts that somebody speaks, with times counted from the file's start."""
    heard = said_as(" ask", " not", likely=-0.3, no_speech=0.7)
    assert [(word.text, word.start) for word in words_of(heard, spaced=True)] == [("ask", 10.0), ("not", 10.1)]
    assert not failed(heard, words_of(heard, spaced=True))


def test_single_words_without_length_are_kept():
    """Whisper sets a word or two of real speech at one moment: half of a text, or two words of it, are no guess."""
    for heard in (said_as(" so", " ask", soundless=2), said_as(*[" a", " b", " c", " d", " e", " f"], soundless=3)):
        assert words_of(heard, spaced=True)


def test_a_segment_without_sound_is_left_out():
    """Of a text that was heard at its beginning only, what follows a pause at one moment is no segment."""
    heard = said_as(" ask", " not", " what", " your", " country", " can", " do", soundless=3)
    words = words_of(heard, spaced=True)
    late = [word.model_copy(update={"start": 14.0, "end": 14.0}) for word in words[4:]]
    told = [Told(word, heard) for word in (*words[:4], *late)]
    assert [one.text for one in segments_of(told, Asked(), 0.7)] == ["ask not what your"]


class Reading:
    """A transcriber that reads out what it is given, and a voice that is where it is said to be."""

    def __init__(self, *parts: tuple[Part, ...]) -> None:
        self.parts = parts

    def spans(self, _block, _threshold):
        return [(0.0, 2.4), (3.0, 6.0)]

    def language(self, _stretches):
        return None

    def transcribe(self, stretches, asked):
        return (Heard(stretches[0], parts, -0.2, 0.1) for parts in self.parts)


def test_segments_do_not_overlap(tmp_path):
    """A text whose first word is late begins with the voice only where the text before it has ended."""
    first = (Part(" clip", 1.9, 2.4, 0.9, -0.2), Part(" and", 2.4, 3.3, 0.9, -0.2))
    second = (Part(" only", 3.3, 3.9, 0.9, -0.2), Part(" built", 3.8, 4.4, 0.9, -0.2))
    analyzer = SpeechTranscription()
    analyzer._transcriber = analyzer._voice = Reading(first, second)
    said = run(analyzer, write_wav(tmp_path / "a.wav", noise(6)), tmp_path).segments.items
    assert [(segment.start, segment.end) for segment in said] == [(1.9, 3.3), (3.3, 4.4)]
    assert [(word.start, word.end) for word in said[1].words] == [(3.3, 3.9), (3.9, 4.4)]


def test_languages_without_spaces_keep_their_characters():
    """In Chinese each character is a word with its own time, and the text has no spaces."""
    heard = said_as("你", "好")
    found = words_of(heard, spaced=False)
    assert [word.text for word in found] == ["你", "好"]
    (segment,) = _breaths(found, heard, Asked("zh"), 0.7, first=1)
    assert segment.text == "你好"


class Mumbling:
    """A transcriber that makes no word of anything, for ever."""

    def language(self, stretches):
        return None

    def transcribe(self, stretches, asked):
        while True:
            yield Heard(stretches[0], (), -5.0, 0.9)


def test_the_end_of_a_job_is_heard_between_segments_without_words(tmp_path, monkeypatch):
    """However long Whisper finds nothing but noise, a job that has ended is left at the next segment."""
    told = []

    def tell(_media, fraction):
        told.append(fraction)
        if len(told) > 3:
            raise Cancelled("the job was cancelled")

    monkeypatch.setattr(LocalMedia, "progress", tell)
    analyzer = SpeechTranscription()
    analyzer._transcriber, analyzer._voice = Mumbling(), VoiceActivity()
    with pytest.raises(Cancelled):
        run(analyzer, write_wav(tmp_path / "a.wav", noise(2)), tmp_path)
    assert told == [0.0] * 4
