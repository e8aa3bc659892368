"""Which precision each model of a worker gets, so that all fit its share of the GPU."""

import pytest

from tasks.devices import CPU, Device, NoDevice
from tasks.models import Demand, agreed, fitting

LARGE = {"bf16": 16_000, "nf4": 6_000, "int8": 9_000}
SMALL = {"bf16": 1_000, "nf4": 500}


def test_with_room_everything_is_bf16():
    """No model gives up precision where all fit."""
    assert agreed({"large": Demand("auto", LARGE), "small": Demand("auto", SMALL)}, 17_000) == {
        "large": "bf16",
        "small": "bf16",
    }


def test_the_largest_gives_way_first():
    """Where they do not fit together the largest model goes to nf4; the small one keeps bf16."""
    assert agreed({"large": Demand("auto", LARGE), "small": Demand("auto", SMALL)}, 16_999) == {
        "large": "nf4",
        "small": "bf16",
    }


def test_what_was_asked_for_stays():
    """A model whose precision is set keeps it; another one gives way."""
    demands = {"large": Demand("int8", LARGE), "small": Demand("auto", SMALL)}
    assert agreed(demands, 9_600) == {"large": "int8", "small": "nf4"}


def test_too_little_memory_is_one_sentence():
    """What the models take at least, what there is, and who takes how much."""
    with pytest.raises(NoDevice) as caught:
        agreed({"large": Demand("auto", LARGE), "small": Demand("auto", SMALL)}, 6_000)
    assert caught.value.message == (
        "the models take 6500 MiB of GPU memory and this worker may use 6000: large 6000 (nf4), small 500 (nf4); "
        "allow more memory, serve fewer groups if there are several, or see what `reelgraph plan` finds"
    )


def test_an_unmeasured_model_is_loaded_as_wished():
    """Without declared sizes nothing is refused: loading itself will tell."""
    assert agreed({"new": Demand("auto", {})}, 10) == {"new": "bf16"}


def test_a_cpu_has_no_budget():
    """On a CPU auto means fp32, and any other precision is taken as asked."""
    assert fitting("auto", LARGE, CPU) == "fp32"
    assert fitting("nf4", LARGE, CPU) == "nf4"
    assert fitting("auto", LARGE, Device("cuda:0", 8_000)) == "nf4"
