"""Tests of face emotion: smoothing and spans on made probabilities, the network on drawn and on real faces."""

import numpy as np
import pytest

from tasks.analyzers.face_emotion import LABELS, SIDE, FaceEmotion, Samples, labelled, smoothed
from tests.support.faces import black, drawn, face_at, found_faces, no_faces, still
from tests.support.media import run
from tests.support.models import loaded
from tests.support.real import real_clip

HAPPY, SAD = LABELS.index("happy"), LABELS.index("sad")


def seen(*labels, sure=0.9, step=0.25):
    """Samples of a face every `step` seconds; each has `sure` on its label and the rest evenly."""
    rows = [np.full(7, (1 - sure) / 6) for _ in labels]
    for row, label in zip(rows, labels, strict=True):
        row[label] = sure
    return Samples([step * place for place in range(len(labels))], rows)


def spans(samples, threshold=0.65):
    face = face_at(samples.times, 0.5)
    return [(item.label, item.start, item.end) for item in labelled(face, samples, threshold)]


def test_a_steady_face_is_one_span():
    """Two seconds of one class are one item from the first look to the end of the last, as sure as the network."""
    samples = seen(*[HAPPY] * 8)
    (item,) = labelled(face_at(samples.times, 0.5), samples, 0.65)
    assert (item.label, item.start, item.end) == ("happy", 0.0, 2.0)
    assert item.confidence == pytest.approx(0.9)
    assert item.evidence == ("face_detection/faces/f1",)


def test_one_look_is_smoothed_away():
    """A single look of another class neither makes an item nor cuts the span around it."""
    assert spans(seen(*[HAPPY] * 5, SAD, *[HAPPY] * 5)) == [("happy", 0.0, 2.75)]


def test_a_change_leaves_a_doubtful_moment_out():
    """Between two classes neither reaches the threshold for a moment, and that moment has no label."""
    found = spans(seen(*[HAPPY] * 6, *[SAD] * 6))
    assert [label for label, _, _ in found] == ["happy", "sad"]
    assert found[0][2] < found[1][1]


def test_an_unsure_network_says_nothing():
    """Below the threshold there is no item at all."""
    assert spans(seen(*[HAPPY] * 8, sure=0.6)) == []


def test_a_gap_is_not_bridged():
    """A face that was away for a second has two spans."""
    samples = seen(*[HAPPY] * 8)
    samples.times[4:] = [t + 1 for t in samples.times[4:]]
    assert spans(samples) == [("happy", 0.0, 1.0), ("happy", 2.0, 3.0)]


def test_the_running_mean_is_centred():
    """One look spreads over two before and two after it."""
    rows = np.zeros((9, 7))
    rows[4, HAPPY] = 1
    assert np.flatnonzero(smoothed(rows)[:, HAPPY]).tolist() == [2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def emotion():
    return loaded(FaceEmotion())


def test_the_network_gives_a_distribution(emotion):
    """Seven probabilities that sum to one."""
    odds = emotion.classify(np.random.default_rng(3).integers(0, 255, (SIDE, SIDE)).astype(np.uint8))
    assert odds.shape == (7,)
    assert odds.sum() == pytest.approx(1, abs=1e-3)


def test_a_drawn_face_is_looked_at(emotion, tmp_path):
    """At threshold 0 a face is labelled for as long as it is there; at 1 it never is."""
    video = still(tmp_path / "face.mp4", drawn())
    faces = found_faces(video, tmp_path / "frames")
    items = run(emotion, video, tmp_path / "frames", faces, threshold=0).emotions.items
    assert (items[0].start, items[-1].end) == (0.0, 1.0)
    assert {item.label for item in items} <= set(LABELS)
    assert run(emotion, video, tmp_path / "frames", faces, threshold=1).emotions.items == ()


def test_a_small_face_is_not_looked_at(emotion, tmp_path):
    """Eyes less than 20 pixels apart: no item, and the span is not analysed."""
    video = still(tmp_path / "small.mp4", drawn(radius=25))
    faces = found_faces(video, tmp_path / "frames")
    assert len(faces[1].faces.items) == 1
    looked = run(emotion, video, tmp_path / "frames", faces, threshold=0)
    assert (looked.emotions.items, looked.analysed) == ((), ())


def test_nobody_feels_nothing(emotion, tmp_path):
    """A black video of one second is analysed and empty."""
    looked = run(emotion, black(tmp_path / "black.mp4"), tmp_path / "frames", no_faces())
    assert (looked.emotions.items, looked.analysed) == ((), None)


@pytest.mark.parametrize(("name", "labels"), [("reel.mp4", {"neutral"}), ("trailer.mp4", {"surprise"})])
def test_real_faces(emotion, tmp_path, name, labels):
    """A calm man is neutral; of the trailer's faces only the two with wide eyes and open mouths get a label."""
    faces = found_faces(real_clip(name), tmp_path / "frames")
    items = run(emotion, real_clip(name), tmp_path / "frames", faces).emotions.items
    assert {item.label for item in items} == labels
