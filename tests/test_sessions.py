"""Tests of ONNX Runtime's sessions: numbers too small to matter cost nothing, and that stays inside of a run."""

import platform

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tasks.sessions import FLUSHING, denormals_as_zero, session

SIZE = 1 << 22
"""Values of the network's input: enough for ONNX Runtime to share them out among its threads."""
KNOWN = pytest.mark.skipif(platform.machine() not in FLUSHING, reason="a processor without a known mode for it")


def tiny():
    """A denormal, 1e-42, as a processor makes it now."""
    return float((np.array([1e-30], np.float32) * np.array([1e-12], np.float32))[0])


@pytest.fixture
def squaring(tmp_path):
    """A network that multiplies its input with itself."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "x"], ["y"])], "squaring", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "squaring.onnx")
    return str(tmp_path / "squaring.onnx")


@KNOWN
def test_denormals_are_zero_inside_of_the_block_alone():
    """What the block sets is undone after it, when it raises, too."""
    before = tiny()
    assert 0 < before < np.finfo(np.float32).tiny
    with denormals_as_zero():
        assert tiny() == 0
        with denormals_as_zero():
            pass
        assert tiny() == 0
    assert tiny() == before
    with pytest.raises(ZeroDivisionError), denormals_as_zero():
        raise ZeroDivisionError
    assert tiny() == before


@KNOWN
@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_makes_no_denormals_and_leaves_its_caller_alone(squaring, threads):
    """In all of its threads 1e-21 squared is zero and 3 squared is nine; numpy knows denormals before and after."""
    network = session(squaring, threads)
    assert tiny() > 0
    values = np.where(np.arange(SIZE) % 2, np.float32(1e-21), np.float32(3)).astype(np.float32)
    (found,) = network.run(None, {"x": values})
    assert tiny() > 0
    np.testing.assert_array_equal(found, np.where(np.arange(SIZE) % 2, 0, 9).astype(np.float32))


def test_a_processor_that_is_not_known_computes_as_ever(squaring, monkeypatch):
    """Where nothing is known of the processor's modes nothing is set."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    before = tiny()
    with denormals_as_zero():
        assert tiny() == before
    (found,) = session(squaring, 1).run(None, {"x": np.full(SIZE, 2, np.float32)})
    assert (found == 4).all()
