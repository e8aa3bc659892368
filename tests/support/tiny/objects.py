"""Tiny RT-DETR, RT-DETRv2 and D-FINE."""

from __future__ import annotations

from pathlib import Path

LABELS = {0: "person", 1: "motorbike", 2: "tvmonitor"}


def rt_detr(folder: Path) -> None:
    """RT-DETR with 30 queries."""
    import transformers as hub

    _detector(folder, hub.RTDetrConfig, hub.RTDetrForObjectDetection)


def rt_detr_v2(folder: Path) -> None:
    """RT-DETRv2 with 30 queries."""
    import transformers as hub

    _detector(folder, hub.RTDetrV2Config, hub.RTDetrV2ForObjectDetection)


def d_fine(folder: Path) -> None:
    """D-FINE with 30 queries."""
    import transformers as hub

    backbone = hub.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 32, 48],
        stage_mid_channels=[8, 8, 16, 16],
        stage_out_channels=[16, 32, 48, 64],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        embedding_size=8,
        out_features=["stage2", "stage3", "stage4"],
        return_idx=[1, 2, 3],
    )
    other = {"backbone_config": backbone, "encoder_in_channels": [32, 48, 64], "decoder_n_points": [3, 6, 3]}
    _detector(folder, hub.DFineConfig, hub.DFineForObjectDetection, **other)


def detr(folder: Path) -> None:
    """DETR, which is of another family: its last class means that there is nothing."""
    import torch
    import transformers as hub

    torch.manual_seed(0)
    backbone = hub.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 4}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    config = hub.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        **sizes,
        **heads,
    )
    hub.DetrForObjectDetection(config).save_pretrained(folder)


def _detector(folder: Path, config_class: type, model_class: type, **other: object) -> None:
    import torch
    import transformers as hub

    torch.manual_seed(0)
    backbone = hub.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    sizes = {
        "backbone_config": backbone,
        "encoder_in_channels": [16, 24, 32],
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 64,
        "encoder_attention_heads": 2,
        "encoder_layers": 1,
        "d_model": 32,
        "num_queries": 30,
        "decoder_in_channels": [32, 32, 32],
        "decoder_ffn_dim": 64,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
        "num_denoising": 0,
        "hidden_expansion": 0.5,
        "id2label": LABELS,
        "label2id": {name: number for number, name in LABELS.items()},
    }
    model = model_class(config_class(**{**sizes, **other})).eval()
    # a fresh head gives every class the same low score, and every query its starting box
    for name, weights in model.named_parameters():
        if "class_embed" in name or "bbox_embed" in name:
            torch.nn.init.normal_(weights, std=0.5 if name.endswith("weight") else 0.0)
    model.save_pretrained(folder)
    hub.RTDetrImageProcessor(size={"height": 128, "width": 128}).save_pretrained(folder)
