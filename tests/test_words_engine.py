"""The engine with an open vocabulary, with a tiny OWLv2."""

import numpy as np
import pytest

from shared.schema import ObjectTrack, TrackedObject
from tasks.analyzers.product_detection import ProductDetection
from tasks.devices import CPU
from tasks.engines.prompts import PromptRefused
from tasks.engines.words import WORD_FINDERS, _found
from tasks.models import Models
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights
from tests.support.tiny.words import owlv2
from tests.support.tracks import result

pytestmark = pytest.mark.engines
ENTRY = "owlv2-base"
WORDS = ("dog", "the rabbit", "bicycle")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: owlv2})


def models(weights, extra, precision="auto"):
    made = Models(weights, None, profile="gpu", threads=1, device=lambda: CPU, precision=precision)
    made.extra = extra
    return made


def finder(weights, precision="auto"):
    return models(weights, ENTRY, precision).extra_engine(WORD_FINDERS)


def flat(batches):
    return [one for batch in batches for one in batch]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_things_lie_in_the_picture_and_have_one_of_the_words(weights, precision):
    """Boxes in 0..1, scores above the floor, class numbers of the words, and no two of a word in one place."""
    found = flat(finder(weights, precision).objects(scenes(3), WORDS, 0.05))
    assert len(found) == 3
    for one in found:
        assert len(one.boxes) == len(one.scores) == len(one.labels) > 0
        assert ((one.boxes >= 0) & (one.boxes <= 1)).all()
        assert (one.scores >= 0.05).all()
        assert set(one.labels) <= {0, 1, 2}


def test_a_batch_changes_nothing(weights):
    """Each picture has the same things alone and beside others."""
    engine = finder(weights)
    alone = flat(engine.objects(scenes(4), WORDS, 0.05))
    engine.batch = 4
    together = flat(engine.objects(scenes(4), WORDS, 0.05))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_the_best_boxes_are_where_the_library_puts_them(weights):
    """The surest box of a picture, and its word, are those of the processor's own preparation and reading."""
    import torch
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    processor = AutoProcessor.from_pretrained(weights.folder / ENTRY)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(weights.folder / ENTRY).eval()
    ours = flat(finder(weights).objects(scenes(3), WORDS, 0.0))
    text = [f"a photo of a {word}" for word in WORDS]
    for picture, found in zip(scenes(3), ours, strict=True):
        with torch.inference_mode():
            inputs = processor(text=[text], images=picture, return_tensors="pt", padding="max_length", max_length=16)
            outputs = model(**inputs)
        (theirs,) = processor.image_processor.post_process_object_detection(
            outputs, threshold=0.0, target_sizes=[picture.shape[:2]]
        )
        best, mine = int(theirs["scores"].argmax()), int(found.scores.argmax())
        edges = np.clip(theirs["boxes"][best].numpy() / [64, 96, 64, 96], 0, 1)
        np.testing.assert_allclose(found.boxes[mine], edges, atol=1e-3)
        assert found.labels[mine] == theirs["labels"][best]
        assert found.scores[mine] == pytest.approx(float(theirs["scores"][best]), abs=1e-4)


def test_a_model_that_is_sure_of_everything_costs_no_minutes():
    """Of thousands of boxes of a picture the surest hundred things stay, in the order of their scores."""
    rng = np.random.default_rng(0)
    rows = np.column_stack(
        [rng.random((3600, 2)), np.full((3600, 2), 0.001), rng.random(3600), rng.integers(0, 4, 3600)]
    )
    found = _found(rows, np.ones(2))
    assert len(found.boxes) == 100
    assert found.scores.tolist() == sorted(rows[:, 4], reverse=True)[:100]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "<|endoftext|>",
            r"the word '<\|endoftext\|>' holds <\|endoftext\|>, which is no text for owlv2-base: leave it",
        ),
        ("cup <|startoftext|>", r"the word 'cup <\|startoftext\|>' holds <\|startoftext\|>"),
        (
            "the rabbit in the cave at the side of the street",
            r"the word '.* street', asked for as 'a photo of a the .*', takes \d\d tokens: owlv2-base reads 16 at most",
        ),
    ],
)
def test_a_word_that_is_none_never_reaches_the_model(weights, tmp_path, monkeypatch, word, said):
    """Marks of its own, and a word of which it would read the beginning, fail the analyzer before the model is asked.

    Other words beside it do not make it right.
    """
    analyzer = ProductDetection()
    analyzer.load(models(weights, ENTRY))
    monkeypatch.setattr(analyzer._finder, "_objects", None)
    video = write_video(tmp_path / "moving.mp4", scenes(4, 192, 128), fps=10)
    nothing = result("object_detection", objects=ObjectTrack[TrackedObject](method="model"))
    with gpu_profile(), pytest.raises(PromptRefused, match=said) as caught:
        run(analyzer, video, tmp_path / "a", nothing, words=("dog", word))
    assert caught.value.code == "bad_prompt"


def test_a_word_as_long_as_the_model_reads_is_asked_for_as_a_whole(weights):
    """With 16 tokens it is found as it is; its last token counts."""
    engine = finder(weights)
    whole = "the rabbit the rabbit dog dog dog dog"
    asked = engine._asked([whole], 1)
    assert asked["attention_mask"].sum() == 16
    assert engine._tokenizer.decode(asked["input_ids"][0]).endswith(" dog dog")
    assert len(flat(engine.objects(scenes(1), [whole], 0.0))) == 1


def test_what_only_pads_is_text(weights):
    """OWLv2's own tokenizer pads with an exclamation mark: a word may hold one."""
    engine = finder(weights)
    engine._tokenizer.pad_token = "!"
    assert len(flat(engine.objects(scenes(1), ["dog!"], 0.0))) == 1


def test_without_its_files_there_is_no_engine(weights, tmp_path):
    """An extra that was not pulled is done without; one that was tampered with is not."""
    from shared.errors import WeightsTampered
    from shared.weights import Weights

    empty = Weights(tmp_path / "empty", weights.folder.parent / "weights.toml")
    assert models(empty, ENTRY).extra_engine(WORD_FINDERS) is None
    assert models(weights, None).extra_engine(WORD_FINDERS) is None
    other = Weights(tmp_path / "other", weights.folder.parent / "weights.toml")
    other.pull([ENTRY])
    file = other.folder / ENTRY / "config.json"
    file.chmod(0o644)
    file.write_text(file.read_text() + " ")
    with pytest.raises(WeightsTampered):
        models(other, ENTRY).extra_engine(WORD_FINDERS)


def test_words_become_products(weights, tmp_path):
    """Through the analyzer: with words there are products found by them; without, the model does not run."""
    video = write_video(tmp_path / "moving.mp4", scenes(20, 192, 128), fps=10)
    nothing = result("object_detection", objects=ObjectTrack[TrackedObject](method="model"))
    analyzer = ProductDetection()
    analyzer.load(models(weights, ENTRY))
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "a", nothing, words=("Dog", "bicycle"), word_threshold=0.05)
        analyzer._finder.free()
        silent = run(analyzer, video, tmp_path / "a", nothing)
    assert found.products.items
    for item in found.products.items:
        assert item.label in {"dog", "bicycle"}
        assert (item.found_by, item.evidence, item.hinted) == ("word", (), False)
        assert 0 <= item.start < item.end <= 2.0
    counted = {scalar.name: scalar.value for scalar in found.scalars.items}
    assert counted["products_by_word"] == len(found.products.items)
    assert silent.products.items == ()
    assert {scalar.name: scalar.value for scalar in silent.scalars.items}["products_by_word"] is None
