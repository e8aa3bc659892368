"""From a weights file to a loaded model on this machine's CPU. The only module that knows the runtimes."""

from __future__ import annotations

from typing import Any

from shared.errors import WeightsMissing
from shared.weights import Weights


class LocalModels:
    """Implements `tasks.analyzer.ModelContext` for one analyzer; `entry` is what it declares for the profile.

    Several models run side by side on the same cores, one per worker process. So each uses `threads` threads and they
    sleep, not spin, while they wait.
    """

    def __init__(self, weights: Weights, entry: str | None, *, profile: str, threads: int) -> None:
        self.profile = profile
        self.threads = threads
        self._weights = weights
        self._entry = entry

    @property
    def digest(self) -> str | None:
        """What identifies the weights in receipts and cache keys; None for an analyzer without weights."""
        return self._weights.digest(self._entry) if self._entry else None

    def path(self, file: str) -> str:
        """Path of a file of the analyzer's weights, its sha256 checked.

        Raises:
            WeightsMissing: the file, or an entry for this profile, is not there.
            WeightsTampered: it is not the pinned file.
        """
        if self._entry is None:
            raise WeightsMissing(f"no weights are declared for the {self.profile} profile")
        return str(self._weights.path(self._entry, file))

    def onnx(self, file: str) -> Any:
        """An `onnxruntime.InferenceSession` of a weights file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(self.path(file), options, providers=["CPUExecutionProvider"])

    def tflite(self, file: str) -> Any:
        """An `ai_edge_litert` interpreter of a weights file, tensors allocated."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(self.path(file), num_threads=self.threads)
        interpreter.allocate_tensors()
        return interpreter
