"""Packing: which worker serves which group on which GPU, in which precision, and what to expect of it.

Memory and seconds are declared by the weights' entries and the analyzers, or measured by receipts of earlier jobs. What
nobody has declared or measured counts as nothing and is named, so that a layout never looks better founded than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.devices import NoDevice
from tasks.models import Demand, Number

CONTEXT_MIB = 600
"""What a process with torch takes on a GPU before its first tensor: 520 MiB were seen on an H200 by NVML."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one analyzer asks for: its model, if it is one for a GPU, and its work for a second of video."""

    analyzer: str
    group: str
    level: int
    seconds: float | None
    entry: str | None = None
    demand: Demand | None = None

    @property
    def choices(self) -> tuple[Number, ...]:
        """The precisions it may have, the best first."""
        return self.demand.choices if self.demand else ()

    def takes(self, precision: Number | None) -> int:
        """GPU memory in MiB."""
        return self.demand.vram_mib.get(precision, 0) if self.demand and precision else 0


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process of the layout."""

    name: str
    group: str
    gpu: int | None
    vram_mib: int
    precisions: Mapping[str, Number]
    seconds: float
    """Work for a second of video."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Workers, and what they bring: both figures are for a second of video, all workers warm and nothing queued."""

    workers: tuple[Worker, ...]
    latency: float
    """Seconds until the last analyzer has ended, GPUs shared, levels one after another."""
    throughput: float
    """Seconds of video that go through in a second, when the busiest GPU or worker is always busy."""
    unmeasured: tuple[str, ...] = ()
    """Analyzers whose seconds or memory nobody knows."""


@dataclass(slots=True)
class _Gpu:
    index: int
    room: int
    seconds: float = 0.0
    groups: list[str] = field(default_factory=list)


def pack(loads: Sequence[Load], *, gpus: int, gpu_memory_mib: int) -> Layout:
    """A layout for so many equal GPUs: the busiest group first, each onto the least busy GPU that has room for it.

    Where a group fits nowhere its largest model goes to the next precision. GPUs that stay empty get a second worker of
    the busiest group, and so on.

    Raises:
        NoDevice: a group fits no GPU in any precision its models may have.
    """
    by_group: dict[str, list[Load]] = {}
    for load in loads:
        by_group.setdefault(load.group, []).append(load)
    on_gpu = {group: members for group, members in by_group.items() if any(load.demand for load in members)}
    devices = [_Gpu(index, gpu_memory_mib) for index in range(gpus)]
    order = sorted(on_gpu, key=lambda group: -_seconds(on_gpu[group]))
    workers = [_placed(group, group, on_gpu[group], devices) for group in order]
    for device in devices if order else ():
        if not device.groups:
            busiest = max(order, key=lambda group: _share(group, on_gpu, workers))
            copies = sum(worker.group == busiest for worker in workers)
            workers.append(_placed(f"{busiest}-{copies}", busiest, on_gpu[busiest], [device]))
    spread = [_with_spare(worker, devices) for worker in workers]
    for group, members in by_group.items():
        if group not in on_gpu:
            spread.append(Worker(group, group, None, 0, {}, _seconds(members)))
    unknown = [load.analyzer for load in loads if load.seconds is None or (load.demand and not load.demand.vram_mib)]
    return Layout(tuple(spread), _latency(loads, spread), _throughput(spread, by_group), tuple(sorted(unknown)))


def _seconds(members: Sequence[Load]) -> float:
    return sum(load.seconds or 0.0 for load in members)


def _share(group: str, loads: Mapping[str, Sequence[Load]], workers: Sequence[Worker]) -> float:
    """Work that each worker of a group has."""
    return _seconds(loads[group]) / sum(worker.group == group for worker in workers)


def _placed(name: str, group: str, members: Sequence[Load], devices: Sequence[_Gpu]) -> Worker:
    """The worker on the least busy of the devices with room for it; takes the room."""
    # analyzers of a group that use one entry share its model
    models = {load.entry: load for load in members if load.entry and load.demand}
    left = {entry: list(load.choices) for entry, load in models.items()}

    def takes(entry: str) -> int:
        return models[entry].takes(left[entry][0])

    while not (fitting := [device for device in devices if device.room >= CONTEXT_MIB + sum(map(takes, left))]):
        movable = [entry for entry, choices in left.items() if len(choices) > 1]
        if not movable:
            need, most = CONTEXT_MIB + sum(map(takes, left)), max(device.room for device in devices)
            raise NoDevice(f"the models of {group} take {need} MiB of GPU memory and {most} MiB are left on a GPU")
        left[max(movable, key=takes)].pop(0)
    device = min(fitting, key=lambda device: (device.seconds, device.index))
    need = sum(map(takes, left))
    device.room -= need + CONTEXT_MIB
    device.seconds += _seconds(members)
    device.groups.append(group)
    chosen = {load.analyzer: left[load.entry][0] for load in members if load.entry in left}
    return Worker(name, group, device.index, need, chosen, _seconds(members))


def _with_spare(worker: Worker, devices: Sequence[_Gpu]) -> Worker:
    """The worker with its part of the memory that is left on its GPU, for larger batches."""
    device = devices[worker.gpu or 0]
    return replace(worker, vram_mib=worker.vram_mib + device.room // len(device.groups))


def _latency(loads: Sequence[Load], workers: Sequence[Worker]) -> float:
    """Level by level: the busiest worker, or the busiest GPU, since workers of one GPU take turns on it."""
    total = 0.0
    first = {worker.group: worker for worker in reversed(workers)}
    for level in sorted({load.level for load in loads}):
        here = [load for load in loads if load.level == level]
        busy: dict[str, float] = {}
        for load in here:
            worker = first[load.group]
            for place in (worker.name, f"gpu {worker.gpu}") if load.demand else (worker.name,):
                busy[place] = busy.get(place, 0.0) + (load.seconds or 0.0)
        total += max(busy.values(), default=0.0)
    return total


def _throughput(workers: Sequence[Worker], loads: Mapping[str, Sequence[Load]]) -> float:
    busy: dict[str, float] = {}
    for worker in workers:
        share = worker.seconds / sum(other.group == worker.group for other in workers)
        busy[worker.name] = share
        if worker.gpu is not None:
            place = f"gpu {worker.gpu}"
            on_it = sum(load.seconds or 0.0 for load in loads[worker.group] if load.demand)
            busy[place] = busy.get(place, 0.0) + on_it * (share / worker.seconds if worker.seconds else 0.0)
    most = max(busy.values(), default=0.0)
    return 1 / most if most else 0.0
