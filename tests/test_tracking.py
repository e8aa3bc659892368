"""Tests of linking boxes to objects, on boxes placed by hand."""

import numpy as np
import pytest

from tasks.appearance import Looks
from tasks.standing import stood
from tasks.tracking import LinkRules, Sighting, link

RULES = LinkRules(start_score=0.5)


def seen(t, *boxes):
    """A sighting at `t` of `(left, top, right, bottom)` boxes, each with a score and a label if need be."""
    rows = [(*box, 0.9, 0)[:6] if len(box) == 4 else (*box, 0)[:6] for box in boxes]
    table = np.array(rows, float).reshape(-1, 6)
    return Sighting(t, table[:, :4], table[:, 4], table[:, 5].astype(np.intp))


def box(x, score=0.9, label=0, width=0.2):
    """A box of that width whose left edge is at x."""
    return (x, 0.4, x + width, 0.6, score, label)


def linked(sightings, rules=RULES, interval=0.25, duration=None, cuts=(), hole=None):
    """Objects in pictures of that interval; between the seconds of the hole nothing could be read."""
    duration = duration or (sightings[-1].t + interval if sightings else 0.0)
    shown = [(0.0, hole[0]), (hole[1], duration)] if hole else [(0.0, duration)]
    return link(sightings, rules, stood([one.t for one in sightings], interval, shown), cuts=cuts)


def looked(t, frame, *boxes):
    """A sighting at `t` of boxes in an rgb frame, with their looks."""
    bare = seen(t, *boxes)
    return Sighting(t, bare.boxes, bare.scores, bare.labels, Looks.of(frame, bare.boxes))


def scenery(seed):
    """A picture of 200x120 with large patches of any colours; another seed, another place."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 10, 3))
    return np.kron(patches, np.ones((20, 20, 1))).astype(np.uint8)


def with_inset(frame, seed=99):
    """The frame with another picture where `box(0.3)` is."""
    inset = frame.copy()
    inset[48:72, 60:100] = scenery(seed)[:24, :40]
    return inset


def test_a_moving_box_is_one_object():
    """Boxes that overlap from frame to frame become one object with all its boxes, times and scores."""
    sightings = [seen(i * 0.25, box(0.1 + 0.05 * i, score=0.6 + 0.01 * i)) for i in range(8)]
    (track,) = linked(sightings)
    assert (track.start, track.end) == (0.0, 2.0)
    assert track.times == tuple(i * 0.25 for i in range(8))
    np.testing.assert_allclose(track.boxes[:, 0], 0.1 + 0.05 * np.arange(8))
    np.testing.assert_allclose(track.scores, 0.6 + 0.01 * np.arange(8))


def test_crossing_objects_keep_their_identity():
    """Two objects of one class that meet, hide each other for a frame and go on stay the two that they were."""
    left_to_right = [0.1 + 0.08 * i for i in range(9)]
    right_to_left = [0.74 - 0.08 * i for i in range(9)]
    sightings = []
    for i, (a, b) in enumerate(zip(left_to_right, right_to_left, strict=True)):
        sightings.append(seen(i * 0.25, box(a)) if i == 4 else seen(i * 0.25, box(a), box(b)))
    tracks = sorted(linked(sightings), key=lambda track: track.boxes[0, 0])
    assert len(tracks) == 2
    assert tracks[0].boxes[-1, 0] == pytest.approx(left_to_right[-1])
    assert tracks[1].boxes[-1, 0] == pytest.approx(right_to_left[-1])


def test_the_best_assignment_wins_over_the_greedy_one():
    """Where taking the best pair first would leave an object without its box, all get theirs."""
    # of all pairs the second object and the first new box overlap most, but the first object has no other
    tracks = linked([seen(0.0, box(0.30), box(0.40)), seen(0.25, box(0.36), box(0.48))])
    assert [round(float(track.boxes[-1, 0]), 2) for track in tracks] == [0.36, 0.48]


@pytest.mark.parametrize(("missing", "objects"), [(3, 1), (4, 2)])
def test_an_object_breaks_at_gaps_longer_than_the_bound(missing, objects):
    """An object that is gone for up to one second goes on, one that is gone for longer is a new one."""
    there = [True, True] + [False] * missing + [True, True]
    sightings = [seen(i * 0.25, *([box(0.3)] if visible else [])) for i, visible in enumerate(there)]
    tracks = linked(sightings)
    assert len(tracks) == objects
    assert sum(len(track.times) for track in tracks) == 4


@pytest.mark.parametrize("times", [(0.0, 1.0, 2.0, 3.0), (0.0, 0.25, 4.25, 4.5, 4.75)], ids=["1 fps", "a stall"])
def test_one_look_missed_after_a_picture_that_stood_ends_nobody(times):
    """What was in a picture that is held was there until it went: one look without it afterwards is no absence."""
    (track,) = linked([seen(t, *([] if i == 2 else [box(0.3)])) for i, t in enumerate(times)])
    assert track.times == tuple(t for i, t in enumerate(times) if i != 2)


def test_frames_far_apart_are_still_neighbours():
    """In a slow video consecutive frames link although more than the bound lies between them."""
    (track,) = linked([seen(i * 5.0, box(0.3)) for i in range(3)])
    assert track.times == (0.0, 5.0, 10.0)


def test_weak_boxes_carry_on_but_never_start():
    """A box below the start score continues an object in its place and starts none of its own."""
    sightings = [
        seen(0.0, box(0.1, score=0.8), box(0.7, score=0.4)),
        seen(0.25, box(0.1, score=0.4), box(0.7, score=0.4)),
        seen(0.5, box(0.1, score=0.4), box(0.7, score=0.4)),
    ]
    (track,) = linked(sightings)
    assert track.scores.tolist() == [0.8, 0.4, 0.4]
    assert track.boxes[:, 0].tolist() == [0.1, 0.1, 0.1]


def test_classes_never_mix():
    """Boxes in the same place but of different classes are different objects."""
    tracks = linked([seen(i * 0.25, box(0.3, label=1), box(0.3, label=2)) for i in range(4)])
    assert sorted((track.label, len(track.times)) for track in tracks) == [(1, 4), (2, 4)]


def test_flickers_are_dropped_unless_there_is_one_frame_only():
    """One box alone is no object in a video of many frames, and is one where a single frame was looked at."""
    assert linked([seen(0.0), seen(0.25, box(0.3)), seen(0.5)]) == []
    assert len(linked([seen(0.0, box(0.3))])) == 1


def test_what_is_in_one_held_picture_is_an_object():
    """A picture that stands for 5 s between others says as much as many looks: what is in it is there all that time."""
    slides = [seen(5.0 * number, *([box(0.3)] if number == 1 else [])) for number in range(4)]
    (track,) = linked(slides)
    assert (track.start, track.end, len(track.boxes)) == (5.0, 10.0, 1)


@pytest.mark.parametrize("interval", [0.5, 1.0])
def test_flickers_of_a_slow_film_are_dropped(interval):
    """A film at one or two frames a second moves all the time: what is in one of its frames alone is a flicker."""
    assert linked([seen(interval * number, *([box(0.3)] if number == 2 else [])) for number in range(5)]) == []


def test_a_thinned_video_holds_no_pictures():
    """Looks 2 s apart, as at a video too long to be read at four a second, are no pictures that stand for 2 s."""
    looks = [seen(2.0 * number, *([box(0.3)] if number == 2 else [])) for number in range(5)]
    assert linked(looks, interval=2.0) == []
    assert len(linked(looks, interval=0.25)) == 1


def test_what_could_not_be_read_is_no_held_picture():
    """Over a hole in the video nobody is known to be there: it ends with what was read, and one box is a flicker."""
    (track,) = linked([seen(0.0, box(0.3)), seen(0.25, box(0.3)), seen(3.0)], hole=(0.5, 3.0))
    assert track.end == 0.5
    assert linked([seen(0.0), seen(0.25, box(0.3)), seen(3.0)], hole=(0.5, 3.0)) == []


@pytest.mark.parametrize(
    ("times", "last", "duration", "end"),
    [
        ((0.0, 0.25, 0.5), 1, 9.0, 0.5),
        ((0.0, 0.27, 0.48), 1, 9.0, 0.48),
        ((0.0, 0.25, 3.0), 1, 9.0, 3.0),
        ((0.0, 0.25), 1, 0.4, 0.4),
        ((0.0, 0.25), 1, 0.2, 0.25),
        ((0.0, 1.0, 2.0), 2, 3.0, 3.0),
        ((0.0, 1.0, 2.0), 2, 9.0, 9.0),
        ((0.0,), 0, 2.0, 2.0),
    ],
    ids=[
        "interval",
        "next frame",
        "a pause",
        "the end",
        "a header that says less",
        "1 fps",
        "a held picture",
        "one frame",
    ],
)
def test_an_object_ends_where_it_was_last_known(times, last, duration, end):
    """The end is one interval after the last box, longer in a slow video, but never past the next frame or the end."""
    sightings = [seen(t, *([box(0.3)] if i <= last else [])) for i, t in enumerate(times)]
    (track,) = linked(sightings, duration=duration)
    assert track.end == pytest.approx(end)


def test_nothing_in_nothing_out():
    """No frames and empty frames give no objects."""
    assert linked([]) == []
    assert linked([seen(0.0), seen(0.25)]) == []


def test_a_sighting_checks_its_lengths():
    """Boxes without scores are refused where they are made."""
    with pytest.raises(ValueError, match="2 boxes, 1 scores"):
        Sighting(0.0, np.zeros((2, 4)), np.zeros(1), np.zeros(2, np.intp))


CUT = 0.5
TIMES = (0.0, 0.25, 0.5, 0.75)


@pytest.mark.parametrize(
    ("before", "after", "objects"),
    [
        (scenery(1), scenery(2), 2),
        (scenery(1), np.roll(scenery(1), 6, axis=1), 1),
        (with_inset(scenery(1)), with_inset(scenery(2)), 1),
        (scenery(1), scenery(1) // 2, 1),
        (scenery(1), np.zeros((120, 200, 3), np.uint8), 2),
    ],
    ids=["another place", "a jump cut", "an inset over changing slides", "the same, darker", "black"],
)
def test_an_object_goes_on_over_a_cut_only_where_something_still_looks_the_same(before, after, objects):
    """Boxes in the same place before and after a cut are one object if the picture or their content is alike."""
    sightings = [looked(t, before if t < CUT else after, box(0.3)) for t in TIMES]
    tracks = linked(sightings, cuts=(CUT,))
    assert [len(track.times) for track in tracks] == ([4] if objects == 1 else [2, 2])
    assert tracks[0].end == (1.0 if objects == 1 else CUT)


def test_without_a_cut_looks_do_not_matter():
    """Within a shot an object may turn round, and the picture change, as in a pan."""
    (track,) = linked([looked(t, scenery(number), box(0.3)) for number, t in enumerate(TIMES)])
    assert len(track.times) == 4


def test_without_looks_a_cut_ends_every_object():
    """Where nobody kept what things look like, nothing is claimed over a cut."""
    assert [len(track.times) for track in linked([seen(t, box(0.3)) for t in TIMES], cuts=(CUT,))] == [2, 2]


def test_over_a_cut_each_object_goes_to_the_one_that_looks_like_it():
    """Of two boxes that overlap an object's last one, it is not the nearer but the one that looks the same."""
    frame = scenery(1)
    moved = np.zeros_like(frame)
    moved[48:72, 66:106] = frame[48:72, 60:100]
    tracks = linked(
        [
            *(looked(t, frame, box(0.3)) for t in TIMES[:2]),
            *(looked(t, moved, box(0.27), box(0.33)) for t in TIMES[2:]),
        ],
        cuts=(CUT,),
    )
    assert [round(float(x), 2) for x in tracks[0].boxes[:, 0]] == [0.3, 0.3, 0.33, 0.33]


def test_an_object_ends_with_its_shot():
    """The end is the cut, not the next sampled frame; a cut before the last box, rounded, does not count."""
    sightings = [looked(t, scenery(1), *([box(0.3)] if t < CUT else [])) for t in TIMES]
    assert linked(sightings, cuts=(0.4,))[0].end == 0.4
    assert linked(sightings, cuts=(0.2504,))[0].end == CUT


def test_a_shot_of_one_sampled_frame_keeps_what_is_in_it():
    """Where cuts leave a shot a single frame, one box is all there can be; in a longer shot it is a flicker."""
    sightings = [looked(t, scenery(int(t >= CUT)), *([box(0.3)] if t in (0.0, 0.5) else [])) for t in TIMES]
    assert linked(sightings, cuts=(CUT,)) == []
    (track,) = linked(sightings, cuts=(CUT, 0.6))
    assert (track.start, track.end) == (CUT, 0.6)
