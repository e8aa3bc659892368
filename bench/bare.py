"""Analyzers against their bare models: transformers' own `generate`, on the same inputs lying ready on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.loads import loaded_engine
from bench.parts import median_seconds, part
from bench.rows import Row, say
from services.evaluation.pictures import texture
from shared.frames import FrameBatch, Frames
from shared.schema import MediaInfo
from tasks import devices
from tasks.analyzers import blip2_caption, qwen2_vl_temporal
from tasks.devices import Device

SEGMENTS, PICTURES, SEGMENTED = 20, 40, 40
PHONE = (644, 364)
"""Height and width that a vertical video has at a short side of 364."""
OVER_BARE = 1.2


class Reel:
    """A silent video in memory, every frame another picture: what an analyzer of pictures asks of `Media`."""

    def __init__(self, seconds: int, fps: float, height: int, width: int) -> None:
        self.info = MediaInfo(sha256="0" * 64, size_bytes=0, container="none", duration_seconds=float(seconds))
        self.pictures: NDArray[np.uint8] = np.stack([texture(n, height, width) for n in range(round(seconds * fps))])
        self.times = np.arange(len(self.pictures)) / fps
        self.until = self.times + 1 / fps

    def frames(self, _need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """All of them, in batches."""
        for at in range(0, len(self.times), batch):
            part = slice(at, at + batch)
            yield FrameBatch(self.times[part], self.pictures[part], self.until[part])

    def shown(self, _need: Frames) -> tuple[tuple[float, float], ...]:
        """From when to when each is shown."""
        edges = [*map(float, self.times), self.info.duration_seconds or 0.0]
        return tuple(pairwise(edges))

    def progress(self, _fraction: float) -> None:
        """Nobody listens, and nobody cancels."""


def describe(store: Path, gpu: Device, *, compiled: bool) -> None:
    """Segments a second through the analyzer; `compiled` also compares with torch's compiled decoding: a minute."""
    models = loaded_engine(store, "qwen2-vl-7b", gpu)
    engine: Any = models.engines[0]
    analyzer, options = qwen2_vl_temporal.Qwen2VlTemporal(), qwen2_vl_temporal.TemporalOptions()
    analyzer.load(models)
    reel: Any = Reel(SEGMENTS, qwen2_vl_temporal.FPS, *PHONE)
    took = rate("qwen2-vl-7b", "segments", SEGMENTS, engine, lambda: analyzer.analyze(reel, options), goal=9)
    shown = list(qwen2_vl_temporal.clips_of(reel, options.segment_seconds, options.frames))
    inputs = engine._inputs([clip for _, clip in shown], options.prompt).to("cuda")  # noqa: SLF001  (the same tensors)
    kinds: dict[str, dict[str, str]] = {"eager": {}}
    if compiled:
        kinds["compiled"] = {"cache_implementation": "static"}
    for name, more in kinds.items():
        with part(f"qwen2-vl-7b.over_bare_{name}"):
            bare = bare_seconds(engine.model, inputs, options.max_new_tokens, **more)
            over_bare("qwen2-vl-7b", name, took, bare)
    copied("qwen2-vl-7b", np.concatenate([clip.frames for _, clip in shown if clip]), took)
    let_go("qwen2-vl-7b", engine)


def caption(store: Path, gpu: Device) -> None:
    """Frames a second through the analyzer."""
    models = loaded_engine(store, "blip2-opt-2.7b", gpu)
    engine: Any = models.engines[0]
    analyzer, options = blip2_caption.Blip2Caption(), blip2_caption.CaptionOptions()
    analyzer.load(models)
    reel: Any = Reel(PICTURES, 1, *PHONE)
    took = rate("blip2-opt-2.7b", "frames", PICTURES, engine, lambda: analyzer.analyze(reel, options), goal=50)
    with part("blip2-opt-2.7b.over_bare_eager"):
        inputs = engine._inputs(list(reel.pictures), options.prompt).to("cuda")  # noqa: SLF001  (as above)
        inputs["pixel_values"] = inputs["pixel_values"].to(engine.decoder.dtype)
        over_bare("blip2-opt-2.7b", "eager", took, bare_seconds(engine.model, inputs, options.max_new_tokens))
    copied("blip2-opt-2.7b", reel.pictures, took)
    let_go("blip2-opt-2.7b", engine)


def segment(store: Path, gpu: Device, entry: str) -> None:
    """Frames a second through the segmenter, and what the same network takes with channels last in memory."""
    import torch

    engine: Any = loaded_engine(store, entry, gpu).engines[0]
    pictures = [texture(number, 1138, 640) for number in range(SEGMENTED)]

    def work() -> object:
        return list(engine.maps(pictures))

    took = rate(entry, "frames", SEGMENTED, engine, work)
    with part(f"{entry}.channels_last"):
        before = next(iter(engine.maps(pictures[:1])))[0]
        engine.model.to(memory_format=torch.channels_last)
        changed = float((next(iter(engine.maps(pictures[:1])))[0] != before).mean())
        other = median_seconds(work)
        detail = {"seconds": other, "contiguous_seconds": took, "pixels_with_another_class": changed}
        say(Row(row=f"{entry}.channels_last", value=other / took, unit="ratio", detail=detail))
    copied(entry, np.stack(pictures), took)
    let_go(entry, engine)


def rate(
    entry: str, items: str, count: int, engine: Any, work: Callable[[], object], goal: float | None = None
) -> float:
    """Print how many a second; the median seconds of all of them."""
    work()
    took = median_seconds(work)
    detail = {"seconds": took, "of": count, "batch": engine.batch, "notes": list(engine.notes)}
    row = f"{entry}.{items}_per_second"
    say(Row(row=row, value=count / took, unit=f"{items}/s", goal=goal, better="higher", detail=detail))
    return took


def over_bare(entry: str, kind: str, took: float, bare: float) -> None:
    """Print the analyzer's seconds over the bare model's."""
    detail = {"analyzer_seconds": took, "bare_seconds": bare}
    say(Row(row=f"{entry}.over_bare_{kind}", value=took / bare, unit="ratio", goal=OVER_BARE, detail=detail))


def bare_seconds(model: Any, inputs: Any, tokens: int, **more: str) -> float:
    """Seconds of one greedy `generate` of so many tokens for each row; the first, which prepares, does not count."""
    import torch

    fixed = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False, **more}
    with torch.inference_mode():
        model.generate(**inputs, **fixed)
        return median_seconds(lambda: model.generate(**inputs, **fixed), runs=2)


def copied(entry: str, pictures: NDArray[np.uint8], took: float) -> None:
    """Print what copying an analyzer's pictures to the GPU, as engines do, takes of its seconds."""
    import torch

    seconds = median_seconds(lambda: torch.from_numpy(pictures).to("cuda"))
    detail = {"seconds": seconds, "analyzer_seconds": took, "mib": pictures.nbytes / (1 << 20)}
    say(Row(row=f"{entry}.host_to_device", value=seconds / took, unit="share", detail=detail))


def let_go(entry: str, engine: Any) -> None:
    """Free the engine; what the process still holds."""
    engine.free()
    say(Row(row=f"{entry}.held_mib_after_free", value=devices.held_mib() or 0.0, unit="MiB", goal=1024))


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
    found: dict[str, list[float]] = {}
    for cudnn, start in ((False, 101), (True, 201)):
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        for masked in (False, True):
            name = f"cudnn_{'on' if cudnn else 'off'}{'_masked' if masked else ''}"
            found[name] = [first(start + 16 * number + masked, masked=masked) for number in range(4)]
    torch.backends.cuda.enable_cudnn_sdp(was)
    say(Row(row="attention.first_at_a_length", value=max(found["cudnn_off"]), unit="ms", detail=found))
