from __future__ import annotations

import time
from itertools import pairwise

import pytest

from shared.schema import (
    CameraMotion,
    Caption,
    Event,
    EventTrack,
    ObjectTrack,
    Scalar,
    ScalarTrack,
    SeriesTrack,
    TimedBox,
    TrackedObject,
)
from tasks.analyzers.temporal_flow import TemporalFlow
from tasks.calls import CALL_TO_ACTION
from tests.support.media import run
from tests.support.tracks import result, segments, sound_of, spoken


@pytest.fixture
def flow(tmp_path):
    def found(*others, duration=20.0):
        return run(TemporalFlow(), sound_of(duration, tmp_path), tmp_path / "store", *others)

    return found


def cuts(*times: float):
    items = tuple(Event(id=f"c{i}", t=t, type="cut") for i, t in enumerate(times))
    return result("cut_analysis", cuts=EventTrack[Event](method="measurement", items=items))


def captions(*shown: tuple[str, float, float]):
    items = (
        Caption(id=f"x{i}", start=start, end=end, text=text, box=(0, 0, 1, 0.1))
        for i, (text, start, end) in enumerate(shown, 1)
    )
    return result("text_overlay", captions=segments(*items))


def phases(flow) -> list[tuple[str, float, float]]:
    return [(phase.label, phase.start, phase.end) for phase in flow.phases.items]


def means(flow) -> dict[str, float | None]:
    return {signal.name: signal.value for signal in flow.signals.items}


@pytest.mark.parametrize("level", [-120.0, None])
def test_where_nothing_happens_nothing_is_a_peak(flow, level):
    """No cut, nothing that moves, silence, over 20 s: activity is 0 and what follows the hook is one body."""
    silent = SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=(level,) * 200)
    still = result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=()))
    found = flow(cuts(), result("audio_analysis", loudness=silent), still)
    assert set(found.activity.values) == {0.0}
    assert phases(found) == [("hook", 0.0, 3.0), ("body", 3.0, 20.0)]


def test_the_busiest_stretch_is_the_peak(flow):
    """Two cuts a second between 10 and 13 s make the peak; what comes before builds, what comes after releases."""
    found = flow(cuts(10.1, 10.6, 11.1, 11.6, 12.1, 12.6))
    assert [label for label, _, _ in phases(found)] == ["hook", "build", "peak", "release"]
    start, end = next((start, end) for label, start, end in phases(found) if label == "peak")
    assert (start, end) == pytest.approx((10, 13), abs=1)
    assert max(found.activity.values) == 1
    assert found.activity.values[0] == 0


def test_phases_tile_the_video(flow):
    """No gap and no overlap from 0 to the end, with and without a call to action that ends early."""
    for others in ([], [cuts(10.1, 10.6, 11.1)], [captions(("link in bio", 15, 18))]):
        found = phases(flow(*others))
        assert found[0][1] == 0
        assert found[-1][2] == 20
        assert all(one[2] == other[1] for one, other in pairwise(found))


def test_a_flat_video_has_no_peak(flow):
    """The same loudness throughout: nothing stands out, so no peak is claimed."""
    level = SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=(-25.0,) * 200)
    found = flow(result("audio_analysis", loudness=level))
    assert phases(found) == [("hook", 0, 3), ("body", 3, 20)]
    assert set(found.activity.values) == {0.5}


def test_a_call_to_action_cites_its_words(flow):
    """Late words on screen and said are the call to action, with the evidence; the same words early on are not."""
    found = flow(captions(("LINK IN BIO", 16, 20), ("Link in bio", 1, 2)), spoken(("please follow us", 14, 15)))
    last = found.phases.items[-1]
    assert (last.label, last.start, last.end) == ("call_to_action", 14, 20)
    assert last.evidence == ("text_overlay/captions/x1", "speech_transcription/segments/s1")


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("LINKIN BIO", True),
        ("Shop now!", True),
        ("Subscribe", True),
        ("use code SAVE10", True),
        ("Follow @maker", True),
        ("Use my code for your first order", True),
        ("Tap the link to buy", True),
        ("Add to cart", True),
        ("we use code reviews to find bugs", False),
        ("use the code in section 3", False),
        ("the results that follow from this", False),
        ("ask what you can do for your country", False),
        ("we share a house", False),
        ("in order to show", False),
        ("Visit our website today", True),
        ("Download the app", True),
        ("Register now", True),
        ("Save this post", True),
        ("DM me", True),
        ("Comment YES", True),
        ("COMMENT YES", True),
        ("Tag a friend", True),
        ("Get started", True),
        ("Apply now", True),
        ("Donate now", True),
        ("Turn on notifications", True),
        ("Get the app", True),
        ("follow for more", True),
        ("SUBSCRIBE", True),
        ("Like and subscribe", True),
        ("LIKE, COMMENT & SHARE", True),
        ("Like this video", True),
        ("Comment below", True),
        ("Share this", True),
        ("Call now", True),
        ("Call us today", True),
        ("Learn more", True),
        ("Get yours", True),
        ("Sign up now", True),
        ("Link in description", True),
        ("If you enjoyed it, subscribe", True),
        ("Fresh bread daily! Follow us", True),
        ("New every week \U0001f514 subscribe", True),
        ("Bread \u2014 follow @maker", True),
        ("NEW BREAD\nFOLLOW US", True),
        ("Please like and share", True),
        ("Hit the bell and subscribe", True),
        ("Hit the subscribe button", True),
        ("Don't forget to subscribe", True),
        ("Make sure you follow me", True),
        ("Remember to save this post", True),
        ("You can download the app", True),
        ("Go ahead and register now", True),
        ("For more recipes follow @maker", True),
        ("Thanks for watching, and please subscribe", True),
        ("and don\u2019t forget to tag a friend", True),
        ("I like this colour", False),
        ("We do not subscribe to that view", False),
        ("They follow us home", False),
        ("people who like and dislike it", False),
        ("Call now and then", False),
        ("The comments below are wrong", False),
        ("Subscribers get more", False),
        ("To visit our parents we drove", False),
        ("He will register it", False),
        ("We get started at nine", False),
        ("Let's get started", False),
        ("Like this, the dough rises", False),
        ("Other clips, like this video, are short", False),
        ("I call now and they come", False),
        ("We share this kitchen", False),
        ("The COMMENT SECTION is closed", False),
        ("Comment sections are loud", False),
        ("Comment formats differ", False),
        ("Download speeds are low", False),
        ("Share prices fell", False),
        ("They save this money for winter", False),
        ("We learn more every day", False),
        ("Nobody will apply now", False),
        ("I tag a friend in every photo", False),
        ("We visit our shop and subscribe to papers", False),
        ("Visit our parents", False),
        ("The subscribe button is red", False),
        ("Get off the table", False),
        ("You can call now and then", False),
        ("Download it on the App Store", True),
        ("Visit example.com", True),
        ("Save the video", True),
        ("Text back, and make sure to follow us", True),
        ("I make sure to save this money", False),
        ("They remember to share this", False),
    ],
)
def test_words_that_ask(text, asks):
    """Requests to act are told from the same words in a sentence."""
    assert bool(CALL_TO_ACTION.search(text)) is asks


def test_long_texts_are_searched_at_once():
    """Empty lines without end, and leads that lead nowhere, take no time that grows with their square."""
    began = time.process_time()
    for text in ("\n", ", so now ", "for more ", "hit and "):
        assert not CALL_TO_ACTION.search(text * 20_000)
    assert time.process_time() - began < 5


def test_signals_not_measured_are_null(flow):
    """Only the analyzers that have a result count; with none, activity is null throughout."""
    found = flow(spoken(("one two", 0, 10)))
    assert means(found) == {
        "cuts": None,
        "loudness": None,
        "speech": pytest.approx(0.5, abs=0.02),
        "text": None,
        "camera_motion": None,
        "object_motion": None,
    }
    assert set(flow().activity.values) == {None}


def test_motion_is_measured_in_screens_a_second(flow):
    """An object that crosses a quarter of the screen every second is at half scale; a camera that pans is at 1."""
    boxes = tuple(TimedBox(t=t, box=(t * 0.25, 0.4, 0.0, 0.2)) for t in range(5))
    thing = TrackedObject(id="o1", label="dog", start=0, end=4, boxes=boxes)
    pan = CameraMotion(id="m1", start=0, end=4, motion="pan_left")
    rest = CameraMotion(id="m2", start=4, end=8, motion="static")
    found = flow(
        result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=(thing,))),
        result("camera_analysis", motion=segments(pan, rest)),
        duration=8,
    )
    # at 2 s: both whole windows; at 7 s: neither moves
    assert found.activity.values[4] == pytest.approx(0.75, abs=0.01)
    assert found.activity.values[14] == 0


def test_a_clip_shorter_than_the_hook_is_all_hook(flow):
    """Two seconds hold nothing but the opening."""
    assert phases(flow(duration=2.0)) == [("hook", 0, 2)]


def pack(flow) -> dict[str, float | None]:
    return {one.name: one.value for one in flow.short_form.items}


def test_the_short_form_pack_follows_its_formulas(flow):
    """Every number of the pack is what its formula gives by hand on tracks that are known."""
    face = TrackedObject(id="f1", label="face", start=0, end=6, boxes=())
    other = TrackedObject(id="f2", label="face", start=4, end=10, boxes=())
    found = pack(
        flow(
            cuts(0.5, 1.5, 2.5, 12.0),
            captions(("FRESH BREAD", 2, 4.2)),
            spoken(("fresh bread today", 1, 4)),
            result("face_detection", faces=ObjectTrack[TrackedObject](method="model", items=(face, other))),
            result(
                "audio_analysis",
                scalars=ScalarTrack(
                    method="measurement", items=(Scalar(id="r", name="loudness_range", value=7.5, unit="LU"),)
                ),
            ),
        )
    )
    assert found.pop("hook_strength") > 1
    assert found == {
        "cuts_per_minute": 12.0,
        "text_dwell": 4.0,  # 11 letters in 2.2 s, at 20 a second
        "text_to_speech_lag": 0.5,  # shown at 2; "fresh" is said at 1, "bread" at 2
        "loudness_range": 7.5,
        "face_share": 0.5,
    }


def test_what_cannot_be_measured_is_null(flow):
    """Without tracks the whole pack is null; looked and nothing found is 0 where 0 is meant."""
    assert set(pack(flow()).values()) == {None}
    nobody = result("face_detection", faces=ObjectTrack[TrackedObject](method="model"))
    found = pack(flow(cuts(), captions(), nobody))
    assert (found["cuts_per_minute"], found["face_share"], found["text_dwell"]) == (0, 0, None)


def test_an_even_video_has_a_hook_as_strong_as_the_rest(flow):
    """The same loudness throughout: hook strength is 1."""
    level = SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=(-25.0,) * 200)
    assert pack(flow(result("audio_analysis", loudness=level)))["hook_strength"] == 1


def test_what_follows_the_hook_is_no_part_of_it(flow):
    """Nothing happens for 3 s, then somebody walks in: the hook has no strength, though windows around 2 s see them."""
    boxes = tuple(TimedBox(t=t, box=(t * 0.1, 0.4, 0.0, 0.2)) for t in (3.0, 3.5, 4.0, 4.5, 5.0))
    walker = TrackedObject(id="o1", label="person", start=3, end=5, boxes=boxes)
    found = flow(result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=(walker,))))
    assert found.activity.values[4] > 0
    assert pack(found)["hook_strength"] == 0


def test_a_hook_that_nothing_follows_has_no_strength(flow):
    """A clip no longer than its hook has nothing to compare it with: null, not 1."""
    level = SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=(-25.0,) * 10)
    assert pack(flow(result("audio_analysis", loudness=level), duration=1.0))["hook_strength"] is None
