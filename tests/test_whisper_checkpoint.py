"""openai-whisper's checkpoint of the bench: CTranslate2's tensors under the other names, or a sentence why not."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from ctranslate2.specs.model_spec import OPTIONAL
from ctranslate2.specs.whisper_spec import WhisperSpec

from bench import peers
from bench.whisper_checkpoint import converted, read, write
from services.demo import PINS
from shared.errors import BadInput, Unavailable
from shared.settings import settings
from shared.weights import Weights
from tests.support.sounds import samples_of
from tests.support.system import missing
from tests.support.tiny.store import need_torch

WIDTH, HEADS, LAYERS, WORDS, MELS, HEARD, SAID = 8, 2, 2, 20, 5, 12, 6
SPEECH = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


def whisper_spec() -> WhisperSpec:
    """A Whisper as CTranslate2's converter fills it: each tensor other numbers, keys without a bias."""
    spec, draw = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS), np.random.default_rng(0)

    def fill(layer, *shape):
        layer.weight = draw.normal(0, 1, shape).astype(np.float32)
        layer.bias = draw.normal(0, 1, shape[:1]).astype(np.float32)

    def norm(layer):
        layer.gamma, layer.beta = draw.normal(0, 1, (2, WIDTH)).astype(np.float32)

    def attend(layer, *rows):
        norm(layer.layer_norm)
        for linear, count in zip(layer.linear, rows, strict=True):
            fill(linear, count * WIDTH, WIDTH)

    fill(spec.encoder.conv1, WIDTH, MELS, 3)
    fill(spec.encoder.conv2, WIDTH, WIDTH, 3)
    for side, context in ((spec.encoder, HEARD), (spec.decoder, SAID)):
        side.position_encodings.encodings = draw.normal(0, 1, (context, WIDTH)).astype(np.float32)
        norm(side.layer_norm)
        for layer in side.layer:
            attend(layer.self_attention, 3, 1)
            layer.self_attention.linear[0].bias[WIDTH : 2 * WIDTH] = 0
            norm(layer.ffn.layer_norm)
            fill(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
            fill(layer.ffn.linear_1, WIDTH, 4 * WIDTH)
    for layer in spec.decoder.layer:
        attend(layer.attention, 1, 2, 1)
        layer.attention.linear[1].bias[:WIDTH] = 0
    spec.decoder.embeddings.weight = draw.normal(0, 1, (WORDS, WIDTH)).astype(np.float32)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    return spec


@pytest.fixture
def spec():
    return whisper_spec()


@pytest.fixture
def model_bin(tmp_path):
    """Writes a specification as CTranslate2 does and returns the path."""

    def written(spec, quantization="float16"):
        spec.register_vocabulary([str(number) for number in range(WORDS)])
        spec.validate()
        spec.optimize(quantization)
        spec.save(str(tmp_path))
        return tmp_path / "model.bin"

    return written


def test_fused_rows_come_apart_and_the_projection_is_the_embedding(spec, model_bin):
    """Queries, keys and values are CTranslate2's rows in that order; sizes are told by the tensors."""
    fused = spec.decoder.layer[1].self_attention.linear[0].weight.copy()
    both = spec.decoder.layer[0].attention.linear[1].weight.copy()
    sizes, state = converted(read(model_bin(spec, "float32")))
    for number, name in enumerate(("query", "key", "value")):
        place = f"decoder.blocks.1.attn.{name}.weight"
        assert np.array_equal(state[place], fused[number * WIDTH : (number + 1) * WIDTH])
    for number, name in enumerate(("key", "value")):
        place = f"decoder.blocks.0.cross_attn.{name}.weight"
        assert np.array_equal(state[place], both[number * WIDTH : (number + 1) * WIDTH])
    assert not any(name.endswith("key.bias") or "projection" in name for name in state)
    sides = {"state": (WIDTH, WIDTH), "head": (HEADS, HEADS), "layer": (LAYERS, LAYERS), "ctx": (HEARD, SAID)}
    wanted = {
        f"n_{side}_{key}": one for key, pair in sides.items() for side, one in zip(("audio", "text"), pair, strict=True)
    }
    assert sizes == {**wanted, "n_mels": MELS, "n_vocab": WORDS}


def test_a_file_that_is_cut_off_is_refused_wherever_it_is_cut(spec, model_bin):
    """Inside the header, a name, a tensor, the aliases: one sentence, and none for the whole file."""
    path = model_bin(spec)
    whole = path.read_bytes()
    read(path)
    for length in [*range(300), *range(300, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=rf"model\.bin is cut off: {length} bytes are not all of it$"):
            read(path)


@pytest.mark.parametrize(
    ("at", "byte", "sentence"),
    [
        (0, 7, "not CTranslate2's layout 6: it begins with 7"),
        (6, ord("w"), "is a whisperSpec of revision 3, not a WhisperSpec"),
        (18, 4, "revision 4, not a WhisperSpec of revision 3"),
        (48, 5, "decoder/activation in model.bin is none of float32"),
        (48, 0, r"decoder/activation in model.bin has 1 bytes, which are not \[\] of float32"),
    ],
)
def test_what_is_written_otherwise_is_refused(spec, model_bin, at, byte, sentence):
    """What is not known to the letter is not guessed at."""
    path = model_bin(spec)
    damaged = bytearray(path.read_bytes())
    damaged[at] = byte
    path.write_bytes(damaged)
    with pytest.raises(BadInput, match=sentence):
        read(path)


def test_bytes_after_the_end_are_refused(spec, model_bin):
    """All of the file is accounted for."""
    path = model_bin(spec)
    path.write_bytes(path.read_bytes() + b"12")
    with pytest.raises(BadInput, match="goes on for 2 bytes"):
        read(path)


def test_what_whisper_has_no_place_for_is_refused(spec, model_bin):
    """Scales of quantised weights, biases of keys, another activation, a projection of its own."""
    tensors = read(model_bin(spec))
    one = np.ones(3 * WIDTH, np.float32)
    for change, sentence in {
        "encoder/conv1/weight_scale": "no place for encoder/conv1/weight_scale",
        "decoder/layer_0/attention/linear_3/weight": "no place for decoder/layer_0/attention/linear_3/weight",
        "encoder/layer_0/self_attention/linear_0/bias": "moves the keys",
        "decoder/activation": "decoder/activation is .*, and 3",
        "decoder/projection/weight": "is not the embedding",
    }.items():
        with pytest.raises(BadInput, match=sentence):
            converted({**tensors, change: one})


def need_whisper() -> None:
    """Skip the test where openai-whisper is not installed; fail it in CI."""
    need_torch()
    if find_spec("whisper") is None:
        missing("openai-whisper is not installed; get it with: make engines")


@pytest.mark.engines
@pytest.mark.parametrize("lost", ["gone", "short"])
def test_a_tensor_that_is_not_as_in_whisper_is_refused(spec, model_bin, tmp_path, lost):
    """Every tensor of openai-whisper's own model gets its numbers, or no checkpoint is written."""
    need_whisper()
    linear = spec.encoder.layer[1].ffn.linear_0
    linear.bias = OPTIONAL if lost == "gone" else linear.bias[:-1]
    with pytest.raises(BadInput, match=r"not those of a Whisper: .*blocks\.1\.mlp\.0\.bias"):
        write(model_bin(spec), tmp_path / "tiny.pt")
    assert not (tmp_path / "tiny.pt").exists()


@pytest.mark.engines
@pytest.mark.weights
@pytest.mark.slow
def test_the_same_weights_write_the_same_words(tmp_path, monkeypatch):
    """Both packages in fp32, each token the likeliest one. Only punctuation may differ: their spectrograms and sums are
    not the same to the last bit, and a comma hangs on less than a word."""
    need_whisper()
    import whisper
    from faster_whisper import WhisperModel

    assets = Weights(settings().weights_dir.parent / "demo" / "assets", PINS)
    assets.pull(["speech"])
    sound = samples_of(assets.path("speech", "jfk.wav")).astype(np.float32)
    monkeypatch.delenv(peers.CHECKPOINT, raising=False)
    made = peers.environment("openai_whisper", tmp_path)[peers.CHECKPOINT]
    theirs = whisper.load_model(made, device="cpu").transcribe(sound, temperature=0.0, fp16=False)["text"]
    model = WhisperModel(
        str(Weights(settings().weights_dir).folder / peers.WHISPER), device="cpu", compute_type="float32"
    )
    segments, _ = model.transcribe(sound, temperature=0.0, beam_size=1)
    assert peers.plain(theirs) == peers.plain(" ".join(one.text for one in segments)) == SPEECH


@pytest.mark.engines
def test_a_checkpoint_that_somebody_names_is_taken(tmp_path, monkeypatch):
    """The one that `REELGRAPH_BENCH_WHISPER` names is neither made nor changed; a name of nothing is a reason."""
    need_whisper()
    named = tmp_path / "base.en.pt"
    monkeypatch.setenv(peers.CHECKPOINT, str(named))
    with pytest.raises(Unavailable, match=r"names .*base\.en\.pt, which is no file"):
        peers.environment("openai_whisper", tmp_path)
    named.write_bytes(b"theirs")
    assert peers.environment("openai_whisper", tmp_path)[peers.CHECKPOINT] == str(named)
    assert [one.name for one in tmp_path.iterdir()] == [named.name]
