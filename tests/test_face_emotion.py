"""Tests of face emotion: spans and distributions of made probabilities, the network on drawn and on real faces."""

import numpy as np
import pytest

from tasks.analyzers.face_emotion import LABELS, SIDE, FaceEmotion, Samples, expressions, labelled, smoothed
from tests.support.faces import black, drawn, face_at, found_faces, no_faces, still
from tests.support.media import run
from tests.support.models import loaded
from tests.support.real import real_clip

HAPPY, SAD = LABELS.index("happy"), LABELS.index("sad")


def seen(*labels, sure=0.9, step=0.25):
    """Samples of a face every `step` seconds; each has `sure` on its label and the rest evenly."""
    return looks(*((step * place, step * place, label) for place, label in enumerate(labels)), sure=sure)


def looks(*given, sure=0.9):
    """Samples of `(time, until when its picture stands, label)`."""
    samples = Samples()
    for t, until, label in given:
        samples.add(t, until, np.where(np.arange(7) == label, sure, (1 - sure) / 6))
    return samples


def away(samples, seconds):
    """The same, the looks from the fifth on so much later."""
    samples.times[4:] = [t + seconds for t in samples.times[4:]]
    samples.until[4:] = [t + seconds for t in samples.until[4:]]
    return samples


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
    samples = away(seen(*[HAPPY] * 8), 1)
    assert spans(samples) == [("happy", 0.0, 1.0), ("happy", 2.0, 3.0)]


def test_the_running_mean_is_centred():
    """One look spreads over two before and two after it."""
    rows = np.zeros((9, 7))
    rows[4, HAPPY] = 1
    assert np.flatnonzero(smoothed(rows, np.full(9, 0.25))[:, HAPPY]).tolist() == [2, 3, 4, 5, 6]


def test_a_look_at_a_picture_that_stands_holds_as_long():
    """A call that stalls for 4 s: the span goes on; and one photograph of 4 s has its own label, unmixed."""
    stall = looks(*((0.25 * n, 0.25 * n, HAPPY) for n in range(4)), (1.0, 5.0, HAPPY), (5.0, 5.0, HAPPY))
    assert spans(stall) == [("happy", 0.0, 5.25)]
    photographs = looks((0.0, 4.0, HAPPY), (4.0, 8.0, SAD), (8.0, 12.0, SAD))
    assert spans(photographs) == [("happy", 0.0, 4.0), ("sad", 4.0, 8.25)]


def test_a_slow_film_has_labels():
    """At a picture a second each look stands for its second, and nothing is smoothed over seconds."""
    assert spans(looks(*((n, n + 1, HAPPY if n < 3 else SAD) for n in range(6)))) == [
        ("happy", 0.0, 3.0),
        ("sad", 3.0, 5.25),
    ]


def test_a_distribution_counts_how_long_a_look_holds():
    """A photograph of 3 s and one of 1 s: three quarters and a quarter; one photograph is enough."""
    item = whole(looks((0.0, 3.0, HAPPY), (3.0, 4.0, SAD), sure=1))
    assert (item.shares.happy, item.shares.sad, item.confidence) == (0.75, 0.25, 1)
    assert whole(looks((0.0, 4.0, HAPPY), sure=1)).looks == 1


def whole(samples):
    """The distribution of a face with these samples."""
    return expressions(face_at(samples.times, 0.5), samples)


def test_a_distribution_is_the_mean_of_all_looks():
    """Six happy looks and two sad ones: every class has its exact share, they sum to one, and the face is cited."""
    item = whole(seen(*[HAPPY] * 6, *[SAD] * 2, sure=0.94))
    assert item.shares.model_dump() == {
        "angry": 0.01,
        "disgust": 0.01,
        "fear": 0.01,
        "happy": pytest.approx(0.75 * 0.94 + 0.25 * 0.01, abs=1e-4),
        "sad": pytest.approx(0.25 * 0.94 + 0.75 * 0.01, abs=1e-4),
        "surprise": 0.01,
        "neutral": 0.01,
    }
    assert sum(item.shares.model_dump().values()) == pytest.approx(1, abs=5e-4)
    assert (item.looks, item.evidence) == (8, ("face_detection/faces/f1",))
    assert (item.start, item.end) == (0.0, 2.0)


def test_a_change_of_face_is_no_doubt():
    """Half happy, half sad, the network sure at each look: two halves with the confidence of a look, not of a half."""
    item = whole(seen(*[HAPPY] * 20, *[SAD] * 20, sure=1))
    assert (item.shares.happy, item.shares.sad) == (0.5, 0.5)
    assert item.confidence == pytest.approx((36 + 2 * 0.8 + 2 * 0.6) / 40, abs=1e-4)


def test_flicker_is_doubt():
    """Classes that change from look to look are noise: the running mean has no large probability anywhere."""
    labels = [place % 7 for place in range(28)]
    assert whole(seen(*labels, sure=1)).confidence < 0.25


def test_the_mean_over_a_gap_does_not_run_on():
    """Looks before and after a gap are smoothed apart: a face that changed while it was away leaves no doubt."""
    samples = away(seen(*[HAPPY] * 4, *[SAD] * 4, sure=1), 5)
    assert whole(samples).confidence == 1


def test_one_look_is_no_distribution():
    """A face seen once, or never, has none, as it has no label."""
    assert whole(seen(HAPPY, sure=1)) is None
    assert expressions(face_at([0.0], 0.5), Samples()) is None


def test_outputs_that_do_not_sum_to_one_are_scaled():
    """A quantized network's outputs sum to almost one; the shares sum to one all the same."""
    samples = Samples([0.0, 0.25], [0.25, 0.5], [np.full(7, 0.14)] * 2)
    assert set(whole(samples).shares.model_dump().values()) == {0.1429}


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


def test_an_unsure_distribution_is_not_told(emotion, tmp_path):
    """A drawn face has one distribution that cites it; above the confidence that it has there is none."""
    video = still(tmp_path / "face.mp4", drawn())
    faces = found_faces(video, tmp_path / "frames")
    (item,) = run(emotion, video, tmp_path / "frames", faces, confidence=0).distributions.items
    assert item.evidence == ("face_detection/faces/f1",)
    assert 2 <= item.looks <= 4
    assert sum(item.shares.model_dump().values()) == pytest.approx(1, abs=5e-4)
    assert item.confidence == pytest.approx(max(item.shares.model_dump().values()), abs=0.02)
    assert item.confidence < 1
    assert run(emotion, video, tmp_path / "frames", faces, confidence=1).distributions.items == ()


def test_a_small_face_is_not_looked_at(emotion, tmp_path):
    """Eyes less than 20 pixels apart: no item, and the span is not analysed."""
    video = still(tmp_path / "small.mp4", drawn(radius=25))
    faces = found_faces(video, tmp_path / "frames")
    assert len(faces[1].faces.items) == 1
    looked = run(emotion, video, tmp_path / "frames", faces, threshold=0, confidence=0)
    assert (looked.emotions.items, looked.distributions.items, looked.analysed) == ((), (), ())


def test_nobody_feels_nothing(emotion, tmp_path):
    """A black video of one second is analysed and empty."""
    looked = run(emotion, black(tmp_path / "black.mp4"), tmp_path / "frames", no_faces())
    assert (looked.emotions.items, looked.distributions.items, looked.analysed) == ((), (), None)


@pytest.mark.parametrize(("name", "labels"), [("reel.mp4", {"neutral"}), ("trailer.mp4", {"surprise"})])
def test_real_faces(emotion, tmp_path, name, labels):
    """A calm man is neutral; of the trailer's faces only the two with wide eyes and open mouths get a label.

    The same faces have a distribution, and that class has most of it.
    """
    faces = found_faces(real_clip(name), tmp_path / "frames")
    found = run(emotion, real_clip(name), tmp_path / "frames", faces)
    assert {item.label for item in found.emotions.items} == labels
    assert {max(item.shares, key=lambda named: named[1])[0] for item in found.distributions.items} == labels
    cited = [{item.evidence for item in track.items} for track in (found.emotions, found.distributions)]
    assert cited[0] == cited[1]
