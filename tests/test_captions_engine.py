"""The captioner engine, with a tiny BLIP-2 in every precision that a CPU can run."""

import numpy as np
import pytest

from tasks.analyzers.blip2_caption import Blip2Caption
from tasks.engines.captions import Asked
from tests.support.tiny.captions import blip2
from tests.support.tiny.store import need_torch, tiny_weights, with_engine

pytestmark = pytest.mark.engines
ENTRY = "blip2-opt-2.7b"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: blip2})


def pictures(count):
    rows, columns = np.mgrid[:64, :48]
    return [
        np.stack([(columns * 5 + 40 * n) % 256, (rows * 4) % 256, rows + columns], -1).astype(np.uint8)
        for n in range(count)
    ]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_every_precision_captions_every_picture(weights, precision):
    """One caption a picture, in batches of at most the engine's size, whatever the weights are held in."""
    engine = with_engine(Blip2Caption(), weights, ENTRY, precision)._captioner
    assert (engine.files.precision, engine.files.device.name) == (precision, "cpu")
    answers = list(engine.captions(pictures(10), Asked("a photo of", 6)))
    assert [len(batch) for batch in answers] == [4, 4, 2]
    assert all(isinstance(text, str) for batch in answers for text in batch)


def test_a_batch_changes_no_caption(weights):
    """Each picture gets the same words alone and beside others."""
    engine = with_engine(Blip2Caption(), weights, ENTRY)._captioner
    asked = Asked("a photo of", 12)
    together = [text for batch in engine.captions(pictures(6), asked) for text in batch]
    engine.batch = 1
    alone = [text for batch in engine.captions(pictures(6), asked) for text in batch]
    assert together == alone
    assert len(set(alone)) > 1
