"""Engines against their bare models: transformers' own `generate` on inputs that lie ready on the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.loads import loaded_engine
from bench.parts import median_seconds, part, row
from services.evaluation.pictures import texture
from tasks import devices
from tasks.devices import Device
from tasks.engines import captions, descriptions

SEGMENTS, PICTURES = 20, 40
TOKENS = {"segment": 96, "caption": 30}
PHONE = (644, 364)
"""Height and width that a vertical video has at a short side of 364."""


def nothing() -> None:
    """No job to cancel."""


def describe(store: Path, gpu: Device, *, compiled: bool) -> None:
    """Segments a second; `compiled` also compares with a static cache compiled by torch, which takes a minute."""
    engine: Any = loaded_engine(store, "qwen2-vl-7b", gpu)
    clips = [
        descriptions.Clip(np.arange(4) / 4, np.stack([texture(10 * number + index, *PHONE) for index in range(4)]))
        for number in range(SEGMENTS)
    ]
    asked = descriptions.Asked("Describe this short clip of a video. " * 8, TOKENS["segment"])
    took = median_seconds(lambda: list(engine.describe(clips, asked, nothing)))
    row("qwen2-vl-7b.segments_per_second", round(SEGMENTS / took, 2), batch=engine.batch, notes=engine.notes, goal=9)
    inputs = engine._inputs(clips, asked.prompt).to("cuda")  # noqa: SLF001  (the bare model gets the same tensors)
    kinds: dict[str, dict[str, str]] = {"eager": {}}
    if compiled:
        kinds["static_cache"] = {"cache_implementation": "static"}
    for name, more in kinds.items():
        with part(f"qwen2-vl-7b.over_bare_{name}"):
            bare = bare_seconds(engine.model, inputs, TOKENS["segment"], **more)
            row(f"qwen2-vl-7b.over_bare_{name}", round(took / bare, 3), engine=took, bare=bare, goal=1.2)
    let_go("qwen2-vl-7b", engine)


def caption(store: Path, gpu: Device) -> None:
    """Pictures a second."""
    engine: Any = loaded_engine(store, "blip2-opt-2.7b", gpu)
    pictures = [texture(number, *PHONE) for number in range(PICTURES)]
    asked = captions.Asked("a photo of", TOKENS["caption"])
    took = median_seconds(lambda: list(engine.captions(pictures, asked, nothing)))
    row("blip2-opt-2.7b.frames_per_second", round(PICTURES / took, 1), batch=engine.batch, notes=engine.notes, goal=50)
    with part("blip2-opt-2.7b.over_bare_eager"):
        inputs = engine._inputs(pictures, asked.prompt).to("cuda")  # noqa: SLF001  (as above)
        inputs["pixel_values"] = inputs["pixel_values"].to(engine.decoder.dtype)
        bare = bare_seconds(engine.model, inputs, TOKENS["caption"])
        row("blip2-opt-2.7b.over_bare_eager", round(took / bare, 3), engine=took, bare=bare, goal=1.2)
    let_go("blip2-opt-2.7b", engine)


def bare_seconds(model: Any, inputs: Any, tokens: int, **more: str) -> float:
    """Seconds of one greedy `generate` of so many tokens for each row; the first, which prepares, does not count."""
    import torch

    fixed = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False, **more}
    with torch.inference_mode():
        model.generate(**inputs, **fixed)
        return median_seconds(lambda: model.generate(**inputs, **fixed), runs=2)


def let_go(entry: str, engine: Any) -> None:
    """Free the engine; what the process still holds."""
    engine.free()
    row(f"{entry}.held_mib_after_free", devices.held_mib(), goal=1024)


def first_attention() -> None:
    """What attention costs at a length that was not met before, with cuDNN's kernels among the choices and without."""
    import torch

    def first(length: int, *, masked: bool) -> float:
        query = torch.zeros((2, 16, 1, 64), dtype=torch.bfloat16, device="cuda")
        keys = torch.zeros((2, 16, length, 64), dtype=torch.bfloat16, device="cuda")
        mask = torch.zeros((2, 1, 1, length), dtype=torch.bfloat16, device="cuda") if masked else None
        attend = torch.nn.functional.scaled_dot_product_attention
        return round(1000 * median_seconds(lambda: attend(query, keys, keys, attn_mask=mask), runs=1), 2)

    was = torch.backends.cuda.cudnn_sdp_enabled()
    found = {}
    for cudnn, start in ((False, 101), (True, 201)):
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        for masked in (False, True):
            name = f"cudnn_{'on' if cudnn else 'off'}{'_masked' if masked else ''}"
            found[name] = [first(start + 16 * number + masked, masked=masked) for number in range(4)]
    torch.backends.cuda.enable_cudnn_sdp(was)
    row("attention.milliseconds_at_new_lengths", found, torch=torch.__version__, enabled_in_workers=was)
