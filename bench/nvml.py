"""What NVIDIA's management library says of a GPU: memory by process, and the share of time at work.

It sees what torch does not: contexts, libraries' own memory, other processes. Where it cannot be had, so it is said.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import psutil

SAMPLE_SECONDS = 0.1
ENDS = 0.1
"""Share of the samples at each end that belong to filling up and running dry, and not to the steady part."""
MIB = 1 << 20


class Nvml:
    """The first GPU; `missing` says why there are no figures, None when there are."""

    def __init__(self) -> None:
        self.missing: str | None = None
        self._device: Any = None
        try:
            import pynvml
        except ImportError as error:
            self.missing = f"nvidia-ml-py is not installed: {error}"
            return
        self._library: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._device = pynvml.nvmlDeviceGetHandleByIndex(0)
        except pynvml.NVMLError as error:
            self.missing = f"NVML: {error}"

    def used_mib(self) -> float | None:
        """Memory in use on the GPU, by whomever."""
        if self._device is None:
            return None
        with suppress(self._library.NVMLError):
            return round(float(self._library.nvmlDeviceGetMemoryInfo(self._device).used) / MIB, 1)
        return None

    def busy_percent(self) -> float | None:
        """Share of the last moments in which a kernel ran."""
        if self._device is None:
            return None
        with suppress(self._library.NVMLError):
            return float(self._library.nvmlDeviceGetUtilizationRates(self._device).gpu)
        return None

    def by_process(self) -> dict[int, float]:
        """Memory of each process in MiB by process id; empty where ids or sizes are kept from a container."""
        if self._device is None:
            return {}
        with suppress(self._library.NVMLError):
            running = self._library.nvmlDeviceGetComputeRunningProcesses(self._device)
            return {one.pid: round(one.usedGpuMemory / MIB, 1) for one in running if one.usedGpuMemory}
        return {}


@dataclass(frozen=True, slots=True)
class Figures:
    """Highest memory in use, mean share of the steady time at work, highest memory by worker; why any is missing.

    By worker there is nothing where process ids or sizes are kept from a container.
    """

    used_mib: float | None
    busy_percent: float | None
    mib_by_process: Mapping[str, float]
    missing: str | None


class Watch:
    """Samples a GPU while it is entered."""

    def __init__(self, gpu: Nvml, parents: Mapping[str, int]) -> None:
        """`parents`: names of workers and their process ids; a child's memory is its worker's."""
        self._gpu, self._parents = gpu, parents
        self._used: list[float] = []
        self._busy: list[float] = []
        self._peaks: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> Figures:
        """What was seen."""
        edge = int(len(self._busy) * ENDS)
        steady = self._busy[edge : len(self._busy) - edge]
        return Figures(
            max(self._used, default=None),
            round(sum(steady) / len(steady), 1) if steady else None,
            self._peaks,
            self._gpu.missing or (None if steady else "nothing was sampled"),
        )

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            for kept, value in ((self._used, self._gpu.used_mib()), (self._busy, self._gpu.busy_percent())):
                if value is not None:
                    kept.append(value)
            if processes := self._gpu.by_process():
                names = self._names()
                for pid, mib in processes.items():
                    name = names.get(pid, f"process {pid}")
                    self._peaks[name] = max(self._peaks.get(name, 0.0), mib)

    def _names(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for name, pid in self._parents.items():
            with suppress(psutil.Error):
                found |= {
                    child.pid: name for child in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
                }
        return found
