"""The body finders there are, by the engine's name in `weights.toml`."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.engines.blazepose import BlazePose
from tasks.engines.poses import BodyFinder
from tasks.engines.vitpose import VitPose
from tasks.models import EngineKind

BODY_FINDERS: Mapping[str, EngineKind[BodyFinder]] = {"blazepose": BlazePose, "transformers": VitPose}
