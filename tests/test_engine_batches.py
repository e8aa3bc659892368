"""How engines cut work into batches, and what happens where memory runs out or the GPU fails."""

import pytest

from tasks.devices import CPU, DeviceLost, OutOfDeviceMemory
from tasks.engines.base import TorchEngine
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
    """The batch is halved until it fits, stays so for later work, and every item is answered once, in order."""
    engine.room = 3
    answers = [answer for batch in engine.batches(range(20), engine.double) for answer in batch]
    assert answers == [*range(0, 40, 2)]
    assert engine.sizes[:3] == [8, 4, 2]
    assert engine.batch == 2


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
