"""GPU memory of models that nobody has measured, derived from their true architecture: nothing is downloaded or run.

    python -m bench.sizes            a line for each entry of `shared/weights.toml` that declares derived memory

Parameters are counted on torch's meta device, which allocates nothing. In bf16 each takes 2 bytes; engines that hold
fp32 weights take 4, and their products a bf16 copy in work. nf4 is half a byte and an fp32 scale for every 64 weights
of a linear layer (Dettmers et al. 2023), int8 one byte; token embeddings, heads and all else stay bf16. What work takes
is a margin: that of the measured model of the same engine (docs/performance.md), else the one stated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from bench.checkpoints import SEGFORMER_B4
from shared.pins import Entry, Number, load_pins
from shared.weights import PINS

MIB = 1 << 20
ROUND_UP = 100
BYTES: dict[Number, float] = {"fp32": 4, "bf16": 2, "int8": 1, "nf4": 0.5 + 4 / 64}
"""Of one weight of a linear layer."""
SPARED = ("lm_head", "classifier", "projector")
"""Heads that int8 and nf4 leave in bf16."""


VLM: tuple[Number, ...] = ("bf16", "int8", "nf4")
CTRANSLATE: tuple[Number, ...] = ("fp32", "bf16", "int8")
PICTURES: tuple[Number, ...] = ("fp32", "bf16")


@dataclass(frozen=True, slots=True)
class Sized:
    """What an entry is made of, in which precisions it is derived, and the MiB that work takes."""

    make: Callable[[], Any]
    margin_mib: int
    precisions: tuple[Number, ...]
    holds_fp32: bool = False
    """Whether its weights are fp32 whatever the precision; in bf16 there is a copy of them while it works."""


@contextmanager
def nowhere() -> Iterator[None]:
    """Parameters have shapes and no memory."""
    import torch

    with torch.device("meta"):
        yield


def qwen2_vl_7b() -> Any:
    """The sizes of Qwen/Qwen2-VL-7B-Instruct's config.json, as in `bench.checkpoints`."""
    import transformers as hub

    config = hub.Qwen2VLConfig(
        text_config={**QWEN2_TEXT}, vision_config={"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16}
    )
    return hub.Qwen2VLForConditionalGeneration(config)


QWEN2_TEXT = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
"""Qwen2 7B, the language model of Qwen2-VL and Qwen2.5-VL."""


def qwen2_5_vl_7b() -> Any:
    """The sizes of Qwen/Qwen2.5-VL-7B-Instruct's config.json."""
    import transformers as hub

    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    return hub.Qwen2_5_VLForConditionalGeneration(
        hub.Qwen2_5_VLConfig(text_config={**QWEN2_TEXT}, vision_config=vision)
    )


def qwen3_vl_8b() -> Any:
    """The sizes of Qwen/Qwen3-VL-8B-Instruct's config.json."""
    import transformers as hub

    text = {
        "vocab_size": 151_936,
        "hidden_size": 4096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
    }
    vision = {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "out_hidden_size": 4096,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    }
    return hub.Qwen3VLForConditionalGeneration(hub.Qwen3VLConfig(text_config=text, vision_config=vision))


def blip2_opt_2_7b() -> Any:
    """The sizes of Salesforce/blip2-opt-2.7b's config.json, as in `bench.checkpoints`."""
    import transformers as hub

    text = hub.OPTConfig(
        vocab_size=50_304,
        hidden_size=2560,
        ffn_dim=10_240,
        word_embed_proj_dim=2560,
        num_hidden_layers=32,
        num_attention_heads=32,
    )
    vision = {"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "image_size": 224}
    return hub.Blip2ForConditionalGeneration(hub.Blip2Config(vision_config=vision, text_config=text))


def whisper_large_v3() -> Any:
    """The sizes of openai/whisper-large-v3's config.json, whose weights the entry holds in CTranslate2's format."""
    import transformers as hub

    sizes = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 20)
    sizes |= dict.fromkeys(("encoder_layers", "decoder_layers"), 32)
    sizes |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 5120)
    config = hub.WhisperConfig(vocab_size=51_866, num_mel_bins=128, d_model=1280, **sizes)
    return hub.WhisperForConditionalGeneration(config)


def wav2vec2_base() -> Any:
    """The library's default is the base model of superb/wav2vec2-base-superb-er."""
    import transformers as hub

    return hub.Wav2Vec2ForSequenceClassification(hub.Wav2Vec2Config(num_labels=4))


def d_fine_large() -> Any:
    """The sizes of ustc-community/dfine-large-coco's config.json: HGNetV2-B4 and six decoder layers."""
    import transformers as hub

    return hub.DFineForObjectDetection(hub.DFineConfig())


def segformer_b4() -> Any:
    """The sizes of nvidia/segformer-b4-finetuned-ade-512-512's config.json, as in `bench.checkpoints`."""
    import transformers as hub

    return hub.SegformerForSemanticSegmentation(hub.SegformerConfig(**SEGFORMER_B4, num_labels=150))


def owlv2_base() -> Any:
    """The sizes of google/owlv2-base-patch16-ensemble's config.json."""
    import transformers as hub

    return hub.Owlv2ForObjectDetection(hub.Owlv2Config(vision_config={"image_size": 960, "patch_size": 16}))


def clip_l14() -> Any:
    """CLIP ViT-L/14's vision tower; the head on it has a million parameters more."""
    import transformers as hub

    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    return hub.CLIPVisionModelWithProjection(hub.CLIPVisionConfig(**sizes, patch_size=14, projection_dim=768))


def whisper_tiny_en() -> Any:
    """The sizes of openai/whisper-tiny.en's config.json; the library's defaults but for the vocabulary."""
    import transformers as hub

    return hub.WhisperForConditionalGeneration(hub.WhisperConfig(vocab_size=51_864))


def transnetv2() -> Any:
    """A tensor as large as the authors' state dict, whose file has hardly anything else."""
    import torch

    (file,) = load_pins(PINS).entries["transnetv2"].files
    return torch.nn.ParameterList([torch.empty(file.size_bytes // 4)])


MEASURED_VLM, MEASURED_BLIP2 = 4200, 2900
"""What measured bf16 needs beyond its weights: 20,000 - 15,815 MiB of Qwen2-VL and 10,000 - 7,143 of BLIP-2."""
MEASURED_DETECTOR = 4100
"""RT-DETRv2's 4,300 MiB are 164 of weights, and batches of pictures of 640x640, as D-FINE's are."""
MEASURED_SEGMENTER = 2500
"""UperNet's 2,900 MiB are 309 of weights, and scores of 150 classes at the size of the same pictures."""

SIZED: dict[str, Sized] = {
    "qwen2-vl-7b": Sized(qwen2_vl_7b, MEASURED_VLM, VLM),
    "qwen2.5-vl-7b": Sized(qwen2_5_vl_7b, MEASURED_VLM, VLM),
    "qwen3-vl-8b": Sized(qwen3_vl_8b, MEASURED_VLM, VLM),
    "blip2-opt-2.7b": Sized(blip2_opt_2_7b, MEASURED_BLIP2, VLM),
    # five beams of 448 tokens, and CTranslate2's work space
    "whisper-large-v3": Sized(whisper_large_v3, 1500, CTRANSLATE),
    "whisper-tiny-en": Sized(whisper_tiny_en, 500, CTRANSLATE),
    # four utterances of 10 s through the first convolution, about 130 MiB each
    "wav2vec2-emotion": Sized(wav2vec2_base, 1000, ("fp32", *VLM)),
    "d-fine-large": Sized(d_fine_large, MEASURED_DETECTOR, PICTURES, holds_fp32=True),
    "segformer-b4": Sized(segformer_b4, MEASURED_SEGMENTER, PICTURES, holds_fp32=True),
    # four pictures of 3,601 tokens, about 300 MiB each, while they are resized and looked at
    "owlv2-base": Sized(owlv2_base, 1500, PICTURES, holds_fp32=True),
    # 64 pictures of 257 tokens
    "aesthetics-v2-l14": Sized(clip_l14, 800, PICTURES, holds_fp32=True),
    # a few windows of 100 frames
    "transnetv2": Sized(transnetv2, 500, PICTURES, holds_fp32=True),
}


def weights_mib(model: Any, precision: Number, *, holds_fp32: bool) -> float:
    """What the parameters of a model on the meta device take."""
    import torch

    every: dict[int, int] = {id(each): each.numel() for each in model.parameters()}
    if holds_fp32:
        return sum(every.values()) * (4 if precision == "fp32" else 6) / MIB
    linear: int = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not any(spared in name for spared in SPARED)
    )
    rest = 4 if precision == "fp32" else 2
    return (linear * BYTES[precision] + (sum(every.values()) - linear) * rest) / MIB


def derived_mib(name: str) -> dict[Number, int]:
    """GPU memory of an entry in each precision that nobody has measured."""
    sized, measured = SIZED[name], shipped()[name].vram_mib
    with nowhere():
        model = sized.make()
    return {
        precision: math.ceil((weights_mib(model, precision, holds_fp32=sized.holds_fp32) + sized.margin_mib) / ROUND_UP)
        * ROUND_UP
        for precision in sized.precisions
        if precision not in measured
    }


def shipped() -> dict[str, Entry]:
    """The entries of this version."""
    return load_pins(PINS).entries


@click.command()
def main() -> None:
    """Print what is derived for each entry."""
    for name in SIZED:
        found = ", ".join(f"{precision} = {size:_}" for precision, size in derived_mib(name).items())
        click.echo(f"{name}: derived_vram_mib = {{ {found} }}")


if __name__ == "__main__":
    main()
