"""Where shots give way to one another: TransNetV2 (Soucek and Lokoc, 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Protocol

import numpy as np

from shared.errors import BadInput
from tasks.boxes import Floats, Picture
from tasks.engines.base import TorchEngine
from tasks.engines.pictures import inferring, on_device, rehearsed
from tasks.models import Engine, EngineKind, Number

WIDTH, HEIGHT = 48, 27
WINDOW, MARGIN = 100, 25
"""Frames that the network sees at once, and how many at each end of them only help to judge the others."""
STEP = WINDOW - 2 * MARGIN
SHRUNK = 256
"""Frames that are brought to the device at once."""
LOOKUP = 101
"""Frames with which each is compared, itself in the middle."""
DILATIONS = (1, 2, 4, 8)
EPSILON = 1e-3
"""Of the batch norms: TensorFlow's, in which the network was trained."""


class TransitionFinder(Engine, Protocol):
    """Tells where shots end."""

    def probabilities(self, pictures: Iterable[Picture]) -> Floats:
        """For each rgb picture of a video, all of them in order, `(n, 2)` in 0..1.

        First: that the next picture, or the next but few, begins another shot; highest in the middle of a transition.
        Second: that the picture is part of a transition, which lasts from the last picture of a shot to before the
        first one of the next.
        """


class TransNet(TorchEngine):
    """Windows of 100 frames of 48x27, so many at once, the weights from the authors' state dict."""

    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 1
    most = 32

    def load(self) -> None:
        """Read the state dict, nothing but tensors.

        Raises:
            BadInput: int8 or nf4 is asked for.
        """
        import torch

        if self.files.precision in ("int8", "nf4"):
            raise BadInput(f"{self.files.entry} comes in fp32 and bf16, not in {self.files.precision}")
        self._torch: Any = torch
        torch.set_num_threads(self.files.threads)
        (file,) = self.files.folder.glob("*.pth")
        self.model = torch.load(file, map_location=self.files.device.name, weights_only=True)

    def probe(self, count: int) -> None:
        """Look at grey windows."""
        grey = self._torch.full((WINDOW, 3, HEIGHT, WIDTH), 127.0, device=self.files.device.name)
        self._windows([grey] * count)

    def rehearse(self) -> None:
        """Look at a second of an upright, a wide and a square video."""
        for picture in rehearsed(self.files):
            self.probabilities([picture] * 25)

    def probabilities(self, pictures: Iterable[Picture]) -> Floats:
        """Of each picture: that a shot ends about here, and that it is part of a transition."""
        shrunk = []
        left = iter(pictures)
        while some := list(islice(left, SHRUNK)):
            shrunk.append(self._shrunk(some))
        if not shrunk:
            return np.zeros((0, 2))
        frames = self._torch.cat(shrunk)
        count = len(frames)
        # the first and the last frame again and again, so that every frame is once in the middle of a window
        after = MARGIN + -count % STEP
        padded = self._torch.cat([frames[:1].expand(MARGIN, -1, -1, -1), frames, frames[-1:].expand(after, -1, -1, -1)])
        windows = [padded[start : start + WINDOW] for start in range(0, len(padded) - 2 * MARGIN, STEP)]
        answers = [one for batch in self.batches(windows, self._windows) for one in batch]
        return np.concatenate(answers)[:count].astype(np.float64)

    def _shrunk(self, pictures: Sequence[Picture]) -> Any:
        """Pictures as `(n, 3, 27, 48)`, 0..255, on the device."""
        with inferring(self.files):
            batch = on_device(pictures, self.files).float()
            size = (HEIGHT, WIDTH)
            return self._torch.nn.functional.interpolate(batch, size, mode="bilinear", antialias=True).round()

    def _windows(self, windows: Sequence[Any]) -> list[Floats]:
        """Probabilities `(50, 2)` of the frames in the middle of each window `(100, 3, 27, 48)`."""
        with inferring(self.files):
            answers = self._network(self._torch.stack(list(windows)))
            return list(answers[:, MARGIN:-MARGIN].float().sigmoid().cpu().numpy())

    def _network(self, frames: Any) -> Any:
        """Logits `(n, time, 2)` of `frames` `(n, time, 3, 27, 48)`."""
        torch, linear = self._torch, self._linear
        levels = []
        x = frames.transpose(1, 2) / 255
        for level in range(3):
            x = self._level(f"SDDCNN.{level}.DDCNN", x)
            levels.append(x)
        flat = x.permute(0, 2, 3, 4, 1).flatten(2)
        means = torch.cat([each.mean((3, 4)) for each in levels], dim=1).transpose(1, 2)
        like = self._compared("frame_sim_layer", linear("frame_sim_layer.projection", means))
        colours = self._compared("color_hist_layer", self._histograms(frames))
        x = linear("fc1", torch.cat([colours, like, flat], dim=2)).relu()
        return torch.cat([linear("cls_layer1", x), linear("cls_layer2", x)], dim=-1)

    def _level(self, name: str, x: Any) -> Any:
        """Two blocks of convolutions with four dilations in time, the first one's answer added to the second's."""
        first = self._block(f"{name}.0", x).relu()
        x = first + self._block(f"{name}.1", first).relu()
        return self._torch.nn.functional.avg_pool3d(x, (1, 2, 2))

    def _block(self, name: str, x: Any) -> Any:
        """Convolutions in space, then in time, of `x` `(n, channels, time, height, width)`.

        As two-dimensional ones, which libraries are quicker at: over all frames at once, then over time and pixels.
        """
        torch, weights = self._torch, self.model
        functions = torch.nn.functional
        count, _, time, height, width = x.shape
        space = [weights[f"{name}.Conv3D_{step}.layers.0.weight"][:, :, 0] for step in DILATIONS]
        frames = x.transpose(1, 2).flatten(0, 1)
        flat = functions.conv2d(frames, torch.cat(space), padding=1)
        flat = flat.reshape(count, time, -1, height * width).transpose(1, 2)
        parts = [
            functions.conv2d(
                part, weights[f"{name}.Conv3D_{step}.layers.1.weight"][..., 0], padding=(step, 0), dilation=(step, 1)
            )
            for part, step in zip(flat.chunk(len(DILATIONS), dim=1), DILATIONS, strict=True)
        ]
        norm = [weights[f"{name}.bn.{each}"] for each in ("running_mean", "running_var", "weight", "bias")]
        joined = functions.batch_norm(torch.cat(parts, dim=1), *norm, eps=EPSILON)
        return joined.reshape(count, -1, time, height, width)

    def _histograms(self, frames: Any) -> Any:
        """Shares of 8x8x8 colours in each frame, `(n, time, 512)`."""
        levels = frames.long() >> 5
        bins = ((levels[:, :, 0] << 6) + (levels[:, :, 1] << 3) + levels[:, :, 2]).flatten(2)
        counts = self._torch.zeros((*bins.shape[:2], 512), device=frames.device)
        return counts.scatter_add_(2, bins, self._torch.ones_like(bins, dtype=counts.dtype))

    def _compared(self, name: str, features: Any) -> Any:
        """What `name` makes of each frame's likeness `(n, time, 101)` to those around it."""
        torch = self._torch
        unit = torch.nn.functional.normalize(features, dim=2)
        alike = torch.nn.functional.pad(unit @ unit.transpose(1, 2), [LOOKUP // 2] * 2)
        time = features.shape[1]
        places = torch.arange(time, device=features.device)[:, None] + torch.arange(LOOKUP, device=features.device)
        around = alike.gather(2, places[None].expand(len(features), -1, -1))
        return self._linear(f"{name}.fc", around).relu()

    def _linear(self, name: str, x: Any) -> Any:
        return self._torch.nn.functional.linear(x, self.model[f"{name}.weight"], self.model[f"{name}.bias"])


TRANSITION_FINDERS: Mapping[str, EngineKind[TransitionFinder]] = {"transnetv2": TransNet}
