"""Tests of loading models from the weights store on the CPU."""

import hashlib

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from flatbuffers import Builder

from shared import tfjs
from shared.errors import WeightsMissing, WeightsTampered
from shared.weights import Weights
from tasks.models import Engines, Models
from tests.support.tfjs import INPUT_SHAPE, reference, write_graph
from tests.support.web import pinned, write_pins


def doubling_network():
    """A TensorFlow Lite model that adds its input of shape (1, 4) to itself."""

    def tensor(name):
        made = tflite.TensorT()
        made.name, made.shape, made.type = name, [1, 4], tflite.TensorType.FLOAT32
        return made

    operator = tflite.OperatorT()
    operator.inputs, operator.outputs = [0, 0], [1]
    operator.builtinOptionsType = tflite.BuiltinOptions.AddOptions
    operator.builtinOptions = tflite.AddOptionsT()
    graph = tflite.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor("x"), tensor("y")], [operator], [0], [1]
    code = tflite.OperatorCodeT()
    model = tflite.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [tflite.BufferT()]
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def weights(tmp_path):
    """A pulled store with one ONNX and one TensorFlow Lite model."""
    model, _ = write_graph(tmp_path / "graph")
    tfjs.convert(model, tmp_path / "net.onnx")
    (tmp_path / "net.tflite").write_bytes(doubling_network())
    artifacts, entry = {}, []
    for name in ("net.onnx", "net.tflite"):
        content = (tmp_path / name).read_bytes()
        key = name.replace(".", "-")
        artifacts[key] = pinned(content, source="file", path=str(tmp_path / name))
        entry.append(pinned(content, name=name, artifact=key))
    store = Weights(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))
    store.pull(["net"])
    return store


def test_onnx_model_runs_with_the_given_threads(weights):
    """An ONNX model computes what it should, in a session of as many threads as asked for that do not spin."""
    session = Models(weights, "net", profile="local", threads=2).onnx("net.onnx")
    x = np.random.default_rng(5).normal(size=INPUT_SHAPE).astype(np.float32)
    scores, boxes = session.run(["scores", "boxes"], {"x": x})
    np.testing.assert_allclose(scores, reference(x)[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(boxes, reference(x)[1], rtol=1e-5, atol=1e-4)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_tflite_model_is_ready_to_run(weights):
    """A TensorFlow Lite model has its tensors allocated and computes what it should."""
    interpreter = Models(weights, "net", profile="local", threads=1).tflite("net.tflite")
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], np.array([[1, 2, 3, -4]], np.float32))
    interpreter.invoke()
    assert interpreter.get_tensor(result["index"]).tolist() == [[2, 4, 6, -8]]


def test_tampered_model_is_never_loaded(weights):
    """A model file that is not the pinned one does not reach the runtime."""
    with (weights.folder / "net/net.onnx").open("ab") as file:
        file.write(b"x")
    models = Models(weights, "net", profile="local", threads=1)
    with pytest.raises(WeightsTampered):
        models.onnx("net.onnx")


def test_analyzer_without_weights(weights):
    """Without an entry there is no digest, and asking for a file says that none is declared."""
    models = Models(weights, None, profile="local", threads=1)
    assert models.digest is None
    with pytest.raises(WeightsMissing, match="local profile"):
        models.path("net.onnx")


def test_digest_is_the_entry_s(weights):
    """What identifies the model in receipts is the digest of its entry's pins."""
    assert Models(weights, "net", profile="local", threads=1).digest == weights.digest("net")


@pytest.fixture
def engine_weights(tmp_path):
    """A pulled store with two entries for the engine `counted`, one of which is held as int8 on a CPU."""
    content = b"weights"
    (tmp_path / "net.bin").write_bytes(content)
    facts = f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nsize_bytes = {len(content)}\n'
    text = f'[artifacts.net]\nsource = "file"\npath = "{tmp_path / "net.bin"}"\n{facts}'
    for name, more in (("net", ""), ("small", 'cpu_precision = "int8"\n')):
        text += f'[entries.{name}]\nsummary = "net"\nlicence = "MIT"\nengine = "counted"\n{more}'
        text += f'[[entries.{name}.files]]\nname = "net.bin"\nartifact = "net"\n{facts}'
    (tmp_path / "engines.toml").write_text(text)
    store = Weights(tmp_path / "engines", tmp_path / "engines.toml")
    store.pull(["net", "small"])
    return store


class Counted:
    """An engine that counts what is done with it."""

    def __init__(self, files):
        self.files, self.batch, self.done = files, 1, []

    def load(self):
        self.done.append("load")

    def warm_up(self):
        self.done.append("warm up")

    def free(self):
        self.done.append("free")


def test_two_analyzers_share_one_engine(engine_weights):
    """The same entry in the same precision is loaded, warmed up and freed once; another precision is another engine."""
    shared = Engines()
    models = [
        Models(engine_weights, "net", profile="gpu", threads=1, precision=precision, shared=shared)
        for precision in ("auto", "auto", "bf16")
    ]
    one, other, third = (each.engine({"counted": Counted}) for each in models)
    assert one is other is not third
    for each in models:
        shared.warm_up(each.engines)
    assert shared.free()
    assert one.done == third.done == ["load", "warm up", "free"]
    assert not shared.free()
    assert models[0].engine({"counted": Counted}) is not one


def test_a_kind_of_its_own_is_an_engine_of_its_own(engine_weights):
    """One entry that two analyzers use by different methods is loaded for each."""
    shared = Engines()
    kinds = ({"counted": Counted}, {"counted": type("Other", (Counted,), {})})
    one, other = (Models(engine_weights, "net", profile="gpu", threads=1, shared=shared).engine(kind) for kind in kinds)
    assert type(one) is not type(other)


def test_a_failed_load_is_tried_again(engine_weights):
    """An engine that could not be loaded is not kept."""
    shared = Engines()

    class Broken(Counted):
        def load(self):
            raise OSError("torn")

    kinds = {"counted": Broken}
    for _ in range(2):
        with pytest.raises(OSError, match="torn"):
            Models(engine_weights, "net", profile="gpu", threads=1, shared=shared).engine(kinds)
    assert not shared.free()


def test_auto_is_what_the_entry_says_on_a_cpu(engine_weights):
    """An entry may be held as int8 on a CPU; a precision that is asked for counts more."""
    chosen = [
        Models(engine_weights, "small", profile="local", threads=1, precision=precision).engine({"counted": Counted})
        for precision in ("auto", "fp32")
    ]
    assert [one.files.precision for one in chosen] == ["int8", "fp32"]
