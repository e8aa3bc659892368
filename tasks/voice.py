"""Where somebody speaks: silero's voice activity network (v6, MIT), on the CPU.

The network's file lies in the faster-whisper package. Only the file is used: nothing of the package is imported, so its
CTranslate2 need not be installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import Unavailable

SAMPLE_RATE = 16_000
WINDOW, CONTEXT, STATE = 512, 64, 128
"""Samples judged at once, samples before them that are seen as well, and numbers carried over."""
LEAVES = 0.15
"""Speech ends where the probability is so much lower than where it begins (silero's `neg_threshold`)."""
SILENCE_SECONDS, MARGIN_SECONDS = 0.2, 0.03
"""Shorter silence ends no span; a span begins and ends so much earlier and later than the voice."""

Samples = NDArray[np.float32]
Spans = list[tuple[float, float]]


class VoiceActivity:
    """The network, loaded."""

    def __init__(self) -> None:
        import onnxruntime

        found = find_spec("faster_whisper")
        folders = (found and found.submodule_search_locations) or ()
        files = [file for folder in folders for file in (Path(folder) / "assets").glob("silero_vad_v6*.onnx")]
        if not files:
            raise Unavailable("voice cannot be told from silence: the faster-whisper package is not installed")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Probability of speech in every 512 samples of `(n,)` at 16 kHz; the last ones are filled up with silence."""
        chunks = np.pad(samples, (0, -len(samples) % WINDOW)).reshape(-1, WINDOW)
        if not len(chunks):
            return np.zeros(0, np.float32)
        before = np.concatenate((np.zeros((1, CONTEXT), np.float32), chunks[:-1, -CONTEXT:]))
        state = np.zeros((1, 1, STATE), np.float32)
        inputs = {"input": np.concatenate((before, chunks), axis=1), "h": state, "c": state}
        found: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return found.reshape(-1)

    def spans(self, samples: Samples, threshold: float) -> Spans:
        """Where the probability is at least `threshold`, in seconds."""
        voiced = _voiced(self.probabilities(samples), threshold)
        return _with_margins([(a * WINDOW, min(b * WINDOW, len(samples))) for a, b in voiced], len(samples))


def _voiced(probabilities: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    """Runs of windows, first and after last, that begin at the threshold and end where it stays well below it."""
    leaves, patience = max(threshold - LEAVES, 0.01), SILENCE_SECONDS * SAMPLE_RATE / WINDOW
    found: list[tuple[int, int]] = []
    start = quiet = None
    for index, probability in enumerate(probabilities):
        if probability >= threshold:
            start, quiet = index if start is None else start, None
        elif start is not None and probability < leaves:
            quiet = index if quiet is None else quiet
            if index - quiet >= patience:
                found.append((start, quiet))
                start = quiet = None
    if start is not None:
        found.append((start, len(probabilities)))
    return found


def _with_margins(voiced: list[tuple[int, int]], length: int) -> Spans:
    """Spans of samples as seconds, each a little longer where its neighbours leave room."""
    margin = int(MARGIN_SECONDS * SAMPLE_RATE)
    ends = [0, *(end for _, end in voiced)]
    starts = [*(start for start, _ in voiced), length]
    spans = []
    for number, (start, end) in enumerate(voiced):
        # the half of a short silence, and to the file's ends the whole of it
        before = margin if number == 0 else min(margin, (start - ends[number]) // 2)
        after = margin if number == len(voiced) - 1 else min(margin, (starts[number + 1] - end) // 2)
        spans.append((max(0, start - before) / SAMPLE_RATE, min(length, end + after) / SAMPLE_RATE))
    return spans
