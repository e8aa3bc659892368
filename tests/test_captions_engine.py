"""The captioner engine, with a tiny BLIP-2 in every precision that a CPU can run."""

import json

import numpy as np
import pytest

from shared.errors import BadInput, Cancelled
from tasks.analyzers.blip2_caption import Blip2Caption
from tasks.devices import CPU
from tasks.engines.captions import Asked, Blip2
from tasks.engines.prompts import PromptRefused
from tasks.models import Weighted
from tests.support.clips import make_clip
from tests.support.media import run
from tests.support.tiny.captions import blip2
from tests.support.tiny.store import need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
ENTRY = "blip2-opt-2.7b"
ASKED = Asked("a photo of", 12)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: blip2})


def pictures(count):
    rows, columns = np.mgrid[:64, :48]
    return [
        np.stack([(columns * 5 + 40 * n) % 256, (rows * 4) % 256, rows + columns], -1).astype(np.uint8)
        for n in range(count)
    ]


@pytest.fixture
def engine(weights):
    """A loaded BLIP-2 in fp32."""
    return with_engine(Blip2Caption(), weights, ENTRY)._captioner


def nothing() -> None:
    """A check that finds nothing."""


def captions(engine, some, asked=ASKED, check=nothing) -> list[str]:
    return [text for batch in engine.captions(some, asked, check) for text in batch]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_every_precision_captions_every_picture(weights, precision):
    """One caption a picture, in batches of at most the engine's size, whatever the weights are held in."""
    engine = with_engine(Blip2Caption(), weights, ENTRY, precision)._captioner
    assert (engine.files.precision, engine.files.device.name) == (precision, "cpu")
    answers = list(engine.captions(pictures(10), Asked("a photo of", 6), nothing))
    assert [len(batch) for batch in answers] == [4, 4, 2]
    assert all(isinstance(text, str) for batch in answers for text in batch)


def test_a_batch_changes_no_caption(engine):
    """Each picture gets the same words alone and beside others."""
    together = captions(engine, pictures(6))
    engine.batch = 1
    assert captions(engine, pictures(6)) == together
    assert len(set(together)) > 1


def test_it_writes_what_transformers_writes(engine):
    """The decoding loop says what the library's own greedy search says."""
    import torch

    inputs = engine._inputs(pictures(4), "a photo of")
    with torch.inference_mode():
        tokens = engine.model.generate(**inputs, max_new_tokens=12, do_sample=False)
    said = engine._processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert captions(engine, pictures(4)) == [text.strip() for text in said]


def test_the_compiled_loop_says_the_same(engine):
    """With recorded sizes batches are filled up to the next one, and no caption changes."""
    plain = captions(engine, pictures(7))
    engine.decoder.compile((2, 4), engine.capacity)
    assert [engine.decoder.rows(count, 4) for count in (1, 3)] == [2, 4]
    assert captions(engine, pictures(7)) == captions(engine, pictures(7)) == plain


HOST = "nf4 decides on the host what it launches"


def test_compiling_belongs_to_the_warm_up(weights):
    """With the setting, the warm-up records the step for the sizes that fit, but not for quantised weights."""
    from tasks.devices import CPU
    from tasks.models import Engines, Models

    for precision, recorded in (("fp32", True), ("nf4", False)):
        models = Models(
            weights,
            ENTRY,
            profile="gpu",
            threads=1,
            device=lambda: CPU,
            precision=precision,
            shared=Engines(compile_loops=True),
        )
        analyzer = Blip2Caption()
        analyzer.load(models)
        analyzer._captioner.warm_up()
        assert (analyzer._captioner.decoder.rows(1, 4) == 4) is recorded
        assert analyzer._captioner.notes == (() if recorded else (f"its loop is not recorded: {HOST}",))
        assert len(captions(analyzer._captioner, pictures(5))) == 5
        analyzer._captioner.free()


def test_pixels_are_the_processor_s(engine):
    """Pictures that go in as one tensor on the device become the pixels that the library makes of each."""
    import torch

    mine = engine._inputs(pictures(3), "a photo of")["pixel_values"]
    theirs = engine._processor.image_processor(pictures(3), return_tensors="pt")["pixel_values"]
    assert torch.equal(mine, theirs)


def test_out_of_memory_halves_the_batch(engine, monkeypatch):
    """A batch that does not fit is halved and tried again; all captions come, in order."""
    import torch

    expected, tried = captions(engine, pictures(6)), []
    prefill = engine._prefill

    def small_memory(inputs, cache):
        tried.append(len(inputs["input_ids"]))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prefill(inputs, cache)

    monkeypatch.setattr(engine, "_prefill", small_memory)
    assert captions(engine, pictures(6)) == expected
    assert tried == [4, 2, 2, 2]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("<image>", "the prompt holds <image>, which is no text for blip2-opt-2.7b: leave it out"),
        ("a photo</s> of", "the prompt holds </s>"),
        ("a dog and " * 200, "tokens and the answer up to 12: blip2-opt-2.7b reads 512 at most; ask it shorter"),
    ],
)
def test_a_prompt_that_is_none_never_reaches_the_model(engine, monkeypatch, prompt, said):
    """Marks of pictures and ends, and more tokens than the model has positions for, are refused before it is asked."""
    monkeypatch.setattr(engine, "_prefill", None)
    with pytest.raises(PromptRefused, match=said) as caught:
        list(engine.captions(pictures(2), Asked(prompt, 12), nothing))
    assert caught.value.code == "bad_prompt"


def test_any_text_is_a_prompt(engine):
    """No text at all, other alphabets and what only looks like a mark are given to the model as they are."""
    for prompt in ("", "un perro \U0001f600 中", "<images> </ s>", "a\nphoto"):
        assert len(list(engine.captions(pictures(2), Asked(prompt, 6), nothing))) == 1


def test_cancelling_ends_a_caption(engine):
    """What the check raises comes through in the middle of a caption."""

    def check() -> None:
        raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        captions(engine, pictures(2), check=check)


def test_a_video_is_captioned(weights, tmp_path):
    """Through the analyzer on a real file: spans that tile the video, a frame a second in them."""
    video = make_clip(tmp_path / "clip.mp4", frames=55, size=(96, 160))
    analyzer = with_engine(Blip2Caption(), weights, ENTRY)
    spans = run(analyzer, video, tmp_path / "frames", max_new_tokens=8).captions.items
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert (spans[0].start, spans[-1].end, sum(span.frames for span in spans)) == (0, 5.5, 6)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_type": "blip-2", "text_config": {"model_type": "t5"}}, "a blip-2 with t5"),
        ({"model_type": "qwen2_vl"}, "a qwen2_vl"),
    ],
)
def test_what_it_cannot_caption_with_is_refused_before_its_weights_are_read(tmp_path, config, named):
    """BLIP-2 with T5, and other models of pictures and text, end in a sentence at loading, not at the first caption."""
    need_torch()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        BadInput, match=rf"^flan is {named}; known is blip-2 with a language model of decoders"
    ) as caught:
        Blip2(Weighted("flan", tmp_path, CPU, "fp32", 1)).load()
    assert caught.value.code == "wrong_model"
