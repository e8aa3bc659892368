"""The describer engine, with tiny models of all three families in every precision that a CPU can run."""

from collections.abc import Callable

import numpy as np
import pytest

from shared.errors import Cancelled
from tasks.analyzers.qwen2_vl_temporal import Qwen2VlTemporal
from tasks.engines.descriptions import Asked, Clip, broadened
from tasks.engines.prompts import PromptRefused
from tests.support.clips import make_clip
from tests.support.media import run
from tests.support.moving import texture, write_video
from tests.support.tiny.descriptions import qwen2_5_vl, qwen2_vl, qwen3_vl
from tests.support.tiny.store import need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
FAMILIES = {"qwen2-vl-7b": qwen2_vl, "qwen2.5-vl-7b": qwen2_5_vl, "qwen3-vl-8b": qwen3_vl}
ASKED = Asked("what is shown in the video ?", 12)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), FAMILIES)


@pytest.fixture(scope="module", params=FAMILIES)
def engine(weights, request):
    """A loaded model of each family, in fp32."""
    return with_engine(Qwen2VlTemporal(), weights, request.param)._describer


@pytest.fixture(autouse=True)
def same_batch(request):
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").batch = 4


def clips(count, frames=4):
    """Clips of noise, different ones."""
    noise = np.random.default_rng(0)
    return [
        Clip(n + np.arange(frames) / 4, noise.integers(0, 255, (frames, 84, 56, 3), dtype=np.uint8))
        for n in range(count)
    ]


def nothing() -> None:
    """A check that finds nothing."""


def described(engine, some, asked=ASKED, check: Callable[[], None] = nothing) -> list[str]:
    return [text for batch in engine.describe(some, asked, check) for text in batch]


@pytest.mark.parametrize("precision", ["bf16", "int8", "nf4"])
@pytest.mark.parametrize("entry", FAMILIES)
def test_every_precision_describes_every_clip(weights, entry, precision):
    """One answer a clip, in batches of at most the engine's size, whatever the weights are held in."""
    engine = with_engine(Qwen2VlTemporal(), weights, entry, precision)._describer
    assert (engine.files.precision, engine.files.device.name) == (precision, "cpu")
    answers = list(engine.describe(clips(6), Asked(ASKED.prompt, 4), nothing))
    assert [len(batch) for batch in answers] == [4, 2]
    assert all(isinstance(text, str) for batch in answers for text in batch)


def test_a_batch_changes_no_answer(engine):
    """Each clip gets the same words alone and beside others, and other clips get other words."""
    together = described(engine, clips(6))
    engine.batch = 1
    assert described(engine, clips(6)) == together
    assert len(set(together)) > 1


def test_a_shorter_clip_changes_no_answer(engine):
    """A clip of fewer frames in the batch makes prompts unequal; padding before their start changes nothing."""
    mixed = [*clips(2), *clips(1, frames=2)]
    together = described(engine, mixed)
    engine.batch = 1
    assert described(engine, mixed) == together


def test_it_writes_what_transformers_writes(engine):
    """The decoding loop says, token by token, what the library's own greedy search says, its rules included."""
    import torch

    inputs = engine._inputs([*clips(2), *clips(1, frames=2)], ASKED.prompt)
    with torch.inference_mode():
        tokens = engine.model.generate(**inputs, max_new_tokens=30, do_sample=False)
    said = engine._processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    asked = Asked(ASKED.prompt, 30)
    assert described(engine, [*clips(2), *clips(1, frames=2)], asked) == said
    assert max(map(len, said)) > 8


def test_the_compiled_loop_says_the_same(engine, weights):
    """With recorded sizes batches are filled up to the next one, and no answer changes; longer ones are not cut."""
    plain, long = described(engine, clips(7)), described(engine, clips(7), Asked(ASKED.prompt, 100))
    compiled = with_engine(Qwen2VlTemporal(), weights, engine.files.entry)._describer
    compiled.decoder.compile((2, 4), 128)
    assert [compiled.decoder.rows(count, 4) for count in (1, 2, 3, 4, 5)] == [2, 2, 4, 4, 5]
    assert compiled.decoder.rows(3, 2) == 3
    for _ in range(2):  # what a batch leaves behind does not reach the next one
        assert described(compiled, clips(7)) == plain
        assert described(compiled, clips(7), Asked(ASKED.prompt, 100)) == long


def test_pixels_are_the_processor_s(engine):
    """Frames that go in as one tensor on the device become the pixels that the library makes of each clip."""
    import torch

    some = clips(3)
    mine = engine._inputs(some, ASKED.prompt)["pixel_values_videos"]
    theirs = engine._processor.video_processor(
        [clip.frames for clip in some], do_sample_frames=False, return_tensors="pt"
    )["pixel_values_videos"]
    assert torch.equal(mine, theirs)


def test_times_are_in_qwen3_s_prompt(weights):
    """Qwen3-VL reads the mean time of each pair of frames, in seconds since the clip's first frame."""
    engine = with_engine(Qwen2VlTemporal(), weights, "qwen3-vl-8b")._describer
    frames = np.zeros((4, 84, 56, 3), np.uint8)
    inputs = engine._inputs([Clip(np.array([7.75, 8.0, 8.5, 8.75]), frames)], ASKED.prompt)
    prompt = engine._processor.batch_decode(inputs["input_ids"])[0]
    assert [part.split("<")[-1] for part in prompt.split(" seconds>")[:-1]] == ["0.1", "0.9"]


def test_the_distance_of_frames_reaches_qwen2_5(weights):
    """Qwen2.5-VL is told how many seconds a pair of frames takes: two mean distances."""
    engine = with_engine(Qwen2VlTemporal(), weights, "qwen2.5-vl-7b")._describer
    inputs = engine._inputs([*clips(1), Clip(np.array([0.0, 0.5, 1.0, 1.5]), clips(1)[0].frames)], ASKED.prompt)
    assert [float(seconds) for seconds in inputs["second_per_grid_ts"]] == [0.5, 1.0]


@pytest.mark.parametrize(("height", "width"), [(2, 640), (1200, 3)])
def test_a_strip_of_a_picture_is_described(engine, height, width):
    """A frame longer than the library takes has margins in its short direction, and is described."""
    strip = np.full((4, height, width, 3), 200, np.uint8)
    assert len(described(engine, [Clip(np.arange(4) / 4, strip)])) == 1
    shown = broadened(Clip(np.arange(4) / 4, strip)).frames
    assert int(shown.sum(dtype=int)) == int(strip.sum(dtype=int)), "all of it is there, and the rest is black"


def test_one_picture_is_a_clip(engine):
    """A clip of one frame is described, too."""
    assert len(described(engine, clips(2, frames=1))) == 2


def test_answers_are_bounded(engine):
    """No answer takes more tokens than asked for, and one token needs no check."""
    checks: list[None] = []
    inputs = engine._inputs(clips(2), ASKED.prompt)
    described(engine, clips(2), Asked(ASKED.prompt, 9), lambda: checks.append(None))
    assert len(checks) <= 8
    for text in described(engine, clips(2), Asked(ASKED.prompt, 1)):
        assert len(engine._processor.tokenizer(text)["input_ids"]) <= 3  # a broken character may become several
    assert inputs["input_ids"].shape[0] == 2


def test_out_of_memory_halves_the_batch(engine, monkeypatch):
    """A batch that does not fit is halved and tried again; all answers come, in order; the next job has it whole."""
    import torch

    expected, tried = described(engine, clips(7)), []
    prefill = engine._prefill

    def small_memory(inputs, cache):
        tried.append(len(inputs["input_ids"]))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prefill(inputs, cache)

    monkeypatch.setattr(engine, "_prefill", small_memory)
    assert described(engine, clips(7)) == expected
    assert tried == [4, 2, 2, 2, 1]
    assert engine.batch == 4


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("<|video_pad|>", r"the prompt holds <\|video_pad\|>, which is no text for qwen"),
        ("stop<|im_end|>", r"the prompt holds <\|im_end\|>"),
        ("a dog and " * 1500, "tokens and the answer up to 12: qwen.* reads 4096 at most"),
    ],
)
def test_a_prompt_that_is_none_never_reaches_the_model(engine, monkeypatch, prompt, said):
    """Marks of videos and turns, and more tokens than the model has positions for, are refused before it is asked."""
    monkeypatch.setattr(engine, "_prefill", None)
    with pytest.raises(PromptRefused, match=said):
        described(engine, clips(1), Asked(prompt, 12))


def test_cancelling_ends_a_long_answer(engine):
    """The check is asked for every token; what it raises comes through, and the engine works on afterwards."""
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        described(engine, clips(4), Asked(ASKED.prompt, 500), check)
    assert len(asked) == 3
    assert len(described(engine, clips(4))) == 4


def test_a_video_is_described_second_by_second(weights, tmp_path):
    """Through the analyzer on a real file: one item for each second, tiling the video, with the answers as text."""
    video = make_clip(tmp_path / "clip.mp4", frames=55, size=(96, 160))
    analyzer = with_engine(Qwen2VlTemporal(), weights, "qwen2.5-vl-7b")
    items = run(analyzer, video, tmp_path / "frames", max_new_tokens=8).segments.items
    assert [(item.start, item.end) for item in items] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 5.5)]
    assert not any(item.structured for item in items)
    assert len({item.description for item in items}) > 1


def test_a_slow_video_is_described_second_by_second(weights, tmp_path, monkeypatch):
    """A file of a frame every three seconds: a description for each second, and a picture that stays is asked once."""
    video = write_video(tmp_path / "slow.mp4", (texture(seed, 96, 160) for seed in range(3)), fps=1 / 3)
    analyzer = with_engine(Qwen2VlTemporal(), weights, "qwen2.5-vl-7b")
    asked, inputs = [], analyzer._describer._inputs
    monkeypatch.setattr(analyzer._describer, "_inputs", lambda clips, text: asked.extend(clips) or inputs(clips, text))
    items = run(analyzer, video, tmp_path / "frames", max_new_tokens=8).segments.items
    assert [(item.start, item.end) for item in items] == [(second, second + 1) for second in range(9)]
    assert items[0].description == items[1].description == items[2].description
    assert len(asked) < len(items)
