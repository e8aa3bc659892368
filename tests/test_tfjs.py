"""Tests of the conversion from TensorFlow.js to ONNX."""

import numpy as np
import onnxruntime
import pytest

from shared import tfjs
from shared.errors import BadInput
from tests.support.tfjs import INPUT_SHAPE, OPERATIONS, reference, write_graph


def test_converted_graph_computes_the_same(tmp_path):
    """A graph with every known operator gives numpy's numbers, under the names of the TensorFlow.js signature."""
    model, _ = write_graph(tmp_path / "graph")
    tfjs.convert(model, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert {op for _, op, _, _ in OPERATIONS} == tfjs._OPERATORS.keys() | tfjs._FOLDED.keys()
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=INPUT_SHAPE).astype(np.float32)
        scores, boxes = session.run(["scores", "boxes"], {"x": x})
        expected_scores, expected_boxes = reference(x)
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-5, atol=1e-4)


def test_conversion_is_repeatable(tmp_path):
    """Two conversions of one graph are the same file."""
    model, _ = write_graph(tmp_path / "graph")
    for name in ("a", "b"):
        tfjs.convert(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def changed(name, **change):
    """The graph with one operation changed."""
    fields = ("op", "inputs", "attributes")
    return tuple(
        (one, *({**dict(zip(fields, rest, strict=True)), **change}.values())) if one == name else (one, *rest)
        for one, *rest in OPERATIONS
    )


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        (changed("squashed", op="Erf"), r"Erf \(squashed\) is not supported"),
        (changed("conv", attributes={"padding": {"s": "U0FNRQ=="}}), "padding SAME is not supported"),
        (changed("grown", attributes={"align_corners": {"b": True}}), "half-pixel"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, operations, complaint):
    """An operator or attribute that would be computed wrongly is refused by name, not guessed."""
    model, _ = write_graph(tmp_path / "graph", operations)
    with pytest.raises(BadInput, match=complaint):
        tfjs.convert(model, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()
