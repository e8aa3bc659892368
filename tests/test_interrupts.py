"""Being told to stop: an interrupt arrives, whatever Python was doing."""

import signal
import sys
import time

import pytest

from services.interrupts import interruptible


class Collected:
    """Its collection is interrupted."""

    def __del__(self):
        raise KeyboardInterrupt


def collected():
    """Lose one, then wait for what comes of it."""
    Collected()
    time.sleep(60)


def told():
    """Be told to stop, and wait."""
    signal.raise_signal(signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize("work", [collected, told])
def test_an_interrupt_arrives(work):
    """SIGTERM ends the block as Ctrl-C does. What Python drops of one, raised in `__del__`, is raised again soon after;
    afterwards all is as it was."""
    hook, handler = sys.unraisablehook, signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert (sys.unraisablehook, signal.getsignal(signal.SIGTERM)) == (hook, handler)
