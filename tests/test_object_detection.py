"""Tests of object detection: its arithmetic on hand-made tensors, its network on drawn and on real things."""

import numpy as np
import pytest

from tasks.analyzers.object_detection import ObjectDetection
from tasks.engines.nanodet import BINS, COCO, STRIDES, as_input, canvas_size, decode
from tests.support.drawings import blank, draw_clock, draw_stop_sign
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip

SKY = (150, 180, 215)


def outputs(width, height, stride, cell, label, score, sides):
    """What the network says when one cell sees one thing, `sides` (whole strides) away from its edges."""
    tensors = []
    for each in STRIDES:
        cells = (width // each) * (height // each)
        classes, distances = np.zeros((1, cells, len(COCO)), np.float32), np.zeros((1, cells, 4 * BINS), np.float32)
        if each == stride:
            classes[0, cell, label] = score
            for side, distance in enumerate(sides):
                distances[0, cell, side * BINS + distance] = 50
        tensors += [distances, classes]
    return tensors


@pytest.mark.parametrize(
    ("width", "height", "stride", "column", "row"), [(416, 416, 8, 20, 30), (416, 416, 32, 12, 0), (256, 416, 16, 3, 7)]
)
def test_decoding_puts_a_box_around_its_cell(width, height, stride, column, row):
    """One sure cell becomes one box whose edges lie the given strides from the cell's middle."""
    sides = (1, 2, 3, 4)
    cell = row * (width // stride) + column
    boxes, scores, labels = decode(outputs(width, height, stride, cell, 39, 0.8, sides), width, height, 0.5)
    middle = np.array([column + 0.5, row + 0.5, column + 0.5, row + 0.5])
    np.testing.assert_allclose(boxes, [(middle + np.array([-1, -2, 3, 4])) * stride], atol=1e-6)
    assert scores == pytest.approx([0.8])
    assert [COCO[label] for label in labels] == ["bottle"]


def test_decoding_takes_the_mean_of_a_distance_distribution():
    """Equal weight on two neighbouring distances puts the edge between them."""
    tensors = outputs(416, 416, 8, 0, 0, 0.9, (0, 0, 2, 2))
    right_edge = 2 * BINS
    tensors[0][0, 0, right_edge + 3] = 50
    boxes, _, _ = decode(tensors, 416, 416, 0.5)
    np.testing.assert_allclose(boxes, [[4, 4, 4 + 2.5 * 8, 4 + 2 * 8]], atol=1e-6)


def test_decoding_leaves_out_what_scores_below_the_floor():
    """A cell just below the floor gives no box, and no boxes are an empty array."""
    boxes, scores, labels = decode(outputs(416, 416, 16, 5, 0, 0.29, (1, 1, 1, 1)), 416, 416, 0.3)
    assert boxes.shape == (0, 4)
    assert len(scores) == len(labels) == 0


def test_the_network_sees_blue_first_and_normalised():
    """Each plane of the tensor is one colour of the picture, minus its mean, by its deviation."""
    tensor = as_input(np.array([[[10, 20, 30], [200, 100, 50]]], np.uint8))
    expected = [[[30, 50]], [[20, 100]], [[10, 200]]]
    mean, deviation = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    np.testing.assert_allclose(tensor[0], (expected - mean[:, None, None]) / deviation[:, None, None], rtol=1e-5)


@pytest.mark.parametrize(
    ("frame", "canvas"),
    [((240, 427), (256, 416)), ((427, 240), (416, 256)), ((240, 240), (416, 416)), ((1080, 60), (416, 32))],
)
def test_the_canvas_is_the_smallest_that_holds_the_frame(frame, canvas):
    """Both sides are multiples of the coarsest stride around the frame, the longer one 416."""
    assert canvas_size(*frame) == canvas


@pytest.fixture(scope="module")
def detection():
    return loaded(ObjectDetection())


@pytest.fixture(scope="module")
def signs(detection, tmp_path_factory):
    """A vertical video of 4 s: a stop sign that moves to the right, then from 2 s on a clock."""

    def picture(index):
        frame = blank(360, 640, SKY)
        if index < 40:
            draw_stop_sign(frame, 100 + 4 * index, 200, 60)
        else:
            draw_clock(frame, 180, 400, 50)
        return frame

    folder = tmp_path_factory.mktemp("signs")
    video = write_video(folder / "signs.mp4", (picture(index) for index in range(80)), fps=20)
    return run(detection, video, folder / "frames").objects


def test_drawn_things_are_named_and_timed(signs):
    """A moving stop sign and the clock that replaces it are one object each, in exactly their seconds."""
    assert [(item.id, item.label, item.start, item.end) for item in signs.items] == [
        ("o1", "stop sign", 0.0, 2.0),
        ("o2", "clock", 2.0, 4.0),
    ]
    assert signs.method == "model"


def test_things_in_held_pictures_are_there_as_long_as_these(detection, tmp_path):
    """In slides of one frame, 4 s each, and in a film that pauses for 6 s, things last as long as their picture."""
    sign, clock, empty = (blank(360, 640, SKY) for _ in range(3))
    draw_stop_sign(sign, 180, 200, 60)
    draw_clock(clock, 180, 400, 50)
    slides = write_video(tmp_path / "slides.mp4", [empty, sign, clock], fps=0.25)
    found = run(detection, slides, tmp_path / "a").objects.items
    assert [(item.label, item.start, item.end) for item in found] == [("stop sign", 4.0, 8.0), ("clock", 8.0, 12.0)]
    times = [number / 20 for number in range(20)] + [7 + number / 20 for number in range(20)]
    paused = write_video(tmp_path / "paused.mp4", [sign] * 20 + [clock] * 20, fps=20, times=times)
    found = run(detection, paused, tmp_path / "b").objects.items
    assert [(item.label, item.start, item.end) for item in found] == [
        ("stop sign", 0.0, 7.0),
        ("clock", 7.0, pytest.approx(8.0, abs=0.06)),
    ]


def test_boxes_follow_what_moves(signs):
    """At every sampled time the box lies around where the sign was drawn, within a fiftieth of the picture."""
    for seen in signs.items[0].boxes:
        x = 100 + 4 * round(seen.t * 20)
        expected = ((x - 60) / 360, (200 - 60) / 640, 120 / 360, 120 / 640)
        assert seen.box == pytest.approx(expected, abs=0.05), seen.t
    assert len(signs.items[0].boxes) == 8


def test_confidence_is_the_mean_of_the_boxes(signs):
    """An object's confidence is what the network gave its boxes, averaged."""
    for item in signs.items:
        assert item.confidence == pytest.approx(np.mean([seen.confidence for seen in item.boxes]), abs=1e-3)


def test_the_threshold_is_an_option(detection, tmp_path):
    """With a threshold that no score reaches, the same clip has no objects."""
    frame = blank(360, 640, SKY)
    draw_stop_sign(frame, 180, 200, 60)
    video = write_video(tmp_path / "sign.mp4", [frame] * 20, fps=20)
    assert [item.label for item in run(detection, video, tmp_path / "a").objects.items] == ["stop sign"]
    assert run(detection, video, tmp_path / "b", threshold=0.99).objects.items == ()


def test_an_object_is_as_sure_as_the_threshold(detection, tmp_path):
    """A sign that is plain at first and faint from then on is an object only up to its mean score."""
    plain, faint = blank(360, 640, SKY), blank(360, 640, SKY)
    for picture in (plain, faint):
        draw_stop_sign(picture, 180, 200, 60)
    faint[:] = (0.25 * faint + 0.75 * np.array(SKY)).astype(np.uint8)
    video = write_video(tmp_path / "sign.mp4", [plain] * 10 + [faint] * 50, fps=20)
    (sign,) = run(detection, video, tmp_path / "a").objects.items
    best = max(seen.confidence for seen in sign.boxes)
    assert sign.confidence < best - 0.02
    between = (sign.confidence + best) / 2
    assert run(detection, video, tmp_path / "a", threshold=between).objects.items == ()


def test_a_window_is_no_tv(detection, tmp_path):
    """What looks like a tv in 4 of 68 frames of a real clip is not reported; the man before it is."""
    items = run(detection, real_clip("people.mp4"), tmp_path / "frames").objects.items
    assert [item.label for item in items] == ["person"]


def test_black_frames_hold_nothing(detection, tmp_path):
    """A black video is looked at and has no objects."""
    video = write_video(tmp_path / "black.mp4", [blank(320, 240, (0, 0, 0))] * 20, fps=20)
    assert run(detection, video, tmp_path / "frames").objects.items == ()


def test_a_real_reel(detection, tmp_path):
    """In the sample reel there are a person, then bottles, then a person, within a sampling interval of the cuts."""
    items = run(detection, real_clip("reel.mp4"), tmp_path / "frames").objects.items
    spans = {(item.label, item.start, item.end) for item in items}
    expected = [("person", 0.0, 3.0), ("bottle", 3.0, 6.0), ("person", 8.5, 12.0)]
    for label, start, end in expected:
        assert any(
            name == label and abs(begin - start) <= 0.3 and abs(until - end) <= 0.3 for name, begin, until in spans
        ), (label, sorted(spans))
    assert {label for label, _, _ in spans} == {"person", "bottle"}
