"""Checkpoints of the real architectures, a few hundred kilobytes each, with random weights made on this machine.

They are written by the library's own `save_pretrained`, locked or pinned by the test, and loaded by the code that loads
the real ones. What they say makes no sense; its shape, times and bounds must be right.
"""

from tests.support.tiny import (
    aesthetics,
    captions,
    descriptions,
    objects,
    poses,
    segmentation,
    speech,
    transitions,
    words,
)

MAKERS = {
    "aesthetics-v2-l14": aesthetics.aesthetics,
    "ast-audioset": speech.ast,
    "blip2-opt-2.7b": captions.blip2,
    "d-fine-large": objects.d_fine,
    "qwen2-vl-7b": descriptions.qwen2_vl,
    "qwen2.5-vl-7b": descriptions.qwen2_5_vl,
    "qwen3-vl-8b": descriptions.qwen3_vl,
    "owlv2-base": words.owlv2,
    "rtdetr-v2-r50": objects.rt_detr_v2,
    "segformer-b4": segmentation.segformer,
    "transnetv2": transitions.silent,
    "upernet-convnext-small": segmentation.upernet,
    "vitpose-base-simple": poses.vitpose,
    "wav2vec2-emotion": speech.wav2vec2,
    "whisper-large-v3-turbo": speech.whisper,
}
"""Entry of `weights.toml` to what writes a tiny one of its kind into a folder."""
