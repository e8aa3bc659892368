"""A small Keras 2 model in HDF5 with every layer that the converter knows, and the same model in numpy."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

INPUT_SHAPE = (10, 9)
OUTPUTS = 3
PICTURE = {"data_format": "channels_last", "padding": "valid", "strides": [1, 1]}
CONV = {**PICTURE, "dilation_rate": [1, 1], "use_bias": True, "activation": "linear"}
NORMAL = {"axis": -1, "scale": True, "center": True, "epsilon": 0.001}
LAYERS = (
    ("Reshape", "reshape", {"batch_input_shape": [None, *INPUT_SHAPE], "target_shape": [*INPUT_SHAPE, 1]}),
    ("Conv2D", "conv", {**CONV, "activation": "relu"}),
    ("BatchNormalization", "picture_normal", {**NORMAL, "axis": [3]}),
    ("MaxPooling2D", "same", {**PICTURE, "padding": "same", "pool_size": [3, 2], "strides": [3, 2]}),
    ("Activation", "active", {"activation": "relu"}),
    ("MaxPooling2D", "valid", {**PICTURE, "pool_size": [2, 1]}),
    ("Flatten", "flat", {"data_format": "channels_last"}),
    ("Dropout", "dropout", {"rate": 0.5}),
    ("Dense", "dense", {"use_bias": True, "activation": "linear"}),
    ("BatchNormalization", "normal", NORMAL),
    ("Dense", "names", {"use_bias": True, "activation": "softmax"}),
)
_DRAW = np.random.default_rng(11)


def _drawn(*shape: int) -> NDArray[np.float32]:
    return _DRAW.normal(size=shape).astype(np.float32)


def _normal(size: int) -> dict[str, NDArray[np.float32]]:
    return {
        "gamma": _drawn(size),
        "beta": _drawn(size),
        "moving_mean": _drawn(size),
        "moving_variance": np.abs(_drawn(size)) + 0.1,
    }


WEIGHTS = {
    "conv": {"kernel": _drawn(3, 4, 1, 5), "bias": _drawn(5)},
    "picture_normal": _normal(5),
    "dense": {"kernel": _drawn(2 * 3 * 5, 4), "bias": _drawn(4)},
    "normal": _normal(4),
    "names": {"kernel": _drawn(4, OUTPUTS), "bias": _drawn(OUTPUTS)},
}


def write_model(path: Path, layers=LAYERS, kind: str = "Sequential") -> Path:
    """Write the model as Keras 2.3 does."""
    described = [{"class_name": name, "config": {"name": layer, **config}} for name, layer, config in layers]
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": kind, "config": {"name": "net", "layers": described}})
        for _, layer, _ in layers:
            group = file.create_group(f"model_weights/{layer}")
            names = [f"{layer}/{name}:0" for name in WEIGHTS.get(layer, {})]
            group.attrs["weight_names"] = np.array([name.encode() for name in names], "S")
            for name, value in WEIGHTS.get(layer, {}).items():
                group[f"{layer}/{name}:0"] = value
    return path


def _pooled(x, size, strides, *, same):
    """Max over windows of `x` (batch, height, width, channels); "same" adds an odd row at the end."""
    counts = []
    for axis in (0, 1):
        length = x.shape[axis + 1]
        count = -(-length // strides[axis]) if same else (length - size[axis]) // strides[axis] + 1
        missing = max((count - 1) * strides[axis] + size[axis] - length, 0)
        around = [(0, 0)] * 4
        around[axis + 1] = (missing // 2, missing - missing // 2)
        x = np.pad(x, around, constant_values=-np.inf)
        counts.append(count)
    rows = [
        [
            x[:, r * strides[0] : r * strides[0] + size[0], c * strides[1] : c * strides[1] + size[1]].max(axis=(1, 2))
            for c in range(counts[1])
        ]
        for r in range(counts[0])
    ]
    return np.array(rows).transpose(2, 0, 1, 3)


def _normalised(x, layer):
    weights = WEIGHTS[layer]
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + NORMAL["epsilon"])
    return (x - weights["moving_mean"]) * scale + weights["beta"]


def reference(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The model's output `(batch, 3)` for `(batch, 10, 9)`, computed by numpy in float64."""
    x = x.astype(np.float64)
    kernel = WEIGHTS["conv"]["kernel"][:, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    picture = np.maximum(np.einsum("bhwij,ijk->bhwk", windows, kernel) + WEIGHTS["conv"]["bias"], 0)
    picture = _pooled(_normalised(picture, "picture_normal"), (3, 2), (3, 2), same=True)
    picture = _pooled(np.maximum(picture, 0), (2, 1), (1, 1), same=False)
    flat = picture.reshape(len(x), -1) @ WEIGHTS["dense"]["kernel"] + WEIGHTS["dense"]["bias"]
    raw = _normalised(flat, "normal") @ WEIGHTS["names"]["kernel"] + WEIGHTS["names"]["bias"]
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
