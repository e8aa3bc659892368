"""How engines cut work into batches, and what happens where memory runs out or the GPU fails."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.devices import CPU, Device, DeviceLost, OutOfDeviceMemory, is_lost
from tasks.engines.base import TorchEngine
from tasks.engines.utterances import Asked, Stretch
from tasks.engines.whisper_ctranslate import CTranslateTranscriber
from tasks.models import Weighted
from tests.support.tiny.store import need_torch

pytestmark = pytest.mark.engines


class Doubles(TorchEngine):
    """Doubles numbers; more than `room` at once do not fit."""

    cpu_batch = 8
    room = 8

    def load(self):
        """Has no weights."""

    def probe(self, count):
        """Needs no warm-up."""

    def rehearse(self):
        """Needs none."""

    def double(self, numbers):
        import torch

        self.sizes.append(len(numbers))
        if len(numbers) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [2 * number for number in numbers]


@pytest.fixture
def engine(tmp_path):
    need_torch()
    made = Doubles(Weighted("doubles", tmp_path, CPU, "fp32", 1))
    made.sizes = []
    return made


def test_a_full_batch_and_the_rest(engine):
    """Answers come in the order of the items, a list for each batch."""
    assert list(engine.batches(range(19), engine.double)) == [[*range(0, 16, 2)], [*range(16, 32, 2)], [32, 34, 36]]


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(engine):
    """The batch is halved until it fits, stays so to the end of the call, and every item is answered once, in order."""
    engine.room = 3
    answers = [answer for batch in engine.batches(range(20), engine.double) for answer in batch]
    assert answers == [*range(0, 40, 2)]
    assert engine.sizes == [8, 4, *[2] * 10]


def test_one_job_s_long_prompt_costs_later_jobs_nothing(engine):
    """After a call that ran out of memory the next one begins with the whole batch; where it is short, it halves."""
    engine.room = 3
    assert len(list(engine.batches(range(8), engine.double))) == 4
    engine.room, engine.sizes = 8, []
    assert len(list(engine.batches(range(8), engine.double))) == 1
    engine.room = 4
    assert len(list(engine.batches(range(8), engine.double))) == 2
    assert (engine.sizes, engine.batch) == ([8, 8, 4, 4], 8)


def test_what_fits_at_the_warm_up_is_kept(engine, monkeypatch):
    """Where the batch found by memory does not fit after all, the one that did is that of all later calls."""
    monkeypatch.setattr(Doubles, "probe", lambda self, count: self.double(range(count)))
    monkeypatch.setattr(Doubles, "_fitting_batch", lambda self: 8)
    engine.files = replace(engine.files, device=Device("cuda:0"))
    engine.room = 3
    engine.find_batch()
    assert (engine.sizes, engine.batch) == ([8, 4, 2, 2, 2, 2], 2)


def test_one_item_that_does_not_fit_is_an_outcome(engine):
    """Where not even one item fits the error has a code of its own and names the device and what torch said."""
    engine.room = 0
    with pytest.raises(OutOfDeviceMemory, match=r"cpu for one item of .*CUDA out of memory") as caught:
        list(engine.batches(range(4), engine.double))
    assert (caught.value.code, caught.value.retryable) == ("out_of_gpu_memory", True)


def test_other_memory_words_of_torch_are_known(engine):
    """torch's CPU allocator says the same with a plain RuntimeError."""
    real = engine.double

    def fails_once(numbers):
        if not engine.sizes:
            engine.sizes.append(0)
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return real(numbers)

    assert [one for batch in engine.batches(range(8), fails_once) for one in batch] == [*range(0, 16, 2)]


def test_a_lost_gpu_is_told_from_a_bug(engine):
    """CUDA's own errors become DeviceLost; an ordinary error of the model passes as it is."""

    def lost(_numbers):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def wrong(_numbers):
        raise ValueError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(DeviceLost, match="the GPU failed in doubles: CUDA error"):
        list(engine.batches(range(4), lost))
    with pytest.raises(ValueError, match="shapes"):
        list(engine.batches(range(4), wrong))


class Fails:
    """Stands for faster-whisper's model on a GPU that fails: with CTranslate2's words, and while its answer is read."""

    model = SimpleNamespace(is_multilingual=True)

    def __init__(self, words):
        self.words = words

    def detect_language(self, _samples):
        raise RuntimeError(self.words)

    def transcribe(self, _samples, **_options):
        def segments():
            raise RuntimeError(self.words)
            yield

        return segments(), None


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("CUDA failed with error out of memory", OutOfDeviceMemory, "not enough memory on cuda:0 for one item of w"),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", OutOfDeviceMemory, "not enough memory on cuda:0"),
        ("CUDA failed with error an illegal memory access was encountered", DeviceLost, "the GPU failed in w: CUDA"),
        ("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED", DeviceLost, "the GPU failed in w: cuBLAS"),
        ("No position encodings are defined for positions >= 448", RuntimeError, "^No position encodings"),
    ],
)
def test_what_ctranslate2_says_of_a_gpu_is_understood(tmp_path, words, error, said):
    """Its plain RuntimeErrors are told apart like torch's: memory that ran out, a lost GPU, anything else as it is."""
    engine = CTranslateTranscriber(Weighted("w", tmp_path, Device("cuda:0"), "bf16", 1))
    engine._whisper = Fails(words)
    stretch = Stretch(0.0, np.zeros(16_000, np.float32), [(0.0, 1.0)])
    with pytest.raises(error, match=said):
        engine.language([stretch])
    with pytest.raises(error, match=said):
        list(engine.transcribe([stretch], Asked("en")))


def test_a_gpu_that_ctranslate2_was_not_built_for_is_not_lost():
    """Where only its driver is too old for it, the process goes on with all that torch runs."""
    what = "CUDA failed with error CUDA driver version is insufficient for CUDA runtime version"
    assert not is_lost(RuntimeError(what))
