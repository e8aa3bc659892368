"""Real clips, where the machine has them: the folder named by REELGRAPH_TEST_MEDIA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_clip(name: str) -> Path:
    """Path of a real clip; skips the test when there is none."""
    folder = os.environ.get("REELGRAPH_TEST_MEDIA")
    path = Path(folder or "") / name
    if not folder or not path.is_file():
        pytest.skip(f"no clip {name}: set REELGRAPH_TEST_MEDIA to a folder that has it")
    return path
