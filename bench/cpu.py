"""CPU seconds of processes and all below them: the one figure that others' work on a machine hardly changes."""

from __future__ import annotations

from contextlib import suppress

import psutil


def tree_cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and all below it, those that have ended and been waited for in it."""
    found = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            found += sum(one.cpu_times()[:4])  # user, system, and both of ended children
    return found


def service_cpu() -> float:
    """CPU seconds so far of all that this process has started and that runs: a service, but not who asks it."""
    return sum(tree_cpu(one) for one in psutil.Process().children())
