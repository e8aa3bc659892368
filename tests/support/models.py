"""A model context for one analyzer's test, where the machine has weights: REELGRAPH_WEIGHTS_DIR/<entry>/<file>."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


class StoredModel:
    """Implements `tasks.analyzer.ModelContext` over files on disk; skips the test where they are missing."""

    profile = "local"
    threads = 1

    def __init__(self, entry: str) -> None:
        folder = os.environ.get("REELGRAPH_WEIGHTS_DIR")
        self.folder = Path(folder or "") / entry
        if not folder or not self.folder.is_dir():
            reason = f"no weights {entry}: set REELGRAPH_WEIGHTS_DIR to the folder that `reelgraph models pull` filled"
            (pytest.fail if os.environ.get("REELGRAPH_REQUIRE_ALL") == "1" else pytest.skip)(reason)

    def path(self, file: str) -> str:
        return str(self.folder / file)

    def onnx(self, file: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        return onnxruntime.InferenceSession(self.path(file), options, providers=["CPUExecutionProvider"])

    def tflite(self, file: str) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(self.path(file), num_threads=self.threads)
        interpreter.allocate_tensors()
        return interpreter
