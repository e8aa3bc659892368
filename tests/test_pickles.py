"""Checkpoints that are pickles: torch reads tensors out of them, and what holds anything else is told in a sentence."""

from __future__ import annotations

import pickle

import pytest

from shared.errors import Unavailable
from tasks.devices import CPU
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.models import Models
from tests.support.tiny.segmentation import segformer
from tests.support.tiny.store import need_torch, tiny_weights
from tests.support.tiny.transitions import FILE

pytestmark = pytest.mark.engines
WAY_OUT = "take the repository's safetensors, or save a state dict"


def model(file):
    import torch

    torch.save(torch.nn.Linear(2, 2), file)


def script(file):
    import torch

    torch.jit.script(torch.nn.Linear(2, 2)).save(file)


def plain_pickle(file):
    file.write_bytes(pickle.dumps([1, 2, 3], protocol=4))


def page(file):
    file.write_text("<html>not found")


STRANGE = {
    model: "Unsupported global: GLOBAL torch.nn.modules.linear.Linear was not an allowed global by default",
    script: "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``",
    plain_pickle: "Unsupported operand 149",
    page: "Unsupported operand 60",
}


def refusal(weights, entry, kinds):
    """What the engine of an entry cannot be made for."""
    models = Models(weights, entry, profile="gpu", threads=1, device=lambda: CPU)
    with pytest.raises(Unavailable) as caught:
        models.engine(kinds)
    assert caught.value.code == "load_failed"
    return caught.value.message


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", STRANGE, ids=lambda write: write.__name__)
def test_a_pickle_of_other_things_than_tensors_is_one_sentence(tmp_path, write):
    """File, what torch's reader found, and what to take instead; nothing of torch's advice to read it all the same."""
    need_torch()
    weights = tiny_weights(tmp_path, {"transnetv2": lambda folder: write(folder / FILE)})
    said = refusal(weights, "transnetv2", TRANSITION_FINDERS)
    what = f"transnetv2/{FILE} is no plain file of tensors (torch's reader refused it: {STRANGE[write]})"
    assert said == f"{what}; {WAY_OUT}"


def test_so_it_is_where_transformers_reads_it(tmp_path):
    """A repository's pickle that transformers gives to torch is named by the same sentence."""
    need_torch()

    def pickled(folder):
        segformer(folder)
        (folder / "model.safetensors").unlink()
        model(folder / "pytorch_model.bin")

    said = refusal(tiny_weights(tmp_path, {"segformer-b4": pickled}), "segformer-b4", SEGMENTERS)
    assert said.startswith(
        "segformer-b4/pytorch_model.bin is no plain file of tensors (torch's reader refused it: Unsup"
    )
    assert said.endswith(WAY_OUT)
