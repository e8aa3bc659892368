"""Tiny models that listen: Whisper, wav2vec 2.0, AST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.checkpoints import WHISPER_BEGINS, made_to_say
from tests.support.tiny.tokens import SENTENCES, vocabulary

LANGUAGES = ("en", "zh", "de")
LAYERS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def whisper(folder: Path) -> None:
    """Encoder and decoder of 64 channels and two layers each, three languages."""
    _whisper(folder)


def talking(folder: Path) -> None:
    """The same, that says the same words of every window, surely: what random ones say counts as no speech."""
    _whisper(folder, said=" ask what you can do for your country.")


def _whisper(folder: Path, said: str | None = None) -> None:
    import torch
    import transformers as hub

    torch.manual_seed(0)
    tokenizer = _whisper_tokenizer()
    token, size = tokenizer.convert_tokens_to_ids, vocabulary(tokenizer)
    end = token("<|endoftext|>")
    config = hub.WhisperConfig(
        vocab_size=size,
        num_mel_bins=80,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_target_positions=48,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=token("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
        init_std=0.5,  # else every token is as likely as every other
    )
    model = hub.WhisperForConditionalGeneration(config).eval()
    if said:
        made_to_say(model, tokenizer.encode(said, add_special_tokens=False), begins=WHISPER_BEGINS)
    # not the one made from the configuration: of that, what only Whisper knows is dropped
    model.generation_config = hub.GenerationConfig(
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": token(f"<|{code}|>") for code in LANGUAGES},
        task_to_id={task: token(f"<|{task}|>") for task in ("transcribe", "translate")},
        no_timestamps_token_id=token("<|notimestamps|>"),
        decoder_start_token_id=token("<|startoftranscript|>"),
        alignment_heads=[[0, 0], [1, 1]],
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=end,
    )
    model.save_pretrained(folder)
    hub.WhisperProcessor(hub.WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)


def _whisper_tokenizer() -> Any:
    """Byte pairs, then the special tokens in Whisper's order: its code counts on that order."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(SENTENCES, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    end = "<|endoftext|>"
    tokenizer = WhisperTokenizerFast(
        vocab=model["vocab"], merges=merges, unk_token=end, bos_token=end, eos_token=end, pad_token=end
    )
    special = [end, "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens([f"<|{number * 0.02:.2f}|>" for number in range(1501)])
    return tokenizer


def openai_whisper(folder: Path) -> None:
    """A `.pt` checkpoint of the openai-whisper package: the real vocabulary, all else tiny."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    sizes = ModelDimensions(80, 1500, 32, 2, 2, 51865, 48, 32, 2, 2)
    model = Whisper(sizes)
    state = {
        name: torch.randn_like(value) * 0.3 if "weight" in name else value for name, value in model.state_dict().items()
    }
    state["decoder.positional_embedding"] = torch.randn(48, 32) * 0.3
    torch.save({"dims": vars(sizes), "model_state_dict": state}, folder / "tiny.pt")


def wav2vec2(folder: Path) -> None:
    """Two layers of 64 channels, normalised over time as in the base model; two moods. A pickle, as the real one is."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    config = hub.Wav2Vec2Config(
        **LAYERS,
        conv_dim=(64, 64, 64),
        conv_stride=(5, 4, 4),
        conv_kernel=(10, 8, 4),
        num_feat_extract_layers=3,
        classifier_proj_size=16,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        id2label={0: "neu", 1: "hap"},
        label2id={"neu": 0, "hap": 1},
        initializer_range=0.5,
    )
    model = hub.Wav2Vec2ForSequenceClassification(config).eval()
    config.architectures = ["Wav2Vec2ForSequenceClassification"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    hub.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)


def ast(folder: Path) -> None:
    """Two layers of 64 channels over the real 1024 frames; a few of AudioSet's classes."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    names = ("Speech", "Music", "Noise", "White noise", "Clapping", "Silence")
    config = hub.ASTConfig(
        **LAYERS,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        initializer_range=0.5,
    )
    hub.ASTForAudioClassification(config).eval().save_pretrained(folder)
    hub.ASTFeatureExtractor().save_pretrained(folder)
