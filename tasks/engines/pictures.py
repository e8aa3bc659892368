"""What engines that look at pictures share: batches on the device, models whose coordinates stay exact."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from shared.errors import BadInput
from tasks.boxes import Picture
from tasks.engines.base import pretrained
from tasks.models import Weighted


def full_size(auto_class: Any, files: Weighted, **arguments: Any) -> Any:
    """A transformers model with fp32 weights, whose products run in bf16 where that is the precision.

    A coordinate has 8 bits in bf16, 5 pixels in 640; autocast rounds the factors of products and keeps coordinates.

    Raises:
        BadInput: int8 or nf4 was asked for; these models are small, and convolutions cannot be held so.
    """
    if files.precision in ("int8", "nf4"):
        raise BadInput(f"{files.entry} comes in fp32 and bf16, not in {files.precision}", code="wrong_precision")
    return pretrained(auto_class, files, held="fp32", **arguments)


def inferring(files: Weighted) -> ExitStack:
    """No gradients, and products in the engine's precision, while it is entered."""
    import torch

    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    kind = torch.device(files.device.name).type
    stack.enter_context(torch.autocast(kind, torch.bfloat16, enabled=files.precision == "bf16"))
    return stack


def on_device(pictures: Sequence[Picture], files: Weighted) -> Any:
    """Equal-sized rgb pictures `(height, width, 3)` as one uint8 tensor `(n, 3, height, width)`, by one copy."""
    import torch

    return torch.from_numpy(np.stack(pictures)).to(files.device.name).permute(0, 3, 1, 2)


def prepared(processor: Any, pictures: Sequence[Picture], files: Weighted) -> Any:
    """The model's inputs for a batch, by the checkpoint's own image processor on the device: resized, normalised."""
    batch = on_device(pictures, files)
    return processor(images=list(batch), return_tensors="pt", input_data_format="channels_first").to(files.device.name)


def whole(processor: Any, files: Weighted) -> Any:
    """The checkpoint's image processor, with nothing of a picture cut off: places in its middle are not places in it.

    Raises:
        BadInput: it adds margins, by which places would shift, or cuts edges off all the same.
    """
    processor.do_center_crop = False
    if processor.do_pad and (getattr(processor, "pad_size", None) or getattr(processor, "size_divisor", None)):
        what = f"the image processor of {files.entry} adds margins to pictures (do_pad), by which places would shift"
        raise BadInput(f"{what}; take a checkpoint without", code="wrong_model")
    if not (_sees_edges(processor, 96, 288) and _sees_edges(processor, 288, 96)):
        what = f"the image processor of {files.entry} cuts edges of pictures off, by which places would shift"
        raise BadInput(f"{what}; take a checkpoint without", code="wrong_model")
    return processor


def _sees_edges(processor: Any, height: int, width: int) -> bool:
    """Whether what is at an end of the longer side changes what a model is shown: some crop when they resize."""
    import torch

    grey = torch.full((3, height, width), 127, dtype=torch.uint8)
    edged = grey.clone()
    edged[:, : height // 12 if height > width else height, : width // 12 if width > height else width] = 255
    one, other = (
        processor(images=[each], return_tensors="pt", input_data_format="channels_first")["pixel_values"]
        for each in (grey, edged)
    )
    return not torch.equal(one, other)


SHAPES = ((1138, 640), (640, 1138), (640, 640))
"""Heights and widths of upright, wide and square pictures with a short side of 640."""


def rehearsed(files: Weighted) -> list[Picture]:
    """A grey picture of each shape for warming up; on a CPU, where no shape is prepared for, the first alone."""
    return [grey(1, *shape)[0] for shape in (SHAPES if files.device.is_gpu else SHAPES[:1])]


def grey(count: int, height: int = 1138, width: int = 640) -> list[Picture]:
    """Pictures as large as those of a vertical video with a short side of 640, for warming up."""
    return [np.full((height, width, 3), 127, np.uint8)] * count
