"""Tests of box arithmetic and of the way into a detector's picture and back."""

from itertools import islice
from mmap import mmap

import numpy as np
import pytest

from shared.frames import Frames, FrameStore
from tasks import boxes
from tasks.boxes import Letterbox, answered, as_document_box, groups_of_one, overlaps, pictures, same
from tasks.standing import looks
from tests.support.clips import make_clip, number_of
from tests.support.media import LocalMedia


@pytest.mark.parametrize("picture", [(240, 427), (427, 240), (300, 300), (3000, 10)])
def test_a_letterbox_keeps_the_shape_and_finds_the_way_back(picture):
    """A white picture fills exactly its part of the canvas, and that part's corners are 0 and 1 of the picture."""
    box = Letterbox.fit(picture, (416, 416))
    drawn = box.draw(np.full((picture[1], picture[0], 3), 255, np.uint8))
    rows, columns = np.flatnonzero(drawn.any(axis=(1, 2))), np.flatnonzero(drawn.any(axis=(0, 2)))
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], float)
    np.testing.assert_allclose(box.to_picture(corners), [[0, 0], [1, 1]])
    assert drawn.shape == (416, 416, 3)
    assert abs(box.inner_width * picture[1] - box.inner_height * picture[0]) <= max(picture)


def test_overlaps_are_intersection_over_union():
    """Half-covered boxes overlap by a third, apart or empty ones by nothing, equal ones by one."""
    first = np.array([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    second = np.array([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 2.0], [8.0, 8.0, 9.0, 9.0]])
    np.testing.assert_allclose(overlaps(first, second), [[1 / 3, 1, 0], [0, 0, 0]])


def test_groups_gather_around_the_best():
    """Every row is in one group; groups come best first, each led by its own best row."""
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [20, 1, 30, 11], [50, 0, 51, 1]], float)
    groups = groups_of_one(found, np.array([0.5, 0.9, 0.6, 0.4, 0.7]), 0.5)
    assert [group.tolist() for group in groups] == [[1, 0], [4], [2, 3]]


def test_groups_do_not_hang_on_how_many_boxes_are_compared_at_once(monkeypatch):
    """A hundred boxes, some of them equal, are in the same groups whether compared all at once or one after another."""
    chance = np.random.default_rng(0)
    corners, scores = chance.random((100, 2)), chance.random(100)
    many = np.concatenate([corners, corners + 0.3 * chance.random((100, 2))], axis=1)
    many[::9] = many[0]
    at_once = groups_of_one(many, scores, 0.3)
    monkeypatch.setattr(boxes, "MANY", 0)
    one_by_one = groups_of_one(many, scores, 0.3)
    assert 1 < len(at_once) < 100
    assert [group.tolist() for group in at_once] == [group.tolist() for group in one_by_one]


def test_document_boxes_have_width_and_height():
    """Edges become a corner and a size."""
    assert as_document_box(np.array([0.1, 0.2, 0.5, 0.8])) == pytest.approx((0.1, 0.2, 0.4, 0.6))


def shades(*levels):
    """Pictures of one shade each, four a second."""
    return [(number / 4, np.full((40, 30, 3), level, np.uint8)) for number, level in enumerate(levels)]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_picture_that_did_not_change_is_asked_about_once(at_once):
    """However many an engine takes at once, every picture has its own answer in order, and equal ones share one."""
    asked = []

    def ask(pictures):
        while batch := list(islice(pictures, at_once)):
            asked.extend(int(one[0, 0, 0]) for one in batch)
            yield [int(one[0, 0, 0]) for one in batch]

    levels = (7, 7, 7, 9, 7, 7, 3, 4, 4)
    found = list(answered(shades(*levels), ask))
    assert [(t, answer) for t, _, answer in found] == [(n / 4, level) for n, level in enumerate(levels)]
    assert all((picture == answer).all() for _, picture, answer in found)
    assert asked == [7, 9, 7, 3, 4]
    assert list(answered([], ask)) == []


def test_one_pixel_makes_another_picture():
    """Pictures that differ by one level of one channel in a corner, or in size, are not the same."""
    one = np.zeros((50, 41, 3), np.uint8)
    other = one.copy()
    assert same(one, other)
    other[49, 39, 1] = 1
    assert not same(one, other)
    assert not same(one, one[:49])


@pytest.mark.parametrize("read", [pictures, looks])
def test_pictures_are_those_of_the_frame_store(read, tmp_path):
    """Read one by one, every picture of several windows is one that the store's files hold: none is copied."""
    need = Frames(None, None)
    video = make_clip(tmp_path / "a.mp4", frames=95, fps=10)
    media = LocalMedia(video, FrameStore(tmp_path / "store", budget_bytes=1 << 30), (need,), ())
    shown = [picture for _, picture, *_ in read(media, need)]
    assert [number_of(picture) for picture in shown] == list(range(95))
    assert all(is_mapped(picture) for picture in shown)
    assert media.reader.stats.spans == [(0.0, pytest.approx(9.5))]


def is_mapped(picture):
    """Whether an array's bytes are those of a file."""
    held = picture
    while isinstance(held, np.ndarray):
        held = held.base
    return isinstance(held, mmap)
