"""The decoding loop: its step may be recorded on a GPU, which forbids what a CPU would let pass."""

import numpy as np
import pytest

from tasks import devices
from tests.support.tiny.captions import blip2
from tests.support.tiny.descriptions import qwen2_5_vl, qwen2_vl, qwen3_vl
from tests.support.tiny.store import need_torch

pytestmark = pytest.mark.engines

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")
"""Operators whose result the host waits for."""
FROM_HOST = ("lift_fresh", "from_file", "copy_from")
"""Operators that bring a value of the host into a tensor: a copy that cannot be recorded."""


def engine_of(make, folder, **more):
    from tasks.devices import CPU
    from tasks.engines.captions import Blip2
    from tasks.engines.descriptions import QwenVl
    from tasks.models import Weighted

    make(folder)
    engine = (Blip2 if make is blip2 else QwenVl)(Weighted("tiny", folder, CPU, "fp32", 1, **more))
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


def written(engine):
    from tasks.engines.captions import Asked

    pictures = [np.full((48, 64, 3), 40 * number, np.uint8) for number in range(5)]
    return [text for batch in engine.captions(pictures, Asked("a photo of", 9), lambda: None) for text in batch]


def test_the_warm_up_records(tmp_path):
    """With the setting the step is recorded for the sizes that fit, nothing is noted, and the answers are the same."""
    need_torch()
    engine = engine_of(blip2, tmp_path)
    plain = written(engine)
    recording = engine_of(blip2, tmp_path, compile=True)
    recording.warm_up()
    assert (recording.decoder.recorded, recording.notes) == ((4,), ())
    assert written(recording) == plain


@pytest.mark.parametrize("trouble", ["not recorded", "out of memory"])
def test_what_cannot_be_recorded_is_written_step_by_step(tmp_path, monkeypatch, trouble):
    """Where recording fails, or takes more memory than there is, the answers are the same and a note says why."""
    need_torch()
    import torch

    from tasks.devices import NotRecorded

    said = "operation not permitted when stream is capturing"
    error = NotRecorded(said) if trouble == "not recorded" else torch.OutOfMemoryError(f"CUDA out of memory: {said}")

    def fails(_device, _work):
        raise error

    plain = written(engine_of(blip2, tmp_path))
    engine = engine_of(blip2, tmp_path, compile=True)
    monkeypatch.setattr(devices, "recorded", fails)
    engine.warm_up()
    (note,) = engine.notes
    assert note.startswith("its loop is not recorded: ")
    assert said in note
    assert (engine.decoder.recorded, engine.batch) == ((), 4)
    assert written(engine) == plain


def test_a_bug_in_the_step_is_not_hidden(tmp_path, monkeypatch):
    """Only what cannot be recorded is done another way: any other error of the warm-up stays one."""
    need_torch()

    def fails(_device, _work):
        raise ValueError("shapes do not match")

    engine = engine_of(blip2, tmp_path, compile=True)
    monkeypatch.setattr(devices, "recorded", fails)
    with pytest.raises(ValueError, match="shapes"):
        engine.warm_up()
