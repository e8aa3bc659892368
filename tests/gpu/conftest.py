"""Tests that need a GPU: skipped on a laptop, failed on a machine that has a GPU and cannot use it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

REQUIRE = "REELGRAPH_REQUIRE_GPU"


@pytest.fixture(autouse=True)
def gpu():
    """Whether torch sees a GPU. A machine that has one is known by its device file, or by REELGRAPH_REQUIRE_GPU=1."""
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return
    if Path("/dev/nvidia0").exists() or os.environ.get(REQUIRE) == "1":
        pytest.fail("this machine has a GPU and torch cannot use it", pytrace=False)
    pytest.skip("no GPU here")
