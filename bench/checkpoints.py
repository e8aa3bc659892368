"""Checkpoints of true size with random weights, for benchmarks on a machine that reaches no model hub.

    python -m bench.checkpoints FOLDER [ENTRY...]

Each entry gets the architecture, sizes and number format of the model that `shared/weights.toml` names for it, so that
loading, memory and speed are those of the real one. What such a model says is noise; Whisper alone is made to say one
sentence, surely, in every window: what a random one says is rightly taken for no speech, and speech_emotion would have
nothing to judge. FOLDER becomes a weights store
whose lock holds their hashes (its revisions are zeros: no hub was asked).
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from shared.digests import sha256_of
from shared.hub import LockedEntry, LockedFile, add_to_lock
from shared.weights import LOCK, Weights
from tasks import devices
from tasks.engines.aesthetics import HEAD

NO_REVISION = "0" * 40
SHARD = "4GB"
"""Largest tensors file, as the hub's repositories have them."""

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"]
QWEN_TOKENS += ["<|image_pad|>", "<|video_pad|>"]
WORDS = ["a man rides a bicycle down the street while a dog runs along", "describe this short clip of a video"] * 50


SAID = " And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
WHISPER_BEGINS = 4
"""Tokens that a Whisper of many languages is given to begin with: start, language, task, no times."""


@contextmanager
def sized() -> Iterator[None]:
    """Parameters are made in bf16 on the GPU: drawing seven billion numbers on a CPU takes minutes."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def tokenizer_of(special: list[str], **roles: str) -> Any:
    """A small byte-level tokenizer: the model's vocabulary is larger, and what lies beyond decodes to nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)
    fast.add_special_tokens({"additional_special_tokens": special})
    return fast


def qwen2_vl_7b(folder: Path) -> None:
    """The sizes of Qwen/Qwen2-VL-7B-Instruct's config.json."""
    import transformers as hub

    tokenizer = tokenizer_of(QWEN_TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    token = tokenizer.convert_tokens_to_ids
    config = hub.Qwen2VLConfig(
        text_config={
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32_768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4},
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    with sized():
        model = hub.Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [token("<|im_end|>"), token("<|endoftext|>")]
    model.generation_config.pad_token_id = token("<|endoftext|>")
    model.save_pretrained(folder, max_shard_size=SHARD)
    pixels = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    pictures, clips = hub.Qwen2VLImageProcessor(size=pixels), hub.Qwen2VLVideoProcessor(size=pixels)
    hub.Qwen2VLProcessor(pictures, tokenizer, clips, chat_template=CHAT).save_pretrained(folder)


def blip2_opt_2_7b(folder: Path) -> None:
    """The sizes of Salesforce/blip2-opt-2.7b's config.json."""
    import transformers as hub

    tokenizer = tokenizer_of(
        ["</s>", "<pad>", "<unk>"], bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    pictures = hub.BlipImageProcessor(size={"height": 224, "width": 224})
    processor = hub.Blip2Processor(pictures, tokenizer, num_query_tokens=32)
    token = tokenizer.convert_tokens_to_ids
    text = hub.OPTConfig(
        vocab_size=50_304,
        hidden_size=2560,
        ffn_dim=10_240,
        word_embed_proj_dim=2560,
        num_hidden_layers=32,
        num_attention_heads=32,
        bos_token_id=token("</s>"),
        eos_token_id=token("</s>"),
        pad_token_id=token("<pad>"),
    )
    config = hub.Blip2Config(
        vision_config={"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "image_size": 224},
        text_config=text,
        image_token_index=token("<image>"),
    )
    with sized():
        model = hub.Blip2ForConditionalGeneration(config)
    model.save_pretrained(folder, max_shard_size=SHARD)
    processor.save_pretrained(folder)


def rtdetr_v2_r50(folder: Path) -> None:
    """The library's default is PekingU/rtdetr_v2_r50vd. A few boxes a frame are surer than not."""
    import torch
    import transformers as hub

    labels = {number: "person" if number == 0 else f"thing {number}" for number in range(80)}
    config = hub.RTDetrV2Config(id2label=labels, label2id={name: number for number, name in labels.items()})
    with sized():
        model = hub.RTDetrV2ForObjectDetection(config)
    for name, weights in model.named_parameters():
        if "class_embed" in name:
            torch.nn.init.normal_(weights, std=0.15) if name.endswith("weight") else torch.nn.init.constant_(
                weights, -8
            )
    model.save_pretrained(folder)
    hub.RTDetrImageProcessor(size={"height": 640, "width": 640}).save_pretrained(folder)


def upernet_convnext_small(folder: Path) -> None:
    """The sizes of openmmlab/upernet-convnext-small's config.json: 150 classes of ADE20K."""
    import transformers as hub

    labels = {number: "person" if number == 12 else f"matter {number}" for number in range(150)}
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = hub.ConvNextConfig(hidden_sizes=[96, 192, 384, 768], depths=[3, 3, 27, 3], out_features=stages)
    names = {"id2label": labels, "label2id": {name: number for number, name in labels.items()}}
    config = hub.UperNetConfig(backbone_config=backbone, auxiliary_in_channels=384, **names)
    with sized():
        model = hub.UperNetForSemanticSegmentation(config)
    model.save_pretrained(folder)
    hub.SegformerImageProcessor(size={"height": 512, "width": 512}).save_pretrained(folder)


def segformer_b4(folder: Path) -> None:
    """The sizes of nvidia/segformer-b4-finetuned-ade-512-512's config.json: MiT-B4 and 150 classes of ADE20K."""
    import transformers as hub

    labels = {number: "person" if number == 12 else f"matter {number}" for number in range(150)}
    names = {"id2label": labels, "label2id": {name: number for number, name in labels.items()}}
    with sized():
        model = hub.SegformerForSemanticSegmentation(hub.SegformerConfig(**SEGFORMER_B4, **names))
    model.save_pretrained(folder)
    hub.SegformerImageProcessor(size={"height": 512, "width": 512}).save_pretrained(folder)


SEGFORMER_B4 = {
    "hidden_sizes": [64, 128, 320, 512],
    "depths": [3, 8, 27, 3],
    "num_attention_heads": [1, 2, 5, 8],
    "decoder_hidden_size": 768,
}
"""MiT-B4 and its decoder: table 7 of Xie et al. 2021; 64.1 million parameters."""


def vitpose_base_simple(folder: Path) -> None:
    """The sizes of usyd-community/vitpose-base-simple's config.json."""
    import transformers as hub

    backbone = hub.VitPoseBackboneConfig()
    names = {number: f"point {number}" for number in range(17)}
    config = hub.VitPoseConfig(backbone_config=backbone, scale_factor=4, use_simple_decoder=True, id2label=names)
    with sized():
        model = hub.VitPoseForPoseEstimation(config)
    model.save_pretrained(folder)
    hub.VitPoseImageProcessor().save_pretrained(folder)


def made_to_say(model: Any, tokens: Sequence[int], begins: int) -> None:
    """Let a Whisper write these tokens and end, whatever it hears, after so many that it is given to begin with.

    All its layers compute as ever, but what they add to the decoder's stream is nothing: the position alone leads to
    the token, whose embedding stands there four times as strong as that of the token before.
    """
    import torch

    decoder, end = model.model.decoder, model.config.eos_token_id
    with torch.no_grad():
        for layer in decoder.layers:
            for last in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                last.weight.zero_()
                last.bias.zero_()
        words, places = decoder.embed_tokens.weight, decoder.embed_positions.weight
        torch.nn.init.normal_(words, std=30 / words.shape[1])  # the token's score is about 30, all others' under 15
        said = [*tokens, *[end] * (len(places) - begins + 1 - len(tokens))]
        places[: begins - 1].zero_()
        places[begins - 1 :] = 4 * words[said]


def whisper_large_v3_turbo(folder: Path) -> None:
    """The sizes of openai/whisper-large-v3-turbo's config.json, with a small vocabulary in front of its times.

    It says `SAID`: 22 words, at times that mean nothing.
    """
    import transformers as hub

    languages = ("en", "zh", "de")
    tokenizer = whisper_tokenizer(languages)
    token, end = tokenizer.convert_tokens_to_ids, tokenizer.convert_tokens_to_ids("<|endoftext|>")
    config = hub.WhisperConfig(
        vocab_size=51_866,
        num_mel_bins=128,
        d_model=1280,
        encoder_layers=32,
        decoder_layers=4,
        encoder_attention_heads=20,
        decoder_attention_heads=20,
        encoder_ffn_dim=5120,
        decoder_ffn_dim=5120,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=token("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    with sized():
        model = hub.WhisperForConditionalGeneration(config)
    made_to_say(model, tokenizer.encode(SAID, add_special_tokens=False), begins=WHISPER_BEGINS)
    model.generation_config = hub.GenerationConfig(
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": token(f"<|{code}|>") for code in languages},
        task_to_id={task: token(f"<|{task}|>") for task in ("transcribe", "translate")},
        no_timestamps_token_id=token("<|notimestamps|>"),
        decoder_start_token_id=token("<|startoftranscript|>"),
        alignment_heads=[[2, 4], [2, 11], [3, 3], [3, 6], [3, 11], [3, 14]],
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=end,
    )
    model.save_pretrained(folder)
    hub.WhisperProcessor(hub.WhisperFeatureExtractor(feature_size=128), tokenizer).save_pretrained(folder)


def whisper_tokenizer(languages: tuple[str, ...]) -> Any:
    """Byte pairs, then the special tokens in Whisper's order: its code counts on that order."""
    from transformers import WhisperTokenizerFast

    end, model = "<|endoftext|>", json.loads(tokenizer_of([]).backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    roles = {"unk_token": end, "bos_token": end, "eos_token": end, "pad_token": end}
    tokenizer = WhisperTokenizerFast(vocab=model["vocab"], merges=merges, **roles)
    special = [end, "<|startoftranscript|>", *(f"<|{code}|>" for code in languages), "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens([f"<|{number * 0.02:.2f}|>" for number in range(1501)])
    return tokenizer


def ast_audioset(folder: Path) -> None:
    """The library's default is MIT/ast-finetuned-audioset-10-10-0.4593, but for its 527 classes."""
    import transformers as hub

    known = ("Speech", "Music", "Noise", "White noise", "Clapping", "Silence")
    labels = dict(enumerate([*known, *(f"sound {number}" for number in range(len(known), 527))]))
    config = hub.ASTConfig(id2label=labels, label2id={name: number for number, name in labels.items()})
    with sized():
        model = hub.ASTForAudioClassification(config)
    model.save_pretrained(folder)
    hub.ASTFeatureExtractor().save_pretrained(folder)


def wav2vec2_emotion(folder: Path) -> None:
    """The library's default is the base model of superb/wav2vec2-base-superb-er; a pickle, as that is."""
    import torch
    import transformers as hub

    labels = {0: "neu", 1: "hap", 2: "ang", 3: "sad"}
    config = hub.Wav2Vec2Config(id2label=labels, label2id={name: number for number, name in labels.items()})
    with sized():
        model = hub.Wav2Vec2ForSequenceClassification(config)
    config.architectures = ["Wav2Vec2ForSequenceClassification"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    hub.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)


def owlv2_base(folder: Path) -> None:
    """The sizes of google/owlv2-base-patch16-ensemble's config.json."""
    import transformers as hub

    start, end = "<|startoftext|>", "<|endoftext|>"
    tokenizer = tokenizer_of([start, end], bos_token=start, eos_token=end, pad_token=end)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = hub.Owlv2Config(
        text_config={**ids, "pad_token_id": tokenizer.pad_token_id},
        vision_config={"image_size": 960, "patch_size": 16},
    )
    with sized():
        model = hub.Owlv2ForObjectDetection(config)
    model.save_pretrained(folder)
    hub.Owlv2Processor(hub.Owlv2ImageProcessor(), tokenizer).save_pretrained(folder)


def aesthetics_v2_l14(folder: Path) -> None:
    """The library's default vision tower with the sizes of openai/clip-vit-large-patch14, and LAION's head on it."""
    import torch
    import transformers as hub
    from safetensors.torch import load_file, save_file

    config = hub.CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
        projection_dim=768,
    )
    with sized():
        model = hub.CLIPVisionModelWithProjection(config)
    model.save_pretrained(folder)
    hub.CLIPImageProcessor().save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for place, (given, made) in zip(HEAD, pairwise((768, 1024, 128, 64, 16, 1)), strict=True):
        tensors[f"layers.{place}.weight"] = torch.randn(made, given, dtype=torch.bfloat16) * given**-0.5
        tensors[f"layers.{place}.bias"] = torch.zeros(made, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


MAKERS: dict[str, Callable[[Path], None]] = {
    "qwen2-vl-7b": qwen2_vl_7b,
    "blip2-opt-2.7b": blip2_opt_2_7b,
    "rtdetr-v2-r50": rtdetr_v2_r50,
    "segformer-b4": segformer_b4,
    "upernet-convnext-small": upernet_convnext_small,
    "vitpose-base-simple": vitpose_base_simple,
    "whisper-large-v3-turbo": whisper_large_v3_turbo,
    "ast-audioset": ast_audioset,
    "wav2vec2-emotion": wav2vec2_emotion,
    "owlv2-base": owlv2_base,
    "aesthetics-v2-l14": aesthetics_v2_l14,
}


def locked(store: Path, entry: str) -> None:
    """Write what was made into the store's lock, so that it is checked and loaded as a pulled model is."""
    files = sorted(path for path in (store / entry).iterdir() if path.is_file())
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(sha256_of, files))
    known = tuple(
        LockedFile(name=file.name, sha256=sha256, size_bytes=file.stat().st_size)
        for file, sha256 in zip(files, hashes, strict=True)
    )
    hub = Weights(store).entries()[entry].hub or ""
    add_to_lock(store / LOCK, {entry: LockedEntry(repository=hub, revision=NO_REVISION, files=known, reviewed=False)})


SEED = 1
"""How many things a random detector is sure of is drawn, too: runs with the same models can be compared."""


def make(store: Path, entry: str) -> None:
    """Make one entry, unless it is there."""
    if Weights(store).on_disk(entry) == "complete":
        return
    import torch

    before = time.monotonic()
    torch.manual_seed(SEED)
    (store / entry).mkdir(parents=True, exist_ok=True)
    MAKERS[entry](store / entry)
    gc.collect()
    devices.give_back()
    locked(store, entry)
    size = sum(path.stat().st_size for path in (store / entry).iterdir())
    click.echo(f"{entry}: {size / 2**30:.2f} GiB in {time.monotonic() - before:.1f} s", err=True)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("entries", nargs=-1, type=click.Choice(list(MAKERS)))
def main(store: Path, entries: tuple[str, ...]) -> None:
    """Fill a weights store with random models of true size."""
    for entry in entries or MAKERS:
        make(store, entry)


if __name__ == "__main__":
    main()
