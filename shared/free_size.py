"""Converted networks that take pictures of any height and width, not only of the size they were exported with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from shared.errors import BadInput


def free_size(model: Any) -> Any:
    """The fully convolutional ONNX model with `height` and `width` left open; at its own size it computes the same.

    Its one input is `(n, 3, height, width)`. A resize to a fixed size becomes one by the same factor, and outputs leave
    open what depends on the size. Pictures must have multiples of the network's coarsest stride as height and width.

    Raises:
        BadInput: `unsupported_graph`: another input, a resize by no power of two, or a reshape to a fixed size.
    """
    from onnx import checker, numpy_helper, shape_inference

    shapes = _shapes(shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph)
    free = type(model).FromString(model.SerializeToString())
    graph = free.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Resize":
            scales = np.array(_scales(node, shapes), np.float32)
            constants[f"{node.name}/scales"] = numpy_helper.from_array(scales, f"{node.name}/scales")
            node.input[:] = [node.input[0], "", f"{node.name}/scales"]
        elif node.op_type == "Reshape" and -1 not in numpy_helper.to_array(constants[node.input[1]]):
            raise _refusal(node.name, "a reshape must leave one axis open")
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in used)
    _open_shapes(graph)
    free = shape_inference.infer_shapes(free, strict_mode=True, data_prop=True)
    _forget_made_up_names(free.graph)
    checker.check_model(free, full_check=True)
    return free


def _shapes(graph: Any) -> dict[str, list[int]]:
    tensors = [*graph.input, *graph.value_info, *graph.output]
    return {tensor.name: [axis.dim_value for axis in tensor.type.tensor_type.shape.dim] for tensor in tensors}


def _scales(node: Any, shapes: dict[str, list[int]]) -> list[float]:
    """Factors of height and width; only powers of two are exact at every size."""
    (*_, height, width), (*_, new_height, new_width) = shapes[node.input[0]], shapes[node.output[0]]
    scales = [new_height / height, new_width / width]
    if any(math.frexp(scale)[0] != 0.5 for scale in scales):
        raise _refusal(node.name, "a resize must be by a power of two")
    return scales


def _open_shapes(graph: Any) -> None:
    """Name the input's height and width; forget the outputs' shapes, so that they are inferred."""
    axes = [tensor.type.tensor_type.shape.dim for tensor in graph.input]
    if len(axes) != 1 or len(axes[0]) != 4 or axes[0][1].dim_value != 3:
        raise _refusal(graph.name, "there must be one input, (n, 3, height, width)")
    axes[0][2].dim_param, axes[0][3].dim_param = "height", "width"
    for tensor in graph.output:
        tensor.type.tensor_type.ClearField("shape")


def _forget_made_up_names(graph: Any) -> None:
    """Leave the shapes between to the runtime, and axes unnamed that inference could only number."""
    del graph.value_info[:]
    for tensor in graph.output:
        for axis in tensor.type.tensor_type.shape.dim:
            if axis.dim_param not in {"", "height", "width"}:
                axis.ClearField("dim_param")


def _refusal(name: str, rule: str) -> BadInput:
    return BadInput(f"{name}: {rule} for the size to be free", code="unsupported_graph")
