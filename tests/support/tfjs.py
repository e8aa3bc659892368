"""A small TensorFlow.js graph with every operator that the converter knows, and the same graph in numpy."""

import base64
import json

import numpy as np

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(3, 3, 3, 4)).astype(np.float16)
BIAS = RNG.normal(size=4).astype(np.float32)
INPUT_SHAPE = (1, 3, 8, 8)

CONSTANTS = {
    "to_nhwc": np.array([0, 2, 3, 1], np.int32),
    "around": np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32),
    "below": np.array([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32),
    "low": np.array(-9, np.float32),
    "kernel": KERNEL,
    "bias": BIAS,
    "size": np.array([4, 4], np.int32),
    "channels": np.array(3, np.int32),
    "parts": np.array([3, 5], np.int32),
    "where": np.array([[0], [2]], np.int32),
    "rank": np.array([3], np.int32),
    "what": np.array([1, 2], np.int32),
    "zero": np.array(0, np.int32),
    "more": np.array([0, -1, 1], np.int32),
    "boxes_shape": np.array([1, -1, 5], np.int32),
    "fixed_shape": np.array([1, 16, 5], np.int32),
    "odd_size": np.array([6, 6], np.int32),
}


def ints(*values):
    return {"list": {"i": [str(value) for value in values]}}


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


WINDOW = {"data_format": text("NHWC"), "padding": text("VALID"), "strides": ints(1, 2, 2, 1)}
OPERATIONS = (
    ("nhwc", "Transpose", ["x", "to_nhwc"], {}),
    ("padded", "Pad", ["nhwc", "around"], {}),
    ("conv", "Conv2D", ["padded", "kernel"], {**WINDOW, "dilations": ints(1, 1, 1, 1)}),
    ("biased", "Add", ["conv", "bias"], {}),
    ("active", "LeakyRelu", ["biased", "^nhwc"], {"alpha": {"f": 0.1}}),
    ("framed", "PadV2", ["active", "below", "low"], {}),
    ("pooled", "MaxPool", ["framed"], {**WINDOW, "ksize": ints(1, 3, 3, 1)}),
    ("grown", "ResizeBilinear", ["pooled", "size"], {"align_corners": {"b": False}, "half_pixel_centers": {"b": True}}),
    ("joined", "ConcatV2", ["active", "grown", "channels"], {}),
    ("split", "SplitV", ["joined", "parts", "channels"], {}),
    ("sparse", "SparseToDense", ["where", "rank", "what", "zero"], {}),
    ("scores_shape", "AddV2", ["sparse", "more"], {}),
    ("flat", "Reshape", ["split", "scores_shape"], {}),
    ("squashed", "Sigmoid", ["flat"], {}),
    ("scores", "Identity", ["squashed:0"], {}),
    ("boxes", "Reshape", ["split:1", "boxes_shape"], {}),
)
SCORES_SHAPE, BOXES_SHAPE = (1, 16, 3), (1, 16, 5)


def described(name, shape):
    dims = [{"size": str(size)} for size in shape]
    return {f"{name}:0": {"name": f"{name}:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": dims}}}


def write_graph(folder, operations=OPERATIONS):
    """Write the graph as `net.json` and `net.bin`; returns both paths."""
    folder.mkdir(parents=True)
    weights = []
    for name, value in CONSTANTS.items():
        half = value.dtype == np.float16
        weight = {"name": name, "shape": list(value.shape), "dtype": "float32" if half else value.dtype.name}
        weights.append(weight | ({"quantization": {"dtype": "float16"}} if half else {}))
    nodes = [{"name": "x", "op": "Placeholder"}, *({"name": name, "op": "Const"} for name in CONSTANTS)]
    nodes += [{"name": name, "op": op, "input": inputs, "attr": attr} for name, op, inputs, attr in operations]
    document = {
        "signature": {
            "inputs": described("x", INPUT_SHAPE),
            "outputs": described("scores", SCORES_SHAPE) | described("boxes", BOXES_SHAPE),
        },
        # the graph's order is not the order of work
        "modelTopology": {"node": nodes[::-1]},
        "weightsManifest": [{"paths": ["net.bin"], "weights": weights}],
    }
    (folder / "net.json").write_text(json.dumps(document))
    (folder / "net.bin").write_bytes(b"".join(value.tobytes() for value in CONSTANTS.values()))
    return folder / "net.json", folder / "net.bin"


def windows(image, reduce):
    """`reduce` over 3x3 windows of `image` (height, width, channels), 2 apart."""
    rows, columns = ((size - 3) // 2 + 1 for size in image.shape[:2])
    return np.array(
        [[reduce(image[2 * y : 2 * y + 3, 2 * x : 2 * x + 3]) for x in range(columns)] for y in range(rows)]
    )


def grown(image, height, width):
    """Bilinear resize with half-pixel centres, edges repeated."""

    def axis(values, size):
        places = np.clip((np.arange(size) + 0.5) * len(values) / size - 0.5, 0, len(values) - 1)
        low = np.floor(places).astype(int)
        high, share = np.minimum(low + 1, len(values) - 1), (places - low)[:, None, None]
        return values[low] * (1 - share) + values[high] * share

    return axis(axis(image, height).swapaxes(0, 1), width).swapaxes(0, 1)


def reference(x):
    """`scores` and `boxes` of the graph at any size that 4 divides, computed by numpy in float64."""
    image = np.pad(x[0].transpose(1, 2, 0).astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    active = windows(image, lambda window: np.tensordot(window, KERNEL.astype(np.float64), 3)) + BIAS
    active = np.where(active > 0, active, 0.1 * active)
    framed = np.pad(active, ((0, 1), (0, 1), (0, 0)), constant_values=-9)
    pooled = windows(framed, lambda window: window.max(axis=(0, 1)))
    joined = np.concatenate([active, grown(pooled, *active.shape[:2])], axis=2)
    scores = 1 / (1 + np.exp(-joined[..., :3]))
    return scores.reshape(1, -1, 3), joined[..., 3:].reshape(1, -1, 5)
