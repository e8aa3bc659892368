"""The frame store: every rendition a job needs, from one decode pass, read by memory map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from shared.media import chosen_streams, open_container
from shared.schema import MediaInfo


@dataclass(frozen=True, slots=True)
class Frames:
    """A rendition of the pictures.

    `fps` None keeps every frame; else the first frame of each 1/fps second. `short_side` in pixels (never enlarged;
    None keeps the size). Rotation and pixel shape are applied.
    """

    fps: float | None = None
    short_side: int | None = None
    colour: Literal["rgb", "gray"] = "rgb"

    @property
    def key(self) -> str:
        """Name of the rendition's folder."""
        fps = "all" if self.fps is None else f"{self.fps:g}"
        return f"frames-{fps}fps-{self.short_side or 'full'}-{self.colour}"

    @property
    def format(self) -> str:
        """FFmpeg's name of the pixel format."""
        return "rgb24" if self.colour == "rgb" else "gray"


@dataclass(frozen=True, slots=True)
class Audio:
    """A rendition of the sound: float32, -1..1. `mono` mixes the channels down."""

    sample_rate: int = 16_000
    mono: bool = True

    @property
    def key(self) -> str:
        """Name of the rendition's folder."""
        return f"audio-{self.sample_rate}-{'mono' if self.mono else 'all'}"


Rendition = Frames | Audio


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive frames of one rendition.

    `times`: float64 seconds `(n,)`. `frames`: read-only uint8 `(n, height, width, 3)` or `(n, height, width)`.
    """

    times: NDArray[np.float64]
    frames: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.frames):
            raise ValueError(f"{len(self.times)} times for {len(self.frames)} frames")


@dataclass(slots=True)
class ReadStats:
    """What reading cost this process: decode passes it made itself, seconds spent decoding or waiting for frames."""

    decode_passes: int = 0
    decode_seconds: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)


class FrameStore:
    """Renditions of videos under one folder, shared by all processes of a node.

    `open` gives a reader of one video. The reader that first finds a rendition missing decodes the video once for all
    renditions in `wanted`, in windows of a few seconds; other processes read the windows as they are committed.
    """

    def __init__(self, folder: Path, *, budget_bytes: int) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes

    def open(
        self,
        video: Path,
        info: MediaInfo,
        wanted: Sequence[Rendition],
        *,
        check: Callable[[], None] = lambda: None,
    ) -> FrameReader:
        """A reader of the renditions of one video. `check` is called often and may raise (cancel, time limit)."""
        return FrameReader(self, video, info, tuple(wanted), check)


class FrameReader:
    """Reads the renditions of one video; decodes them when no process has."""

    def __init__(
        self,
        store: FrameStore,
        video: Path,
        info: MediaInfo,
        wanted: tuple[Rendition, ...],
        check: Callable[[], None],
    ) -> None:
        self.store, self.video, self.info, self.wanted, self.check = store, video, info, wanted, check
        self.stats = ReadStats()

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches in time order. Raises BadInput (`undecodable`) when the video breaks in the middle."""
        times: list[float] = []
        frames: list[NDArray[np.uint8]] = []
        for t, frame in self._decode(need):
            times.append(t)
            frames.append(frame)
            if len(times) == batch:
                yield FrameBatch(np.array(times), np.stack(frames))
                times, frames = [], []
        if times:
            yield FrameBatch(np.array(times), np.stack(frames))

    def _decode(self, need: Frames) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        with open_container(self.video) as container:
            video, _ = chosen_streams(container)
            video.thread_type = "AUTO"
            last_bucket = -1
            for frame in container.decode(video):
                t = float(frame.time) - self.info.start_seconds
                if need.fps is not None:
                    bucket = int(t * need.fps + 1e-6)
                    if bucket == last_bucket:
                        continue
                    last_bucket = bucket
                scale = min(1.0, (need.short_side or 10**6) / min(frame.width, frame.height))
                image = frame.reformat(round(frame.width * scale), round(frame.height * scale), need.format)
                yield t, np.rot90(image.to_ndarray(), self.info.rotation // 90).copy()

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """The last frame with a time <= t, else the first, and its time."""
        shown = None
        for time, frame in self._decode(need):
            if shown is not None and time > t:
                break
            shown = time, frame
        assert shown is not None
        return shown

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """All samples from 0 s on, `(samples,)` if mono, else `(samples, channels)`; silence where the stream has gaps."""
        with open_container(self.video) as container:
            _, audio = chosen_streams(container)
            resampler = av.AudioResampler("fltp", "mono" if need.mono else audio.layout.name, need.sample_rate)
            parts = [out.to_ndarray() for frame in container.decode(audio) for out in resampler.resample(frame)] + [
                out.to_ndarray() for out in resampler.resample(None)
            ]
        samples = np.concatenate(parts, axis=1)
        return samples[0] if need.mono else samples.T.copy()
