"""EDL and OpenTimelineIO as the library of the latter reads them, at every frame rate."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

import opentimelineio as otio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.exports.timecode import RATES, TimecodeRate, timecode_rate
from shared.errors import BadInput
from shared.schema import Caption, Event, EventTrack, LabelledSegment, SegmentTrack
from tests.support.document import sample_document
from tests.support.exported import edl, timeline, written
from tests.support.made_up import texts, times, with_tracks

NTSC = ("24000/1001", "30000/1001", "48000/1001", "60000/1001")
STANDARD = (*NTSC, "24", "25", "30", "50", "60")
ODD = ("10", "12", "15", "29.5", "1001/100", "90", "100", "120", "240", "19001/634")


def cut_at(edges, fps, captions=(), **media):
    """A document with shots between edges in seconds, and cuts at the inner ones."""
    shots = tuple(
        LabelledSegment(id=f"h{n}", start=start, end=end, label="shot")
        for n, (start, end) in enumerate(pairwise(edges), start=1)
    )
    cuts = tuple(Event(id=f"c{n}", t=t, type="cut") for n, t in enumerate(edges[1:-1], start=1))
    words = tuple(
        Caption(id=f"x{n}", start=t, end=t + 0.5, text=text, box=(0, 0, 1, 0.1))
        for n, (t, text) in enumerate(captions, start=1)
    )
    tracks = (
        SegmentTrack(id="cut_analysis/shots", method="measurement", items=shots),
        EventTrack(id="cut_analysis/cuts", method="measurement", items=cuts),
        SegmentTrack(id="text_overlay/captions", method="model", items=words),
    )
    return with_tracks(tracks, fps=fps, duration_seconds=edges[-1], **media)


frames = st.lists(st.integers(1, 50_000), min_size=1, max_size=6, unique=True).map(
    lambda some: [0, *(8 * number for number in sorted(some))]
)
"""Frames at which shots begin, and the last one ends: two frames apart even where timecode counts every fourth."""


def seconds(timecode: str, rate: TimecodeRate) -> float:
    """The time of a timecode by OpenTimelineIO's count."""
    read = otio.opentime.from_timecode(timecode, float(rate.fps))
    return float(round(read.value) / rate.fps)


@given(st.integers(0, 24 * 3600 * 60 - 100_000), st.sampled_from(RATES))
def test_timecode_is_the_standards(frame, rate):
    """Timecode is what OpenTimelineIO counts, drop-frame at 29.97 and 59.94, and is read back as the same frame."""
    if frame / rate.fps > 86_000:
        return
    theirs = otio.opentime.RationalTime(frame, float(rate.fps))
    assert rate.timecode(frame) == otio.opentime.to_timecode(theirs, float(rate.fps), bool(rate.dropped))


@pytest.mark.parametrize(
    ("frame", "timecode"),
    [
        (1799, "00:00:59;29"),
        (1800, "00:01:00;02"),
        (17_981, "00:09:59;29"),
        (17_982, "00:10:00;00"),
        (107_892, "01:00:00;00"),
    ],
)
def test_drop_frame_leaves_out_numbers_not_frames(frame, timecode):
    """At 29.97, numbers 0 and 1 are left out at each minute but the tenth, so an hour is an hour."""
    assert timecode_rate(Fraction(30_000, 1001)).timecode(frame) == timecode


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        *((fps, fps) for fps in STANDARD),
        *(("2997/100", "30000/1001"), ("23.976", "24000/1001"), ("59.94", "60000/1001"), (None, "30")),
        *(("10", "30"), ("12", "24"), ("15", "30"), ("14.985", "30000/1001"), ("29.5", "30000/1001")),
        *(("120", "60"), ("119.88", "60000/1001"), ("240", "60"), ("100", "50"), ("1000", "50"), ("61", "60")),
    ],
)
def test_rate_is_the_videos_or_the_next_best(fps, rate):
    """Rates that timecode has are kept, rounded ones known; others become a multiple, a part, or the next higher."""
    assert timecode_rate(Fraction(fps) if fps else None).fps == Fraction(rate)


@settings(deadline=None)
@given(frames, st.sampled_from((*STANDARD, *ODD)))
def test_edl_events_are_the_shots_to_a_frame(edges, fps):
    """Each event that the cmx_3600 adapter reads begins and ends within a frame of its shot, in source and record."""
    rate = timecode_rate(Fraction(fps))
    at = [round(float(edge / Fraction(fps)), 3) for edge in edges]
    text = written("edl", cut_at(at, fps))
    spans = [re.split(r"\s+", line)[4:8] for line in text.splitlines() if re.match(r"\d{3}", line)]
    assert len(spans) == len(at) - 1
    clips = list(edl(text, float(rate.fps)).find_clips())
    ends = {float(round(clip.source_range.end_time_exclusive().value) / rate.fps) for clip in clips}
    for start, end, *record in spans:
        assert [start, end] == record
        assert min(abs(seconds(start, rate) - time) for time in at) <= 1 / rate.fps
        assert min(abs(seconds(end, rate) - time) for time in ends) < 0.001
    assert f"FCM: {'DROP FRAME' if rate.dropped else 'NON-DROP FRAME'}\r\n" in text
    assert (";" in spans[0][1]) == bool(rate.dropped)
    assert f"timecode counts {rate.fps} fps" in text


@settings(deadline=None)
@given(frames, st.sampled_from((*STANDARD, *ODD)), st.lists(st.tuples(times, texts), max_size=4))
def test_otio_agrees_to_a_millisecond(edges, fps, captions):
    """Clips tile the shots and markers stand at cuts and captions, within 1 ms; shots' edges are whole frames."""
    at = [round(float(edge / Fraction(fps)), 3) for edge in edges]
    document = cut_at(at, fps, captions)
    read = timeline(written("otio", document))
    shots = read.video_tracks()[0]
    ranges = [(shots.range_of_child(clip), clip.source_range) for clip in shots.find_clips()]
    for (placed, taken), (start, end) in zip(ranges, pairwise(at), strict=True):
        assert placed == taken
        assert taken.start_time.to_seconds() == pytest.approx(start, abs=0.001)
        assert taken.end_time_exclusive().to_seconds() == pytest.approx(end, abs=0.001)
        assert taken.start_time.value == round(taken.start_time.value)
        assert taken.start_time.rate == pytest.approx(float(Fraction(fps)))
    wanted = [(*((t, t) for t in at[1:-1]), *((t, round(t + 0.5, 3)) for t, _ in captions))]
    found = sorted(
        (marker.marked_range.start_time.to_seconds(), marker.marked_range.end_time_exclusive().to_seconds())
        for marker in read.tracks.markers
    )
    for marker, time in zip(found, sorted(wanted[0]), strict=True):
        assert marker == pytest.approx(time, abs=0.001)


def test_a_shot_shorter_than_a_frame_has_no_event():
    """What rounds to no frame at all is left out, and its marker stands with the shot before."""
    text = written("edl", cut_at([0, 1, 1.004, 2], "25"))
    assert [line[:3] for line in text.splitlines() if line[:3].isdigit()] == ["001", "002"]
    assert text.count("* LOC: 00:00:01:00") == 2
    empty = written("edl", cut_at([0, 0.004], "25", captions=[(0, "short")]))
    assert empty == "TITLE: reel.mp4\r\nFCM: NON-DROP FRAME\r\n\r\n"


def test_edl_locators_are_where_and_what_they_should_be():
    """Cuts, captions and beats are locators of the shot that they fall into, in their colours."""
    beats = EventTrack(id="audio_analysis/beats", method="measurement", items=(Event(id="b1", t=4.0, type="beat"),))
    document = sample_document()
    document = document.model_copy(update={"tracks": (*document.tracks, beats)})
    clips = list(edl(written("edl", document), 30).find_clips())
    found = [[(m.name, m.color, m.marked_range.start_time.to_seconds()) for m in clip.markers] for clip in clips]
    assert found == [
        [("CAPTION: MEET THE CREW", "GREEN", 0.5)],
        [("CUT", "RED", 3.0), ("BEAT", "BLUE", 4.0)],
        [("CAPTION: FIRST COFFEE", "GREEN", 6.0), ("CUT", "RED", 6.0)],
        [("CUT", "RED", 8.5), ("CAPTION: LINK IN BIO", "GREEN", 9.5)],
    ]


@given(st.lists(texts, max_size=4), texts)
def test_text_adds_no_line_to_an_edl(captions, name):
    """Whatever a caption or the file's name holds, an EDL has an event a shot and a locator a marker, no more."""
    document = cut_at([0, 5, 10], "25", [(1.0, text) for text in captions])
    text = written("edl", document, video_name=name)
    lines = text.removesuffix("\r\n").split("\r\n")
    assert len(lines) == len(text.splitlines())
    assert sum(line[:3].isdigit() for line in lines) == 2
    assert sum(line.startswith("* LOC: ") for line in lines) == 1 + len(captions)
    assert all(
        line == "" or re.match(r"TITLE: |FCM: |\d{3}  AX |\* (FROM CLIP NAME|COMMENT|LOC): ", line) for line in lines
    )


@pytest.mark.parametrize("name", ["edl", "otio"])
def test_variable_rate_and_unknown_shots_are_said(name):
    """One clip is all of the video where nobody looked for shots, and both files say so, and that the rate varies."""
    text = written(name, with_tracks((), fps="2987/100", vfr=True).model_copy(update={"analyzers": ()}))
    assert "shots are not known: one clip is all of the video" in text
    assert "cut_analysis did not run" in text
    assert "variable frame rate: frames are counted at 2987/100 fps" in text
    clips = list((timeline(text) if name == "otio" else edl(text, 30_000 / 1001)).find_clips())
    assert clips[0].source_range.duration.to_seconds() == pytest.approx(12, abs=0.034)


def test_times_of_a_variable_rate_are_exact_in_otio():
    """A shot that begins between two frames of the mean rate keeps its own time."""
    read = timeline(written("otio", cut_at([0, 1.017, 3.003], "2987/100", vfr=True)))
    assert [clip.source_range.start_time.to_seconds() for clip in read.find_clips()][:2] == pytest.approx([0, 1.017])


def test_sound_alone_is_one_clip_of_sound():
    """Without pictures the files hold the sound: a channel A in the EDL, an audio track in the timeline."""
    document = sample_document()
    streams = tuple(one for one in document.media.streams if one.kind == "audio")
    silent = with_tracks((), streams=streams, fps=None, width=None, height=None)
    assert re.search(r"^001  AX       A     C        00:00:00:00 00:00:12:00", written("edl", silent), re.MULTILINE)
    read = timeline(written("otio", silent))
    assert [track.kind for track in read.tracks] == ["Audio"]
    assert read.duration().to_seconds() == 12


def test_more_than_a_day_is_refused_by_the_edl_alone():
    """Timecode ends at 24 hours: the EDL says so in a sentence, the timeline goes on."""
    document = cut_at([0, 50_000, 90_000], "25")
    with pytest.raises(BadInput, match="ends at 24 hours"):
        written("edl", document)
    assert timeline(written("otio", document)).duration().to_seconds() == 90_000


@pytest.mark.parametrize("fps", ["0/0", "fast"])
def test_a_rate_that_is_none_is_refused(fps):
    """A document whose rate is no fraction is refused in a sentence."""
    with pytest.raises(BadInput, match="is no fraction"):
        written("edl", cut_at([0, 1], fps))
