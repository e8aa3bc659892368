"""A tiny CLIP vision tower with a head of five linear layers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path


def aesthetics(folder: Path) -> None:
    """CLIP of 32 channels for pictures of 32x32, and its head, in one file."""
    _write(folder, head=True)


def headless(folder: Path) -> None:
    """The same without its head."""
    _write(folder, head=False)


def _write(folder: Path, *, head: bool) -> None:
    import torch
    import transformers as hub
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    config = hub.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=24,
    )
    hub.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    hub.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    if head:
        tensors = load_file(folder / "model.safetensors")
        sizes = (24, 16, 8, 8, 4, 1)
        for place, (given, made) in zip((0, 2, 4, 6, 7), pairwise(sizes), strict=True):
            tensors[f"layers.{place}.weight"] = torch.randn(made, given)
            tensors[f"layers.{place}.bias"] = torch.randn(made)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
