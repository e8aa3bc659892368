"""Tests of the conversion from TensorFlow.js to ONNX."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from shared import tfjs
from shared.errors import BadInput
from shared.free_size import free_size
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


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 8), (12, 28)])
def test_a_graph_of_free_size_computes_the_same_at_every_size(tmp_path, height, width):
    """With its height and width open, the graph gives numpy's numbers at its own size and at others."""
    model, _ = write_graph(tmp_path / "graph")
    tfjs.convert(model, tmp_path / "net.onnx", any_size=True)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    x = np.random.default_rng(height).normal(size=(1, 3, height, width)).astype(np.float32)
    for found, expected in zip(session.run(["scores", "boxes"], {"x": x}), reference(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert session.get_inputs()[0].shape == [1, 3, "height", "width"]
    assert [(out.name, out.shape) for out in session.get_outputs()] == [
        ("boxes", [1, None, 5]),
        ("scores", [1, None, 3]),
    ]


def test_a_graph_of_free_size_keeps_no_sizes(tmp_path):
    """No constant of the old, fixed resize is left in the file."""
    model, _ = write_graph(tmp_path / "graph")
    tfjs.convert(model, tmp_path / "net.onnx", any_size=True)
    names = [tensor.name for tensor in onnx.load(tmp_path / "net.onnx").graph.initializer]
    assert [name for name in names if "grown" in name] == ["Resize:grown/Resize/scales"]


@pytest.mark.parametrize("any_size", [False, True])
def test_conversion_is_repeatable(tmp_path, any_size):
    """Two conversions of one graph are the same file."""
    model, _ = write_graph(tmp_path / "graph")
    for name in ("a", "b"):
        tfjs.convert(model, tmp_path / name, any_size=any_size)
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


THIRDED = ("thirded", "ResizeBilinear", ["pooled", "odd_size"], {"half_pixel_centers": {"b": True}})


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        (changed("boxes", inputs=["split:1", "fixed_shape"]), "a reshape must leave one axis open"),
        ((*changed("grown", inputs=["thirded", "size"]), THIRDED), "a resize must be by a power of two"),
    ],
)
def test_a_size_that_cannot_be_free_is_refused(tmp_path, operations, complaint):
    """What fits one size only is converted with that size, and refused when any size is asked for."""
    model, _ = write_graph(tmp_path / "graph", operations)
    tfjs.convert(model, tmp_path / "fixed.onnx")
    with pytest.raises(BadInput, match=complaint):
        tfjs.convert(model, tmp_path / "free.onnx", any_size=True)
    assert not (tmp_path / "free.onnx").exists()


def test_only_an_input_with_channels_first_can_have_a_free_size():
    """Which axes are height and width is not guessed: an input with channels last is refused."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 8, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "last", ends[:1], ends[1:])
    with pytest.raises(BadInput, match=r"there must be one input, \(n, 3, height, width\)"):
        free_size(helper.make_model(graph))
