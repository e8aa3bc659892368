"""The detector engines, with tiny RT-DETR, RT-DETRv2 and D-FINE."""

import numpy as np
import pytest

from shared.errors import BadInput
from tasks.analyzers.object_detection import LARGE, ObjectDetection
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tiny.objects import d_fine, detr, rt_detr, rt_detr_v2
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
MAKERS = {"rt-detr": rt_detr, "rtdetr-v2-r50": rt_detr_v2, "d-fine-large": d_fine, "detr": detr}
KNOWN = ["rt-detr", "rtdetr-v2-r50", "d-fine-large"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), MAKERS)


def detector(weights, entry, precision="auto"):
    return with_engine(ObjectDetection(), weights, entry, precision)._detector


def flat(batches):
    return [found for batch in batches for found in batch]


@pytest.mark.parametrize("entry", KNOWN)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_family_and_precision_finds_boxes_in_the_picture(weights, entry, precision):
    """Every picture of every batch gets boxes in 0..1 with known classes, the best first, none below the floor."""
    engine = detector(weights, entry, precision)
    assert engine.labels == ("person", "motorcycle", "tv")
    batches = list(engine.objects(scenes(5), 0.2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for found in flat(batches):
        assert len(found.boxes) == len(found.scores) == len(found.labels) > 0
        assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
        assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
        assert (np.diff(found.scores) <= 0).all()
        assert (found.scores >= 0.2).all()
        assert set(found.labels) <= {0, 1, 2}


@pytest.mark.parametrize("entry", KNOWN)
def test_a_batch_changes_nothing(weights, entry):
    """Each picture has the same objects alone and beside others."""
    engine = detector(weights, entry)
    together = flat(engine.objects(scenes(4), 0.3))
    engine.batch = 1
    alone = flat(engine.objects(scenes(4), 0.3))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert not np.array_equal(alone[0].scores, alone[1].scores)


@pytest.mark.parametrize("entry", KNOWN)
def test_the_same_as_the_library_picture_by_picture(weights, entry):
    """Boxes, scores and classes are those of the processor's own preparation and reading of each picture."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    folder = weights.folder / entry
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    ours = flat(detector(weights, entry).objects(scenes(3), 0.3))
    for picture, found in zip(scenes(3), ours, strict=True):
        with torch.inference_mode():
            outputs = model(**processor(images=picture, return_tensors="pt"))
        (theirs,) = processor.post_process_object_detection(outputs, threshold=0.3)
        np.testing.assert_allclose(found.boxes, theirs["boxes"].clamp(0, 1).numpy(), atol=1e-4)
        np.testing.assert_allclose(found.scores, theirs["scores"].numpy(), atol=1e-4)
        np.testing.assert_array_equal(found.labels, theirs["labels"].numpy())


def test_bf16_leaves_boxes_where_they_are(weights):
    """In bf16 the boxes of most queries lie within a hundredth of the picture of those in fp32."""
    exact, rough = (flat(detector(weights, "rtdetr-v2-r50", p).objects(scenes(2), 0.0)) for p in ("fp32", "bf16"))
    for one, other in zip(exact, rough, strict=True):
        nearest = np.abs(one.boxes[:, None] - other.boxes[None]).max(-1).min(1)
        assert np.median(nearest) < 0.01


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_a_precision_that_detectors_do_not_have_is_refused(weights, precision):
    """int8 and nf4 are refused by name before anything is looked at."""
    with pytest.raises(BadInput, match=f"fp32 and bf16, not in {precision}"):
        detector(weights, "rtdetr-v2-r50", precision)


def test_a_model_of_another_family_is_refused(weights):
    """DETR loads as an object detector too, but its scores mean something else."""
    with pytest.raises(BadInput, match="detr is a detr; known are d_fine, rt_detr, rt_detr_v2"):
        detector(weights, "detr")


def test_objects_of_a_video(weights, tmp_path):
    """Through the analyzer, real frames become tracks inside the video, with classes of the model and mean scores."""
    video = write_video(tmp_path / "moving.mp4", scenes(30, 192, 128), fps=15)
    analyzer = with_engine(ObjectDetection(), weights, "rtdetr-v2-r50")
    assert analyzer.reads("gpu") == (LARGE,)
    with gpu_profile():
        items = run(analyzer, video, tmp_path / "frames", threshold=0.6).objects.items
    assert items
    for item in items:
        assert item.label in {"person", "motorcycle", "tv"}
        assert 0 <= item.start < item.end <= 2.0
        assert item.confidence >= 0.6
        assert all(item.start <= seen.t < item.end for seen in item.boxes)
