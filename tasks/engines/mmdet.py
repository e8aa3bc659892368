"""Detectors of mmdet (Chen et al., 2019): single-stage models, such as RTMDet and YOLOX, by their configs.

It has an environment of its own (`make mmdet`): mmdet 3.3.0 is its last release, wants mmcv 2.0 to 2.1, and mmcv's
wheels with compiled operators stop at torch 2.1. mmcv-lite has the same Python code without them. mmdet imports them
all and these models use one, non-maximum suppression, so it stands here; the others raise when they are called.

An entry holds one config (`.py`, `.json` or `.yaml`, all `_base_` files merged into it) and one checkpoint (`.pth`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from shared.errors import BadInput, Unavailable
from tasks.boxes import Picture
from tasks.engines.base import TorchEngine, WeightsIncomplete, refuse_gaps
from tasks.engines.objects import Found
from tasks.engines.pictures import grey, inferring, rehearsed
from tasks.models import Number

OPERATORS = "mmcv._ext"
CONFIGS = (".py", ".json", ".yaml")
OF_THE_CONFIG = "data_preprocessor."
"""Begins the names of what published checkpoints hold and mmengine makes of the config instead: mean and deviation."""
OF_A_LOG = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{made}" for core in ("core", "_core") for made in ("_reconstruct", "scalar")),
)
"""What the log in a checkpoint that mmengine writes while it trains is made of, by NumPy 1 and 2."""


class MmdetDetector(TorchEngine):
    """A model that mmdet builds from a config; its pipeline prepares each picture, its head reads the answers."""

    libraries: ClassVar[tuple[str, ...]] = ("torch",)
    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16")
    cpu_batch = 2

    def load(self) -> None:
        """Build the model and read its checkpoint.

        Raises:
            BadInput: the entry does not hold one config and one checkpoint, or the model has more stages than one or
                takes no least score, or a precision other than fp32 and bf16 is asked for.
            Unavailable: the config is made of a package that is not installed.
            WeightsIncomplete: the checkpoint does not hold the tensors that the config describes.
        """
        if self.files.precision in ("int8", "nf4"):
            raise BadInput(f"{self.files.entry} comes in fp32 and bf16, not in {self.files.precision}")
        without_operators()
        import torch
        from mmdet.utils import register_all_modules
        from mmengine.dataset import Compose

        register_all_modules(init_default_scope=True)
        self._torch: Any = torch
        config = _config(self.files.entry, _only(self.files.folder, *CONFIGS))
        self.model, self.labels = _built(config, _only(self.files.folder, ".pth"), self.files.entry)
        self.model.to(self.files.device.name).eval()
        self.model.bbox_head.register_forward_hook(_exact)
        steps = [dict(step) for step in config.test_dataloader.dataset.pipeline]
        kept = [step for step in steps if step["type"] not in ("LoadImageFromFile", "LoadAnnotations")]
        # the pictures are in memory, and mmdet's are blue first
        kept[-1] = {"type": "PackDetInputs", "meta_keys": ("ori_shape", "img_shape", "scale_factor")}
        self._pipeline: Any = Compose([{"type": "LoadImageFromNDArray"}, *kept])

    def objects(self, pictures: Iterable[Picture], floor: float) -> Iterator[list[Found]]:
        """What is in each rgb picture `(height, width, 3)` with a score of at least `floor`, a list for each batch."""
        return self.batches(pictures, lambda batch: self._objects(batch, floor))

    def probe(self, count: int) -> None:
        """Look at grey pictures."""
        self._objects(grey(count), 1.0)

    def rehearse(self) -> None:
        """Look at an upright, a wide and a square picture."""
        for picture in rehearsed(self.files):
            list(self.objects([picture], 0.5))

    def _objects(self, pictures: Sequence[Picture], floor: float) -> list[Found]:
        # else thousands of boxes of a thousandth go into the suppression
        self.model.bbox_head.test_cfg.score_thr = floor
        made = [self._pipeline({"img": picture[..., ::-1], "img_id": n}) for n, picture in enumerate(pictures)]
        batch = {name: [one[name] for one in made] for name in ("inputs", "data_samples")}
        with inferring(self.files):
            answers = [sample.pred_instances for sample in self.model.test_step(batch)]
            columns = [(one.bboxes.float(), one.scores.float()[:, None], one.labels[:, None]) for one in answers]
            rows = self._torch.cat([self._torch.cat(each, dim=1) for each in columns]).cpu().numpy().astype(np.float64)
        height, width = pictures[0].shape[:2]
        boxes = np.clip(rows[:, :4] / [width, height, width, height], 0, 1)
        ends = np.cumsum([len(one.scores) for one in answers])[:-1]
        parts = zip(*(np.split(each, ends) for each in (boxes, rows[:, 4], rows[:, 5].astype(np.intp))), strict=True)
        return [Found(*part) for part in parts]


def _exact(_head: Any, _inputs: Any, answers: Any) -> Any:
    """A head's answers in fp32: boxes are made of them in pixels, which bf16 rounds.

    Each is a list of a tensor for each level, or one tensor for all (masks), or nothing.
    """
    import torch

    def exact(answer: Any) -> Any:
        if isinstance(answer, torch.Tensor):
            return answer.float()
        return answer and [level.float() for level in answer]

    return tuple(map(exact, answers))


def _only(folder: Path, *suffixes: str) -> Path:
    """The one file with such a name. Raises BadInput when there are none or several."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in suffixes]
    if len(found) != 1:
        kinds, names = " or ".join(suffixes), ", ".join(path.name for path in found) or "none"
        raise BadInput(f"the weights in {folder.name} hold one {kinds} file for mmdet, not {names}", code="bad_weights")
    return found[0]


def _config(entry: str, path: Path) -> Any:
    """The config in a file. Raises Unavailable where it is made of a package that is not installed."""
    from mmengine.config import Config

    config = Config.fromfile(path, import_custom_modules=False)
    custom = config.get("custom_imports") or {}
    names = custom.get("imports") or ()
    for name in [names] if isinstance(names, str) else names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if not custom.get("allow_failed_imports"):
                what = f"the config of {entry} is made of {name}, and the package {error.name} is not installed here"
                raise Unavailable(what, code="no_package") from error
    return config


def _built(config: Any, checkpoint: Path, entry: str) -> tuple[Any, tuple[str, ...]]:
    """The model with its weights, on the CPU, and the names of its classes."""
    from mmdet.registry import MODELS
    from mmengine.model import revert_sync_batchnorm

    config.model.backbone.pop("init_cfg", None)  # it would be downloaded, and is overwritten
    model = revert_sync_batchnorm(MODELS.build(config.model))
    head = getattr(model, "bbox_head", None)
    if head is None or "score_thr" not in (head.test_cfg or ()):
        what = f"{checkpoint.parent.name} is a {type(model).__name__}"
        raise BadInput(f"{what}; known are detectors of one stage with score_thr in test_cfg", code="wrong_model")
    if hasattr(head, "_bbox_mask_post_process"):
        _leave_masks(head)
    read = _read(checkpoint)
    _fill(model, read.get("state_dict", read), entry)
    return model, _classes(config, read.get("meta") or {}, head.num_classes, entry)


def _classes(config: Any, meta: Mapping[str, Any], count: int, entry: str) -> tuple[str, ...]:
    """The names of a head's classes: the checkpoint's, else the config's own, else those of its kind of dataset.

    Raises:
        BadInput: they are not as many as the head has classes, and so not its names.
    """
    from mmdet.registry import DATASETS

    tested = (config.get("test_dataloader") or {}).get("dataset") or {}
    kind = DATASETS.get(config.get("dataset_type") or tested.get("type") or "")
    said = (
        meta.get("dataset_meta"),
        meta,
        config.get("metainfo"),
        tested.get("metainfo"),
        getattr(kind, "METAINFO", None),
    )
    names = next((found for one in said if one and (found := one.get("classes") or one.get("CLASSES"))), ())
    names = (names,) if isinstance(names, str) else tuple(names)
    if len(names) != count:
        what = f"{entry} names {len(names)} classes, and its head has {count}"
        raise BadInput(f"{what}: let the checkpoint's meta or the config's metainfo name them", code="wrong_model")
    return names


def _leave_masks(head: Any) -> None:
    """Have a head of RTMDet-Ins end with its boxes: no masks as large as the picture are made."""

    def boxes(*, mask_feat: Any, **asked: Any) -> Any:  # noqa: ARG001  (the head gives it)
        return head._bbox_post_process(**asked)  # noqa: SLF001

    head._bbox_mask_post_process = boxes  # noqa: SLF001


def _read(checkpoint: Path) -> Any:
    """What a checkpoint holds; of a log of training nothing, and nothing of a pickle runs."""
    import torch

    with torch.serialization.safe_globals([(_Forgotten, name) for name in OF_A_LOG]):
        return torch.load(checkpoint, map_location="cpu", weights_only=True)


class _Forgotten:
    """Stands for what is in a log of training: whatever a pickle makes of it, nothing happens."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _fill(model: Any, stored: Mapping[str, Any], entry: str) -> None:
    """Put a checkpoint's tensors into the model.

    Raises:
        WeightsIncomplete: they are not those of the model, or have other shapes.
    """
    stored = {name: one for name, one in stored.items() if not name.startswith(OF_THE_CONFIG)}
    wanted = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    shapes = {name: tuple(getattr(one, "shape", ())) for name, one in stored.items()}
    others = [(name, shapes[name], shape) for name, shape in wanted.items() if shapes.get(name, shape) != shape]
    refuse_gaps(entry, wanted.keys() - shapes, others)
    if strange := sorted(shapes.keys() - wanted):
        what = f"the checkpoint of {entry} does not fit its config: that has no place for {strange[0]}"
        raise WeightsIncomplete(f"{what}; take the config that the checkpoint was trained with")
    model.load_state_dict(stored, strict=False)  # counters of normalisation may be missing


def without_operators() -> None:
    """Let mmcv-lite be imported where mmcv is expected: its operators are those of `_Operators`.

    So they are where the full mmcv is installed, too, unless the process has imported its compiled ones before.
    """
    if OPERATORS in sys.modules:
        return
    operators = _Operators(OPERATORS)
    operators.__spec__ = ModuleSpec(OPERATORS, None)
    sys.modules[OPERATORS] = operators


class _Operators(ModuleType):
    """Stands for mmcv's compiled module: every operator can be looked up, one can be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> None:
            raise NotImplementedError(f"mmcv's operator {name} is not here: mmcv-lite is installed without it")

        return missing

    @staticmethod
    def nms(boxes: Any, scores: Any, *, iou_threshold: float, offset: int = 0) -> Any:
        """Rows of boxes `(n, 4)` that greedy suppression keeps, the best first, without a loop over boxes.

        A box goes when a better one that stays overlaps it. Asking that of all boxes at once, again and again, ends in
        the answer that going from the best to the worst gives: each round settles at least one box more.
        """
        import torch

        order = scores.argsort(descending=True, stable=True)
        corners = boxes[order].float()
        sizes = (corners[:, 2:] - corners[:, :2] + offset).clamp(min=0)
        low = torch.maximum(corners[:, None, :2], corners[None, :, :2])
        high = torch.minimum(corners[:, None, 2:], corners[None, :, 2:])
        shared = (high - low + offset).clamp(min=0).prod(-1)
        areas = sizes.prod(-1)
        covers = (shared > iou_threshold * (areas[:, None] + areas[None] - shared)).triu(1)
        stays = torch.ones_like(areas, dtype=torch.bool)
        while not torch.equal(now := ~(covers & stays[:, None]).any(0), stays):
            stays = now
        return order[stays]
