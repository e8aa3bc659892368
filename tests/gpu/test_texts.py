"""Text is read on the GPU, and reads the same."""

import numpy as np
import pytest

from tasks.devices import claim
from tasks.engines.texts import PpOcr, signpost
from tasks.models import Weighted
from tests.support.texts import packaged, packaged_folder


def test_the_gpu_reads_what_the_cpu_reads():
    """Both networks run on the GPU, which holds them; lines, confidences and boxes are those of ONNX Runtime."""
    engine = PpOcr(Weighted("ppocr-v6", packaged_folder(), claim(4096), "bf16", 2))
    engine.load()
    engine.warm_up()
    assert (engine.files.device.name, engine.files.precision, engine.notes) == ("cuda:0", "fp32", ())
    for size in ((1138, 640), (640, 1138)):
        found, expected = (one.lines(signpost(*size), (), 640) for one in (engine, packaged()))
        assert [line.text for line in found] == [line.text for line in expected] != []
        for one, other in zip(found, expected, strict=True):
            assert one.confidence == pytest.approx(other.confidence, abs=0.02)
            assert np.allclose(one.box, other.box, atol=0.01)
