"""What NVIDIA's management library says of a GPU: memory by process, and the share of time at work.

It sees what torch does not: contexts, libraries' own memory, other processes. Where it cannot be had, so it is said.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import psutil

SAMPLE_SECONDS = 0.2
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

    def figures(self) -> dict[str, object]:
        """What was seen: highest memory, mean and highest share of time at work, highest memory by worker."""
        return {
            "used_mib": max(self._used, default=None),
            "busy_percent": round(sum(self._busy) / len(self._busy), 1) if self._busy else None,
            "busiest_percent": max(self._busy, default=None),
            "mib_by_process": self._peaks or "not told: process ids or sizes are kept from this container",
            "missing": self._gpu.missing,
        }

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
