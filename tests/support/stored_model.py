"""Weights for one analyzer's test, where the machine has them: REELGRAPH_TEST_WEIGHTS/<entry>/<file>."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


class StoredModel:
    """Implements the part of `tasks.analyzer.ModelContext` that hands out files; skips the test without weights."""

    profile = "local"
    threads = 2

    def __init__(self, entry: str) -> None:
        folder = os.environ.get("REELGRAPH_TEST_WEIGHTS")
        self.folder = Path(folder or "") / entry
        if not folder or not self.folder.is_dir():
            reason = f"no weights {entry}: pull them, then set REELGRAPH_TEST_WEIGHTS to the folder that holds {entry}/"
            (pytest.fail if os.environ.get("REELGRAPH_REQUIRE_ALL") == "1" else pytest.skip)(reason)

    def path(self, file: str) -> str:
        return str(self.folder / file)

    def onnx(self, file: str) -> Any:
        raise NotImplementedError(file)

    def tflite(self, file: str) -> Any:
        raise NotImplementedError(file)
