"""A tiny BLIP-2."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny.tokens import byte_pairs, vocabulary


def blip2(folder: Path) -> None:
    """Vision tower, Q-Former and OPT of 64 channels and two layers each; pictures of 56x56."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    tokenizer = byte_pairs(
        ["</s>", "<pad>", "<unk>"], bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    queries = 8
    pictures = hub.BlipImageProcessor(size={"height": 56, "width": 56})
    processor = hub.Blip2Processor(pictures, tokenizer, num_query_tokens=queries)
    size, token = vocabulary(tokenizer), tokenizer.convert_tokens_to_ids
    layers = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = hub.Blip2Config(
        vision_config={**layers, "intermediate_size": 128, "image_size": 56, "patch_size": 14},
        qformer_config={**layers, "intermediate_size": 128, "vocab_size": size, "cross_attention_frequency": 1},
        text_config=hub.OPTConfig(
            **layers,
            vocab_size=size,
            ffn_dim=128,
            word_embed_proj_dim=64,
            max_position_embeddings=512,
            bos_token_id=token("</s>"),
            eos_token_id=token("</s>"),
            pad_token_id=token("<pad>"),
        ),
        num_query_tokens=queries,
        image_token_index=token("<image>"),
    )
    hub.Blip2ForConditionalGeneration(config).eval().save_pretrained(folder)
    processor.save_pretrained(folder)
