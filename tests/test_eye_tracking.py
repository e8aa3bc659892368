"""Tests of eye tracking: its rules on made measures, its networks on drawn and on real eyes."""

import numpy as np
import pytest

from tasks.analyzers.eye_tracking import (
    REST,
    EyeOptions,
    Eyes,
    EyeTracking,
    Look,
    aspect_ratio,
    closed,
    direction,
    measure,
    steady,
)
from tests.support.faces import FPS, black, drawn, found_faces, no_faces, still
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip


def lids(height, width=30.0):
    """16 lid points of an eye, `height` open all along: outer corner, below, inner corner, above."""
    points = np.zeros((16, 2))
    points[:9, 0] = np.linspace(0, width, 9)
    points[9:, 0] = np.linspace(0, width, 9)[1:8]
    points[1:8, 1], points[9:, 1] = height / 2, -height / 2
    return points


def test_the_aspect_ratio_is_height_by_width():
    """An eye 30 wide whose lids are 9 apart has the ratio 0.3; closed lids have none."""
    assert aspect_ratio(lids(0)) == 0
    ratio = aspect_ratio(lids(9))
    assert ratio == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (-6, 0), (0, 3)])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_irises_are_measured_along_the_eyes(dx, dy, angle):
    """Irises moved by a tenth of the eye's width are a tenth off, also in a tilted face; right is positive."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    right, left = lids(9), lids(9)
    left[:, 0] = 90 - left[:, 0]
    irises = np.array([np.tile([15 + dx, dy], (5, 1)), np.tile([75 + dx, dy], (5, 1))], float)
    look = measure(0.0, Eyes(np.stack([right, left]) @ turn.T, irises @ turn.T))
    assert (look.across, look.down) == pytest.approx((dx / 30, dy / 30), abs=1e-6)


@pytest.mark.parametrize(
    ("across", "down", "name"),
    [
        (0, REST, "centre"),
        (0.07, REST, "centre"),
        (0.1, REST, "right"),
        (-0.1, REST + 0.05, "left"),
        (0, REST - 0.07, "up"),
        (0.05, REST + 0.07, "down"),
        (0.1, REST + 0.09, "down"),
    ],
)
def test_the_axis_that_is_further_off_gives_the_name(across, down, name):
    """Left and right as in the picture; within both thresholds it is the centre."""
    assert direction(across, down) == name


def test_closed_is_against_the_face_itself():
    """A narrow open eye is open; the same height is closed for a face whose eyes are wide open before and after."""
    narrow = [Look(t / 10, 0.18, 0, 0) for t in range(20)]
    wide = [Look(t / 10, 0.18 if t in (9, 10) else 0.35, 0, 0) for t in range(20)]
    assert not any(closed(narrow, EyeOptions()))
    assert [row for row, shut in enumerate(closed(wide, EyeOptions())) if shut] == [9, 10]
    assert closed([], EyeOptions()) == []


def test_one_wild_look_is_steadied():
    """The median of three takes a single outlier away."""
    looks = [Look(t / 10, 0.3, 0.5 if t == 3 else 0.0, 0.0) for t in range(6)]
    assert steady(looks) == [(0.0, 0.0)] * 6


@pytest.fixture(scope="module")
def tracking():
    return loaded(EyeTracking())


def tracked(tracking, video, folder, **options):
    return run(tracking, video, folder, found_faces(video, folder), **options)


SHUT = ((20, 24), (50, 53))
"""Frames in which the drawn eyes are closed, of 80 at 20 a second."""


@pytest.fixture(scope="module")
def blinking(tracking, tmp_path_factory):
    """A drawn face for four seconds that closes its eyes twice."""
    folder = tmp_path_factory.mktemp("blinking")
    pictures = [drawn(eyes_open=not any(a <= n < b for a, b in SHUT)) for n in range(80)]
    return tracked(tracking, write_video(folder / "blinking.mp4", pictures, fps=FPS), folder / "frames")


def test_blinks_are_found_when_they_happen(blinking):
    """Eyes closed for 0.2 and 0.15 s are two blinks, each within its time, each citing the face."""
    assert len(blinking.blinks.items) == 2
    for blink, (first, stop) in zip(blinking.blinks.items, SHUT, strict=True):
        assert first / FPS - 0.05 <= blink.t < stop / FPS
        assert 0.1 <= blink.seconds <= 0.3
        assert blink.type == "blink"
        assert blink.evidence == ("face_detection/faces/f1",)


def test_a_gaze_goes_on_over_a_blink(blinking):
    """Eyes that look ahead and blink look ahead all the time."""
    assert [(item.label, item.start) for item in blinking.gaze.items] == [("centre", 0.0)]
    assert blinking.gaze.items[0].end == pytest.approx(4.0, abs=0.11)


def test_the_series_has_a_place_for_every_tenth(blinking):
    """One value of each measure every 0.1 s over the face's time."""
    (eyes,) = blinking.eyes.items
    assert eyes.dt == 0.1
    assert len(eyes.aspect_ratio) == len(eyes.across) == len(eyes.down) == 40
    assert None not in eyes.aspect_ratio


def test_eyes_that_stay_closed_do_not_blink(tracking, tmp_path):
    """Closed for a second is no blink."""
    pictures = [drawn(eyes_open=not 20 <= n < 40) for n in range(80)]
    video = write_video(tmp_path / "asleep.mp4", pictures, fps=FPS)
    assert tracked(tracking, video, tmp_path / "frames").blinks.items == ()


def test_a_gaze_goes_on_while_a_call_stalls(tracking, tmp_path):
    """A picture that stands for 4 s in a call is looked at for all of it, and a film of a picture a second is, too."""
    picture, times = drawn(), [n / FPS for n in range(20)]
    stall = write_video(tmp_path / "stall.mp4", [picture] * 40, times=[*times, *(t + 5 for t in times)])
    slow = write_video(tmp_path / "slow.mp4", [picture] * 5, fps=1)
    for video, end in ((stall, 5.95), (slow, 4.0)):
        looked = tracked(tracking, video, tmp_path / video.stem)
        assert [(item.label, item.start) for item in looked.gaze.items] == [("centre", 0.0)]
        assert looked.gaze.items[0].end >= end
        (eyes,) = looked.eyes.items
        assert None not in eyes.aspect_ratio
        assert len(eyes.aspect_ratio) >= 10 * end
        assert (looked.analysed, looked.blinks.items) == (None, ())


def test_drawn_irises_move_the_measure(tracking, tmp_path):
    """Irises drawn to the left, in the middle and to the right are measured in that order, well apart."""
    across = []
    for name, gaze in (("left", -0.1), ("middle", 0.0), ("right", 0.1)):
        video = still(tmp_path / f"{name}.mp4", drawn(gaze=gaze))
        (eyes,) = tracked(tracking, video, tmp_path / "frames").eyes.items
        across.append(np.median(eyes.across))
    assert across[0] + 0.04 < across[1] < across[2] - 0.04


def test_a_small_face_is_not_looked_at(tracking, tmp_path):
    """Eyes less than 24 pixels apart at a short side of 240: nothing found, and the span is not analysed."""
    video = still(tmp_path / "small.mp4", drawn(radius=40))
    looked = tracked(tracking, video, tmp_path / "frames")
    assert (looked.gaze.items, looked.blinks.items, looked.eyes.items, looked.analysed) == ((), (), (), ())


def test_nobody_has_no_eyes(tracking, tmp_path):
    """A black video of one second is analysed and empty."""
    looked = run(tracking, black(tmp_path / "black.mp4"), tmp_path / "frames", no_faces())
    assert (looked.gaze.items, looked.blinks.items, looked.eyes.items, looked.analysed) == ((), (), (), None)


def test_a_real_reel(tracking, tmp_path):
    """The man of the sample reel looks ahead for three seconds and does not blink."""
    looked = tracked(tracking, real_clip("reel.mp4"), tmp_path / "frames")
    assert [item.label for item in looked.gaze.items] == ["centre"]
    assert looked.gaze.items[0].end == pytest.approx(3.1, abs=0.2)
    assert looked.blinks.items == ()


def test_real_blinks(tracking, tmp_path):
    """The man of faces.mp4 blinks at 3.5 s and at 12.9 s, as one sees in the frames."""
    looked = tracked(tracking, real_clip("faces.mp4"), tmp_path / "frames")
    times = [blink.t for blink in looked.blinks.items]
    assert times == pytest.approx([3.5, 12.9], abs=0.1)
