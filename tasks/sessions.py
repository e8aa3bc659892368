"""Sessions of ONNX Runtime on the CPU. Importing this imports ONNX Runtime.

Numbers under 1.2e-38 (denormals) count as zero while a session runs. Networks with GELU leave many of them behind, and
a processor takes a hundred times as long for each: PP-OCR's detector took 253 ms of CPU a picture with and 68 ms
without them, with equal output (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnxruntime

ENVIRONMENT_WORDS = 16
"""More 32-bit words than `fenv_t` of any C library has."""
FLUSHING = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}
"""Which word of Linux's `fenv_t` holds the processor's register of modes, and its bits: in MXCSR flush-to-zero and
denormals-are-zero (Intel, Software Developer's Manual, volume 1, 10.2.3), in FPCR FZ (Arm, Architecture Reference
Manual)."""

_c = ctypes.CDLL("libm.so.6") if sys.platform == "linux" else None
"""The C library, which keeps a thread's modes."""


class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # the package has no types
    """A session that knows no denormals."""

    def run(self, *args: Any, **named: Any) -> Any:
        """Outputs for inputs, as ONNX Runtime's own `run`."""
        with denormals_as_zero():
            return super().run(*args, **named)


def session(path: str, threads: int, *, arena: bool = True) -> Session:
    """A session whose threads sleep while they wait; without an `arena` it gives memory back after each run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # of its own threads; of the calling one only for a process's first session, and then for good
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    with denormals_as_zero():
        return Session(path, options, providers=["CPUExecutionProvider"])


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Denormals count as zero in this thread while the block runs; nothing happens on a processor not known here."""
    if _c is None or platform.machine() not in FLUSHING:
        yield
        return
    word, bits = FLUSHING[platform.machine()]
    before = (ctypes.c_uint32 * ENVIRONMENT_WORDS)()
    _c.fegetenv(before)
    flushing = type(before)(*before)
    flushing[word] |= bits
    _c.fesetenv(flushing)
    try:
        yield
    finally:
        _c.fesetenv(before)
