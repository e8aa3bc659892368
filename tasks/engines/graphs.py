"""Feed-forward networks from ONNX files, run by torch.

PP-OCR's files are ONNX. ONNX Runtime's GPU build takes the place of the CPU build that everything else here runs on,
and keeps memory of its own that no worker's share bounds. torch is in every GPU worker, and these networks are made of
thirty operators, so here they are: by the definitions of ONNX's operator set 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput

Attributes = Mapping[str, Any]
Operator = Callable[[Any, Attributes, Sequence[Any]], Any]
"""The output of an operator, of torch, its attributes, and its inputs (None for one that is left out)."""


class UnknownOperator(BadInput):
    """A network has an operator that is not written down here."""

    code = "unknown_operator"


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph: what it computes from which values, and which of all values nobody needs after it."""

    compute: Callable[[Sequence[Any]], Any]
    inputs: tuple[str, ...]
    output: str
    over: tuple[str, ...]


class Graph:
    """A network of one input and one output on a device, in fp32. Whole numbers (shapes) stay on the host."""

    def __init__(self, file: Path, device: str) -> None:
        """Read the file.

        Raises:
            UnknownOperator: it has an operator that is not written down here.
        """
        import onnx
        import torch

        self._torch: Any = torch
        self._device = device
        graph = onnx.load(file).graph
        known = {one.name: self._placed(onnx.numpy_helper.to_array(one)) for one in graph.initializer}
        nodes = [node for node in graph.node if not self._is_constant(node, known)]
        for name in (name for node in nodes if node.op_type == "Resize" for name in node.input if name in known):
            known[name] = known[name].cpu()  # sizes: reading them on the device would wait for it
        if unknown := sorted({node.op_type for node in nodes} - set(OPERATORS)):
            raise UnknownOperator(f"{file.name} has the operator {', '.join(unknown)}, which torch is not given here")
        (self._input,) = (one.name for one in graph.input if one.name not in known)
        (self._output,) = (one.name for one in graph.output)
        self._constants = known
        kept = {*known, self._output}
        last = {name: number for number, node in enumerate(nodes) for name in node.input}
        self._steps = [
            Step(
                self._computing(node),
                tuple(node.input),
                node.output[0],
                tuple(name for name in dict.fromkeys(node.input) if name and last[name] == number and name not in kept),
            )
            for number, node in enumerate(nodes)
        ]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's output for its input; both in fp32, on the host."""
        found: NDArray[np.float32] = self.on_device(values).cpu().numpy()
        return found

    def on_device(self, values: NDArray[np.float32]) -> Any:
        """The same, left on the device."""
        with self._torch.inference_mode():
            given = self._torch.from_numpy(values).to(self._device)
            live: dict[str, Any] = {**self._constants, self._input: given, "": None}
            for step in self._steps:
                live[step.output] = step.compute([live[name] for name in step.inputs])
                for name in step.over:
                    del live[name]
            return live[self._output]

    def _placed(self, array: NDArray[Any]) -> Any:
        values = self._torch.from_numpy(array.copy())
        return values.to(self._device) if values.is_floating_point() else values

    def _is_constant(self, node: Any, known: dict[str, Any]) -> bool:
        """Whether the node only gives a constant another name; if so, `known` has it from now on."""
        if node.op_type != "Identity" or node.input[0] not in known:
            return False
        known[node.output[0]] = known[node.input[0]]
        return True

    def _computing(self, node: Any) -> Callable[[Sequence[Any]], Any]:
        from onnx import helper

        operator, torch = OPERATORS[node.op_type], self._torch
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        return lambda inputs: operator(torch, attributes, inputs)


# --- operators -------------------------------------------------------------------------------------------------------


def _same_upper(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding before and after so that as many values come out as strides fit; the odd one goes after."""
    missing = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return missing // 2, missing - missing // 2


def _padded(torch: Any, given: Attributes, x: Any, kernel: Sequence[int], fill: float = 0.0) -> tuple[Any, list[int]]:
    """The input and the padding that is left to torch, which pads both ends alike."""
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    if given.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        sizes = zip(x.shape[2:], kernel, strides, dilations, strict=True)
        (top, bottom), (left, right) = (_same_upper(*each) for each in sizes)
    else:
        top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return x, [top, left]
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=fill), [0, 0]


def _conv(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x, weight, *bias = inputs
    x, padding = _padded(torch, given, x, weight.shape[2:])
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    return torch.conv2d(x, weight, *(bias or [None]), strides, padding, dilations, given.get("group", 1))


def _conv_transpose(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x, weight, *bias = inputs
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise UnknownOperator("a transposed convolution with uneven padding is not written down here")
    return torch.conv_transpose2d(
        *(x, weight, *(bias or [None]), given.get("strides", [1, 1]), [top, left], given.get("output_padding", [0, 0])),
        *(given.get("group", 1), given.get("dilations", [1, 1])),
    )


def _max_pool(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    kernel, strides = given["kernel_shape"], given.get("strides", [1, 1])
    x, padding = _padded(torch, given, inputs[0], kernel, -math.inf)
    return torch.max_pool2d(x, kernel, strides, padding, given.get("dilations", [1, 1]), bool(given.get("ceil_mode")))


def _average_pool(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right) or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise UnknownOperator("a mean over uneven padding is not written down here")
    more = {"ceil_mode": bool(given.get("ceil_mode")), "count_include_pad": bool(given.get("count_include_pad"))}
    mean = torch.nn.functional.avg_pool2d
    return mean(inputs[0], given["kernel_shape"], given.get("strides", [1, 1]), [top, left], **more)


def _resize(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x, _, scales, *sizes = inputs
    asked = (given.get("mode"), given.get("coordinate_transformation_mode"), given.get("nearest_mode"))
    if asked != (b"nearest", b"asymmetric", b"floor") or sizes or scales[:2].tolist() != [1, 1]:
        raise UnknownOperator(f"resizing by {asked} is not written down here")
    return torch.nn.functional.interpolate(x, scale_factor=scales[2:].tolist(), mode="nearest")


def _slice(_torch: Any, _given: Attributes, inputs: Sequence[Any]) -> Any:
    x, starts, ends, *more = inputs
    axes = more[0].tolist() if more and more[0] is not None else range(len(starts))
    steps = more[1].tolist() if len(more) > 1 else [1] * len(starts)
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _reshape(_torch: Any, _given: Attributes, inputs: Sequence[Any]) -> Any:
    x, shape = inputs
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(shape.tolist())])


def _squeeze(_torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    return inputs[0].squeeze(tuple(given["axes"])) if "axes" in given else inputs[0].squeeze()


def _unsqueeze(_torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x = inputs[0]
    for axis in sorted(given["axes"]):
        x = x.unsqueeze(axis)
    return x


def _softmax(_torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x, axis = inputs[0], given.get("axis", 1)
    # over all axes from this one on, in this operator set
    return x.flatten(axis % x.ndim).softmax(-1).reshape(x.shape)


def _mean(_torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x = inputs[0]
    return x.mean(tuple(given.get("axes", range(x.ndim))), keepdim=bool(given.get("keepdims", 1)))


def _normalised(torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    x, weight, bias, mean, variance = inputs
    return torch.nn.functional.batch_norm(x, mean, variance, weight, bias, eps=given.get("epsilon", 1e-5))


def _hard_sigmoid(_torch: Any, given: Attributes, inputs: Sequence[Any]) -> Any:
    return (inputs[0] * given.get("alpha", 0.2) + given.get("beta", 0.5)).clamp(0, 1)


def _shape(torch: Any, _given: Attributes, inputs: Sequence[Any]) -> Any:
    return torch.tensor(inputs[0].shape)


def _plain(name: str) -> Operator:
    """An operator that torch has under this name, with the same meaning."""
    return lambda torch, _given, inputs: getattr(torch, name)(*inputs)


OPERATORS: Mapping[str, Operator] = {
    "Add": _plain("add"),
    "AveragePool": _average_pool,
    "BatchNormalization": _normalised,
    "Concat": lambda torch, given, inputs: torch.cat(list(inputs), dim=given["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": _plain("div"),
    "Erf": _plain("erf"),
    "GlobalAveragePool": lambda _torch, _given, inputs: inputs[0].mean((2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "Identity": lambda _torch, _given, inputs: inputs[0],
    "MatMul": _plain("matmul"),
    "MaxPool": _max_pool,
    "Mul": _plain("mul"),
    "Pow": _plain("pow"),
    "ReduceMean": _mean,
    "Relu": _plain("relu"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": _plain("sigmoid"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sqrt": _plain("sqrt"),
    "Squeeze": _squeeze,
    "Sub": _plain("sub"),
    "Transpose": lambda _torch, given, inputs: inputs[0].permute(given["perm"]),
    "Unsqueeze": _unsqueeze,
}
