"""SRT and WebVTT as players read them: every text, every time to the millisecond."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.exports.characters import lines_of
from shared.schema import SegmentTrack, SpeechSegment, Word
from tests.support.document import sample_document
from tests.support.exported import srt, vtt, written
from tests.support.made_up import texts, times, with_tracks

ARROW = "\N{RIGHTWARDS ARROW}"


def said(*segments: tuple[float, float, str], words: tuple[Word, ...] = ()):
    """A document with these segments of speech: start, end, text."""
    items = tuple(
        SpeechSegment(id=f"s{number}", start=start, end=end, text=text, words=words)
        for number, (start, end, text) in enumerate(segments, start=1)
    )
    return with_tracks([SegmentTrack(id="speech_transcription/segments", method="model", items=items)])


speech = st.lists(st.tuples(times, times, texts).map(lambda one: (min(one[:2]), max(one[:2]), one[2])), max_size=5).map(
    sorted
)


def expected(document) -> list[tuple[int, int, tuple[str, ...]]]:
    """Milliseconds and lines of each cue."""
    items = sorted(document.tracks[0].items, key=lambda item: item.start)
    cues = ((round(item.start * 1000), round(item.end * 1000), lines_of(item.text)) for item in items)
    return [(start, max(end, start + 1), lines) for start, end, lines in cues if lines]


@settings(deadline=None)
@given(speech)
def test_srt_says_what_was_said_when(segments):
    """Each cue that pysubs2 reads has the segment's times, and the file's own blocks its lines, arrows aside."""
    document = said(*segments)
    text = written("srt", document)
    wanted = expected(document)
    assert [(start, end) for start, end, _ in srt(text)] == [(start, end) for start, end, _ in wanted]
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    assert [block[0] for block in blocks] == [str(number) for number in range(1, len(wanted) + 1)]
    for block, (_, _, lines) in zip(blocks, wanted, strict=True):
        assert "".join("".join(block[2:]).split()) == "".join("".join(lines).replace("-->", ARROW).split())


@settings(deadline=None)
@given(speech)
def test_vtt_says_what_was_said_when(segments):
    """Each cue that webvtt-py reads strictly has the segment's times and, references resolved, its lines."""
    document = said(*segments)
    read = [
        (cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), tuple(map(unescape, cue.lines)))
        for cue in vtt(written("vtt", document))
    ]
    assert read == expected(document)


@settings(deadline=None)
@given(st.lists(st.tuples(times, times), min_size=1, max_size=6), times, times)
def test_word_times_obey_the_format(spans, start, end):
    """Inside a cue, timestamps rise strictly and lie within it; each is its word's; no word is lost."""
    start, end = min(start, end), max(start, end)
    words = tuple(Word(start=min(span), end=max(span), text=f"w{number}") for number, span in enumerate(spans))
    text = " ".join(word.text for word in words)
    (cue,) = vtt(written("vtt", said((start, end, text), words=words)))
    assert cue.text == text
    marks = re.findall(r"<(\d+):(\d\d):(\d\d)\.(\d{3})>(\w+)", cue.raw_text)
    found = [(((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(ms), word) for h, m, s, ms, word in marks]
    at = [ms for ms, _ in found]
    assert at == sorted(set(at))
    assert all(cue.start_time.in_milliseconds() < ms < cue.end_time.in_milliseconds() for ms in at)
    starts = {word.text: round(word.start * 1000) for word in words}
    assert all(starts[word] == ms for ms, word in found)


def test_each_word_of_the_sample_is_timed():
    """All words but the first of each segment carry their own time."""
    cues = vtt(written("vtt", sample_document()))
    assert [len(re.findall("<", cue.raw_text)) for cue in cues] == [4, 8, 7]
    assert cues[0].raw_text.startswith("And <00:00:01.250>so, <00:00:01.700>my")


def test_words_that_are_not_the_text_are_left_out():
    """When the words do not spell the text, the text stands without times."""
    (cue,) = vtt(written("vtt", said((0, 2, "New York"), words=(Word(start=1, end=2, text="Boston"),))))
    assert cue.raw_text == "New York"


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_text_on_screen_is_a_second_kind(name):
    """Asked for captions, both formats hold the text on screen and nothing that was said."""
    text = written(name, sample_document(), subtitles="captions")
    assert re.findall("MEET THE CREW|FIRST COFFEE|LINK IN BIO", text) == [
        "MEET THE CREW",
        "FIRST COFFEE",
        "LINK IN BIO",
    ]
    assert "Americans" not in text


def test_text_on_screen_stands_in_its_place():
    """A caption's cue stands at its box: its top, its middle, its width."""
    cue = vtt(written("vtt", sample_document(), subtitles="captions"))[0]
    assert str(cue.settings) == "line:80.00% position:50.00% size:60.00% align:center"


def test_vtt_says_that_nobody_listened():
    """A transcript that failed is a file without cues that gives the reason in a note."""
    text = written("vtt", with_tracks(()))
    assert vtt(text) == []
    document = with_tracks(())
    quiet = document.model_copy(update={"analyzers": ()})
    assert "NOTE" not in text  # it listened, and nothing was said
    assert "NOTE speech_transcription did not run" in written("vtt", quiet)
