"""ViTPose (Xu et al., 2022) in transformers: 17 landmarks of COCO for every person box.

Crops and the reading of heatmaps are those of the library's processor, which makes them one by one with SciPy on the
CPU: unbiased data processing (Huang et al., 2020) and a Taylor step on the heatmap's logarithm (DARK, Zhang et al.,
2020). Here both run on the device for the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tasks.boxes import Floats
from tasks.engines.base import TorchEngine
from tasks.engines.pictures import full_size, grey, inferring, on_device, rehearsed
from tasks.engines.poses import POINTS, Asked, Found, Place, box_of
from tasks.models import Number

IN_BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Where COCO's landmarks stand among BlazePose's 33."""
ROOM = 1.25
"""Room about a person's box, as in training."""
VISIBLE = 0.3
"""mmpose's `kpt_thr`: landmarks that score less are not drawn."""
BLUR, REACH = 0.8, 5
"""Deviation and radius in pixels of the blur before a heatmap is read, as in the library."""


class VitPose(TorchEngine):
    """Every place is a person's; a batch is so many of them, in as many pictures as it takes."""

    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 4
    finds_people = False

    def load(self) -> None:
        """Load model and what its processor says about its pictures."""
        import torch
        from transformers import AutoImageProcessor, VitPoseForPoseEstimation

        self._torch: Any = torch
        self.model = full_size(VitPoseForPoseEstimation, self.files)
        processor = AutoImageProcessor.from_pretrained(self.files.folder, local_files_only=True)
        self.size = int(processor.size["width"]), int(processor.size["height"])
        place = self.files.device.name
        mean, deviation = (torch.tensor(each, device=place) for each in (processor.image_mean, processor.image_std))
        self._mean, self._deviation = 255 * mean[:, None, None], 255 * deviation[:, None, None]

    def rehearse(self) -> None:
        """Look for two people in an upright, a wide and a square picture."""
        boxes = np.array([0.1, 0.1, 0.4, 0.9]), np.array([0.5, 0.2, 0.9, 1.0])
        for picture in rehearsed(self.files):
            list(self.bodies(Asked(picture, Place("", box)) for box in boxes))

    def bodies(self, asked: Iterable[Asked]) -> Iterator[list[tuple[Found, ...]]]:
        """The pose in each place; none where too few of its landmarks are seen."""
        return self.batches(asked, self._bodies)

    def probe(self, count: int) -> None:
        """Look at all of grey pictures."""
        self._bodies([Asked(picture, Place("", np.array([0.0, 0, 1, 1]))) for picture in grey(count)])

    def _bodies(self, asked: Sequence[Asked]) -> list[tuple[Found, ...]]:
        pictures = {id(one.picture): one.picture for one in asked}
        rows = {key: row for row, key in enumerate(pictures)}
        height, width = asked[0].picture.shape[:2]
        boxes = np.stack([one.place.box for one in asked if one.place]) * [width, height, width, height]
        areas = self.areas(boxes)
        with inferring(self.files):
            shown = on_device(list(pictures.values()), self.files).float()
            crops = self.crops(shown[[rows[id(one.picture)] for one in asked]], areas)
            points = self.read(self.model(pixel_values=crops).heatmaps.float()).cpu().numpy().astype(np.float64)
        spots = areas[:, None, :2] + points[..., :2] * areas[:, None, 2:]
        found = zip(spots / [width, height], np.clip(points[..., 2], 0, 1), asked, strict=True)
        return [_found(xy, scores, one.place) for xy, scores, one in found]

    def areas(self, boxes: Floats) -> Floats:
        """Left, top, width and height `(n, 4)` of the crops of boxes `(n, 4)`, in pixels: room about them, upright."""
        middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        ratio = self.size[0] / self.size[1]
        wide = np.maximum(sides[:, 0], sides[:, 1] * ratio)
        sides = np.maximum(np.stack([wide, wide / ratio], axis=1) * ROOM, 1)
        return np.concatenate([middles - sides / 2, sides], axis=1)

    def crops(self, pictures: Any, areas: Floats) -> Any:
        """The network's pictures `(n, 3, height, width)` of areas in `pictures` `(n, 3, h, w)`, black beyond them."""
        torch = self._torch
        height, width = pictures.shape[2:]
        left, top, wide, high = torch.from_numpy(areas).float().to(pictures.device).unbind(1)
        across, down = (torch.linspace(0, 1, steps, device=pictures.device) for steps in self.size)
        # pixels are counted from the middle of the first to the middle of the last
        x = (left[:, None] + across * wide[:, None]) / (width - 1) * 2 - 1
        y = (top[:, None] + down * high[:, None]) / (height - 1) * 2 - 1
        shape = (len(areas), self.size[1], self.size[0])
        grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
        cut = torch.nn.functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        return (cut.round() - self._mean) / self._deviation

    def read(self, heat: Any) -> Any:
        """Landmarks `(n, points, 3)` of heatmaps `(n, points, height, width)`: x and y in 0..1 of the crop, score."""
        torch = self._torch
        count, points, height, width = heat.shape
        scores, places = heat.flatten(2).max(2)
        x, y = places % width, places // width
        logs = self._blurred(heat).clamp(0.001, 50).log()
        padded = torch.nn.functional.pad(logs, (1, 1, 1, 1), mode="replicate").flatten(2)

        def at(right: int, down: int) -> Any:
            return padded.gather(2, ((y + 1 + down) * (width + 2) + x + 1 + right)[..., None])[..., 0]

        here = at(0, 0)
        slope = torch.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], dim=-1) / 2
        xx, yy = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
        xy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
        curve = torch.stack([xx, xy, xy, yy], dim=-1).reshape(count, points, 2, 2)
        tiny = torch.finfo(torch.float32).eps * torch.eye(2, device=heat.device)
        step = torch.linalg.solve_ex(curve + tiny, slope[..., None])[0][..., 0].nan_to_num(0, 0, 0)
        spots = torch.stack([x, y], dim=-1) - step
        ends = torch.tensor([width - 1.0, height - 1.0], device=heat.device)
        return torch.cat([spots / ends, scores[..., None]], dim=-1)

    def _blurred(self, heat: Any) -> Any:
        torch = self._torch
        offsets = torch.arange(-REACH, REACH + 1, device=heat.device, dtype=heat.dtype)
        kernel = torch.exp(-(offsets**2) / (2 * BLUR**2))
        kernel = kernel / kernel.sum()
        flat = heat.flatten(0, 1)[:, None]
        with torch.autocast(heat.device.type, enabled=False):
            flat = torch.nn.functional.pad(flat, (REACH,) * 4, mode="replicate")
            flat = torch.nn.functional.conv2d(flat, kernel[None, None, None, :])
            return torch.nn.functional.conv2d(flat, kernel[None, None, :, None]).reshape(heat.shape)


def _found(spots: Floats, scores: Floats, place: Place | None) -> tuple[Found, ...]:
    box = box_of(spots, scores >= VISIBLE)
    if box is None:
        return ()
    landmarks = np.full((POINTS, 3), np.nan)
    landmarks[list(IN_BLAZEPOSE)] = np.column_stack([spots, scores])
    return (Found(landmarks, box, float(scores.mean()), place.source if place else None),)
