"""Tests of body poses: where bodies are looked for, the refinement by heat, and the networks on real people."""

import numpy as np
import pytest

from shared.schema import Face, FaceBox, ObjectTrack, TimedBox, TrackedObject
from tasks.analyzers.body_pose import BodyPose, places_at, without_doubles
from tasks.analyzers.face_detection import FaceDetection
from tasks.engines.blazepose import HEATMAP, refined, square_of
from tasks.engines.poses import POINTS, Found
from tests.support.drawings import blank
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.real import real_clip
from tests.support.tracks import result

NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP, LEFT_ANKLE, RIGHT_ANKLE = 0, 11, 12, 23, 24, 27, 28


def thing(number, *boxes, label="person", end=10.0):
    """An object that is seen once a second from 0 s on."""
    seen = tuple(TimedBox(t=float(t), box=box) for t, box in enumerate(boxes))
    return TrackedObject(id=f"o{number}", label=label, start=0.0, end=end, boxes=seen)


def persons(*items):
    """What object detection found."""
    return result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=items))


# --- where to look ---


def test_the_square_is_about_the_hips_and_turned_with_the_body():
    """A body lying on its side, head to the right, gives a square turned by 90 degrees, 1.25 times its extent."""
    detection = np.zeros((6, 2))
    detection[2], detection[3] = (100, 80), (140, 80)
    crop = square_of(detection)
    assert (crop.x, crop.y, crop.size, np.degrees(crop.angle)) == pytest.approx((100, 80, 100, 90))


def test_persons_come_first_the_largest_first_then_faces_outside_of_them():
    """A face in a person's box is that person's; one elsewhere has its body below it, cut to the picture."""
    small, large = thing(1, (0.0, 0.5, 0.1, 0.2)), thing(2, (0.5, 0.2, 0.4, 0.8))
    inside, apart = thing(3, (0.6, 0.3, 0.1, 0.1)), thing(4, (0.2, 0.1, 0.1, 0.1))
    places = places_at([small, large], [inside, apart], 0.0)
    assert [place.source for place in places] == [
        "object_detection/objects/o2",
        "object_detection/objects/o1",
        "face_detection/faces/o4",
    ]
    np.testing.assert_allclose(places[2].box, [0.1, 0.05, 0.4, 0.65])


def test_nobody_is_looked_for_after_they_left():
    """At a time after an object's end, or far from all its boxes, it names no place."""
    person = thing(1, (0, 0, 1, 1), end=2.0)
    assert len(places_at([person], [], 0.4)) == 1
    assert places_at([person], [], 1.5) == []
    assert places_at([person], [], 2.0) == []


# --- landmarks ---


def test_a_landmark_moves_to_the_middle_of_the_heat():
    """Two hot cells beside a landmark take it to their weighted middle; cold ones, and none, leave it where it is."""
    heat = np.full((HEATMAP, HEATMAP, 3), 1e-30)
    heat[20, 31, 0], heat[20, 32, 0] = 0.9, 0.3
    heat[10, 10, 1] = 0.4
    points = np.array([[30.5, 20.5], [10.5, 10.5], [-5.0, 70.0]]) / HEATMAP
    moved = refined(points, np.log(heat / (1 - heat))) * HEATMAP
    np.testing.assert_allclose(moved, [[31.25, 20], [10.5, 10.5], [-5, 70]])


def test_one_body_in_two_places_is_one():
    """Of two poses whose boxes are nearly the same the surer stays; one beside them stays too."""

    def found(left, presence):
        return Found(np.zeros((POINTS, 3)), np.array([left, 0.0, left + 0.4, 1.0]), presence)

    kept = without_doubles([found(0.0, 0.8), found(0.02, 0.9), found(0.5, 0.7)])
    assert [body.presence for body in kept] == [0.9, 0.7]
    assert without_doubles([]) == []


# --- the networks ---


@pytest.fixture(scope="module")
def pose():
    return loaded(BodyPose())


@pytest.mark.parametrize("looked", [False, True])
def test_black_frames_hold_nobody(pose, tmp_path, looked):
    """A black video has no poses, whether or not someone claims that a person fills it."""
    video = write_video(tmp_path / "black.mp4", [blank(320, 240, (0, 0, 0))] * 20, fps=20)
    others = [persons(thing(1, (0, 0, 1, 1)))] if looked else []
    assert run(pose, video, tmp_path / "frames", *others).poses.items == ()


def test_where_nobody_is_nobody_is_looked_for(pose, tmp_path):
    """When object detection looked and found no person, a clip with a person has no poses: no guess beside it."""
    assert run(pose, real_clip("sign_book.mkv"), tmp_path / "frames", persons()).poses.items == ()


def test_a_real_person_throughout(pose, tmp_path):
    """The signer is one body for the whole clip, upright, nose over shoulders over hips, sides as she has them."""
    video = real_clip("sign_book.mkv")
    (body,) = run(pose, video, tmp_path / "frames", persons(thing(7, *[(0.3, 0.15, 0.4, 0.85)] * 4))).poses.items
    assert (body.label, body.start, body.evidence) == ("person", 0.0, ("object_detection/objects/o7",))
    assert body.end > 3.4
    for seen in body.boxes:
        x, y, _ = np.array(seen.landmarks).T
        assert y[NOSE] < y[[LEFT_SHOULDER, RIGHT_SHOULDER]].min() < y[[LEFT_HIP, RIGHT_HIP]].min()
        assert x[RIGHT_SHOULDER] < x[NOSE] < x[LEFT_SHOULDER]
        assert 0.3 < x[NOSE] < 0.6


def test_a_second_of_video_is_enough(pose, tmp_path):
    """A one-second video of a real person, standing still, has that person from its start to its end."""
    store = tmp_path / "frames"
    picture = first_picture(real_clip("sign_book.mkv"))
    video = write_video(tmp_path / "second.mp4", [picture] * 10, fps=10)
    (body,) = run(pose, video, store).poses.items
    assert (body.start, body.end) == pytest.approx((0.0, 1.0), abs=0.05)


def first_picture(video):
    """The first frame, rgb."""
    import av

    with av.open(str(video)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_two_people_by_their_faces(pose, tmp_path):
    """When object detection saw nobody but faces were found, both people have a pose, their noses on their faces."""
    video = real_clip("faces.mp4")
    faces = run(loaded(FaceDetection()), video, tmp_path / "a").faces
    found = run(pose, video, tmp_path / "b", persons(), result("face_detection", faces=faces)).poses.items
    assert len(found) == 2
    assert {body.evidence for body in found} == {("face_detection/faces/f1",), ("face_detection/faces/f2",)}
    for body in found:
        face = next(face for face in faces.items if body.evidence == (f"face_detection/faces/{face.id}",))
        assert distances(body, face) == pytest.approx(0, abs=0.4)


def distances(body, face: Face):
    """Median distance of nose from nose, in the face's eye distances."""

    def nearest(t: float) -> FaceBox:
        return min(face.boxes, key=lambda seen: abs(seen.t - t))

    found = []
    for seen in body.boxes:
        (right, left, nose), shape = np.array(nearest(seen.t).keypoints)[:3], [480, 270]
        eyes = np.linalg.norm((right - left) * shape)
        found.append(np.linalg.norm((np.array(seen.landmarks[NOSE][:2]) - nose) * shape) / eyes)
    return float(np.median(found))


def test_someone_seen_from_behind_down_to_the_feet(pose, tmp_path):
    """The man seen from behind has his ankles near the floor and below his hips, and is there to the end."""
    bodies = run(
        pose, real_clip("people.mp4"), tmp_path / "frames", persons(thing(1, *[(0.4, 0, 0.4, 1)] * 21, end=20))
    )
    body = max(bodies.poses.items, key=lambda body: len(body.boxes))
    assert body.end > 19.5
    _, y, visible = np.median([seen.landmarks for seen in body.boxes], axis=0).T
    assert y[[LEFT_HIP, RIGHT_HIP]].max() + 0.2 < y[[LEFT_ANKLE, RIGHT_ANKLE]].min() < 1
    assert visible[[LEFT_ANKLE, RIGHT_ANKLE]].min() > 0.5


@pytest.mark.parametrize("name", ["slides_talk.mp4"])
def test_slides_hold_nobody(pose, tmp_path, name):
    """Forty seconds of slides have no poses, even when nobody looked for persons before."""
    assert run(pose, real_clip(name), tmp_path / "frames").poses.items == ()
