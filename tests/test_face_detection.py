"""Tests of face detection: its arithmetic on hand-made tensors, its network on drawn and on real faces."""

import cv2
import numpy as np
import pytest

from shared.frames import Frames
from shared.schema import LabelledSegment
from tasks.analyzers.face_detection import FRAMES, FaceDetection
from tests.support.drawings import FACE_POINTS, blank, draw_face
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip
from tests.support.tracks import result, segments

WALL = (190, 195, 200)
PALE = (230, 230, 230)


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


def draw_buoy(frame, x, y, radius):
    """A grey oval with two round holes, a notch and a slot: enough of a face for BlazeFace."""
    cv2.ellipse(frame, (x, y), (int(0.8 * radius), int(1.05 * radius)), 0, 0, 360, (150, 150, 150), -1, cv2.LINE_AA)
    for side in (-0.39, 0.39):
        hole = int(x + side * radius), int(y - 0.15 * radius)
        cv2.circle(frame, hole, int(0.12 * radius), (60, 40, 40), -1, cv2.LINE_AA)
    cv2.line(frame, (x, y), (x, int(y + 0.25 * radius)), (60, 40, 40), 2)
    slot = int(y + 0.55 * radius)
    cv2.line(frame, (int(x - 0.3 * radius), slot), (int(x + 0.3 * radius), slot), (60, 40, 40), 3)


@pytest.fixture(scope="module")
def buoy_after_face(tmp_path_factory):
    """A video of 2 s: a drawn face, then a drawn buoy."""
    face, buoy = blank(240, 320, WALL), blank(240, 320, PALE)
    draw_face(face, 120, 150, 50)
    draw_buoy(buoy, 120, 150, 44)
    return write_video(tmp_path_factory.mktemp("buoy") / "buoy.mp4", [face] * 20 + [buoy] * 20, fps=20)


def test_what_only_one_network_takes_for_a_face_is_none(detection, buoy_after_face, tmp_path):
    """A thing that BlazeFace is sure of and the face mesh does not know is left out; the true face before it stays."""
    buoy = blank(240, 320, PALE)
    draw_buoy(buoy, 120, 150, 44)
    assert len(detection.look(buoy, 0.8)[0].boxes) == 1
    shots = segments(*(LabelledSegment(id=f"s{n}", start=n, end=n + 1.0, label="shot") for n in (0, 1)))
    (face,) = run(detection, buoy_after_face, tmp_path, result("cut_analysis", shots=shots)).faces.items
    assert (face.start, face.end) == (0.0, 1.0)


def test_faces_too_small_to_be_checked_stay(detection, buoy_after_face, tmp_path, monkeypatch):
    """What the mesh could not judge at its size is not thrown away: there the first network's word stands."""
    monkeypatch.setattr("tasks.analyzers.face_detection.LEAST_SIDE", 200)
    assert run(detection, buoy_after_face, tmp_path).faces.items[-1].end == 2.0


def test_a_face_between_two_close_frames_stays(detection, tmp_path, monkeypatch):
    """Where there was room for one close frame a second only, the wall before a face is no proof against it."""
    wall, face = blank(240, 320, WALL), blank(240, 320, WALL)
    draw_face(face, 120, 150, 50)
    rare = Frames(fps=1, short_side=640)
    monkeypatch.setattr("tasks.analyzers.face_detection.CLOSE", rare)
    monkeypatch.setattr(FaceDetection, "needs", (FRAMES, rare))
    video = write_video(tmp_path / "short.mp4", [wall] * 5 + [face] * 10 + [wall] * 5, fps=20)
    (found,) = run(detection, video, tmp_path / "frames").faces.items
    assert (found.start, found.end) == (0.25, 0.75)


def test_another_face_after_a_cut_is_another_face(detection, tmp_path):
    """Two faces in the same place, one before a cut and one after, lit from other sides, are two, apart at the cut."""
    face = blank(360, 640, WALL)
    draw_face(face, *head(10))
    from_left = np.linspace(1.2, 0.2, 360)[None, :, None]
    lit = [np.clip(face * light, 0, 255).astype(np.uint8) for light in (from_left, from_left[:, ::-1])]
    video = write_video(tmp_path / "two.mp4", [lit[0]] * 22 + [lit[1]] * 18, fps=20)
    shots = segments(*(LabelledSegment(id=f"s{n}", start=n * 1.1, end=1.1 + n * 0.9, label="shot") for n in (0, 1)))
    found = run(detection, video, tmp_path / "frames", result("cut_analysis", shots=shots)).faces.items
    assert [(one.start, one.end) for one in found] == [(0.0, 1.1), (1.25, 2.0)]
    (one,) = run(detection, video, tmp_path / "again").faces.items
    assert (one.start, one.end) == (0.0, 2.0)


def test_a_real_reel(detection, tmp_path):
    """In the sample reel the face is in the first shot only: the person of the last one is seen from behind."""
    (face,) = run(detection, real_clip("reel.mp4"), tmp_path / "frames").faces.items
    assert (face.start, face.end) == pytest.approx((0.0, 3.0), abs=0.3)


@pytest.mark.parametrize(("name", "faces"), [("faces.mp4", 2), ("people.mp4", 0), ("slides_talk.mp4", 0)])
def test_real_clips(detection, tmp_path, name, faces):
    """Two people side by side are two faces throughout; backs of heads and slides are none."""
    assert len(run(detection, real_clip(name), tmp_path / "frames").faces.items) == faces
