"""Analyzers with their models loaded, once per process."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared.errors import ReelgraphError, Unavailable
from shared.log import logger
from shared.schema import TrackSet
from shared.settings import settings
from tasks.analyzer import Analyzer, Options
from tasks.models import LocalModels
from tasks.node import weights
from tasks.plan import SWITCHED_OFF
from tasks.registry import AnyAnalyzer, analyzers

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An analyzer that is ready to work."""

    analyzer: Analyzer[Options, TrackSet]
    seconds: float


_ready: dict[str, Loaded | ReelgraphError] = {}


def loaded(analyzer: AnyAnalyzer) -> Loaded:
    """The analyzer with its model loaded, now or before.

    Raises:
        Unavailable: its weights are missing, or it cannot be loaded.
        WeightsTampered: its weights are not the pinned ones.
    """
    known = _ready.get(analyzer.name)
    if known is None:
        known = _ready[analyzer.name] = _load(analyzer)
    if isinstance(known, ReelgraphError):
        raise known.with_traceback(None)  # else every raise adds its frames to the one error that is kept
    return known


def preload(queues: tuple[str, ...]) -> None:
    """Load every analyzer of these queues; what cannot be loaded is remembered and logged."""
    for analyzer in analyzers().values():
        if analyzer.group in queues:
            try:
                seconds = loaded(analyzer).seconds
            except ReelgraphError as error:
                log.warning("not_loaded", analyzer=analyzer.name, code=error.code, reason=error.message)
            else:
                log.info("loaded", analyzer=analyzer.name, seconds=round(seconds, 2))


def _load(analyzer: AnyAnalyzer) -> Loaded | ReelgraphError:
    if analyzer.infers_personal_traits and not settings().infer_personal_traits:
        return Unavailable(SWITCHED_OFF, code="switched_off")
    profile = settings().profile
    entry = analyzer.weights.get(profile)
    if analyzer.weights and entry is None:
        return Unavailable(f"no weights for the {profile} profile", code="not_in_profile")
    before = time.monotonic()
    instance = analyzer()
    try:
        instance.load(LocalModels(weights(), entry, profile=profile, threads=settings().threads))
    except ReelgraphError as error:
        return error
    except Exception as error:
        log.exception("load_failed", analyzer=analyzer.name)
        return Unavailable(f"its model cannot be loaded: {type(error).__name__}: {error}", code="load_failed")
    return Loaded(instance, time.monotonic() - before)
