"""Packing groups onto GPUs: what fits where, in which precision, and what is expected of it."""

import pytest

from tasks.devices import NoDevice
from tasks.models import Demand
from tasks.packing import CONTEXT_MIB, Load, pack

LARGE, SMALL = {"bf16": 20_000, "nf4": 8_000}, {"bf16": 2_000}


def load(name, group, seconds, sizes=None, *, level=0, entry=None):
    demand = None if sizes is None else Demand("auto", sizes)
    return Load(name, group, level, seconds, entry or name, demand)


def test_groups_share_a_gpu_that_has_room():
    """Each group is a worker; what is left of the memory is shared out, and nothing is promised twice."""
    layout = pack([load("see", "vlm", 0.3, LARGE), load("find", "detect", 0.1, SMALL)], gpus=1, gpu_memory_mib=30_000)
    assert [(worker.name, worker.gpu) for worker in layout.workers] == [("vlm", 0), ("detect", 0)]
    assert layout.workers[0].precisions == {"see": "bf16"}
    assert layout.workers[0].vram_mib >= 20_000
    assert sum(worker.vram_mib + CONTEXT_MIB for worker in layout.workers) <= 30_000


def test_a_model_that_does_not_fit_goes_to_the_next_precision():
    """Not the small one that fits: only the group that finds no room gives way."""
    layout = pack([load("see", "vlm", 0.3, LARGE), load("find", "detect", 0.1, SMALL)], gpus=1, gpu_memory_mib=12_000)
    assert layout.workers[0].precisions == {"see": "nf4"}
    assert layout.workers[1].precisions == {"find": "bf16"}


def test_what_fits_nowhere_is_refused():
    """One sentence: which group, how much it takes at least, how much there is."""
    with pytest.raises(NoDevice, match=rf"the models of vlm take {8_000 + CONTEXT_MIB} MiB .* and 6000 MiB are left"):
        pack([load("see", "vlm", 0.3, LARGE)], gpus=2, gpu_memory_mib=6_000)


def test_analyzers_of_one_model_load_it_once():
    """Two analyzers of a group with the same entry take its memory once."""
    loads = [load("a", "light", 0.1, SMALL, entry="ast"), load("b", "light", 0.1, SMALL, entry="ast")]
    (worker,) = pack(loads, gpus=1, gpu_memory_mib=2_000 + CONTEXT_MIB).workers
    assert worker.precisions == {"a": "bf16", "b": "bf16"}


def test_work_is_spread_over_the_gpus():
    """The busiest group has a GPU of its own; the others share the other one."""
    loads = [load("see", "vlm", 0.5, SMALL), load("say", "speech", 0.2, SMALL), load("find", "detect", 0.2, SMALL)]
    layout = pack(loads, gpus=2, gpu_memory_mib=20_000)
    assert {worker.group: worker.gpu for worker in layout.workers} == {"vlm": 0, "speech": 1, "detect": 1}
    assert layout.latency == pytest.approx(0.5)
    assert layout.throughput == pytest.approx(2.0)


def test_more_gpus_than_groups_serve_the_busiest_twice():
    """An idle GPU gets a second worker of the busiest group: throughput doubles, latency stays."""
    one = pack([load("see", "vlm", 0.5, SMALL)], gpus=1, gpu_memory_mib=20_000)
    two = pack([load("see", "vlm", 0.5, SMALL)], gpus=2, gpu_memory_mib=20_000)
    assert [worker.name for worker in two.workers] == ["vlm", "vlm-1"]
    assert (two.latency, two.throughput) == (one.latency, pytest.approx(2 * one.throughput))


def test_workers_of_one_gpu_take_turns():
    """Latency counts what lies on a GPU together, level after level; CPU groups run beside it."""
    loads = [
        load("see", "vlm", 0.3, SMALL),
        load("find", "detect", 0.2, SMALL),
        load("cut", "light", 0.1),
        load("join", "light", 0.2, level=1),
    ]
    layout = pack(loads, gpus=1, gpu_memory_mib=20_000)
    assert layout.latency == pytest.approx(0.5 + 0.2)
    assert layout.throughput == pytest.approx(1 / 0.5)


def test_what_nobody_measured_is_named():
    """Unknown seconds and unknown memory count as nothing, and are said."""
    layout = pack([load("new", "vlm", None, {}), load("old", "light", 0.1)], gpus=1, gpu_memory_mib=20_000)
    assert layout.unmeasured == ("new",)


def test_without_any_gpu_model_there_is_no_gpu_worker():
    """A profile of CPU groups alone is a layout, too."""
    (worker,) = pack([load("cut", "light", 0.1)], gpus=1, gpu_memory_mib=20_000).workers
    assert (worker.group, worker.gpu, worker.vram_mib) == ("light", None, 0)
