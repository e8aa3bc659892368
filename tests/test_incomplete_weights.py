"""Checkpoints that do not fit their config: refused, since transformers draws what is missing at random and goes on."""

import json
from dataclasses import dataclass

import pytest

from shared.errors import Unavailable
from tasks.devices import CPU
from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.engines.base import WeightsIncomplete
from tasks.engines.body_finders import BODY_FINDERS
from tasks.engines.captions import CAPTIONERS
from tasks.engines.descriptions import DESCRIBERS
from tasks.engines.detectors import DETECTORS
from tasks.engines.moods import MOOD_CLASSIFIERS
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.sounds import SOUND_TAGGERS
from tasks.engines.speech import TRANSCRIBERS
from tasks.engines.words import WORD_FINDERS
from tasks.models import Weighted
from tests.support.tiny import MAKERS
from tests.support.tiny.store import need_torch

pytestmark = pytest.mark.engines


@dataclass(frozen=True)
class Case:
    """An entry, the engine that reads it, and the beginning of the names of tensors that it cannot do without."""

    entry: str
    kinds: dict
    name: str
    lacks: str


CASES = (
    Case("aesthetics-v2-l14", AESTHETIC_JUDGES, "clip-aesthetics", "visual_projection."),
    Case("ast-audioset", SOUND_TAGGERS, "transformers", "classifier.dense."),
    Case("blip2-opt-2.7b", CAPTIONERS, "blip-2", "language_projection."),
    Case("d-fine-large", DETECTORS, "transformers", "class_embed."),
    Case("owlv2-base", WORD_FINDERS, "transformers", "class_head."),
    Case("qwen2-vl-7b", DESCRIBERS, "qwen-vl", "visual.merger."),
    Case("qwen2.5-vl-7b", DESCRIBERS, "qwen-vl", "lm_head."),
    Case("qwen3-vl-8b", DESCRIBERS, "qwen-vl", "visual.deepstack_merger_list."),
    Case("rtdetr-v2-r50", DETECTORS, "transformers", "class_embed."),
    Case("segformer-b4", SEGMENTERS, "transformers", "decode_head.classifier."),
    Case("upernet-convnext-small", SEGMENTERS, "transformers", "decode_head.classifier."),
    Case("vitpose-base-simple", BODY_FINDERS, "transformers", "head."),
    Case("wav2vec2-emotion", MOOD_CLASSIFIERS, "transformers", "classifier."),
    Case("whisper-large-v3-turbo", TRANSCRIBERS, "transformers", "model.decoder.layer_norm."),
)
BY_ENTRY = {case.entry: case for case in CASES}


def engine_of(case, folder, precision="fp32"):
    return case.kinds[case.name](Weighted(case.entry, folder, CPU, precision, 1))


def changed(folder, change):
    """Give the tensors of the checkpoint in `folder` to `change`, which returns those to store; how many went away."""
    import torch
    from safetensors.torch import load_file, save_file

    if (file := folder / "model.safetensors").is_file():
        tensors = load_file(file)
        kept = change(tensors)
        save_file(kept, file, {"format": "pt"})
    else:
        file = folder / "pytorch_model.bin"
        tensors = torch.load(file, weights_only=True)
        kept = change(tensors)
        torch.save(kept, file)
    return len(tensors) - len(kept)


def without(part):
    return lambda tensors: {name: each for name, each in tensors.items() if part not in name}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.entry)
def test_a_checkpoint_without_some_of_its_tensors_is_refused(tmp_path, case):
    """Whole, it loads; without its head, or another part, it is unavailable, and a sentence names entry and tensors."""
    need_torch()
    MAKERS[case.entry](tmp_path)
    engine_of(case, tmp_path).load()
    assert changed(tmp_path, without(case.lacks))
    with pytest.raises(WeightsIncomplete) as caught:
        engine_of(case, tmp_path).load()
    assert isinstance(caught.value, Unavailable)
    assert (caught.value.code, caught.value.retryable) == ("weights_incomplete", False)
    assert case.entry in caught.value.message
    assert case.lacks in caught.value.message


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_a_quantised_checkpoint_is_asked_for_all_its_tensors_too(tmp_path, precision):
    """What bitsandbytes makes of weights while they are loaded hides nothing that is missing, and misses nothing."""
    need_torch()
    case = BY_ENTRY["wav2vec2-emotion"]
    MAKERS[case.entry](tmp_path)
    engine_of(case, tmp_path, precision).load()
    changed(tmp_path, without("layers.1.attention.q_proj"))
    with pytest.raises(WeightsIncomplete, match=r"layers\.1\.attention\.q_proj"):
        engine_of(case, tmp_path, precision).load()


def test_a_tensor_of_another_shape_is_refused(tmp_path):
    """A head for more classes than the config has names is one sentence with both shapes."""
    need_torch()
    case = BY_ENTRY["ast-audioset"]
    MAKERS[case.entry](tmp_path)
    head = "classifier.dense.weight"
    changed(tmp_path, lambda tensors: {**tensors, head: tensors[head][:4].clone()})
    with pytest.raises(WeightsIncomplete, match=r"has classifier\.dense\.weight as 4x64 for 6x64; with") as caught:
        engine_of(case, tmp_path).load()
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("entry", "part"), [("segformer-b4", ".num_batches_tracked"), ("wav2vec2-emotion", "masked_spec_embed")]
)
def test_what_only_training_reads_may_be_missing(tmp_path, entry, part):
    """Counters of normalisation and the mask of sounds are not stored in every checkpoint: without them it loads."""
    need_torch()
    MAKERS[entry](tmp_path)
    assert changed(tmp_path, without(part))
    engine_of(BY_ENTRY[entry], tmp_path).load()


def test_a_head_that_serves_training_may_be_missing(tmp_path):
    """UperNet's second head is thrown away once loaded, so a checkpoint without it is whole."""
    need_torch()
    case = BY_ENTRY["upernet-convnext-small"]
    MAKERS[case.entry](tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["use_auxiliary_head"] is False
    (tmp_path / "config.json").write_text(json.dumps({**config, "use_auxiliary_head": True}))
    engine_of(case, tmp_path).load()


def test_old_names_of_weights_are_read(tmp_path):
    """Weight norms as older releases of torch stored them are the tensors wanted, so nothing is missing."""
    need_torch()
    case = BY_ENTRY["wav2vec2-emotion"]
    MAKERS[case.entry](tmp_path)
    new = "parametrizations.weight.original"
    old = {f"{new}0": "weight_g", f"{new}1": "weight_v"}

    def renamed(tensors):
        assert any(new in name for name in tensors)
        for now, then in old.items():
            tensors = {name.replace(now, then): each for name, each in tensors.items()}
        return tensors

    changed(tmp_path, renamed)
    engine_of(case, tmp_path).load()
