"""Tests of composition: geometry on boxes made by hand, pictures drawn for it, and real reels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shared.schema import Face, FaceBox, LabelledSegment, ObjectTrack, TimedBox, TrackedObject
from tasks.analyzers.composition_analysis import (
    CompositionAnalysis,
    ShotComposition,
    negative_space,
    symmetry,
    thirds,
)
from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.analyzers.face_detection import FaceDetection
from tasks.analyzers.object_detection import ObjectDetection
from tests.support.media import run
from tests.support.models import loaded, nothing
from tests.support.moving import Picture, texture, write_video
from tests.support.real import real_clip
from tests.support.tracks import result, segments

H, W, FPS = 240, 320, 10
TIMES = [i / 4 for i in range(12)]


@pytest.fixture(scope="module")
def composition() -> CompositionAnalysis:
    analyzer = CompositionAnalysis()
    analyzer.load(None)  # type: ignore[arg-type]
    return analyzer


def face(name: str, box: tuple, times=TIMES) -> Face:
    points = ((0.5, 0.5),) * 6
    return Face(
        id=name,
        label="face",
        start=times[0],
        end=times[-1] + 0.25,
        boxes=tuple(FaceBox(t=t, box=box, keypoints=points) for t in times),
    )


def thing(name: str, label: str, box: tuple, times=TIMES) -> TrackedObject:
    boxes = tuple(TimedBox(t=t, box=box) for t in times)
    return TrackedObject(id=name, label=label, start=times[0], end=times[-1] + 0.25, boxes=boxes)


def shots(*bounds: float):
    return result(
        "cut_analysis",
        shots=segments(
            *(LabelledSegment(id=f"s{i}", start=a, end=b, label="shot") for i, (a, b) in enumerate(pairwise(bounds), 1))
        ),
    )


def faces(*items: Face):
    return result("face_detection", faces=ObjectTrack[Face](method="model", items=items))


def objects(*items: TrackedObject):
    return result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=items))


def composed(composition, folder: Path, *others, frames: list[Picture] | None = None) -> tuple[ShotComposition, ...]:
    video = write_video(folder / "v.mp4", frames or [texture(1, H, W)] * 30, fps=FPS)
    return run(composition, video, folder / "store", *others).shots.items


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((1 / 3, 2 / 3), (0, 0)),
        ((1 / 3, 0.5), (1 / 6 / 2**0.5, 0)),
        ((0.5, 0.5), ((2 * (1 / 6) ** 2) ** 0.5 / 2**0.5, 1 / 6)),
        ((0, 0), (1 / 3, 1 / 3)),
    ],
)
def test_thirds_is_the_stated_formula(point: tuple[float, float], expected: tuple[float, float]) -> None:
    """Distance to the nearest crossing over the diagonal of the unit square, and to the nearest line."""
    assert thirds(*point) == pytest.approx(expected)


def test_symmetry_of_a_mirrored_picture_is_one_and_of_an_opposite_one_minus_one() -> None:
    """A picture beside its mirror image has 1; beside its mirrored negative -1; noise about 0; a flat one none."""
    half = texture(2, H, W // 2).mean(2)
    mirrored = np.hstack([half, half[:, ::-1]]).astype(np.uint8)
    opposite = np.hstack([half, 255 - half[:, ::-1]]).astype(np.uint8)
    random = np.random.default_rng(3).integers(0, 255, (H, W), np.uint8)
    assert symmetry(mirrored) == pytest.approx(1, abs=0.01)
    assert symmetry(opposite) == pytest.approx(-1, abs=0.01)
    assert symmetry(random) == pytest.approx(0, abs=0.02)
    assert symmetry(np.full((H, W), 90, np.uint8)) is None


def test_negative_space_is_the_empty_share() -> None:
    """A picture of which the left three quarters are plain has 0.75 of negative space, to a column of cells."""
    picture = np.full((240, 320), 120, np.uint8)
    picture[:, 240:] = np.random.default_rng(4).integers(0, 255, (240, 80), np.uint8)
    assert negative_space(picture) == pytest.approx(0.75, abs=1 / 20 + 1e-9)
    assert negative_space(np.full((240, 320), 120, np.uint8)) == 1


def test_the_largest_face_is_the_subject(composition, tmp_path: Path) -> None:
    """Of two faces and a larger person, the larger face counts; place, size and headroom are its box's."""
    near, far = face("f1", (0.2, 0.1, 0.2, 0.3)), face("f2", (0.7, 0.3, 0.05, 0.1))
    person = thing("o1", "person", (0.1, 0.05, 0.6, 0.9))
    (shot,) = composed(composition, tmp_path, shots(0, 3), faces(near, far), objects(person))
    assert (shot.subject, shot.label) == ("face", "face")
    assert shot.evidence == ("cut_analysis/shots/s1", "face_detection/faces/f1")
    assert shot.subject_place == pytest.approx((0.3, 0.25))
    assert (shot.subject_size, shot.headroom) == pytest.approx((0.06, 0.1))
    assert shot.third_line == pytest.approx(1 / 3 - 0.3, abs=1e-3)
    assert shot.looked_for == ("face", "object")


def test_without_faces_a_person_goes_before_things(composition, tmp_path: Path) -> None:
    """A small person is the subject before a large table; it has no headroom, which is a face's."""
    items = thing("o1", "dining table", (0, 0.5, 1, 0.5)), thing("o2", "person", (0.4, 0.2, 0.1, 0.4))
    (shot,) = composed(composition, tmp_path, shots(0, 3), faces(), objects(*items))
    assert (shot.subject, shot.label, shot.headroom) == ("person", "person", None)


def test_each_shot_has_the_subject_seen_in_it(composition, tmp_path: Path) -> None:
    """A thing in the first shot only is not the subject of the second, which has none."""
    bottle = thing("o1", "bottle", (0.3, 0.3, 0.2, 0.4), TIMES[:6])
    first, second = composed(composition, tmp_path, shots(0, 1.5, 3), objects(bottle))
    assert (first.subject, first.label) == ("object", "bottle")
    assert (second.subject, second.label, second.subject_place, second.third_point) == ("none", None, None, None)
    assert second.evidence == ("cut_analysis/shots/s2",)
    assert second.looked_for == ("object",)


def test_what_is_seen_briefly_is_no_subject(composition, tmp_path: Path) -> None:
    """A face in a quarter of the shot does not hide the person who is there throughout."""
    glimpse, person = face("f1", (0.4, 0.1, 0.2, 0.3), TIMES[:3]), thing("o1", "person", (0.4, 0.2, 0.1, 0.4))
    (shot,) = composed(composition, tmp_path, shots(0, 3), faces(glimpse), objects(person))
    assert shot.subject == "person"


def test_black_video_has_nothing(composition, tmp_path: Path) -> None:
    """Black has no subject and no symmetry; all of it is empty."""
    (shot,) = composed(composition, tmp_path, frames=[np.zeros((H, W, 3), np.uint8)] * 20)
    assert (shot.subject, shot.symmetry, shot.negative_space, shot.looked_for) == ("none", None, 1, ())


def test_one_second(composition, tmp_path: Path) -> None:
    """One second is one shot, measured on the frames there are."""
    (shot,) = composed(composition, tmp_path, frames=[texture(5, H, W)] * 10)
    assert (shot.start, shot.end) == (0, 1)
    assert 1 <= shot.frames <= 4


def test_a_real_reel(composition, tmp_path: Path) -> None:
    """The sample reel: a face, then bottles, then a page, then a person from behind, each the subject of its shot."""
    video = real_clip("reel.mp4")
    found = run(loaded(FaceDetection()), video, tmp_path), run(loaded(ObjectDetection()), video, tmp_path)
    others = (("face_detection", found[0]), ("object_detection", found[1]))
    cuts = CutAnalysis()
    cuts.load(nothing())
    others += (("cut_analysis", run(cuts, video, tmp_path)),)
    items = run(composition, video, tmp_path, *others).shots.items
    assert [item.label for item in items] == ["face", "bottle", None, "person"]
    assert items[0].headroom == pytest.approx(0.22, abs=0.08)
