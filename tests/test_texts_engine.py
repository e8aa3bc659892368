"""Text in pictures: PP-OCR in ONNX Runtime, and the same networks in torch, which is what a GPU runs."""

import numpy as np
import pytest

from shared.errors import BadInput
from tasks.devices import CPU
from tasks.engines import graphs
from tasks.engines.graphs import OPERATORS, Graph, UnknownOperator
from tasks.engines.texts import DETECTOR, RECOGNISER
from tests.support.drawings import written
from tests.support.moving import texture
from tests.support.texts import packaged, packaged_folder
from tests.support.tiny.store import need_torch

WORDS = {"FRESH BREAD": 60, "OPEN AT NINE": 150, "EVERY DAY": 240, "WELCOME": 330}


@pytest.fixture(scope="module")
def reader():
    return packaged()


@pytest.fixture(scope="module")
def page():
    """Four lines over a picture."""
    picture = texture(12, 400, 640)
    for text, y in WORDS.items():
        picture = written(picture, text, y=y)
    return picture


def read(engine, picture):
    return {line.text: (line.confidence, line.box) for line in engine.lines(picture, (), 640)}


def test_lines_have_text_confidence_and_place(reader, page):
    """Each line is read letter by letter, with a confidence and a box in 0..1."""
    found = read(reader, page)
    assert set(found) == set(WORDS)
    for confidence, box in found.values():
        assert 0.8 <= confidence <= 1
        assert all(0 <= edge <= 1 for edge in box)


def test_a_batch_changes_no_line(reader, page, monkeypatch):
    """Lines recognised together are those recognised one by one."""
    together = read(reader, page)
    monkeypatch.setattr(reader.model.text_rec, "rec_batch_num", 1)
    alone = read(reader, page)
    assert set(alone) == set(together)
    for text, (confidence, box) in alone.items():
        assert together[text] == (pytest.approx(confidence, abs=0.05), box)


def test_known_lines_are_not_read_again(reader, page):
    """A line in the place of a known one is left out."""
    known = read(reader, page)["EVERY DAY"][1]
    assert {line.text for line in reader.lines(page, (known,), 640)} == set(WORDS) - {"EVERY DAY"}


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_a_precision_that_it_does_not_have_is_refused(precision):
    """Its networks come in fp32; int8 and nf4 are not silently something else."""
    with pytest.raises(BadInput, match=f"comes in fp32, not in {precision}"):
        packaged(precision)


def test_whatever_else_is_asked_it_is_fp32(reader):
    """bf16, which a GPU gives where nothing is said, is not claimed in the receipt."""
    assert packaged("bf16").files.precision == reader.files.precision == "fp32"


@pytest.mark.engines
@pytest.mark.parametrize(
    ("file", "shapes"), [(DETECTOR, ((1, 96, 128), (1, 160, 96))), (RECOGNISER, ((2, 48, 320), (1, 48, 161)))]
)
def test_torch_answers_as_onnx_runtime_does(file, shapes):
    """Of both real networks, for sizes even and odd: the same numbers, but for rounding."""
    need_torch()
    import onnxruntime

    session = onnxruntime.InferenceSession(packaged_folder() / file, providers=["CPUExecutionProvider"])
    graph = Graph(packaged_folder() / file, "cpu")
    for count, *size in shapes:
        values = np.random.default_rng(0).normal(0, 1, (count, 3, *size)).astype(np.float32)
        (expected,) = session.run(None, {session.get_inputs()[0].name: values})
        np.testing.assert_allclose(graph(values), expected, atol=1e-4)


@pytest.mark.engines
def test_torch_reads_what_onnx_runtime_reads(reader, page):
    """The way of a GPU, taken on the CPU: the same lines, confidences and boxes."""
    need_torch()
    engine = packaged()
    engine._move()
    expected, found = read(reader, page), read(engine, page)
    assert set(found) == set(expected)
    for text, (confidence, box) in expected.items():
        assert found[text] == (pytest.approx(confidence, abs=1e-3), pytest.approx(box, abs=1e-3))
    assert engine.lines(np.zeros((320, 640, 3), np.uint8), (), 640) == []


@pytest.mark.engines
def test_a_network_that_torch_cannot_run_stays_on_the_cpu(page, monkeypatch):
    """Other files with an operator that is not written down: the engine works on the CPU, and says why."""
    need_torch()
    monkeypatch.setattr(graphs, "OPERATORS", {name: one for name, one in OPERATORS.items() if name != "Erf"})
    with pytest.raises(UnknownOperator, match="operator Erf"):
        Graph(packaged_folder() / DETECTOR, "cpu")
    engine = packaged()
    engine._move()
    assert engine.files.device == CPU
    assert engine.notes == ("on the CPU: PP-OCRv6_det_small.onnx has the operator Erf, which torch is not given here",)
    assert set(read(engine, page)) == set(WORDS)
