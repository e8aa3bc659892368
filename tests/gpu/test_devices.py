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

    def rehearse(self):
        self.fill(range(1))

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
    assert (engine.at_once, engine.batch) == (50, 200)
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
    def rehearse(self): pass
    def work(self, items):
        table = torch.zeros(4, device="cuda")
        return table[torch.tensor([10_000_000], device="cuda")].cpu().tolist()

engine = Breaks(Weighted("breaks", Path("."), claim(1024), "bf16", 1))
try:
    list(engine.batches(range(2), engine.work))
except DeviceLost as error:
    sys.exit(f"lost: {error.message}")
"""


def in_a_process(program):
    """What another Python makes of it: a GPU that failed there does not fail here."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_failed_kernel_is_a_lost_gpu():
    """A device-side assertion leaves a process without its GPU: told from a bug, and another process works."""
    done = in_a_process(LOST)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lost: the GPU failed in breaks: CUDA error")
    assert claim(512).is_gpu


ASKED = """
import sys, torch
from tasks import devices

before = devices.still_works()  # no GPU is used yet
devices.claim(1024)
whole = torch.zeros(1000 << 20, dtype=torch.uint8, device="cuda")
try:
    torch.zeros(1000 << 20, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    full = devices.still_works()
del whole
torch.zeros(4, device="cuda")[torch.tensor([10_000_000], device="cuda")]  # nobody waits for it
lost = devices.still_works()
sys.exit(f"before: {before}, full: {full}, lost: {lost}, again: {devices.still_works()}")
"""


def test_a_lost_gpu_is_told_whatever_an_error_says():
    """A full GPU works; one that has failed does not, also where nothing has told of it yet."""
    done = in_a_process(ASKED)
    assert done.stderr.splitlines()[-1] == "before: True, full: True, lost: False, again: False"


def test_what_is_recorded_is_repeated():
    """A recorded step is the work itself: each replay does it once more."""
    import torch

    counts = torch.zeros(1, device="cuda")
    replay = devices.recorded(claim(1024), lambda: counts.add_(1))
    before = counts.item()
    replay()
    assert counts.item() == before + 1


def test_attention_does_not_plan_for_every_length():
    """A process that claimed the GPU leaves cuDNN's attention out, which would plan anew for each length of a text."""
    import torch

    claim(1024)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


ASIDE = """
import sys, torch
from tasks import devices

device = devices.set_aside(devices.claim(2048), 1536)
try:
    torch.zeros(1024 << 20, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    sys.exit(f"torch may use {device.memory_mib}, works: {devices.still_works()}")
"""


def test_torch_keeps_off_what_is_set_aside():
    """Of a share of 2 GiB with 1.5 set aside for another library torch gets no whole GiB, and works with the rest."""
    done = in_a_process(ASIDE)
    assert done.stderr.splitlines()[-1] == "torch may use 512, works: True"


WAITS = """
import sys, torch
from tasks import devices

device = devices.claim(1024)
total, stream = torch.zeros(1, device="cuda"), torch.cuda.current_stream()
try:
    devices.recorded(device, lambda: total.add_(total.item()))
except devices.NotRecorded as error:
    goes_on = torch.ones(1000, device="cuda").sum().item() == 1000
    sys.exit(f"same stream: {torch.cuda.current_stream() == stream}, goes on: {goes_on}")
"""


def test_what_cannot_be_recorded_is_told_and_the_gpu_goes_on():
    """A step that waits for the GPU cannot be a CUDA graph: that is said, and ordinary work goes on in its stream."""
    done = in_a_process(WAITS)
    assert done.stderr.splitlines()[-1] == "same stream: True, goes on: True"
