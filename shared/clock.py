"""Time that passes, whatever the clock on the wall is set to: what deadlines are measured by.

Seconds since this kernel booted, which no program sets and which go on while the machine sleeps. Two processes may
compare them where both read the same boot id: on one host, containers included.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str | None:
    """What names this run of the kernel (random(4)); None where it has no such name."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


def ticks() -> float:
    """Seconds of this kernel's clock; its beginning means nothing."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def seconds_since(boot: str | None, then: float | None, wall: float) -> float:
    """Seconds since a moment: by ticks if this kernel counted them, else by the time of day (`wall`)."""
    if then is None or boot is None or boot != boot_id():
        return time.time() - wall
    return ticks() - then
