"""The object detectors there are, by the engine's name in `weights.toml`."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.engines.hub_objects import HubDetector
from tasks.engines.mmdet import MmdetDetector
from tasks.engines.nanodet import NanoDet
from tasks.engines.objects import ObjectDetector
from tasks.models import EngineKind

DETECTORS: Mapping[str, EngineKind[ObjectDetector]] = {
    "nanodet": NanoDet,
    "transformers": HubDetector,
    "mmdet": MmdetDetector,
}
