"""The sound half of a decode pass: one stream resampled to each wanted rate, aligned so that sample 0 is 0 s."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import ArgumentError
from numpy.typing import NDArray

from shared.renditions import Audio
from shared.timing import DISCONTINUITY_SECONDS
from shared.windows import SoundWriter

logger = logging.getLogger(__name__)

TOLERANCE_SECONDS = 0.02
"""Timestamps may be off by less (Matroska and FLV round to 1 ms) before silence is added or samples are dropped."""

MEASURED_TAPS = 64
"""Length of the resampler's filter for sound in all its channels, which is measured: FFmpeg's own 32 take up to 2 dB
from the highest tenth of what a file holds. A longer one loses more: a stretch of samples shorter than two thirds of it
comes to nothing. Mono is for models, which were tried with 32.
"""

SILENCE_SECONDS = 10
"""Silence is written in pieces of this length."""

OVERRUN_SECONDS = DISCONTINUITY_SECONDS
"""Sound is written until so long after the probed end of the video: there a timestamp still counts as meant, and no
track of a document goes so far.
"""


class _Track:
    """One rendition being written. A segment is a stretch of sound without a gap: one resampler."""

    def __init__(self, folder: Path, need: Audio, stream: AudioStream) -> None:
        self.need = need
        self._layout = "mono" if need.mono else stream.layout.name
        self._channels = 1 if need.mono else stream.layout.nb_channels
        self.writer = SoundWriter(folder / need.key, () if need.mono else (self._channels,))
        self._resampler: AudioResampler | None = None
        self._source: tuple[int, str, str] | None = None
        self._segment_start = 0.0
        self._fed = 0
        self._skip = 0

    def add(self, frame: AudioFrame, time: float) -> None:
        source = (frame.sample_rate, frame.format.name, frame.layout.name)
        expected = self._segment_start + self._fed / frame.sample_rate
        if self._resampler is None or source != self._source or abs(time - expected) > TOLERANCE_SECONDS:
            self._begin_segment(time)
            self._source = source
        self._fed += frame.samples
        # sound is placed by `time`; the graph must not place it a second time
        frame.pts = None
        self._write(frame)

    def finish(self) -> None:
        """Write what the resampler still holds."""
        if self._resampler is not None:
            self._write(None)
            self._resampler = None

    def _begin_segment(self, time: float) -> None:
        self.finish()
        target = round(time * self.need.sample_rate)
        self._skip = max(0, self.writer.count - target)
        while (missing := target - self.writer.count) > 0:
            self._append(np.zeros((min(missing, SILENCE_SECONDS * self.need.sample_rate), self._channels), np.float32))
        self._segment_start, self._fed = time, 0
        self._resampler = self._resampler_to(self._layout)

    def _resampler_to(self, layout: str) -> AudioResampler:
        # without a limit FFmpeg mixes down to float at +3 dB for equal channels; with it the mix is their mean
        options = {"rematrix_maxval": "1.0"} | ({} if self.need.mono else {"filter_size": str(MEASURED_TAPS)})
        # packed: reading planes of 8 channels and more crashes PyAV 18.1
        return AudioResampler("flt", layout, self.need.sample_rate, options=options)

    def _resampled(self, frame: AudioFrame | None) -> list[AudioFrame]:
        if self._resampler is None:
            return []
        try:
            return self._resampler.resample(frame)
        except ArgumentError:
            if frame is None:
                raise
            # FFmpeg knows how to mix few numbers of channels without names, and no Ambisonics
            self._resampler = self._resampler_to(frame.layout.name)
            return self._resampler.resample(frame)

    def _write(self, frame: AudioFrame | None) -> None:
        for out in self._resampled(frame):
            samples = out.to_ndarray().reshape(-1, out.layout.nb_channels).astype(np.float32, copy=False)
            if samples.shape[1] != self._channels:
                samples = np.repeat(samples.mean(axis=1, keepdims=True), self._channels, axis=1)
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            # floating-point sound may hold infinities and what is no number: silence
            self._append(np.nan_to_num(samples[dropped:], copy=False, posinf=0.0, neginf=0.0))

    def _append(self, samples: NDArray[np.float32]) -> None:
        self.writer.append(samples[:, 0] if self.need.mono else samples)


class SoundTracks:
    """Writes all sound renditions of one pass, until OVERRUN_SECONDS after the video's `duration_seconds`."""

    def __init__(self, folder: Path, wanted: Sequence[Audio], stream: AudioStream, *, duration_seconds: float) -> None:
        self.tracks = [_Track(folder, need, stream) for need in wanted]
        self._until = duration_seconds + OVERRUN_SECONDS
        self._told = False

    def add(self, frame: AudioFrame, time: float) -> bool:
        """Take one decoded frame; it starts at `time`, which may lie before 0 s (what does is left out).

        False: it ends too late, and neither it nor the silence before it is written.
        """
        if time + frame.samples / frame.sample_rate > self._until:
            if not self._told:
                logger.warning("sound_left_out", extra={"after_seconds": self._until})
            self._told = True
            return False
        for track in self.tracks:
            track.add(frame, time)
        return True

    def commit(self) -> None:
        """Finish and show every rendition."""
        for track in self.tracks:
            track.finish()
            track.writer.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for track in self.tracks:
            track.writer.discard()
