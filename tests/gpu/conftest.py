"""Tests that need a GPU: skipped on a laptop, failed on a machine that has a GPU and cannot use it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

REQUIRE = "REELGRAPH_REQUIRE_GPU"
SIGNS = (
    "dev/nvidia[0-9]*",  # any of the cards, whichever of them this container was given
    "dev/nvidiactl",
    "dev/nvidia-caps/*",
    "dev/dxg",  # NVIDIA in WSL
    "proc/driver/nvidia/gpus/*",
    "sys/module/nvidia",
)
"""Paths of which any says that the machine has an NVIDIA GPU or its driver."""


def sign_of_a_gpu(root: Path = Path("/")) -> str | None:
    """What says that this machine has a GPU, whether or not torch can use it; None where nothing does."""
    if os.environ.get(REQUIRE) == "1":
        return f"{REQUIRE}=1"
    return next((str(found) for sign in SIGNS for found in sorted(root.glob(sign))), None)


def need_gpu() -> None:
    """Go on where torch can use a GPU; skip where there is none, fail where it cannot be used."""
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return
    if sign := sign_of_a_gpu():
        pytest.fail(f"this machine has a GPU ({sign}) and torch cannot use it", pytrace=False)
    pytest.skip("no GPU here")


@pytest.fixture(autouse=True)
def gpu():
    """A GPU that torch can use."""
    need_gpu()
