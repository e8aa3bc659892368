"""Tiny vision-language models: Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny.tokens import byte_pairs, vocabulary

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"]
SPECIAL += ["<|image_pad|>", "<|video_pad|>"]
VISION = {"depth": 2, "hidden_size": 64, "num_heads": 4}


def qwen2_vl(folder: Path) -> None:
    """Vision tower and text model of 64 channels and two layers each; frames of 112x112 at most."""
    import transformers as hub

    vision = {**VISION, "embed_dim": 64, "mlp_ratio": 2, "patch_size": 14}
    _save(folder, "Qwen2VL", vision, hub.Qwen2VLVideoProcessor, {})


def qwen2_5_vl(folder: Path) -> None:
    """As Qwen2-VL, with window attention; its answers are held back from repeating themselves."""
    import transformers as hub

    vision = {**VISION, "out_hidden_size": 64, "intermediate_size": 128, "patch_size": 14, "window_size": 112}
    vision["fullatt_block_indexes"] = [1]
    _save(folder, "Qwen2_5_VL", vision, hub.Qwen2VLVideoProcessor, {}, penalty=1.3)


def qwen3_vl(folder: Path) -> None:
    """As Qwen2-VL, with patches of 16 and times in the prompt."""
    import transformers as hub

    vision = {**VISION, "out_hidden_size": 64, "intermediate_size": 128, "patch_size": 16}
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    _save(folder, "Qwen3VL", vision, hub.Qwen3VLVideoProcessor, {"head_dim": 16})


def _save(
    folder: Path, family: str, vision: dict[str, Any], videos: Any, text: dict[str, Any], penalty: float = 1.0
) -> None:
    import torch
    import transformers as hub

    torch.manual_seed(0)
    tokenizer = byte_pairs(SPECIAL, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    token = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    if family == "Qwen3VL":
        rope["mrope_interleaved"] = True
    config = getattr(hub, f"{family}Config")(
        text_config={
            "vocab_size": vocabulary(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": rope,
            **text,
        },
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    model = getattr(hub, f"{family}ForConditionalGeneration")(config).eval()
    model.generation_config.eos_token_id = [token("<|im_end|>"), token("<|endoftext|>")]
    model.generation_config.pad_token_id = token("<|endoftext|>")
    model.generation_config.repetition_penalty = penalty
    model.save_pretrained(folder)
    _save_processor(folder, family, tokenizer, videos, vision["patch_size"])


def _save_processor(folder: Path, family: str, tokenizer: Any, videos: Any, patch: int) -> None:
    import transformers as hub

    pixels = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    pictures = hub.Qwen2VLImageProcessor(patch_size=patch, size=pixels)
    # Qwen3-VL counts the pixels of all frames
    clip = {edge: number * 8 for edge, number in pixels.items()} if family == "Qwen3VL" else pixels
    clips = videos(patch_size=patch, size=clip)
    getattr(hub, f"{family}Processor")(pictures, tokenizer, clips, chat_template=CHAT).save_pretrained(folder)
