"""Tests of face detection: its arithmetic on hand-made tensors, its network on drawn and on real faces."""

import numpy as np
import pytest

from tasks.analyzers.face_detection import FaceDetection
from tests.support.drawings import FACE_POINTS, blank, draw_face
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip

WALL = (190, 195, 200)


@pytest.fixture(scope="module")
def detection():
    return loaded(FaceDetection())


def head(index):
    """Where the drawn face of frame `index` is: x, y and radius in pixels of a 360x640 picture."""
    return 120 + 3 * index, 220, 60


@pytest.fixture(scope="module")
def walking(detection, tmp_path_factory):
    """A vertical video of 3 s: a drawn face moves to the right for 2 s, then there is a bare wall."""

    def picture(index):
        frame = blank(360, 640, WALL)
        if index < 40:
            draw_face(frame, *head(index))
        return frame

    folder = tmp_path_factory.mktemp("walking")
    video = write_video(folder / "walking.mp4", (picture(index) for index in range(60)), fps=20)
    return run(detection, video, folder / "frames").faces


def test_a_drawn_face_is_found_in_its_seconds(walking):
    """A face that moves is one face, from its first frame to the first frame without it."""
    assert [(face.id, face.label, face.start, face.end) for face in walking.items] == [("f1", "face", 0.0, 2.0)]
    assert walking.method == "model"
    assert len(walking.items[0].boxes) == 8


def test_boxes_and_keypoints_lie_on_the_drawn_face(walking):
    """The box is around the middle of the face; eyes, nose and mouth are within a fifth of its radius."""
    for seen in walking.items[0].boxes:
        x, y, radius = head(round(seen.t * 20))
        left, top, width, height = seen.box
        assert ((left + width / 2) * 360, (top + height / 2) * 640) == pytest.approx((x, y), abs=radius / 3)
        drawn = [((x + dx * radius) / 360, (y + dy * radius) / 640) for dx, dy in FACE_POINTS]
        for found, expected in zip(seen.keypoints[:4], drawn, strict=True):
            assert (found[0] * 360, found[1] * 640) == pytest.approx(
                (expected[0] * 360, expected[1] * 640), abs=radius / 5
            ), (seen.t, found, expected)


def test_confidence_is_the_mean_of_the_boxes(walking):
    """A face's confidence is what the network gave its boxes, averaged."""
    (face,) = walking.items
    assert face.confidence == pytest.approx(np.mean([seen.confidence for seen in face.boxes]), abs=1e-3)


def test_a_bare_wall_has_no_face(detection, tmp_path):
    """A video without anybody is looked at and has no faces."""
    video = write_video(tmp_path / "wall.mp4", [blank(320, 240, WALL)] * 20, fps=20)
    assert run(detection, video, tmp_path / "frames").faces.items == ()


def test_a_real_reel(detection, tmp_path):
    """In the sample reel the face is in the first shot only: the person of the last one is seen from behind."""
    (face,) = run(detection, real_clip("reel.mp4"), tmp_path / "frames").faces.items
    assert (face.start, face.end) == pytest.approx((0.0, 3.0), abs=0.3)


@pytest.mark.parametrize(("name", "faces"), [("faces.mp4", 2), ("people.mp4", 0), ("slides_talk.mp4", 0)])
def test_real_clips(detection, tmp_path, name, faces):
    """Two people side by side are two faces throughout; backs of heads and slides are none."""
    assert len(run(detection, real_clip(name), tmp_path / "frames").faces.items) == faces
