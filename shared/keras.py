"""Keras 2 models in HDF5 made into ONNX models.

It lives beside the weights store because pulling converts. `h5py` and `onnx` are imported on use and only as file
formats. Only the layers of the pinned model are known (one chain of them, channels last as Keras has it); each is
checked against numpy in `tests/test_keras.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput

VERSION = 1
"""Raise it when converted files change: stores then convert anew."""

OPSET = 18
IR_VERSION = 10
INPUT, OUTPUT = "input", "output"

Array = NDArray[np.float32]
ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax"}


def convert(model: Path, target: Path) -> None:
    """Write the sequential model `model` (`.hdf5`) as an ONNX file, its batch size left open.

    One input `input` and one output `output`, float32, shaped as in Keras: channels last, batch first.

    Raises:
        BadInput: `unsupported_graph`: a layer, or a setting of one, that is not known here.
    """
    import h5py
    import onnx

    with h5py.File(model, "r") as file:
        config = json.loads(file.attrs["model_config"])
        if config["class_name"] != "Sequential":
            raise BadInput(f"a {config['class_name']} model is not supported", code="unsupported_graph")
        inner = config["config"]
        layers = inner["layers"] if isinstance(inner, dict) else inner
        chain = _Chain(tuple(layers[0]["config"]["batch_input_shape"][1:]))
        for layer in layers:
            group = file["model_weights"][layer["config"]["name"]]
            names = (name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"])
            weights = {name.rpartition("/")[2].removesuffix(":0"): np.asarray(group[name]) for name in names}
            chain.add(layer["class_name"], layer["config"], weights)
    onnx.save(chain.finish(), str(target))


@dataclass
class _Chain:
    """ONNX nodes one after the other. `shape` is what flows, without the batch, in Keras' order (channels last).

    Pictures flow through ONNX channels first: turned where they arise, and back before they are flattened.
    """

    entry_shape: tuple[int, ...]
    shape: tuple[int, ...] = ()
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    last: str = INPUT

    def __post_init__(self) -> None:
        self.shape = self.entry_shape

    def add(self, kind: str, config: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
        """Append a layer."""
        if kind not in _LAYERS:
            raise BadInput(f"layer {kind} is not supported", code="unsupported_graph")
        _LAYERS[kind](self, config, weights)

    def node(self, op: str, *constants: NDArray[Any], **attributes: Any) -> None:
        """Append an ONNX node that takes the last output and these constants."""
        from onnx import helper, numpy_helper

        names = [f"c{len(self.constants) + offset}" for offset in range(len(constants))]
        self.constants += [numpy_helper.from_array(value, name) for value, name in zip(constants, names, strict=True)]
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *names], [output], **attributes))
        self.last = output

    def finish(self) -> Any:
        """The checked ONNX model."""
        import onnx
        from onnx import TensorProto, helper

        if len(self.shape) == 3:
            self.node("Transpose", perm=(0, 2, 3, 1))
        self.node("Identity")
        self.nodes[-1].output[0] = OUTPUT
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
            for name, shape in ((INPUT, self.entry_shape), (OUTPUT, self.shape))
        ]
        graph = helper.make_graph(self.nodes, "keras", ends[:1], ends[1:], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def _known(config: Mapping[str, Any], **wanted: Any) -> None:
    """Refuse a layer that has another setting than the one that is known here."""
    for key, value in wanted.items():
        if config[key] != value:
            raise BadInput(f"{config['name']}: {key} {config[key]} is not supported", code="unsupported_graph")


def _activation(chain: _Chain, config: Mapping[str, Any], _weights: Mapping[str, Array]) -> None:
    name = config["activation"]
    if name == "linear":
        return
    if name not in ACTIVATIONS:
        raise BadInput(f"{config['name']}: activation {name} is not supported", code="unsupported_graph")
    if name == "softmax" and len(chain.shape) != 1:
        raise BadInput(f"{config['name']}: softmax of a picture is not supported", code="unsupported_graph")
    chain.node(ACTIVATIONS[name])


def _reshape(chain: _Chain, config: Mapping[str, Any], _weights: Mapping[str, Array]) -> None:
    target = tuple(config["target_shape"])
    if len(chain.shape) != 2 or target != (*chain.shape, 1):
        raise BadInput(f"{config['name']}: a reshape to {target} is not supported", code="unsupported_graph")
    # one channel: first or last, the numbers lie in the same order
    chain.node("Reshape", np.array([-1, 1, *chain.shape], np.int64))
    chain.shape = target


def _conv(chain: _Chain, config: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
    _known(config, padding="valid", data_format="channels_last", dilation_rate=[1, 1], use_bias=True)
    kernel, strides = weights["kernel"], config["strides"]
    chain.node("Conv", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), weights["bias"], strides=strides)
    sides = ((chain.shape[axis] - kernel.shape[axis]) // strides[axis] + 1 for axis in (0, 1))
    chain.shape = (*sides, kernel.shape[3])
    _activation(chain, config, weights)


def _pool(chain: _Chain, config: Mapping[str, Any], _weights: Mapping[str, Array]) -> None:
    _known(config, data_format="channels_last")
    size, strides, same = config["pool_size"], config["strides"], config["padding"] == "same"
    # TensorFlow puts the odd row or column of "same" at the end
    chain.node("MaxPool", kernel_shape=size, strides=strides, auto_pad="SAME_UPPER" if same else "VALID")
    whole = (chain.shape[axis] - (1 if same else size[axis]) for axis in (0, 1))
    chain.shape = (*(length // stride + 1 for length, stride in zip(whole, strides, strict=True)), chain.shape[2])


def _normalise(chain: _Chain, config: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
    # Keras 2 writes the axis as a list once the layer is built
    _known({**config, "axis": config["axis"] in (-1, [len(chain.shape)])}, axis=True, scale=True, center=True)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    chain.node("BatchNormalization", *(weights[name] for name in names), epsilon=config["epsilon"])


def _flatten(chain: _Chain, config: Mapping[str, Any], _weights: Mapping[str, Array]) -> None:
    _known(config, data_format="channels_last")
    chain.node("Transpose", perm=(0, 2, 3, 1))
    chain.node("Flatten")
    chain.shape = (int(np.prod(chain.shape)),)


def _dense(chain: _Chain, config: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
    _known(config, use_bias=True)
    chain.node("Gemm", weights["kernel"], weights["bias"])
    chain.shape = (weights["kernel"].shape[1],)
    _activation(chain, config, weights)


def _nothing(_chain: _Chain, _config: Mapping[str, Any], _weights: Mapping[str, Array]) -> None:
    """Dropout only works in training."""


_LAYERS: Mapping[str, Callable[[_Chain, Mapping[str, Any], Mapping[str, Array]], None]] = {
    "Activation": _activation,
    "BatchNormalization": _normalise,
    "Conv2D": _conv,
    "Dense": _dense,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "MaxPooling2D": _pool,
    "Reshape": _reshape,
}
