"""Tests of the arithmetic of MediaPipe's detectors and crops, on hand-made tensors and pictures."""

import numpy as np
import pytest

from tasks.landmarks import Crop, Detector, anchors

PALM = Detector(side=192, strides=(8, 16, 16, 16), keypoints=7)


def test_anchors_are_as_many_and_where_the_networks_have_them():
    """Palms have 2016 anchors, bodies 2254: two at each fine cell, six at each coarse one; faces one at each cell."""
    palms, bodies = anchors(192, (8, 16, 16, 16)), anchors(224, (8, 16, 32, 32, 32))
    assert (len(palms), len(bodies)) == (2016, 2254)
    np.testing.assert_array_equal(palms[:4], [[4, 4], [4, 4], [12, 4], [12, 4]])
    fine = 24 * 24 * 2
    np.testing.assert_array_equal(palms[fine : fine + 7], [[8, 8]] * 6 + [[24, 8]])
    np.testing.assert_array_equal(bodies[-1], [224 - 16, 224 - 16])
    faces = anchors(192, (4,), 1)
    assert len(faces) == 48 * 48
    np.testing.assert_array_equal(faces[20 * 48 + 10], [42, 82])


def cells(*detections):
    """Shapes and logits in which only the given (anchor, values, logit) are sure."""
    shapes, logits = np.zeros((2016, 18), np.float32), np.full(2016, -200, np.float32)
    for anchor, values, logit in detections:
        shapes[anchor], logits[anchor] = values, logit
    return shapes, logits


def test_decoding_counts_from_the_anchors_middle():
    """One sure anchor becomes a box and seven points in pixels, with the score of its logit."""
    points, scores = PALM.decode(*cells((5, [2, -4, 30, 40, *range(14)], np.log(3))), 0.5)
    x, y = 2.5 * 8, 0.5 * 8
    keypoints = [[x + 2 * k, y + 2 * k + 1] for k in range(7)]
    np.testing.assert_allclose(points, [[[x + 2 - 15, y - 4 - 20], [x + 2 + 15, y - 4 + 20], *keypoints]])
    assert scores == pytest.approx([0.75])


def test_overlapping_detections_are_weighed_by_score():
    """Two boxes of one palm become their weighted mean with the better score; one far away stays, the surer first."""
    shape = [0, 0, 30, 30, *[0] * 14]
    shifted = [2, 0, 30, 30, *[0] * 14]
    far = anchors(192, PALM.strides).tolist().index([180, 180])
    points, scores = PALM.decode(*cells((0, shape, 0), (1, shifted, np.log(3)), (far, shape, np.log(4))), 0.5)
    assert scores.tolist() == pytest.approx([0.8, 0.75])
    assert points[:, :2].mean(axis=1).tolist() == [
        pytest.approx([180, 180]),
        pytest.approx([4 + 2 * 0.75 / 1.25, 4]),
    ]


def test_nothing_sure_is_nothing():
    """Below the floor nothing is left, in arrays of the right shape."""
    points, scores = PALM.decode(*cells((0, [0] * 18, 0)), 0.51)
    assert (points.shape, scores.shape) == ((0, 9, 2), (0,))


@pytest.mark.parametrize(
    ("towards", "degrees"), [((0, -5), 0), ((5, 0), 90), ((0, 5), 180), ((-5, 0), -90), ((5, -5), 45)]
)
def test_a_crop_turns_its_direction_up(towards, degrees):
    """The way that the crop was made along leads straight up in it, whatever way it leads in the picture."""
    origin = np.array([50.0, 60.0])
    crop = Crop.upright(origin, origin + towards, origin, 40)
    assert np.degrees(crop.angle) == pytest.approx(degrees)
    up = crop.to_picture(np.array([[50.0, 50.0], [50.0, 25.0]]), 100)
    length = np.linalg.norm(towards)
    np.testing.assert_allclose(up, [origin, origin + np.array(towards) / length * 10], atol=1e-9)


def test_shifting_follows_the_crops_own_up():
    """A crop that lies on its right side moves to the picture's right when it is shifted up, then grows."""
    crop = Crop(50, 60, 40, np.pi / 2).shifted(0.5, 2.6)
    assert (crop.x, crop.y, crop.size) == pytest.approx((70, 60, 104))


def test_a_crop_is_drawn_where_its_points_say():
    """A white dot drawn at a place that the map names is found there in the crop, turned and scaled."""
    crop = Crop(60, 50, 80, 0.6)
    picture = np.zeros((100, 120, 3), np.uint8)
    expected = np.array([[40.0, 24.0]])
    x, y = crop.to_picture(expected, 64)[0]
    picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 255
    weights = crop.draw(picture, 64)[..., 0].astype(float)
    rows, columns = np.mgrid[:64, :64] + 0.5
    seen = [(columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()]
    assert seen == pytest.approx(expected[0], abs=0.7)


def test_a_crop_that_is_the_picture_changes_nothing():
    """A square picture, cropped as a whole at its own size, is itself, to the pixel; outside of it is black."""
    picture = np.random.default_rng(1).integers(1, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(Crop(16, 16, 32).draw(picture, 32), picture)
    assert Crop(16, 16, 64).draw(picture, 64)[0, 0].tolist() == [0, 0, 0]
