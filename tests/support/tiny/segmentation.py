"""A tiny UperNet with ConvNeXt, a tiny SegFormer, and one whose processor crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LABELS = {0: "wall", 1: "person", 2: "sky", 3: "tree"}
NAMES = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}


def upernet(folder: Path) -> None:
    """UperNet on a ConvNeXt of 8 to 32 channels."""
    import transformers as hub

    backbone = hub.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = hub.UperNetConfig(
        backbone_config=backbone,
        hidden_size=16,
        pool_scales=[1, 2],
        auxiliary_in_channels=24,
        use_auxiliary_head=False,
        **NAMES,
    )
    _write(folder, hub.UperNetForSemanticSegmentation, config)


def segformer(folder: Path) -> None:
    """SegFormer of 8 to 32 channels."""
    import transformers as hub

    config = hub.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        **NAMES,
    )
    _write(folder, hub.SegformerForSemanticSegmentation, config)


def cropping(folder: Path) -> None:
    """SegFormer with a processor that cuts the square in the middle out of a picture, as MobileViT's do."""
    import transformers as hub

    segformer(folder)
    size = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}}
    hub.MobileViTImageProcessor(do_center_crop=True, **size).save_pretrained(folder)


def no_persons(folder: Path) -> None:
    """A SegFormer whose classes hold no person."""
    import transformers as hub

    labels = {0: "road", 1: "sky"}
    config = hub.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8,
        id2label=labels,
    )
    _write(folder, hub.SegformerForSemanticSegmentation, config)


def _write(folder: Path, model_class: Any, config: Any) -> None:
    import torch
    import transformers as hub

    torch.manual_seed(0)
    model = model_class(config).eval()
    # a fresh head gives one class all over the picture
    torch.nn.init.normal_(model.decode_head.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    hub.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
