"""A tiny OWLv2."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny.tokens import byte_pairs, vocabulary


def owlv2(folder: Path) -> None:
    """OWLv2 of 32 channels and two layers, for pictures of 512x512: for smaller ones frames are blurred, slowly."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    tokenizer = byte_pairs(
        ["<|startoftext|>", "<|endoftext|>"],
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hub.Owlv2Config(
        text_config={
            **layers,
            "vocab_size": vocabulary(tokenizer),
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**layers, "image_size": 512, "patch_size": 128},
        projection_dim=32,
    )
    model = hub.Owlv2ForObjectDetection(config).eval()
    for name, weights in model.named_parameters():
        if name.endswith("weight") and weights.dim() == 2:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(folder)
    pictures = hub.Owlv2ImageProcessor(size={"height": 512, "width": 512})
    hub.Owlv2Processor(pictures, tokenizer).save_pretrained(folder)
