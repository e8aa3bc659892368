"""The decoding loop: its step may be recorded on a GPU, which forbids what a CPU would let pass."""

import pytest

from tests.support.tiny.captions import blip2
from tests.support.tiny.descriptions import qwen2_5_vl, qwen2_vl, qwen3_vl
from tests.support.tiny.store import need_torch

pytestmark = pytest.mark.engines

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")
"""Operators whose result the host waits for."""
FROM_HOST = ("lift_fresh", "from_file", "copy_from")
"""Operators that bring a value of the host into a tensor: a copy that cannot be recorded."""


def engine_of(make, folder):
    from tasks.devices import CPU
    from tasks.engines.captions import Blip2
    from tasks.engines.descriptions import QwenVl
    from tasks.models import Weighted

    make(folder)
    engine = (Blip2 if make is blip2 else QwenVl)(Weighted("tiny", folder, CPU, "fp32", 1))
    engine.load()
    return engine


@pytest.mark.parametrize("make", [qwen2_vl, qwen2_5_vl, qwen3_vl, blip2])
def test_a_step_can_be_recorded(make, tmp_path):
    """No operator of a step waits for a result or takes a value from the host; no tensor of its slot is replaced."""
    need_torch()
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names: set[str] = set()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    engine = engine_of(make, tmp_path)
    engine.decoder.compile((2,), 64)
    slot = engine.decoder._slots[2]
    before = {name: id(value) for name, value in vars(slot).items()}
    addresses = [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in slot.cache.layers]
    with torch.inference_mode(), Seen() as seen:
        engine.decoder._advance(slot)
    assert not seen.names & {*WAITS, *FROM_HOST}
    assert {"index_fill_", "argmax", "index_copy_"} <= seen.names
    assert {name: id(value) for name, value in vars(slot).items()} == before
    assert [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in slot.cache.layers] == addresses


def test_smaller_sizes_share_the_largest_cache(tmp_path):
    """Recording for several batch sizes takes the memory of one cache, the largest."""
    need_torch()
    engine = engine_of(blip2, tmp_path)
    engine.decoder.compile((1, 2, 4), 64)
    firsts = [engine.decoder._slots[rows].cache.layers[0].keys for rows in (1, 2, 4)]
    assert [len(keys) for keys in firsts] == [1, 2, 4]
    assert len({keys.data_ptr() for keys in firsts}) == 1


def test_an_answer_ends_at_its_end_token(tmp_path):
    """Rows that ended are cut there, and writing stops soon after the last one has ended."""
    need_torch()
    import torch

    from tasks.engines.decoder import LOOK_EVERY, Decoder, Prompt, Rules

    engine = engine_of(blip2, tmp_path)
    steps: list[int] = []

    def step(tokens, positions, mask, cache):
        """Row 0 counts up from 10 and ends with 0 at 13; row 1 goes on to 15."""
        steps.append(1)
        following = tokens + 1
        following[0] = 0 if following[0] > 13 else following[0]
        following[1] = 0 if following[1] > 15 else following[1]
        return torch.nn.functional.one_hot(following[:, 0], 32).float()

    decoder = Decoder(engine.files, engine.model.language_model.config, torch.float32, step, Rules((0,)))
    prompt = Prompt(torch.ones((2, 3), dtype=torch.long), torch.ones((2, 3), dtype=torch.long))
    first = torch.nn.functional.one_hot(torch.tensor([10, 10]), 32).float()
    answers = decoder.answers(prompt, lambda cache: (first, torch.full((2, 1), 3)), 200, lambda: None)
    assert answers == [[10, 11, 12, 13], [10, 11, 12, 13, 14, 15]]
    assert len(steps) < 2 * LOOK_EVERY
