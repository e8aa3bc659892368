"""Tests of age estimation: its arithmetic on made distributions, its networks on drawn and on real faces."""

import numpy as np
import pytest

from tasks.analyzers.age_estimation import LOOKS, SIDE, TEMPLATE, AgeEstimation, summary
from tests.support.faces import black, drawn, found_faces, no_faces, still
from tests.support.media import run
from tests.support.models import loaded
from tests.support.real import real_clip

AGES = np.array([0.25, *range(1, 81)])


def odds(**at):
    """A distribution with the given shares at ages `y30=0.5`."""
    row = np.zeros(81)
    for age, share in at.items():
        row[int(age[1:])] = share
    return row


def test_one_age_still_has_a_range():
    """All on one age: the mean is that age, the spread nothing, and the range 5 years to either side."""
    facts = summary(AGES, np.stack([odds(y30=1)]))
    assert facts == {"years": 30, "low": 25, "high": 35, "spread": 0, "confidence": 1}


def test_looks_are_averaged_before_they_are_summed_up():
    """Two looks that disagree give a wide range and little confidence, not the middle with much of it."""
    facts = summary(AGES, np.stack([odds(y20=1), odds(y60=1)]))
    assert (facts["years"], facts["low"], facts["high"], facts["spread"]) == (40, 20, 60, 20)
    assert facts["confidence"] == 0


def test_a_baby_is_not_younger_than_nothing():
    """The lower end of the range stops at birth."""
    assert summary(AGES, np.stack([odds(y1=1)]))["low"] == 0


def test_the_template_lies_in_the_crop():
    """dlib's five points: level eyes in the upper half, the base of the nose below and between them."""
    left_outer, left_inner, right_outer, right_inner, nose = TEMPLATE
    assert TEMPLATE.min() > 0
    assert TEMPLATE.max() < SIDE
    assert right_outer[0] < right_inner[0] < nose[0] < left_inner[0] < left_outer[0]
    assert nose[1] > left_inner[1] + 10


@pytest.fixture(scope="module")
def ages():
    return loaded(AgeEstimation())


def test_the_network_gives_a_distribution(ages):
    """Each crop gets 81 probabilities that sum to one, and different pictures get different ones."""
    rng = np.random.default_rng(2)
    rows = ages.age([rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(2)])
    assert rows.shape == (2, 81)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-3)
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_a_drawn_face_is_looked_at(ages, tmp_path):
    """One face, one item at most, that cites it; asking for no confidence at all leaves it in."""
    video = still(tmp_path / "face.mp4", drawn())
    faces = found_faces(video, tmp_path / "frames")
    (item,) = run(ages, video, tmp_path / "frames", faces, confidence=0).ages.items
    assert item.evidence == ("face_detection/faces/f1",)
    assert item.low <= item.years <= item.high
    assert 2 <= item.looks <= 4


def test_an_unsure_age_is_not_told(ages, tmp_path):
    """What is below the confidence that was asked for has no item."""
    video = still(tmp_path / "face.mp4", drawn())
    faces = found_faces(video, tmp_path / "frames")
    (item,) = run(ages, video, tmp_path / "frames", faces, confidence=0).ages.items
    assert item.confidence < 1
    assert run(ages, video, tmp_path / "frames", faces, confidence=1).ages.items == ()


def test_a_small_face_is_not_looked_at(ages, tmp_path):
    """Eyes less than 24 pixels apart: no item, and the span is not analysed."""
    video = still(tmp_path / "small.mp4", drawn(radius=30))
    faces = found_faces(video, tmp_path / "frames")
    assert len(faces[1].faces.items) == 1
    looked = run(ages, video, tmp_path / "frames", faces, confidence=0)
    assert (looked.ages.items, looked.analysed) == ((), ())


def test_nobody_has_no_age(ages, tmp_path):
    """A black video of one second is analysed and empty."""
    looked = run(ages, black(tmp_path / "black.mp4"), tmp_path / "frames", no_faces())
    assert (looked.ages.items, looked.analysed) == ((), None)


@pytest.mark.parametrize(("name", "low", "high"), [("reel.mp4", 25, 45), ("sign_book.mkv", 15, 30)])
def test_real_faces(ages, tmp_path, name, low, high):
    """A bearded man and a young woman get the ages that people would guess; the looks are bounded."""
    faces = found_faces(real_clip(name), tmp_path / "frames")
    (item,) = run(ages, real_clip(name), tmp_path / "frames", faces).ages.items
    assert low <= item.years <= high
    assert item.looks <= LOOKS
