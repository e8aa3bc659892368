"""What really happens on a GPU: running out of memory, failing for good, giving memory back."""

import os
import subprocess
import sys

import pytest

from tasks import devices
from tasks.devices import NoDevice, OutOfDeviceMemory, claim
from tasks.engines.base import TorchEngine
from tasks.models import Weighted
from tests.support.project import ROOT

MIB = 1 << 20


class Fills(TorchEngine):
    """Takes `each` MiB for every item of a batch, and gives the items back."""

    each = 64
    most = 64

    def load(self):
        import torch

        self.model = torch.zeros(256 * MIB, dtype=torch.uint8, device="cuda")

    def probe(self, count):
        self.fill(range(count))

    def fill(self, items):
        import torch

        blocks = [torch.zeros(self.each * MIB, dtype=torch.uint8, device="cuda") for _ in items]
        assert len(blocks) == len(items)
        return list(items)


@pytest.fixture
def engine(tmp_path):
    """An engine in a process that may use 4 GiB."""
    made = Fills(Weighted("fills", tmp_path, claim(4096), "bf16", 1))
    made.load()
    yield made
    made.free()


def test_the_batch_is_found_by_memory(engine):
    """As many items at once as fit the share with a tenth kept free; a batch of that size then runs."""
    engine.warm_up()
    assert 50 <= engine.batch <= (4096 * 0.9 - 256) / 64
    assert devices.held_mib() == 256


def test_running_out_in_the_middle_of_a_batch(engine):
    """torch's own error halves the batch: every item is answered once, in order, and memory is back afterwards."""
    engine.batch = 200
    answers = [item for batch in engine.batches(range(300), engine.fill) for item in batch]
    assert answers == list(range(300))
    assert engine.batch == 50
    assert devices.held_mib() == 256


def test_an_item_that_cannot_fit(engine):
    """One item larger than the share is an outcome with a code and names the device; the engine works on."""
    engine.each = 5000
    with pytest.raises(OutOfDeviceMemory, match=r"not enough memory on cuda:0 for one item"):
        list(engine.batches(range(3), engine.fill))
    engine.each = 1
    assert list(engine.batches(range(1), engine.fill)) == [[0]]


def test_too_much_is_refused():
    """More than the GPU has free is one sentence with both numbers."""
    with pytest.raises(NoDevice, match=r"9000000 MiB of GPU memory are wanted and \d+ of \d+ MiB are free"):
        claim(9_000_000)


LOST = """
import sys, torch
from pathlib import Path
from tasks.devices import DeviceLost, claim
from tasks.engines.base import TorchEngine
from tasks.models import Weighted

class Breaks(TorchEngine):
    def load(self): pass
    def probe(self, count): pass
    def work(self, items):
        table = torch.zeros(4, device="cuda")
        return table[torch.tensor([10_000_000], device="cuda")].cpu().tolist()

engine = Breaks(Weighted("breaks", Path("."), claim(1024), "bf16", 1))
try:
    list(engine.batches(range(2), engine.work))
except DeviceLost as error:
    sys.exit(f"lost: {error.message}")
"""


def test_a_failed_kernel_is_a_lost_gpu():
    """A device-side assertion leaves a process without its GPU: told from a bug, and another process works."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", LOST], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lost: the GPU failed in breaks: CUDA error")
    assert claim(512).is_gpu
