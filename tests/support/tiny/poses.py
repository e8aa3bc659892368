"""A tiny ViTPose."""

from __future__ import annotations

from pathlib import Path


def vitpose(folder: Path) -> None:
    """ViTPose of 16 channels and two layers, for crops of 48x64 and COCO's 17 landmarks."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    backbone = hub.VitPoseBackboneConfig(
        image_size=[64, 48],
        patch_size=[16, 16],
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
    )
    names = {number: f"point {number}" for number in range(17)}
    config = hub.VitPoseConfig(backbone_config=backbone, scale_factor=4, use_simple_decoder=True, id2label=names)
    model = hub.VitPoseForPoseEstimation(config).eval()
    # heatmaps of a fresh head are flat and near nothing
    torch.nn.init.normal_(model.head.conv.weight, std=0.2)
    torch.nn.init.constant_(model.head.conv.bias, 0.5)
    model.save_pretrained(folder)
    hub.VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)
