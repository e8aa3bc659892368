"""Analyzers with their models loaded and warmed up, once per process."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from threading import Lock
from typing import NamedTuple

from shared.errors import ReelgraphError, Unavailable
from shared.groups import groups, planned_gpu, planned_mib, visible_devices, worker_of
from shared.log import logger
from shared.schema import TrackSet
from shared.settings import Precision, settings
from tasks.analyzer import Analyzer, Options
from tasks.devices import (
    CPU,
    Device,
    DeviceLost,
    NoDevice,
    OutOfDeviceMemory,
    claim,
    give_back,
    held_mib,
    is_lost,
    is_out_of_memory,
    set_aside,
)
from tasks.libraries import import_all, libraries_of, read_ahead
from tasks.models import Engine, Engines, Models, Number, agreed, demand
from tasks.node import weights
from tasks.plan import SWITCHED_OFF
from tasks.provenance import NOTHING, Used, used
from tasks.registry import AnyAnalyzer, analyzers, extra_entry, has_what_it_needs, used_entries, weights_entry

VISIBLE = "CUDA_VISIBLE_DEVICES"
EXPORTED = "REELGRAPH_WORKER_EXPORTED_GPUS"
"""Holds, as JSON, what CUDA_VISIBLE_DEVICES was before a worker set it; null: nothing."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What an analyzer's model runs on, for the receipt; `precision` is None where no engine chose one."""

    device: str
    precision: str | None = None
    notes: tuple[str, ...] = ()
    """What its models could not have as they should."""


ON_CPU = Hardware("cpu")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An analyzer that is ready to work."""

    analyzer: Analyzer[Options, TrackSet]
    seconds: float
    """What loading took, without the warm-up."""
    warm_up_seconds: float = 0.0
    engines: tuple[Engine, ...] = ()
    off_gpu: tuple[str, ...] = ()
    """Why it is not on the GPU that its group should have, where no engine says so itself."""
    used: Used = NOTHING
    """The weights that were loaded, whatever else has come onto the disk since."""

    @property
    def hardware(self) -> Hardware:
        """Where its first engine runs; the CPU when it has none."""
        notes = (*self.off_gpu, *dict.fromkeys(note for engine in self.engines for note in engine.notes))
        files = self.engines[0].files if self.engines else None
        return Hardware(files.device.name, files.precision, notes) if files else Hardware(CPU.name, notes=notes)


class NotLoaded(NamedTuple):
    """Why an analyzer is not ready to work."""

    code: str
    message: str


_busy = Lock()
_last_use = deque([time.monotonic()], maxlen=1)
_ready: dict[str, Loaded | ReelgraphError] = {}
_queues: list[str] = []
"""What this process serves."""
_worker = deque([""], maxlen=1)
"""The name of the worker that it belongs to."""
_aside_mib = deque([0], maxlen=1)
"""Of this process's GPU memory, what its models take past torch."""
_precisions: dict[str, dict[str, Number]] = {}
"""What the models of this process were given so that they fit together, by analyzer and entry."""


def loaded(analyzer: AnyAnalyzer) -> Loaded:
    """The analyzer with its model loaded, now or before.

    Raises:
        Unavailable: its weights are missing, or it cannot be loaded.
        WeightsTampered: its weights are not the pinned ones.
        NoDevice: there is no GPU, or no room on it.
    """
    known = _ready.get(analyzer.name)
    if known is None:
        known = _load(analyzer)
        if not isinstance(known, OutOfDeviceMemory):  # another process may have held it: the next job tries again
            _ready[analyzer.name] = known
    if isinstance(known, ReelgraphError):
        raise known.with_traceback(None)  # else every raise adds its frames to the one error that is kept
    return known


def preload(queues: tuple[str, ...], worker: str = "") -> dict[str, NotLoaded]:
    """Load every analyzer of these queues; what cannot be loaded is remembered, logged and answered, with the reason.

    The worker's name decides where `groups.toml` gives its copies different shares of their GPUs.

    Raises:
        NoDevice, OutOfDeviceMemory, DeviceLost: the GPU that these queues need is not there, too small, or fails; such
            a worker shall not start.
    """
    _queues.extend(queues)
    _worker.append(worker)
    served = [analyzer for analyzer in analyzers().values() if analyzer.group in queues]
    ahead = [name for analyzer in served if on_gpu(analyzer.group) for name in _here(analyzer)]
    for name in ahead:
        read_ahead(weights().folder / name)
    import_all(libraries_of(weights(), ahead))
    _agree(served)
    unavailable: dict[str, NotLoaded] = {}
    for number, analyzer in enumerate(served, 1):
        log.info("loading", analyzer=analyzer.name, number=number, of=len(served))
        try:
            ready = loaded(analyzer)
        except (NoDevice, OutOfDeviceMemory, DeviceLost):
            raise
        except ReelgraphError as error:
            log.warning("not_loaded", analyzer=analyzer.name, code=error.code, reason=error.message)
            unavailable[analyzer.name] = NotLoaded(error.code, error.message)
        else:
            took = {"seconds": round(ready.seconds, 2), "warm_up_seconds": round(ready.warm_up_seconds, 2)}
            log.info("loaded", analyzer=analyzer.name, **took, **asdict(ready.hardware))
    log.info("preloaded", queues=list(queues), gpu_mib=held_mib())
    return unavailable


@contextmanager
def in_use() -> Iterator[None]:
    """While this process works: no model is taken away."""
    with _busy:
        try:
            yield
        finally:
            _last_use.append(time.monotonic())


def unload_idle(seconds: float) -> bool:
    """Free all engines unless this process works or has worked in the last so many seconds; whether it did.

    The next work loads what it needs again.
    """
    if not _busy.acquire(blocking=False):
        return False
    try:
        if time.monotonic() - _last_use[-1] < seconds:
            return False
        freed = [name for name, known in _ready.items() if isinstance(known, Loaded) and known.engines]
        for name in freed:
            del _ready[name]
        if _engines().free():
            log.info("unloaded", analyzers=sorted(freed), gpu_mib=held_mib())
        return True
    finally:
        _busy.release()


def on_gpu(group: str) -> bool:
    """Whether the models of a group run on a GPU, as the settings are."""
    here = settings()
    return groups()[group].gpu and here.profile == "gpu" and here.device != "cpu"


def devices_shown(worker: str, queues: Sequence[str]) -> str:
    """CUDA_VISIBLE_DEVICES of a worker of these queues: the GPU that it was given, none for CPU workers.

    The settings choose, else `groups.toml`; what is exported counts as all GPUs that there are. Where neither says
    which, it is what is exported, else the first GPU.

    Raises:
        BadInput: several GPUs may be meant, or the one that is meant is not shown.
    """
    served = [queue for queue in queues if queue in groups() and on_gpu(queue)]
    if not served:
        return ""  # a context that nobody needs takes most of a GiB of the GPU
    chosen = settings().gpu
    gpu = planned_gpu(worker_of(worker), served) if chosen is None else chosen
    return visible_devices(gpu, _exported())


def show_devices(worker: str, queues: Sequence[str]) -> None:
    """Set this process's CUDA_VISIBLE_DEVICES, and keep what was exported: at SIGHUP Celery executes the worker again.

    Raises BadInput as `devices_shown` does.
    """
    shown, exported = devices_shown(worker, queues), _exported()
    os.environ |= {VISIBLE: shown, EXPORTED: json.dumps(exported)}


def _exported() -> str | None:
    kept = os.environ.get(EXPORTED)
    return os.environ.get(VISIBLE) if kept is None else json.loads(kept)


def budget_mib(worker: str, queues: Sequence[str]) -> int | None:
    """GPU memory that a worker of these queues may use: as set, else as `groups.toml` has it; None for all of it.

    Raises:
        BadInput: it is to serve a part of what one worker is planned for.
    """
    served = [queue for queue in queues if queue in groups() and on_gpu(queue)]
    return settings().gpu_memory_mib or planned_mib(worker_of(worker), served)


def memory_bound_mib(queues: Sequence[str]) -> int | None:
    """Resident memory beyond which a child of a worker of these queues is replaced; None for no bound.

    As set, else what its groups declare; that is measured for the local profile alone.
    """
    here = settings()
    declared = [groups()[queue].memory_mib for queue in queues if queue in groups()]
    return here.worker_memory_mib or (max(declared, default=None) if here.profile == "local" else None)


@cache
def _engines() -> Engines:
    return Engines(compile_loops=settings().compile)


@cache
def _gpu() -> Device:
    return claim(budget_mib(_worker[0], _queues))


def _device_of(group: str) -> Device:
    """Raises NoDevice: on a GPU, and there is none or it is too small."""
    if not on_gpu(group):
        return CPU
    return set_aside(_gpu(), _aside_mib[0]) if _aside_mib[0] else _gpu()


def _here(analyzer: AnyAnalyzer) -> list[str]:
    """Entries that an analyzer uses and whose files are on this machine."""
    return [name for name in used_entries(analyzer, settings().profile) if weights().on_disk(name) == "complete"]


def _agree(served: Sequence[AnyAnalyzer]) -> None:
    """Choose every model's precision so that all of them fit the GPU memory together. Raises NoDevice if none does.

    An extra counts where its files are: without them it is not loaded.
    """
    here, entries = settings(), weights().entries()
    sharing: dict[tuple[str, Precision], list[str]] = {}
    for analyzer in served:
        for name in used_entries(analyzer, here.profile) if on_gpu(analyzer.group) else ():
            is_loaded = name == weights_entry(analyzer, here.profile) or weights().on_disk(name) == "complete"
            if is_loaded and entries[name].memory_mib:
                sharing.setdefault((name, here.precision.get(analyzer.name, "auto")), []).append(analyzer.name)
    if sharing:
        demands = {
            f"{name} of {' and '.join(users)}": demand(entries[name], wanted)
            for (name, wanted), users in sharing.items()
        }
        given = agreed(demands, _gpu().memory_mib)
        past_torch = [demands[name].takes(one) or 0 for name, one in given.items() if demands[name].beside_torch]
        _aside_mib.append(sum(past_torch))
        for (name, _), users, precision in zip(sharing, sharing.values(), given.values(), strict=True):
            for user in users:
                _precisions.setdefault(user, {})[name] = precision


def _load(analyzer: AnyAnalyzer) -> Loaded | ReelgraphError:
    here = settings()
    if analyzer.infers_personal_traits and not here.infer_personal_traits:
        return Unavailable(SWITCHED_OFF, code="switched_off")
    entry = weights_entry(analyzer, here.profile)
    if not has_what_it_needs(analyzer, here.profile):
        return Unavailable(f"no weights for the {here.profile} profile", code="not_in_profile")
    before = time.monotonic()
    instance = analyzer()
    try:
        models = Models(
            weights(),
            entry,
            profile=here.profile,
            threads=here.threads,
            device=lambda: _device_of(analyzer.group),
            precision=here.precision.get(analyzer.name, "auto"),
            shared=_engines(),
        )
        models.extra = extra_entry(analyzer, here.profile)
        models.given = _precisions.get(analyzer.name, {})
        instance.load(models)
        loaded_at = time.monotonic()
        _engines().warm_up(models.engines)
    except ReelgraphError as error:
        return error
    except Exception as error:
        log.exception("load_failed", analyzer=analyzer.name)
        if on_gpu(analyzer.group) and (end := _gpu_failed(analyzer, error)) is not None:
            return end
        said = " ".join(str(error).split())  # libraries write paragraphs
        return Unavailable(f"its model cannot be loaded: {type(error).__name__}: {said}", code="load_failed")
    engines = tuple(models.engines)
    return Loaded(
        instance,
        loaded_at - before,
        time.monotonic() - loaded_at,
        engines,
        _off_gpu(analyzer, with_engine=bool(engines)),
        used(analyzer, tuple(dict.fromkeys(filter(None, (entry, *(engine.files.entry for engine in engines)))))),
    )


def _off_gpu(analyzer: AnyAnalyzer, *, with_engine: bool) -> tuple[str, ...]:
    here = settings()
    has_model = with_engine or weights_entry(analyzer, here.profile) is not None
    if here.profile != "gpu" or not groups()[analyzer.group].gpu or not has_model:
        return ()
    if here.device == "cpu":
        return ("on the CPU: REELGRAPH_DEVICE=cpu",)
    return () if with_engine else ("on the CPU: ONNX Runtime and LiteRT have no GPU here",)


def _gpu_failed(analyzer: AnyAnalyzer, error: Exception) -> OutOfDeviceMemory | DeviceLost | None:
    """What a GPU that is too small or broken made of loading or warming up, as one sentence; None for anything else."""
    said = str(error).partition("\n")[0]
    if is_lost(error):
        return DeviceLost(f"the GPU failed while {analyzer.name} was loaded: {said}; look for it with `nvidia-smi -q`")
    if not is_out_of_memory(error):
        return None
    give_back()
    room = _gpu().memory_mib
    return OutOfDeviceMemory(
        f"the models of this worker take more than the {room} MiB of GPU memory that it may use: memory ran out while "
        f"{analyzer.name} was loaded and warmed up ({said}); allow it more, or serve fewer groups"
    )
