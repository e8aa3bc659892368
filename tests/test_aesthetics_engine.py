"""The aesthetic judge, with a tiny CLIP and a head of its own."""

import numpy as np
import pytest

from shared.errors import BadInput
from shared.schema import LabelledSegment, SegmentTrack
from tasks.analyzers.content_quality import ContentQualityAnalysis
from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.models import Models
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.tiny.aesthetics import aesthetics, headless
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights
from tests.support.tracks import result

pytestmark = pytest.mark.engines
ENTRY = "aesthetics-v2-l14"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    makers = {ENTRY: aesthetics, "headless": headless}
    return tiny_weights(tmp_path_factory.mktemp("tiny"), makers, engine="clip-aesthetics")


def judge(weights, precision="auto", entry=ENTRY):
    engine = Models(weights, entry, profile="gpu", threads=1, precision=precision).engine(AESTHETIC_JUDGES)
    engine.warm_up()
    return engine


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_picture_has_its_mark(weights, precision):
    """One mark a picture, in batches; different pictures have different ones."""
    batches = list(judge(weights, precision).marks(scenes(6)))
    assert [len(batch) for batch in batches] == [4, 2]
    marks = [mark for batch in batches for mark in batch]
    assert len(set(marks)) == 6


def test_a_batch_changes_no_mark(weights):
    """Each picture has the same mark alone and beside others."""
    engine = judge(weights)
    (together,) = engine.marks(scenes(4))
    engine.batch = 1
    np.testing.assert_allclose(together, [mark for (mark,) in engine.marks(scenes(4))], rtol=1e-4)


def test_the_mark_is_the_head_of_the_library_s_embedding(weights):
    """Marks are the five layers, as stored, on the embedding that the library gives the picture."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

    folder = weights.folder / ENTRY
    processor = AutoImageProcessor.from_pretrained(folder)
    model = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    stored = load_file(folder / "model.safetensors")
    with torch.inference_mode():
        x = model(**processor(images=scenes(2), return_tensors="pt")).image_embeds
    x = x / x.norm(dim=-1, keepdim=True)
    for place in (0, 2, 4, 6, 7):
        x = x @ stored[f"layers.{place}.weight"].T + stored[f"layers.{place}.bias"]
    (ours,) = judge(weights).marks(scenes(2))
    np.testing.assert_allclose(ours, x[:, 0].numpy(), rtol=1e-3)


def test_a_checkpoint_without_a_head_is_refused(weights):
    """CLIP alone gives no marks."""
    with pytest.raises(BadInput, match=r"has no aesthetic head: layers.0.weight is missing"):
        judge(weights, entry="headless")


@pytest.mark.weights
def test_marks_of_shots(weights, tmp_path):
    """Through the analyzer: each shot has the mean mark of three of its frames; without the judge it is null."""
    video = write_video(tmp_path / "moving.mp4", scenes(40, 192, 128), fps=10)
    shots = [
        LabelledSegment(id=f"s{number}", start=start, end=end, label="shot")
        for number, (start, end) in enumerate([(0.0, 2.5), (2.5, 4.0)], 1)
    ]
    cuts = result("cut_analysis", shots=SegmentTrack[LabelledSegment](method="heuristic", items=tuple(shots)))
    analyzer = loaded(ContentQualityAnalysis())
    without = run(analyzer, video, tmp_path / "frames", cuts)
    assert [one.aesthetic for one in without.shots.items] == [None, None]
    analyzer._judge = judge(weights)
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "frames", cuts)
    first, second = found.shots.items
    assert first.aesthetic != second.aesthetic
    assert None not in (first.aesthetic, second.aesthetic)
    assert first.model_copy(update={"aesthetic": None}) == without.shots.items[0]
