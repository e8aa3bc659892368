"""The benchmark of the gpu profile: the device's minutes are few, so what can be wrong without one is tested here."""

import json
import os

import pytest

from bench import parts
from bench.checkpoints import MAKERS
from bench.loads import KINDS, PAGE, dropped, resident
from bench.nvml import Nvml, Watch
from bench.parts import part, row
from shared.settings import settings
from shared.weights import Weights
from tasks.registry import analyzers, extra_entry, weights_entry


def used():
    """Entries of the gpu profile, with and without a hub."""
    known = Weights(settings().weights_dir).entries()
    names = {entry(one, "gpu") for one in analyzers().values() for entry in (weights_entry, extra_entry)}
    return {name: known[name] for name in names if name}


def test_every_hub_model_of_the_profile_can_be_made():
    """No analyzer of the gpu profile is measured without its model, for want of one of its true size."""
    assert {name for name, entry in used().items() if entry.hub} == set(MAKERS)


def test_every_engine_of_the_profile_is_loaded():
    """Loading is measured for each entry that an engine reads."""
    assert {name for name, entry in used().items() if entry.engine} == set(KINDS)


def test_a_part_that_fails_is_a_row(capsys, monkeypatch):
    """Its error is printed, the rows before it were printed, and the next part begins."""
    monkeypatch.setattr(parts, "FAILED", [])
    with part("one"):
        row("one.figure", 1)
        raise ValueError("no such layer")
    with part("two"):
        row("two.figure", 2)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["row"] for one in printed] == ["one.figure", "one.failed", "two.figure"]
    assert printed[1]["error"] == "ValueError: no such layer"
    assert parts.FAILED == ["one"]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise")
def test_what_is_called_cold_says_how_cold_it_is(tmp_path):
    """Of a file just written every page is cached; after dropping, the share that stayed is told, not assumed."""
    (tmp_path / "weights").write_bytes(b"w" * (3 * PAGE + 1))
    before = resident(tmp_path / "weights")
    assert [page & 1 for page in before] == [1, 1, 1, 1]
    stayed = dropped(tmp_path)
    after = resident(tmp_path / "weights")
    assert stayed == sum(page & 1 for page in after) / 4


def test_without_a_gpu_the_figures_are_missing_with_a_reason():
    """Where NVML sees no GPU its figures are null and the reason stands beside them."""
    gpu = Nvml()
    if gpu.missing is None:
        pytest.skip("this machine has an NVIDIA GPU")
    with Watch(gpu, {"self": os.getpid()}) as watch:
        pass
    found = watch.figures()
    assert (found.used_mib, found.busy_percent) == (None, None)
    assert found.missing == gpu.missing
