"""The segmenter engine, with a tiny UperNet and a tiny SegFormer."""

import json

import numpy as np
import pytest

from shared.errors import BadInput
from tasks.analyzers.background_segmentation import BackgroundSegmentation
from tasks.engines.segmentation import HubSegmenter
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tiny.scenes import scenes
from tests.support.tiny.segmentation import LABELS, cropping, no_persons, segformer, upernet
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
KNOWN = ["upernet-convnext-small", "segformer"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    makers = {"upernet-convnext-small": upernet, "segformer": segformer, "no-persons": no_persons, "cropping": cropping}
    return tiny_weights(tmp_path_factory.mktemp("tiny"), makers)


def segmenter(weights, entry, precision="auto"):
    return with_engine(BackgroundSegmentation(), weights, entry, precision)._segmenter


def flat(batches):
    return [one for batch in batches for one in batch]


@pytest.mark.parametrize("entry", KNOWN)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_pixel_has_a_class(weights, entry, precision):
    """Maps have the picture's shape with a short side of 90, and only classes that the model has, more than one."""
    engine = segmenter(weights, entry, precision)
    assert engine.labels == tuple(LABELS.values())
    batches = list(engine.maps(scenes(3, 192, 128)))
    assert [len(batch) for batch in batches] == [2, 1]
    assert {one.shape for one in flat(batches)} == {(135, 90)}
    assert {int(number) for one in flat(batches) for number in np.unique(one)} <= set(LABELS)
    assert len(np.unique(flat(batches))) > 1


@pytest.mark.parametrize("entry", KNOWN)
def test_a_batch_changes_nothing(weights, entry):
    """Each picture has the same map alone and beside others, but for pixels on the brink."""
    engine = segmenter(weights, entry)
    together = flat(engine.maps(scenes(4, 192, 128)))
    engine.batch = 1
    alone = flat(engine.maps(scenes(4, 192, 128)))
    assert all((one == other).mean() > 0.999 for one, other in zip(together, alone, strict=True))
    assert not np.array_equal(alone[0], alone[3])


@pytest.mark.parametrize("entry", KNOWN)
def test_the_same_as_the_library_picture_by_picture(weights, entry):
    """Classes are those of the processor's own preparation and reading of each picture."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    processor = AutoImageProcessor.from_pretrained(weights.folder / entry)
    model = AutoModelForSemanticSegmentation.from_pretrained(weights.folder / entry).eval()
    for picture, ours in zip(
        scenes(2, 192, 128), flat(segmenter(weights, entry).maps(scenes(2, 192, 128))), strict=True
    ):
        with torch.inference_mode():
            outputs = model(**processor(images=picture, return_tensors="pt"))
        (theirs,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[(135, 90)])
        assert (theirs.numpy() == ours).mean() > 0.999


def test_the_edges_of_a_picture_are_looked_at(weights):
    """Where a checkpoint's processor would show the middle alone, what differs at an edge changes the map there."""
    engine = segmenter(weights, "cropping")
    plain = np.full((120, 360, 3), 60, np.uint8)
    noisy = plain.copy()
    noisy[:, :60] = np.random.default_rng(0).integers(0, 255, (120, 60, 3), dtype=np.uint8)
    (before,), (after,) = (flat(engine.maps([picture])) for picture in (plain, noisy))
    assert before.shape == (90, 270)
    assert (before != after)[:, :60].any()


def test_a_processor_with_margins_is_refused(weights, tmp_path):
    """Maps would be shifted by margins, so a checkpoint that wants them ends in one sentence at loading."""
    from dataclasses import replace
    from shutil import copytree

    copytree(weights.folder / "segformer", tmp_path / "margins")
    told = tmp_path / "margins" / "preprocessor_config.json"
    size = {"do_pad": True, "pad_size": {"height": 96, "width": 96}}
    told.write_text(json.dumps({**json.loads(told.read_bytes()), **size}))
    files = replace(segmenter(weights, "segformer").files, entry="margins", folder=tmp_path / "margins")
    with pytest.raises(BadInput, match=r"^the image processor of margins adds margins to pictures"):
        HubSegmenter(files).load()


def test_a_processor_that_cuts_edges_off_is_refused(weights, tmp_path):
    """ConvNeXt's crops when it resizes to under 384, whatever is said of cropping: one sentence at loading."""
    from dataclasses import replace
    from shutil import copytree

    copytree(weights.folder / "segformer", tmp_path / "cut")
    told = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875}
    (tmp_path / "cut" / "preprocessor_config.json").write_text(json.dumps(told))
    files = replace(segmenter(weights, "segformer").files, entry="cut", folder=tmp_path / "cut")
    with pytest.raises(BadInput, match=r"^the image processor of cut cuts edges of pictures off"):
        HubSegmenter(files).load()


def test_a_model_without_persons_is_refused(weights):
    """People are what the analyzer is about."""
    with pytest.raises(BadInput, match="no-persons has 2 classes; person"):
        segmenter(weights, "no-persons")


def test_what_surrounds_people_in_a_video(weights, tmp_path):
    """Through the analyzer: shares of people, masks and the classes of the one shot, which fill no more than it all."""
    video = write_video(tmp_path / "moving.mp4", scenes(20, 192, 128), fps=10)
    analyzer = with_engine(BackgroundSegmentation(), weights, "upernet-convnext-small")
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "frames")
    assert len(found.person_share.values) == 8
    (shot,) = found.surroundings.items
    assert (shot.start, shot.end) == (0.0, 2.0)
    shares = [one.share for one in shot.classes]
    assert shares == sorted(shares, reverse=True)
    assert {one.label for one in shot.classes} <= {"wall", "sky", "tree"}
    people = np.mean(found.person_share.values)
    assert 0.9 < sum(shares) + people < 1.1
    assert all(sum(mask.counts) == mask.size[0] * mask.size[1] for mask in found.masks.items)
