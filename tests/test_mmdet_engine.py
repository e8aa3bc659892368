"""mmdet as a detection engine, with tiny models; `test_mmdet_environment.py` runs these tests where mmdet is."""

import numpy as np
import pytest

from shared.errors import BadInput, Unavailable
from tasks.analyzers.object_detection import ObjectDetection
from tasks.devices import CPU
from tasks.engines.base import WeightsIncomplete
from tasks.engines.mmdet import MmdetDetector, without_operators
from tasks.models import Weighted
from tests.support.chosen import worker_of
from tests.support.jobs import report, submit, wait
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tiny.mmdet import CLASSES, instances, rtmdet, shifted_windows, yolox
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights, with_engine

pytest.importorskip("torch")
need_torch()
pytest.importorskip("mmdet", exc_type=ImportError)
pytestmark = pytest.mark.engines
MAKERS = {"rtmdet": rtmdet, "yolox": yolox, "rtmdet-ins": instances, "rtmdet-swin": shifted_windows}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_weights(tmp_path_factory.mktemp("tiny"), MAKERS, engine="mmdet")


def detector(weights, entry, precision="auto"):
    return with_engine(ObjectDetection(), weights, entry, precision)._detector


@pytest.mark.parametrize("entry", MAKERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_picture_has_its_boxes(weights, entry, precision):
    """Boxes lie in the picture, scores at or above the floor, classes are those of the checkpoint."""
    engine = detector(weights, entry, precision)
    assert engine.labels == CLASSES
    batches = list(engine.objects(scenes(3), 0.3))
    assert [len(batch) for batch in batches] == [2, 1]
    for found in (found for batch in batches for found in batch):
        assert len(found.boxes) == len(found.scores) == len(found.labels) > 0
        assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
        assert (found.scores >= 0.3).all()
        assert set(found.labels) <= {0, 1, 2}


@pytest.mark.parametrize("entry", MAKERS)
def test_a_batch_changes_nothing(weights, entry):
    """Each picture has the same objects alone and beside others."""
    engine = detector(weights, entry)
    engine.batch = 3
    (together,) = engine.objects(scenes(3), 0.3)
    engine.batch = 1
    alone = [found for batch in engine.objects(scenes(3), 0.3) for found in batch]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def changed(weights, folder, change):
    """A copy of the tiny RTMDet in a folder, its checkpoint changed."""
    from shutil import copy

    import torch

    copy(weights.folder / "rtmdet" / "config.py", folder)
    read = torch.load(weights.folder / "rtmdet" / "checkpoint.pth", weights_only=False)
    change(read)
    torch.save(read, folder / "checkpoint.pth")
    return MmdetDetector(Weighted("changed", folder, CPU, "fp32", 1))


def test_a_checkpoint_of_a_training_run_is_read(weights, tmp_path):
    """The log beside the weights, a pickle of a class of mmengine and of NumPy arrays, is passed over."""
    from mmengine.logging import HistoryBuffer

    def train(read):
        losses = HistoryBuffer()
        losses.update(1.5)
        said = {"iter": 3, "loss": np.float64(1.5), "rates": np.array([0.1, 0.2])}
        read["message_hub"] = {"log_scalars": {"train/loss": losses}, "runtime_info": said}

    engine = changed(weights, tmp_path, train)
    engine.load()
    (whole,) = engine.objects(scenes(1), 0.3)
    (same,) = detector(weights, "rtmdet").objects(scenes(1), 0.3)
    np.testing.assert_allclose(whole[0].scores, same[0].scores, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: stored.pop("backbone.stem.0.conv.weight"), "it has no backbone.stem.0.conv.weight;"),
        (
            lambda stored: stored.update({"bbox_head.rtm_cls.0.bias": stored["bbox_head.rtm_cls.0.bias"][:1]}),
            "it has bbox_head.rtm_cls.0.bias as 1 for 3;",
        ),
        (lambda stored: stored.update({"other.bias": stored["bbox_head.rtm_cls.0.bias"]}), "no place for other.bias;"),
    ],
)
def test_tensors_that_are_not_those_of_the_config_are_refused(weights, tmp_path, change, said):
    """A tensor that lacks, has another shape or no place in the model is named in one sentence at loading."""
    with pytest.raises(WeightsIncomplete, match=f"^the checkpoint of changed does not fit its config: .*{said}"):
        changed(weights, tmp_path, lambda read: change(read["state_dict"])).load()


@pytest.mark.parametrize("meta", [{}, {"dataset_meta": {"classes": ()}}, {"dataset_meta": {"classes": ("person",)}}])
def test_names_that_are_not_the_head_s_are_refused(weights, tmp_path, meta):
    """A checkpoint of three classes that names none gets not the first three of COCO's 80, nor one for three."""
    said = rf"^changed names {80 if not meta.get('dataset_meta', {}).get('classes') else 1} classes, and its head has 3"
    with pytest.raises(BadInput, match=said):
        changed(weights, tmp_path, lambda read: read.update(meta=meta)).load()


def test_classes_are_found_where_older_checkpoints_and_configs_name_them(weights, tmp_path):
    """mmdet 2 wrote them beside its log; a config may name them for its dataset."""
    names = ("cat", "dog", "cow")
    engine = changed(weights, tmp_path, lambda read: read.update(meta={"CLASSES": names}))
    engine.load()
    assert engine.labels == names
    engine = changed(weights, tmp_path, lambda read: read.update(meta={}))
    with (tmp_path / "config.py").open("a") as config:
        config.write(f"\nmetainfo = dict(classes={names!r})\n")
    engine.load()
    assert engine.labels == names


def test_a_config_that_needs_another_package_names_it(tmp_path):
    """RTMDet's ConvNeXt config ends in a sentence with the package that is missing, mmpretrain."""
    from pathlib import Path

    without_operators()
    import mmdet
    from mmengine.config import Config

    name = Path(mmdet.__file__).parent / ".mim" / "configs" / "rtmdet" / "rtmdet_l_convnext_b_4xb32-100e_coco.py"
    Config.fromfile(name, import_custom_modules=False).dump(tmp_path / "config.py")
    (tmp_path / "checkpoint.pth").write_bytes(b"")
    with pytest.raises(Unavailable, match=r"made of mmpretrain\.models, and the package mmpretrain is not installed"):
        MmdetDetector(Weighted("convnext", tmp_path, CPU, "fp32", 1)).load()


def test_masks_are_not_made(weights):
    """RTMDet-Ins answers with boxes alone: nothing of the size of a picture is made for each of them."""
    engine = detector(weights, "rtmdet-ins")
    engine.model.bbox_head._mask_predict_by_feat_single = pytest.fail
    ((found,),) = engine.objects(scenes(1), 0.3)
    assert len(found.boxes) > 0


def test_suppression_keeps_what_going_from_best_to_worst_keeps():
    """All boxes at once give the rows that the greedy loop gives, in its order."""
    import sys

    import torch

    from tasks.boxes import groups_of_one

    without_operators()
    for seed in range(5):
        chance = np.random.default_rng(seed)
        low = chance.random((300, 2)) * 80
        boxes, scores = np.hstack([low, low + 5 + 30 * chance.random((300, 2))]), chance.random(300)
        kept = sys.modules["mmcv._ext"].nms(torch.tensor(boxes), torch.tensor(scores), iou_threshold=0.4)
        assert kept.tolist() == [int(group[0]) for group in groups_of_one(boxes, scores, 0.4)]
    nothing = sys.modules["mmcv._ext"].nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.4)
    assert nothing.tolist() == []


def test_other_operators_say_that_they_are_missing():
    """What needs a compiled operator fails with its name, not with a wrong answer."""
    import sys

    without_operators()
    with pytest.raises(NotImplementedError, match="roi_align_forward"):
        sys.modules["mmcv._ext"].roi_align_forward()


def test_a_checkpoint_runs_no_code(weights, tmp_path):
    """A pickle that calls something is refused, and the call does not happen."""
    import pickle
    from shutil import copy

    import torch

    class Call:
        def __reduce__(self):
            return (open, (str(tmp_path / "called"), "w"))

    copy(weights.folder / "rtmdet" / "config.py", tmp_path)
    torch.save({"state_dict": {}, "meta": Call()}, tmp_path / "checkpoint.pth")
    engine = MmdetDetector(Weighted("bad", tmp_path, CPU, "fp32", 1))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        engine.load()
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "FasterRCNN"), ("detr/detr_r50_8xb2-150e_coco.py", "DETR")],
)
def test_detectors_that_it_cannot_ask_are_refused(tmp_path, name, kind):
    """Two stages, and heads that take no least score, end in a sentence at loading, before the checkpoint is read."""
    from pathlib import Path

    without_operators()
    import mmdet
    from mmengine.config import Config

    Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / name).dump(tmp_path / "config.py")
    (tmp_path / "checkpoint.pth").write_bytes(b"")
    with pytest.raises(BadInput, match=f"^.* is a {kind}; known are detectors of one stage") as caught:
        MmdetDetector(Weighted("other", tmp_path, CPU, "fp32", 1)).load()
    assert caught.value.code == "wrong_model"


def test_an_entry_without_a_config_is_refused(tmp_path):
    """The files that an entry must hold are named."""
    (tmp_path / "checkpoint.pth").write_bytes(b"")
    with pytest.raises(BadInput, match=r"hold one .py or .json or .yaml file for mmdet, not none"):
        MmdetDetector(Weighted("bad", tmp_path, CPU, "fp32", 1)).load()


def test_objects_of_a_video(weights, tmp_path):
    """Through the analyzer, real frames become tracks inside the video, named by the checkpoint."""
    video = write_video(tmp_path / "moving.mp4", scenes(20, 192, 128), fps=10)
    analyzer = with_engine(ObjectDetection(), weights, "yolox")
    with gpu_profile():
        items = run(analyzer, video, tmp_path / "frames").objects.items
    assert items
    assert all(item.label in CLASSES and 0 <= item.start < item.end <= 2.0 for item in items)


def test_a_worker_of_this_environment_detects_with_it(weights, tmp_path):
    """A real worker loads mmdet before it takes work, chosen by an entry and a setting, and answers a job with it."""
    video = write_video(tmp_path / "moving.mp4", scenes(20, 192, 128), fps=10)
    with worker_of(weights.folder.parent, weights, {"object_detection": "yolox"}):
        document = wait(submit(video, "object_detection"))
    told = report(document, "object_detection")
    assert (told["status"], told["error"]) == ("ok", None)
    assert told["receipt"]["batches"]["yolox"] > 0
    assert told["receipt"]["load_seconds"] < 2, "loaded before the job came"
    (found,) = (one["items"] for one in document["tracks"] if one["id"] == "object_detection/objects")
    assert found
    assert {one["label"] for one in found} <= set(CLASSES)
