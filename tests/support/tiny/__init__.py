"""Checkpoints of the real architectures, a few hundred kilobytes each, with random weights made on this machine.

They are written by the library's own `save_pretrained`, locked or pinned by the test, and loaded by the code that loads
the real ones. What they say makes no sense; its shape, times and bounds must be right.
"""

from tests.support.tiny import captions, descriptions

MAKERS = {
    "blip2-opt-2.7b": captions.blip2,
    "qwen2-vl-7b": descriptions.qwen2_vl,
    "qwen2.5-vl-7b": descriptions.qwen2_5_vl,
    "qwen3-vl-8b": descriptions.qwen3_vl,
}
"""Entry of `weights.toml` to what writes a tiny one of its kind into a folder."""
