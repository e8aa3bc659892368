"""The ViTPose engine, with a tiny model: its crops and its reading of heatmaps are the library's."""

import numpy as np
import pytest

from shared.errors import Skipped
from shared.schema import ObjectTrack, TimedBox, TrackedObject
from tasks.analyzers.body_pose import BodyPose
from tasks.engines.poses import Asked, Place
from tasks.engines.vitpose import IN_BLAZEPOSE
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tiny.poses import vitpose
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights, with_engine
from tests.support.tracks import result

pytestmark = pytest.mark.engines
ENTRY = "vitpose-base-simple"
BOXES = np.array([[0.1, 0.2, 0.6, 0.9], [0.4, 0.1, 0.9, 0.4], [0.0, 0.0, 1.0, 1.0]])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: vitpose})


def finder(weights, precision="auto"):
    return with_engine(BodyPose(), weights, ENTRY, precision)._finder


def asked(count):
    return [Asked(one, Place(f"o{n}", box)) for one in scenes(count, 192, 128) for n, box in enumerate(BOXES)]


def flat(batches):
    return [one for batch in batches for one in batch]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_place_has_a_pose(weights, precision):
    """Each place is answered with one body, of COCO's landmarks in BlazePose's order, the others not numbers."""
    batches = list(finder(weights, precision).bodies(asked(2)))
    assert [len(batch) for batch in batches] == [4, 2]
    for (body,) in flat(batches):
        assert body.landmarks.shape == (33, 3)
        assert set(np.flatnonzero(~np.isnan(body.landmarks[:, 0]))) == set(IN_BLAZEPOSE)
        assert 0 <= body.presence <= 1
        assert ((body.box >= 0) & (body.box <= 1)).all()
    assert [body.source for (body,) in flat(batches)] == ["o0", "o1", "o2"] * 2


def test_a_batch_changes_nothing(weights):
    """Each place has the same landmarks alone and beside others."""
    engine = finder(weights)
    together = flat(engine.bodies(asked(2)))
    engine.batch = 1
    alone = flat(engine.bodies(asked(2)))
    for (one,), (other,) in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)
    assert not np.allclose(alone[0][0].landmarks, alone[3][0].landmarks, equal_nan=True)


def test_crops_are_those_of_the_library(weights):
    """The network sees what the processor would show it, within a grey level for nearly all pixels."""
    import torch
    from transformers import AutoImageProcessor

    engine = finder(weights)
    picture = scenes(1, 192, 128)[0]
    pixels = BOXES * [128, 192, 128, 192]
    boxes = np.hstack([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]])
    processor = AutoImageProcessor.from_pretrained(weights.folder / ENTRY)
    theirs = processor([picture], boxes=[boxes.tolist()], return_tensors="pt").pixel_values
    shown = torch.from_numpy(picture).permute(2, 0, 1).float().expand(len(BOXES), -1, -1, -1)
    ours = engine.crops(shown, engine.areas(pixels))
    grey_level = 1 / (255 * 0.225)
    close = (ours - theirs).abs() < 1.5 * grey_level
    assert close.float().mean() > 0.98


def test_heatmaps_are_read_as_the_library_reads_them(weights):
    """Hills of heat at known places are found there, and where the processor's own reading puts them."""
    import torch
    from transformers.models.vitpose.image_processing_vitpose import (
        get_keypoint_predictions,
        post_dark_unbiased_data_processing,
    )

    engine = finder(weights)
    rows, columns = np.mgrid[:64, :48]
    middles = np.random.default_rng(0).uniform([8, 8], [38, 54], (2, 17, 2))
    away = (columns - middles[..., 0, None, None]) ** 2 + (rows - middles[..., 1, None, None]) ** 2
    heat = (0.9 * np.exp(-away / (2 * 2.0**2))).astype(np.float32)
    ours = engine.read(torch.from_numpy(heat)).numpy()
    spots = ours[..., :2] * [47, 63]
    coords, scores = get_keypoint_predictions(heat)
    theirs = post_dark_unbiased_data_processing(coords, heat, kernel=11)
    np.testing.assert_allclose(spots, theirs, atol=0.01)
    np.testing.assert_allclose(spots, middles, atol=0.05)
    np.testing.assert_allclose(ours[..., 2], scores[..., 0], atol=1e-6)


def person(number, start, end):
    """A person who stands still, seen four times a second."""
    seen = tuple(TimedBox(t=float(t), box=(0.1, 0.2, 0.5, 0.7)) for t in np.arange(start, end, 0.25))
    return TrackedObject(id=f"o{number}", label="person", start=start, end=end, boxes=seen)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "moving.mp4", scenes(20, 192, 128), fps=10)


def test_one_body_for_each_person(weights, video, tmp_path):
    """Through the analyzer: the poses of one person's track are one body, in its seconds, citing it."""
    people = result("object_detection", objects=ObjectTrack(method="model", items=(person(1, 0, 1), person(2, 1, 2))))
    with gpu_profile():
        analyzer = with_engine(BodyPose(), weights, ENTRY)
        bodies = run(analyzer, video, tmp_path / "frames", people).poses.items
    cited = [(body.evidence, body.start, body.end) for body in bodies]
    assert cited == [(("object_detection/objects/o1",), 0.0, 1.0), (("object_detection/objects/o2",), 1.0, 2.0)]
    for pose in (pose for body in bodies for pose in body.boxes):
        assert [number for number, point in enumerate(pose.landmarks) if point] == list(IN_BLAZEPOSE)


def test_nobody_in_the_video_is_no_body(weights, video, tmp_path):
    """Object detection that found nobody leaves nothing to look at, which is an answer."""
    nobody = result("object_detection", objects=ObjectTrack[TrackedObject](method="model"))
    with gpu_profile():
        analyzer = with_engine(BodyPose(), weights, ENTRY)
        assert run(analyzer, video, tmp_path / "frames", nobody).poses.items == ()


def test_without_anybody_who_looked_it_is_skipped(weights, video, tmp_path):
    """ViTPose cannot find people: when no detector looked, it did not look either."""
    with gpu_profile(), pytest.raises(Skipped, match="neither object_detection nor face_detection"):
        run(with_engine(BodyPose(), weights, ENTRY), video, tmp_path / "frames")
