"""Derived GPU memory: what `shared/weights.toml` declares is what the models' true architectures give."""

import pytest

from bench.sizes import SIZED, derived_mib, nowhere, shipped, weights_mib
from tests.support.tiny.store import need_torch

pytestmark = pytest.mark.engines


@pytest.fixture(autouse=True)
def torch():
    need_torch()


def test_every_derived_entry_is_sized():
    """No entry declares derived memory that nothing derives."""
    assert {name for name, entry in shipped().items() if entry.derived_vram_mib} == set(SIZED)


@pytest.mark.parametrize("entry", SIZED)
def test_the_declared_memory_is_the_derived(entry):
    """Parameters in each precision and the stated margin, rounded up to the next hundred MiB."""
    assert shipped()[entry].derived_vram_mib == derived_mib(entry)


@pytest.mark.parametrize(
    ("entry", "precision", "measured"),
    [
        ("qwen2-vl-7b", "bf16", 16_014),
        ("qwen2-vl-7b", "int8", 9_011),
        ("qwen2-vl-7b", "nf4", 5_734),
        ("blip2-opt-2.7b", "bf16", 7_143),
        ("blip2-opt-2.7b", "int8", 3_891),
        ("blip2-opt-2.7b", "nf4", 2_253),
    ],
)
def test_the_derivation_meets_what_was_measured(entry, precision, measured):
    """Weights of the two models that were loaded on an H100 in three precisions are told within a twentieth."""
    with nowhere():
        model = SIZED[entry].make()
    assert weights_mib(model, precision, holds_fp32=False) == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(
    ("entry", "parameters"),
    [("qwen2.5-vl-7b", 8_292_166_656), ("qwen3-vl-8b", 8_767_123_696), ("whisper-large-v3", 1_543_490_560)],
)
def test_the_architectures_are_the_true_ones(entry, parameters):
    """The number of parameters is the one that the hub shows for the model."""
    with nowhere():
        model = SIZED[entry].make()
    assert sum({id(each): each.numel() for each in model.parameters()}.values()) == parameters
