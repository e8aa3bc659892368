"""Tests of what pictures and things look like, on pictures drawn by hand."""

import numpy as np
import pytest

from tasks.appearance import SIDE, Looks, alike

RANDOM = np.random.default_rng(7)
PATCHES = np.kron(RANDOM.integers(0, 256, (6, 10, 3)), np.ones((20, 20, 1))).astype(np.uint8)


def look(frame):
    return Looks.of(frame, np.array([[0.0, 0.0, 1.0, 1.0]])).picture


def test_a_frame_without_things_has_no_looks():
    """Nothing goes on from it, so nothing is measured."""
    assert Looks.of(PATCHES, np.zeros((0, 4))) is None


def test_a_thing_looks_like_its_part_of_the_picture():
    """The look of a box is that of its pixels and nothing else; a box of everything looks like the picture."""
    boxes = np.array([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0]])
    looks = Looks.of(PATCHES, boxes)
    assert looks.things.shape == (2, SIDE, SIDE, 3)
    np.testing.assert_array_equal(looks.things[0], look(PATCHES[:, :100]))
    np.testing.assert_array_equal(looks.things[1], looks.picture)


@pytest.mark.parametrize("box", [(1.0, 1.0, 1.0, 1.0), (-0.2, 0.5, 0.0, 0.5), (0.999, 0.2, 1.2, 0.2)])
def test_boxes_without_area_and_beyond_the_picture_have_a_look(box):
    """What a detector places at or over the edge is the pixel there."""
    assert Looks.of(PATCHES, np.array([box])).things.shape == (1, SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (PATCHES, True),
        (PATCHES // 4, True),
        (PATCHES // 4 + 180, True),
        (PATCHES // 2 + RANDOM.integers(0, 8, PATCHES.shape, np.uint8), True),
        (PATCHES[:, ::-1], False),
        (255 - PATCHES, False),
        (PATCHES[..., ::-1], False),
    ],
    ids=["itself", "darker", "paler", "noisy", "mirrored", "negative", "other colours"],
)
def test_light_does_not_matter_and_shape_and_colour_do(other, expected):
    """A picture is known again in other light, not when it is mirrored, inverted or in other colours."""
    assert alike(look(PATCHES)[None], look(other.astype(np.uint8))[None]).item() is expected


def test_flat_pictures_are_not_known_again():
    """Black looks like black, but that says nothing."""
    black = look(np.zeros((120, 200, 3), np.uint8))[None]
    assert not alike(black, black).item()


def test_many_are_compared_at_once_as_each_alone():
    """Of many looks and many others, those that show the same are found, whichever stand beside them."""
    shown = np.stack([look(PATCHES), look(PATCHES[:, ::-1]), look(np.zeros_like(PATCHES)), look(255 - PATCHES)])
    later = np.stack([look(255 - PATCHES), look(PATCHES // 4)])
    np.testing.assert_array_equal(alike(shown, later), [[0, 1], [0, 0], [0, 0], [1, 0]])
