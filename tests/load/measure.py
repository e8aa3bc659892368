"""What a service holds while it works: memory of its own, open files, temporary files, by part of the service."""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY_SECONDS = 2.0
MATTERS = 0.05
"""Growth below this share of the mean is not told from noise."""
ERRORS = 3.0
"""A slope within so many of its standard errors is none."""
FEW_FILES = 8


@dataclass(frozen=True)
class Trend:
    """How something went with time: least squares over its samples."""

    first: float
    last: float
    mean: float
    per_hour: float
    error_per_hour: float
    hours: float

    @property
    def rises(self) -> bool:
        """Whether it goes up by more than noise."""
        return self.per_hour > ERRORS * self.error_per_hour

    @property
    def grows(self) -> bool:
        """Whether it goes up by more than noise and by enough to matter in the time it was watched."""
        return self.rises and self.per_hour * self.hours > MATTERS * self.mean


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend of values at these seconds. Raises ValueError for fewer than three."""
    if len(times) < 3:
        raise ValueError("a trend takes three samples")
    middle, mean = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - middle) ** 2 for t in times)
    slope = sum((t - middle) * (v - mean) for t, v in zip(times, values, strict=True)) / spread
    rest = sum((v - mean - slope * (t - middle)) ** 2 for t, v in zip(times, values, strict=True))
    error = (rest / (len(times) - 2) / spread) ** 0.5
    third = max(1, len(values) // 3)
    first, last = statistics.median(values[:third]), statistics.median(values[-third:])
    return Trend(first, last, mean, slope * 3600, error * 3600, (times[-1] - times[0]) / 3600)


@dataclass
class Held:
    """Samples of one part of the service: MiB of its own, open files, both over all of its processes."""

    times: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def since(self, began: float) -> Held:
        """The samples from a moment on."""
        times = list(self.times)
        start = next((number for number, at in enumerate(times) if at >= began), len(times))
        return Held(times[start:], self.mib[start : len(times)], self.files[start : len(times)])


class Watch:
    """Looks at the parts of a service every few seconds, from a thread."""

    def __init__(self, parts: Mapping[str, Callable[[], int]], folders: Sequence[Path]) -> None:
        self.parts, self.folders = parts, folders
        self.held = {name: Held() for name in parts}
        self.temporary_mib: list[float] = []
        self.times: list[float] = []
        self._ended = threading.Event()

    @contextmanager
    def looking(self) -> Iterator[Watch]:
        """Look for as long as the block lasts. Raises what ended the looking early."""
        with ThreadPoolExecutor(1) as pool:
            looked = pool.submit(self._look)
            try:
                yield self
            finally:
                self._ended.set()
            looked.result()

    def _look(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            now = time.monotonic()
            for name, pid in self.parts.items():
                mib, files = family(pid())
                if mib:
                    held = self.held[name]
                    held.mib.append(mib)
                    held.files.append(files)
                    held.times.append(now)  # last: who reads meanwhile goes by the times
            temporary = sum(map(size_mib, self.folders))
            self.temporary_mib.append(temporary)
            self.times.append(now)


def family(pid: int) -> tuple[float, int]:
    """Anonymous memory in MiB and open files of a process and all that it started; zeros when it is gone.

    Anonymous: pages of mapped frames and libraries are the kernel's to take back.
    """
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        members = [parent, *parent.children(recursive=True)]
        return sum(anonymous_mib(one.pid) for one in members), sum(map(_open_files, members))
    return 0.0, 0


def anonymous_mib(pid: int) -> float:
    """Resident anonymous memory of one process; 0 when it is gone."""
    with suppress(OSError):
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
        return int(found.group(1)) / 1024 if found else 0.0
    return 0.0


def _open_files(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return process.num_fds()
    return 0


def size_mib(folder: Path) -> float:
    """What the files of a folder take on disk."""
    total = 0
    for here, _, names in os.walk(folder):  # what goes away meanwhile is passed over
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(here) / name).lstat().st_blocks * 512
    return total / (1 << 20)
