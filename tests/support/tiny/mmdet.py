"""Tiny RTMDets and a tiny YOLOX; made in the environment of `make mmdet`, by mmdet's own configs made smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.engines.mmdet import without_operators

CLASSES = ("person", "bottle", "tv")


def rtmdet(folder: Path) -> None:
    """RTMDet with 8 channels at the stem, for 128x128."""
    _write(folder, "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", {"bbox_head": {"feat_channels": 96}})


def yolox(folder: Path) -> None:
    """YOLOX-tiny for 128x128."""
    _write(folder, "yolox/yolox_tiny_8xb8-300e_coco.py", {})


def instances(folder: Path) -> None:
    """RTMDet-Ins, which finds masks beside boxes, for 128x128."""
    _write(folder, "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", {})


def shifted_windows(folder: Path) -> None:
    """RTMDet upon a Swin transformer of 32 channels, for 128x128."""
    backbone = {"embed_dims": 32, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
    neck = {"in_channels": [64, 128, 256], "out_channels": 64, "num_csp_blocks": 1}
    changes = {"backbone": backbone, "neck": neck, "bbox_head": {"in_channels": 64, "feat_channels": 64}}
    _write(folder, "rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py", changes)


def _write(folder: Path, name: str, changes: dict[str, Any]) -> None:
    without_operators()
    import mmdet
    import torch
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.model import revert_sync_batchnorm

    register_all_modules(init_default_scope=True)
    config = Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / name)
    config.model.bbox_head.num_classes = len(CLASSES)
    config.model.backbone.pop("init_cfg", None)
    config.merge_from_dict({"model": changes})
    for step in config.test_dataloader.dataset.pipeline:
        if step["type"] == "Resize":
            step["scale"] = (128, 128)
        if step["type"] == "Pad" and "size" in step:
            step["size"] = (128, 128)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    for each, weights in model.bbox_head.named_parameters():
        # a fresh head is sure of nothing
        if weights.dim() == 4:
            torch.nn.init.normal_(weights, std=0.1)
        elif each.endswith("bias"):
            torch.nn.init.zeros_(weights)
    config.dump(folder / "config.py")
    meta = {"dataset_meta": {"classes": CLASSES, "palette": [(1, 2, 3)] * len(CLASSES)}}
    # as OpenMMLab's published checkpoints have them
    of_config = {f"data_preprocessor.{name}": torch.ones(3, 1, 1) for name in ("mean", "std")}
    torch.save({"meta": meta, "state_dict": {**model.state_dict(), **of_config}}, folder / "checkpoint.pth")
