"""Tests of what is between the face detector and the networks that look at one face: geometry with exact truth."""

import numpy as np
import pytest

from tasks.faces import ClearLooks, FacePath, back, crop, similarity, upright_square, view
from tests.support.faces import face_at

SIZE = (200, 100)


def test_a_view_is_in_pixels():
    """Eyes 0.1 of a picture 200 pixels wide apart are 20 pixels apart; the box's longer side is 40."""
    seen = view(face_at([0.0], 0.5).boxes[0], SIZE)
    assert seen.eye_distance == pytest.approx(20)
    assert seen.side == pytest.approx(40)
    np.testing.assert_allclose(seen.eye_middle, [100, 40])


@pytest.mark.parametrize(("nose", "clear"), [(0.0, True), (0.2, True), (-0.3, False), (0.4, False)])
def test_a_turned_head_is_not_clear(nose, clear):
    """The nose beside the middle of the eyes tells the turn, to either side."""
    seen = view(face_at([0.0], 0.5, nose=nose).boxes[0], SIZE)
    assert seen.turn == pytest.approx(abs(nose))
    assert seen.is_clear(20) is clear
    assert not seen.is_clear(21)


def test_a_frame_counts_when_one_face_can_be_looked_at():
    """A frame with faces of which none is large and frontal takes its time out; one of several, or nobody, does not."""
    near, turned = (view(face_at([0.0], 0.5, nose=nose).boxes[0], SIZE) for nose in (0.0, 0.9))
    looked = ClearLooks(20)
    assert looked.at(0.0, [turned, near]) == [(1, near)]
    assert looked.at(0.5, [None, None]) == []
    assert looked.spans(1.0) is None
    assert looked.at(1.0, [turned, None]) == []
    assert looked.at(1.5, [near]) == [(0, near)]
    assert looked.spans(2.0) == ((0.0, 1.0), (1.5, 2.0))


def test_between_boxes_a_face_goes_straight():
    """Half way between two boxes the face is half way; after the last box it stays for less than a sample."""
    first, second = face_at([0.0], 0.3), face_at([0.25], 0.5)
    path = FacePath(first.model_copy(update={"boxes": first.boxes + second.boxes}), [])
    assert path.at(0.125, SIZE).eye_middle[0] == pytest.approx(80)
    assert path.at(0.45, SIZE).eye_middle[0] == pytest.approx(100)
    assert path.at(0.6, SIZE) is None


def test_a_cut_ends_the_line():
    """Before a cut the face is where it was, from the cut on where it is next; never between."""
    first, second = face_at([0.0], 0.3), face_at([0.25], 0.5)
    path = FacePath(first.model_copy(update={"boxes": first.boxes + second.boxes}), [0.2])
    assert path.at(0.19, SIZE).eye_middle[0] == pytest.approx(60)
    assert path.at(0.2, SIZE).eye_middle[0] == pytest.approx(100)


def test_a_long_absence_is_not_bridged():
    """Where a face was missing for a second nobody knows where it was."""
    assert FacePath(face_at([0.0, 1.0], 0.5), []).at(0.5, SIZE) is None


def test_without_a_clear_look_nothing_was_looked_at():
    """A video of one frame with a face too small for the network was not looked at; one of no frame was."""
    looked = ClearLooks(30)
    assert looked.spans(1.5) is None
    looked.at(0.0, [view(face_at([0.0], 0.5).boxes[0], SIZE)])
    assert looked.spans(1.5) == ()


def test_a_similarity_is_recovered():
    """Turned, scaled and moved points lead back to the map that did it; its inverse leads home."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 50, (5, 2))
    angle, scale = 0.6, 1.7
    matrix = np.array([[np.cos(angle), -np.sin(angle), 3.0], [np.sin(angle), np.cos(angle), -7.0]])
    matrix[:, :2] *= scale
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(similarity(points, moved), matrix, atol=1e-9)
    np.testing.assert_allclose(back(matrix, moved), points, atol=1e-9)


def test_a_tilted_square_is_cut_upright():
    """A bright dot to the right of the middle, along the tilt, lies to the right in the crop."""
    picture = np.zeros((200, 200, 3), np.uint8)
    across = np.array([1.0, 1.0])
    dot = np.array([100, 100]) + 30 * across / np.linalg.norm(across)
    picture[int(dot[1]) - 3 : int(dot[1]) + 4, int(dot[0]) - 3 : int(dot[0]) + 4] = 255
    cut = crop(picture, upright_square(np.array([100.0, 100.0]), 80, across, 40), 40)
    y, x = np.unravel_index(cut[:, :, 0].argmax(), (40, 40))
    assert (x, y) == (pytest.approx(35, abs=2), pytest.approx(20, abs=2))


def test_shrinking_averages():
    """Lines finer than the crop's pixels become gray, not moire."""
    picture = np.zeros((400, 400), np.uint8)
    picture[:, ::2] = 255
    cut = crop(picture, upright_square(np.array([200.0, 200.0]), 320, np.array([1.0, 0.0]), 80), 80)
    assert cut[5:-5, 5:-5].min() > 100
    assert cut[5:-5, 5:-5].max() < 155
