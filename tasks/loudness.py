"""Loudness of a whole sound by ITU-R BS.1770-4 and EBU Tech 3342, from FFmpeg's ebur128 filter, which PyAV carries.

The filter gives the momentary and the short-term levels; both gates are applied here. The filter's own summary ends at
+10 LUFS, without saying so, and its range is 20 LU whenever fewer than five short-term levels are above the gates.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
"""LUFS, one every `STEP_SECONDS`."""

STEP_SECONDS = 0.1
MOMENTARY_SECONDS, SHORT_TERM_SECONDS = 0.4, 3.0
ABSOLUTE_GATE_LUFS = -70.0
"""BS.1770-4: what is quieter counts as silence."""
INTEGRATED_GATE_LU, RANGE_GATE_LU = -10.0, -20.0
"""Relative gates of BS.1770-4 and of EBU Tech 3342."""
RANGE_PERCENTILES = (10, 95)
LEAST_LEVELS = 10
"""Of fewer short-term levels no tenth can be told."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's usual layout of so many channels: it decides which are surround or low-frequency channels."""


class Meter:
    """FFmpeg's ebur128 filter over sound of that rate and number of channels, pushed block by block, then finished."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate, self._layout = sample_rate, LAYOUTS.get(channels, f"{channels}c")
        self._levels: list[tuple[float, float]] = []
        self._pushed = 0
        self.true_peak = self.sample_peak = 0.0
        """Amplitudes, full scale 1; the true one is oversampled."""
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=sample_rate, format="flt", layout=self._layout)
        meter = self._graph.add("ebur128", "metadata=1:peak=true+sample")
        source.link_to(meter)
        meter.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples `(n, channels)`."""
        packed = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._pushed, Fraction(1, self._rate)
        self._pushed += len(samples)
        self._graph.push(frame)
        self._drain()

    def finish(self) -> None:
        """Measure what the filter still holds."""
        self._graph.push(None)
        self._drain()

    @property
    def momentary(self) -> Levels:
        """The level of every window of 0.4 s."""
        return self._filled(0, MOMENTARY_SECONDS)

    @property
    def short_term(self) -> Levels:
        """The level of every window of 3 s."""
        return self._filled(1, SHORT_TERM_SECONDS)

    def _filled(self, kind: int, window_seconds: float) -> Levels:
        # the filter looks back: its first full window ends with the value that completes it
        return np.array(self._levels).reshape(-1, 2)[round(window_seconds / STEP_SECONDS) - 1 :, kind]

    def _drain(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            values = frame.metadata
            if "lavfi.r128.M" in values:
                self._levels.append((float(values["lavfi.r128.M"]), float(values["lavfi.r128.S"])))
                self.true_peak = float(values["lavfi.r128.true_peak"])
                self.sample_peak = float(values["lavfi.r128.sample_peak"])


def integrated(momentary: Levels) -> float | None:
    """Integrated loudness in LUFS (BS.1770-4) of momentary levels; None of silence."""
    heard = _gated(momentary, INTEGRATED_GATE_LU)
    return _mean(heard) if len(heard) else None


def loudness_range(short_term: Levels) -> float | None:
    """Loudness range in LU (EBU Tech 3342) of short-term levels; None where under ten of them are above the gates."""
    heard = _gated(short_term, RANGE_GATE_LU)
    if len(heard) < LEAST_LEVELS:
        return None
    low, high = np.percentile(heard, RANGE_PERCENTILES, method="nearest")
    return float(high - low)


def _gated(levels: Levels, gate: float) -> Levels:
    """The levels that are neither silent nor so many LU below the mean of those."""
    heard = levels[levels >= ABSOLUTE_GATE_LUFS]
    return heard[heard >= _mean(heard) + gate] if len(heard) else heard


def _mean(levels: Levels) -> float:
    """The level of the mean power."""
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))
