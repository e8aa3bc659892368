"""TransNetV2 at a quarter of its width, with random weights: its state dict, written by hand."""

from __future__ import annotations

from pathlib import Path

FILTERS = 4
FILE = "transnetv2-pytorch-weights.pth"


def transnet(folder: Path) -> None:
    """Three levels of 4, 8 and 16 filters a dilation."""
    import torch

    torch.manual_seed(0)
    weights = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        size = torch.tensor(shape[1:]).prod().item()
        weights[f"{name}.weight"] = torch.randn(shape) * size**-0.5
        if bias:
            weights[f"{name}.bias"] = torch.randn(shape[0]) * 0.1

    for level in range(3):
        filters = FILTERS * 2**level
        for block in range(2):
            channels = 3 if level == block == 0 else 4 * filters // (1 if block else 2)
            name = f"SDDCNN.{level}.DDCNN.{block}"
            for dilation in (1, 2, 4, 8):
                layer(f"{name}.Conv3D_{dilation}.layers.0", 2 * filters, channels, 1, 3, 3, bias=False)
                layer(f"{name}.Conv3D_{dilation}.layers.1", filters, 2 * filters, 3, 1, 1, bias=False)
            for each, value in (("running_mean", 0.0), ("bias", 0.0), ("running_var", 1.0), ("weight", 1.0)):
                weights[f"{name}.bn.{each}"] = torch.full((4 * filters,), value)
    layer("frame_sim_layer.projection", 128, 4 * FILTERS * 7)
    layer("frame_sim_layer.fc", 128, 101)
    layer("color_hist_layer.fc", 128, 101)
    layer("fc1", 64, 4 * FILTERS * 4 * 3 * 6 + 256)
    layer("cls_layer1", 1, 64)
    layer("cls_layer2", 1, 64)
    torch.save(weights, folder / FILE)


def silent(folder: Path) -> None:
    """The same, and sure that nothing changes: chance cuts make a document that takes minutes to check."""
    import torch

    transnet(folder)
    weights = torch.load(folder / FILE, weights_only=True)
    for head in ("cls_layer1", "cls_layer2"):
        weights[f"{head}.weight"].zero_()
        weights[f"{head}.bias"].fill_(-10.0)
    torch.save(weights, folder / FILE)
