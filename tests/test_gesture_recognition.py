"""Tests of gesture recognition: its rules on hands built joint by joint, its networks on real hands."""

import numpy as np
import pytest

from services.evaluation.hands import FOLDED, HANDS, UP, built
from tasks.analyzers.gesture_recognition import FINGERS, GestureRecognition, name, named_spans, square_of
from tests.support.drawings import blank
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip


@pytest.mark.parametrize("gesture", HANDS)
def test_each_gesture_has_its_name(gesture):
    """A hand built as the rule describes it has that name and no other."""
    assert name(*HANDS[gesture]) == gesture


@pytest.mark.parametrize("gesture", ["fist", "pointing"])
@pytest.mark.parametrize("turn", [45, 90, 180, 270])
def test_turned_hands_keep_their_names(gesture, turn):
    """These gestures do not depend on where the hand points."""
    metres, points = HANDS[gesture]
    angle = np.radians(turn)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = np.column_stack([metres[:, :2] @ matrix, metres[:, 2]])
    assert name(turned, points @ matrix) == gesture


def test_the_other_hand_makes_the_same_gestures():
    """Mirrored hands have the same names."""
    for gesture, (metres, points) in HANDS.items():
        assert name(metres * [-1, 1, 1], points * [-1, 1]) == gesture


@pytest.mark.parametrize(
    "hand",
    [
        built([UP, UP, UP, FOLDED], thumb=FOLDED),
        built([UP] * 4, thumb=FOLDED),
        built([UP, UP, FOLDED, FOLDED], thumb=FOLDED, apart=3),
        built([FOLDED] * 4, thumb=UP, turn=-31),
        built([FOLDED, UP, UP, UP], thumb=UP, pinch=True, turn=180),
        built([UP, UP, FOLDED, FOLDED], thumb=FOLDED, apart=20, turn=120),
        built([UP] * 4, thumb=UP, turn=137),
    ],
    ids=["three", "four", "together", "thumb aside", "pinch downward", "victory downward", "palm downward"],
)
def test_what_no_rule_describes_has_no_name(hand):
    """Three or four fingers, fingers held together, a thumb to the side, and hands that reach down are not named."""
    assert name(*hand) is None


def test_half_bent_fingers_are_neither():
    """A finger bent at a right angle is neither extended nor curled: no palm, no fist."""
    metres, points = built([UP] * 4, thumb=UP)
    for first, middle, tip in FINGERS:
        metres[tip] = metres[middle] + [0, 0, 0.05]
        assert name(metres, points) is None, first


def test_a_hand_of_no_size_has_no_name():
    """Landmarks that all lie on one point make no gesture and no error."""
    assert name(np.zeros((21, 3)), np.zeros((21, 2))) is None


def test_the_square_lies_before_the_palm():
    """A palm of 20 pixels whose fingers point right has a square of 52, moved right by half a palm."""
    palm = np.zeros((9, 2))
    palm[:2] = [(40, 40), (60, 56)]
    palm[2], palm[4] = (42, 50), (58, 50)
    crop = square_of(palm)
    assert (crop.x, crop.y, crop.size, np.degrees(crop.angle)) == pytest.approx((60, 48, 52, 90))


# --- gestures over time ---


def spans(names, min_seconds, *, gap_after=None, held_seconds=0.25):
    """Of a hand seen four times a second from 1 s on, away for 0.75 s after one of its pictures; the last is held."""
    times = [1 + 0.25 * n + (0.75 if gap_after is not None and n > gap_after else 0) for n in range(len(names))]
    ends = [*(t + 0.25 for t in times[:-1]), times[-1] + held_seconds]
    return named_spans(times, ends, names, min_seconds)


def test_runs_become_spans():
    """A palm of three frames, then a fist of two, last to the next frame; nothing between is nothing."""
    names = ["open_palm"] * 3 + [None] * 2 + ["fist"] * 2
    assert spans(names, 0.5) == [("open_palm", 1.0, 1.75), ("fist", 2.25, 2.75)]


def test_short_gestures_are_left_out_and_short_interruptions_bridged():
    """One frame of a gesture is none; one frame of something else does not end one; the bound is an option."""
    names = ["open_palm", None, "fist", "fist", "ok", "fist"]
    assert spans(names, 0.5) == [("fist", 1.5, 2.5)]
    assert [span[0] for span in spans(names, 0.25)] == ["open_palm", "fist"]


def test_a_gesture_ends_where_the_hand_goes_away():
    """A hand that is gone after a gesture's last frame does not hold the gesture while it is away."""
    assert spans(["fist", "fist", None, None], 0.25, gap_after=1) == [("fist", 1.0, 1.5)]


def test_a_gesture_in_a_held_picture_lasts_as_long():
    """A fist in one picture alone, which stands for three seconds, is three seconds long."""
    assert spans([None, "fist"], 0.5, held_seconds=3.0) == [("fist", 1.25, 4.25)]


# --- the networks ---


@pytest.fixture(scope="module")
def recognition():
    return loaded(GestureRecognition())


@pytest.mark.parametrize("seconds", [1, 3])
def test_black_frames_hold_no_hand(recognition, tmp_path, seconds):
    """A black video, also of one second, has no hands and no gestures."""
    video = write_video(tmp_path / "black.mp4", [blank(320, 240, (0, 0, 0))] * (20 * seconds), fps=20)
    found = run(recognition, video, tmp_path / "frames")
    assert (found.hands.items, found.gestures.items) == ((), ())


def test_a_signers_hands(recognition, tmp_path):
    """The signer's left hand is followed while she signs, before her chest and open; the right one is found too."""
    found = run(recognition, real_clip("sign_book.mkv"), tmp_path / "frames")
    left = max(found.hands.items, key=lambda hand: len(hand.boxes))
    assert {hand.label for hand in found.hands.items} == {"left_hand", "right_hand"}
    assert left.label == "left_hand"
    for seen in left.boxes:
        x, y = np.mean(seen.landmarks, axis=0)
        assert (x, y) == pytest.approx((0.47, 0.43), abs=0.1)
    (gesture,) = found.gestures.items
    assert (gesture.label, gesture.confidence) == ("open_palm", None)
    assert gesture.evidence == (f"gesture_recognition/hands/{left.id}",)
    assert left.start <= gesture.start < gesture.end <= left.end


def test_hands_that_put_bottles_down(recognition, tmp_path):
    """Every time that a hand reaches in, it is followed; none is found while nobody does, and no sign is read."""
    found = run(recognition, real_clip("bottles.mp4"), tmp_path / "frames")
    visits = [(5.5, 7.5), (11.5, 14), (16, 18), (22, 25), (27.5, 29.5), (31, 32.5), (35.3, 37.2)]
    for start, end in visits:
        assert any(start <= hand.start < hand.end <= end for hand in found.hands.items), (start, end)
    assert all(any(start <= hand.start < hand.end <= end for start, end in visits) for hand in found.hands.items)
    assert {gesture.label for gesture in found.gestures.items} <= {"open_palm"}


@pytest.mark.parametrize("clip", ["slides_talk.mp4", "faces.mp4", "people.mp4", "reel.mp4"])
def test_no_hand_where_none_is_seen(recognition, tmp_path, clip):
    """Slides, people without hands in the picture and a man whose hands are before him have none."""
    assert run(recognition, real_clip(clip), tmp_path / "frames").hands.items == ()
