"""Where models run: the CPU, or this process's share of one GPU. The only module that knows CUDA.

torch is imported at the first use: a worker without torch models never loads it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from shared.errors import Infrastructure
from shared.text import in_short

MIB = 1 << 20
LOST = ("CUDA error", "CUDA failed with error", "cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED")
"""Torch's words for a failed GPU, then those of CTranslate2 (CUDA_CHECK and CUBLAS_CHECK in its src/cuda/utils.h)."""
UNFIT = ("CUDA failed with error CUDA driver version is insufficient", "CUDA failed with error no kernel image")
"""What CTranslate2 says where it was built for another driver or GPU: others in the process go on."""
CONTEXT_MIB = 805
"""What a worker holds on a GPU beside its share, which bounds torch's tensors alone: CUDA's context and its libraries.

Seven workers that had let go of their models held 6,734 - 1,103 MiB on an H100 by NVML (docs/performance.md). Of each
at most 198 were torch's.
"""
LEAST_MIB = 20
"""What torch keeps of a share whatever else is in it: a segment for tensors of more than 1 MiB."""
RUNS_BEFORE_RECORDING = 3
"""As torch's documentation of CUDA graphs has it: libraries set themselves up in the first runs."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device by torch's name, and how much of its memory torch may use in this process; None for the CPU."""

    name: str
    memory_mib: int | None = None
    aside_mib: int = 0
    """What this process may use beside that, by libraries that allocate past torch."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.name != "cpu"

    @property
    def kind(self) -> str:
        """Its name without a number, for runtimes that number devices by themselves."""
        return self.name.partition(":")[0]


CPU = Device("cpu")


class NoDevice(Infrastructure):
    """The GPU that the models need is not there, or has no room for them."""

    code = "no_gpu"
    retryable = False


class DeviceLost(Infrastructure):
    """The GPU failed in the middle of work: the process that used it can use it no more."""

    code = "gpu_lost"


class NotRecorded(Infrastructure):
    """Work cannot be recorded as a CUDA graph; the GPU itself goes on."""

    code = "not_recorded"


class OutOfDeviceMemory(Infrastructure):
    """Not even one item at a time fits into the memory that is left."""

    code = "out_of_gpu_memory"


def claim(memory_mib: int | None) -> Device:
    """Take this process's share of the GPU: `memory_mib`, or all that is free. Call it in the process that works.

    Raises:
        NoDevice: no GPU is seen, or it has less memory free than that.
    """
    import torch

    if not torch.cuda.is_available():
        raise NoDevice("no GPU is seen here; REELGRAPH_DEVICE=cpu runs the models on the CPU")
    free, total = (number // MIB for number in torch.cuda.mem_get_info(0))
    if memory_mib is not None and memory_mib > free:
        what = f"{memory_mib} MiB of GPU memory are wanted and {free} of {total} MiB are free"
        raise NoDevice(f"{what}: stop what holds the rest, or allow this worker less (REELGRAPH_GPU_MEMORY_MIB)")
    share = memory_mib or free
    torch.cuda.set_per_process_memory_fraction(min(1.0, share / total), 0)
    # cuDNN's attention builds a plan for every new shape, up to half a second each, and jobs always bring new shapes
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)
    return Device("cuda:0", share)


def set_aside(device: Device, mib: int) -> Device:
    """The claimed GPU with so much of its share left to libraries that allocate past torch, which gets the rest."""
    import torch

    left = max(LEAST_MIB, (device.memory_mib or 0) - mib)
    total = torch.cuda.get_device_properties(0).total_memory // MIB
    torch.cuda.set_per_process_memory_fraction(min(1.0, left / total), 0)
    return replace(device, memory_mib=left, aside_mib=mib)


def held_mib() -> float | None:
    """GPU memory that this process's tensors take now; None when it uses no GPU."""
    torch = _torch()
    return round(torch.cuda.memory_allocated(0) / MIB, 1) if torch and torch.cuda.is_initialized() else None


def peak_mib() -> float | None:
    """The most GPU memory this process's tensors took since `reset_peak`; None when it uses no GPU."""
    torch = _torch()
    return round(torch.cuda.max_memory_allocated(0) / MIB, 1) if torch and torch.cuda.is_initialized() else None


def reset_peak() -> None:
    """Measure the peak from now on."""
    torch = _torch()
    if torch and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(0)


def give_back() -> None:
    """Free what no tensor holds any more."""
    gc.collect()
    torch = _torch()
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def recorded(device: Device, work: Callable[[], None]) -> Callable[[], None]:
    """`work` as something that is repeated with one launch: a CUDA graph of its kernels; on the CPU `work` itself.

    It must read and write the same tensors each time, and never wait for the GPU. It is run a few times here.

    Raises:
        NotRecorded: it does something that cannot be recorded.
    """
    if not device.is_gpu:
        return work
    import torch

    stream, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(stream)
    with torch.cuda.stream(aside):
        for _ in range(RUNS_BEFORE_RECORDING):
            work()
    stream.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        torch.cuda.set_stream(stream)  # torch leaves its own current when a recording cannot be ended
        if is_out_of_memory(error) or not still_works():
            raise
        raise NotRecorded(str(error)) from error
    replay: Callable[[], None] = graph.replay
    return replay


def still_works() -> bool:
    """Whether the GPU still computes, full or not; True where this process uses none.

    The first call may yet be told of what failed before; a lost GPU fails every one.
    """
    torch = _torch()
    if torch is None or not torch.cuda.is_initialized():
        return True
    for _ in range(2):
        try:
            return bool(torch.ones(2, device="cuda").sum().item() == 2)
        except RuntimeError as error:
            if is_out_of_memory(error):
                return True
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the device, or of the host inside a kernel, ran out; torch has several words for it."""
    torch = _torch()
    if torch and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def is_lost(error: BaseException) -> bool:
    """Whether the error leaves this process without a usable GPU: every later call on it would fail, too."""
    if is_out_of_memory(error) or any(words in str(error) for words in UNFIT):
        return False
    torch = _torch()
    if torch and isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in LOST)


def told(error: BaseException, entry: str, device: Device) -> DeviceLost | OutOfDeviceMemory | None:
    """What became of the device while one item of an entry's work was on it; None: the error is none of the device's.

    It keeps nothing of the error: its frames hold tensors.
    """
    said = in_short(str(error))
    if is_lost(error):
        return DeviceLost(f"the GPU failed in {entry}: {said}")
    if is_out_of_memory(error):
        what = f"not enough memory on {device.name} for one item of {entry}"
        return OutOfDeviceMemory(f"{what}: allow its worker more, or a lower precision ({said})")
    return None


def _torch() -> ModuleType | None:
    return sys.modules.get("torch")
