"""Analyzers with their models loaded and warmed up, once per process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

from shared.errors import ReelgraphError, Unavailable
from shared.groups import groups
from shared.log import logger
from shared.schema import TrackSet
from shared.settings import settings
from tasks.analyzer import Analyzer, Options
from tasks.devices import CPU, Device, NoDevice, claim
from tasks.models import Engine, Models
from tasks.node import weights
from tasks.plan import SWITCHED_OFF
from tasks.registry import AnyAnalyzer, analyzers, weights_entry

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What an analyzer's model runs on, for the receipt; `precision` is None where no engine chose one."""

    device: str
    precision: str | None = None


ON_CPU = Hardware("cpu")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An analyzer that is ready to work."""

    analyzer: Analyzer[Options, TrackSet]
    seconds: float
    engines: tuple[Engine, ...] = ()

    @property
    def hardware(self) -> Hardware:
        """Where its first engine runs; the CPU when it has none."""
        files = self.engines[0].files if self.engines else None
        return Hardware(files.device.name, files.precision) if files else ON_CPU


_ready: dict[str, Loaded | ReelgraphError] = {}


def loaded(analyzer: AnyAnalyzer) -> Loaded:
    """The analyzer with its model loaded, now or before.

    Raises:
        Unavailable: its weights are missing, or it cannot be loaded.
        WeightsTampered: its weights are not the pinned ones.
        NoDevice: there is no GPU, or no room on it.
    """
    known = _ready.get(analyzer.name)
    if known is None:
        known = _ready[analyzer.name] = _load(analyzer)
    if isinstance(known, ReelgraphError):
        raise known.with_traceback(None)  # else every raise adds its frames to the one error that is kept
    return known


def preload(queues: tuple[str, ...]) -> None:
    """Load every analyzer of these queues; what cannot be loaded is remembered and logged.

    Raises:
        NoDevice: the GPU that these queues need is not there or too small. Such a worker shall not start.
    """
    for analyzer in analyzers().values():
        if analyzer.group in queues:
            try:
                seconds = loaded(analyzer).seconds
            except NoDevice:
                raise
            except ReelgraphError as error:
                log.warning("not_loaded", analyzer=analyzer.name, code=error.code, reason=error.message)
            else:
                log.info("loaded", analyzer=analyzer.name, seconds=round(seconds, 2))


def unload() -> None:
    """Let go of every model of this process; the next work loads what it needs again."""
    for known in _ready.values():
        for engine in known.engines if isinstance(known, Loaded) else ():
            engine.free()
    _ready.clear()


def device_of(group: str) -> Device:
    """Where the models of a group run in this process.

    Raises:
        NoDevice: on a GPU, and there is none or it is too small.
    """
    here = settings()
    on_gpu = groups()[group].gpu and here.profile == "gpu" and here.device != "cpu"
    return _gpu() if on_gpu else CPU


@cache
def _gpu() -> Device:
    return claim(settings().gpu_memory_mib)


def _load(analyzer: AnyAnalyzer) -> Loaded | ReelgraphError:
    here = settings()
    if analyzer.infers_personal_traits and not here.infer_personal_traits:
        return Unavailable(SWITCHED_OFF, code="switched_off")
    entry = weights_entry(analyzer, here.profile)
    if analyzer.weights and entry is None:
        return Unavailable(f"no weights for the {here.profile} profile", code="not_in_profile")
    before = time.monotonic()
    instance = analyzer()
    try:
        models = Models(
            weights(),
            entry,
            profile=here.profile,
            threads=here.threads,
            device=lambda: device_of(analyzer.group),
            precision=here.precision.get(analyzer.name, "auto"),
            compile_loops=here.compile,
        )
        instance.load(models)
        for engine in models.engines:
            engine.warm_up()
    except ReelgraphError as error:
        return error
    except Exception as error:
        log.exception("load_failed", analyzer=analyzer.name)
        return Unavailable(f"its model cannot be loaded: {type(error).__name__}: {error}", code="load_failed")
    return Loaded(instance, time.monotonic() - before, tuple(models.engines))
