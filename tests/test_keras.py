"""Tests of the conversion from Keras to ONNX."""

import numpy as np
import onnxruntime
import pytest

from shared import keras
from shared.errors import BadInput
from tests.support.keras import INPUT_SHAPE, LAYERS, OUTPUTS, reference, write_model


@pytest.mark.parametrize("batch", [1, 5])
def test_converted_model_computes_the_same(tmp_path, batch):
    """A model with every known layer gives numpy's numbers at any batch size."""
    keras.convert(write_model(tmp_path / "net.hdf5"), tmp_path / "net.onnx")
    assert {kind for kind, _, _ in LAYERS} == keras._LAYERS.keys()
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert session.get_inputs()[0].shape == ["batch", *INPUT_SHAPE]
    assert session.get_outputs()[0].shape == ["batch", OUTPUTS]
    x = np.random.default_rng(batch).normal(size=(batch, *INPUT_SHAPE)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"input": x})[0], reference(x), rtol=1e-4, atol=1e-5)


def test_a_picture_comes_out_channels_last(tmp_path):
    """A model that ends with a picture gives it in Keras' order."""
    keras.convert(write_model(tmp_path / "net.hdf5", LAYERS[:2]), tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"input": np.zeros((2, *INPUT_SHAPE), np.float32)})
    assert found.shape == (2, 8, 6, 5)
    assert session.get_outputs()[0].shape == ["batch", 8, 6, 5]


def test_conversion_is_repeatable(tmp_path):
    """Two conversions of one model are the same file."""
    model = write_model(tmp_path / "net.hdf5")
    for name in ("a", "b"):
        keras.convert(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def changed(layer, **config):
    return tuple((kind, name, {**old, **config} if name == layer else old) for kind, name, old in LAYERS)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ((LAYERS[0], ("LSTM", "memory", {})), "layer LSTM"),
        (changed("conv", padding="same"), "conv: padding same"),
        (changed("conv", dilation_rate=[2, 2]), "conv: dilation_rate"),
        (changed("conv", activation="softmax"), "conv: softmax of a picture"),
        (changed("active", activation="selu"), "active: activation selu"),
        (changed("same", data_format="channels_first"), "same: data_format channels_first"),
        (changed("picture_normal", axis=[1]), "picture_normal: axis"),
        (changed("normal", scale=False), "normal: scale False"),
        (changed("dense", use_bias=False), "dense: use_bias False"),
        (changed("reshape", target_shape=[9, 10, 1]), "reshape: a reshape to"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, layers, named):
    """A layer, or a setting of one, that the converter does not know is named, and no file is written."""
    with pytest.raises(BadInput, match=named) as caught:
        keras.convert(write_model(tmp_path / "net.hdf5", layers), tmp_path / "net.onnx")
    assert caught.value.code == "unsupported_graph"
    assert not (tmp_path / "net.onnx").exists()


def test_only_sequential_models_are_read(tmp_path):
    """A model of another shape than a chain is refused."""
    with pytest.raises(BadInput, match="Functional"):
        keras.convert(write_model(tmp_path / "net.hdf5", kind="Functional"), tmp_path / "net.onnx")
