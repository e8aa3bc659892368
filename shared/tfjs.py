"""TensorFlow.js graph models made into ONNX models.

It lives beside the weights store because pulling converts. `onnx` is imported on use and only as a file format; no
runtime is needed. Only the operators of the pinned models are known; each follows TensorFlow's definition
(channels last) and is checked against numpy in `tests/test_tfjs.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput
from shared.free_size import free_size

VERSION = 1
"""Raise it when converted files change: stores then convert anew."""

OPSET = 18
IR_VERSION = 10

Array = NDArray[Any]


def convert(model: Path, target: Path, *, any_size: bool = False) -> None:
    """Write the graph model `model` (a `.json` with its shards beside it) as an ONNX file.

    Inputs and outputs keep the graph's names, types and shapes, with `any_size` all but the height and width that
    `free_size` leaves open. Float16 weights become float32.

    Raises:
        BadInput: `unsupported_graph`: an operator, an attribute or a weight type that is not known here.
    """
    import onnx

    document = json.loads(model.read_text(encoding="utf-8"))
    graph = _Graph(_read_weights(document["weightsManifest"], model.parent))
    nodes = {raw["name"]: _Node.parse(raw) for raw in document["modelTopology"]["node"]}
    outputs = [tensor.removesuffix(":0") for tensor in sorted(document["signature"]["outputs"])]
    for name in _order(nodes, outputs):
        graph.add(nodes[name])
    finished = graph.finish(document["signature"])
    onnx.save(free_size(finished) if any_size else finished, str(target))


@dataclass(frozen=True)
class _Node:
    """One TensorFlow operation."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, Any]]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> _Node:
        """A node of the topology; control inputs (`^name`) carry no data and are left out."""
        inputs = (tensor.removesuffix(":0") for tensor in raw.get("input", ()) if not tensor.startswith("^"))
        return cls(raw["name"], raw["op"], tuple(inputs), raw.get("attr", {}))

    def integers(self, key: str) -> list[int]:
        """A list attribute, such as strides in batch, height, width, channels order."""
        return [int(value) for value in self.attributes[key]["list"]["i"]]

    def number(self, key: str) -> float:
        """A float attribute."""
        return float(self.attributes[key]["f"])

    def flag(self, key: str) -> bool:
        """A bool attribute; false when left out."""
        return bool(self.attributes.get(key, {}).get("b", False))

    def text(self, key: str) -> str:
        """A string attribute; TensorFlow.js stores them in base 64."""
        return base64.b64decode(self.attributes[key]["s"]).decode()

    def require(self, key: str, value: str) -> None:
        """Refuse the node unless a string attribute has the only value that is known here."""
        if (actual := self.text(key)) != value:
            raise BadInput(f"{self.op} {self.name}: {key} {actual} is not supported", code="unsupported_graph")


def _order(nodes: Mapping[str, _Node], outputs: Sequence[str]) -> list[str]:
    """Names of the nodes that the outputs need, each after its inputs."""
    needed: dict[str, list[str]] = {}
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = [tensor.split(":")[0] for tensor in nodes[name].inputs]
            waiting.extend(needed[name])
    return list(TopologicalSorter(needed).static_order())


def _read_weights(manifest: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Array]:
    weights: dict[str, Array] = {}
    for group in manifest:
        content = b"".join((folder / Path(shard).name).read_bytes() for shard in group["paths"])
        offset = 0
        for weight in group["weights"]:
            stored = weight.get("quantization", weight)["dtype"]
            if stored not in {"float32", "int32", "float16"}:
                raise BadInput(f"weight {weight['name']}: {stored} is not supported", code="unsupported_graph")
            kind = np.dtype(stored).newbyteorder("<")
            count = int(np.prod(weight["shape"], dtype=np.int64))
            values = np.frombuffer(content, kind, count, offset).reshape(weight["shape"])
            weights[weight["name"]] = values.astype(weight["dtype"])
            offset += values.nbytes
    return weights


@dataclass
class _Graph:
    """An ONNX graph as it grows. Tensors keep the names that they have in TensorFlow."""

    weights: Mapping[str, Array]
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, Array] = field(default_factory=dict)

    def add(self, node: _Node) -> None:
        """Translate one node whose inputs are known."""
        if node.op == "Const":
            self.constants[node.name] = self.weights[node.name]
        elif node.op in _FOLDED and all(tensor in self.constants for tensor in node.inputs):
            self.constants[node.name] = _FOLDED[node.op](*(self.constants[tensor] for tensor in node.inputs))
        elif node.op in _OPERATORS:
            _OPERATORS[node.op](self, node)
        elif node.op != "Placeholder":
            raise BadInput(f"TensorFlow operator {node.op} ({node.name}) is not supported", code="unsupported_graph")

    def emit(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Append an ONNX operator; returns its first output."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, outputs, name=f"{op}:{outputs[0]}", **attributes))
        return outputs[0]

    def tensor(self, name: str) -> str:
        """A tensor as an operator's input; constants become initializers when first used."""
        return self.initializer(name, self.constants[name]) if name in self.constants else name

    def initializer(self, name: str, value: Array) -> str:
        """Store a constant tensor in the file."""
        self.initializers[name] = np.ascontiguousarray(value)
        return name

    def spatial(self, op: str, node: _Node, *more: str, **attributes: Any) -> None:
        """An operator over height and width: ONNX wants channels first, TensorFlow keeps them last."""
        first = self.emit("Transpose", [self.tensor(node.inputs[0])], f"{node.name}/nchw", perm=[0, 3, 1, 2])
        result = self.emit(op, [first, *more], f"{node.name}/{op}", **attributes)
        self.emit("Transpose", [result], node.name, perm=[0, 2, 3, 1])

    def finish(self, signature: Mapping[str, Mapping[str, Any]]) -> Any:
        """The checked ONNX model."""
        from onnx import checker, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "tfjs",
            [_tensor_info(signature["inputs"][name]) for name in sorted(signature["inputs"])],
            [_tensor_info(signature["outputs"][name]) for name in sorted(signature["outputs"])],
            [numpy_helper.from_array(value, name) for name, value in self.initializers.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(model, full_check=True)
        return model


def _tensor_info(described: Mapping[str, Any]) -> Any:
    from onnx import TensorProto, helper

    kinds = {"DT_FLOAT": TensorProto.FLOAT, "DT_INT32": TensorProto.INT32}
    shape = [int(axis["size"]) for axis in described["tensorShape"]["dim"]]
    return helper.make_tensor_value_info(described["name"].removesuffix(":0"), kinds[described["dtype"]], shape)


def _sparse_to_dense(indices: Array, shape: Array, values: Array, default: Array) -> Array:
    dense = np.full(shape, default)
    dense[tuple(indices.reshape(-1, len(shape)).T)] = values
    return dense


def _conv2d(graph: _Graph, node: _Node) -> None:
    node.require("padding", "VALID")
    node.require("data_format", "NHWC")
    kernel = graph.constants[node.inputs[1]].transpose(3, 2, 0, 1)
    stored = graph.initializer(f"{node.name}/kernel", kernel)
    strides, dilations = node.integers("strides")[1:3], node.integers("dilations")[1:3]
    graph.spatial("Conv", node, stored, kernel_shape=kernel.shape[2:], strides=strides, dilations=dilations)


def _max_pool(graph: _Graph, node: _Node) -> None:
    node.require("padding", "VALID")
    node.require("data_format", "NHWC")
    graph.spatial("MaxPool", node, kernel_shape=node.integers("ksize")[1:3], strides=node.integers("strides")[1:3])


def _resize_bilinear(graph: _Graph, node: _Node) -> None:
    if node.flag("align_corners") or not node.flag("half_pixel_centers"):
        raise BadInput(f"{node.op} {node.name}: only half-pixel centres are supported", code="unsupported_graph")
    sizes = graph.initializer(f"{node.name}/sizes", graph.constants[node.inputs[1]].astype(np.int64))
    modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    graph.spatial("Resize", node, "", "", sizes, axes=[2, 3], **modes)


def _pad(graph: _Graph, node: _Node) -> None:
    pads = graph.constants[node.inputs[1]].astype(np.int64).T.reshape(-1)
    value = graph.constants[node.inputs[2]] if node.op == "PadV2" else np.float32(0)
    inputs = [
        graph.tensor(node.inputs[0]),
        graph.initializer(f"{node.name}/pads", pads),
        graph.initializer(f"{node.name}/value", np.asarray(value)),
    ]
    graph.emit("Pad", inputs, node.name)


def _split(graph: _Graph, node: _Node) -> None:
    sizes = graph.constants[node.inputs[1]].astype(np.int64)
    names = [node.name, *(f"{node.name}:{index}" for index in range(1, len(sizes)))]
    inputs = [graph.tensor(node.inputs[0]), graph.initializer(f"{node.name}/sizes", sizes)]
    graph.emit("Split", inputs, *names, axis=int(graph.constants[node.inputs[2]]))


def _concat(graph: _Graph, node: _Node) -> None:
    *parts, axis = node.inputs
    graph.emit("Concat", [graph.tensor(part) for part in parts], node.name, axis=int(graph.constants[axis]))


def _reshape(graph: _Graph, node: _Node) -> None:
    shape = graph.initializer(f"{node.name}/shape", graph.constants[node.inputs[1]].astype(np.int64))
    graph.emit("Reshape", [graph.tensor(node.inputs[0]), shape], node.name)


def _transpose(graph: _Graph, node: _Node) -> None:
    order = graph.constants[node.inputs[1]].tolist()
    graph.emit("Transpose", [graph.tensor(node.inputs[0])], node.name, perm=order)


def _leaky_relu(graph: _Graph, node: _Node) -> None:
    graph.emit("LeakyRelu", [graph.tensor(node.inputs[0])], node.name, alpha=node.number("alpha"))


def _same(op: str) -> Callable[[_Graph, _Node], None]:
    """An operator that means the same in both, without attributes."""

    def translate(graph: _Graph, node: _Node) -> None:
        graph.emit(op, [graph.tensor(name) for name in node.inputs], node.name)

    return translate


_FOLDED: Mapping[str, Callable[..., Array]] = {"SparseToDense": _sparse_to_dense, "Add": np.add, "AddV2": np.add}

_OPERATORS: Mapping[str, Callable[[_Graph, _Node], None]] = {
    "Add": _same("Add"),
    "AddV2": _same("Add"),
    "ConcatV2": _concat,
    "Conv2D": _conv2d,
    "Identity": _same("Identity"),
    "LeakyRelu": _leaky_relu,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "PadV2": _pad,
    "Reshape": _reshape,
    "ResizeBilinear": _resize_bilinear,
    "Sigmoid": _same("Sigmoid"),
    "SplitV": _split,
    "Transpose": _transpose,
}
