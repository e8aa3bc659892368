"""The picture half of a decode pass: source frames chosen, converted by a few threads, written in windows."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from shared.renditions import Frames
from shared.schema import MediaInfo
from shared.windows import ArrayFile, WindowWriter

LONGEST_WINDOW_SECONDS = 10.0
SHORTEST_WINDOW_SECONDS = 1.0
"""The first windows are short, so that readers start early."""

MAX_THREADS = 8

IN_FLIGHT_PIXELS = 8 * 7680 * 4320
"""Decoded pictures that wait to be converted: eight of 8K, 400 MB."""

Place = tuple[ArrayFile, int]


@dataclass(slots=True)
class _Track:
    """One rendition being written."""

    need: Frames
    writer: WindowWriter
    last_bucket: int = -1
    last_kept: float = -1.0

    def keeps(self, time: float) -> bool:
        """Whether this frame is the first of its 1/fps second, and not written by an earlier pass."""
        if self.need.fps is not None:
            bucket = int(time * self.need.fps + 1e-6)
            if bucket <= self.last_bucket:
                return False
            self.last_bucket = bucket
        self.last_kept = time
        return time > self.writer.last_time

    def lacks(self, time: float, until: float) -> bool:
        """Whether the last frame, shown for longer than 1/fps second, was left out."""
        left_out = time > max(self.last_kept, self.writer.last_time)
        return left_out and self.need.fps is not None and until - time > 1 / self.need.fps


@dataclass(slots=True)
class _Shape:
    """A size and colour, converted once for all tracks of it. `size` is before rotation."""

    size: tuple[int, int]
    format: str
    tracks: list[_Track] = field(default_factory=list)


class PictureWriter:
    """Writes all frame renditions of one pass. Frames must come with strictly increasing times; `finish` ends it.

    A picture that is held for longer than a rendition's 1/fps second is in it, whatever came before it in that second.
    A frame is converted only when a rendition keeps it, once per size and colour. At most two frames per thread wait,
    fewer of very large ones.
    """

    def __init__(self, folder: Path, wanted: Sequence[Frames], info: MediaInfo) -> None:
        self._shapes: dict[tuple[tuple[int, int], str], _Shape] = {}
        self._quarter_turns, self._mirrored = info.rotation // 90, info.mirrored
        self.tracks: list[_Track] = []
        for need in wanted:
            width, height = need.size(info)
            shape = (height, width, 3) if need.colour == "rgb" else (height, width)
            track = _Track(need, WindowWriter(folder / need.key, shape))
            size = (height, width) if self._quarter_turns % 2 else (width, height)
            self._shapes.setdefault((size, need.format), _Shape(size, need.format)).tracks.append(track)
            self.tracks.append(track)
        self._edge = SHORTEST_WINDOW_SECONDS
        self._last: VideoFrame | None = None
        self._last_time = -1e-9
        self._pending: deque[Future[None]] = deque()
        self._local = threading.local()
        self._threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
        source = max((stream.width or 1) * (stream.height or 1) for stream in info.streams if stream.kind == "video")
        self._waiting = max(1, min(2 * self._threads, IN_FLIGHT_PIXELS // source))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="convert")

    def add(self, frame: VideoFrame, time: float, gone: float) -> None:
        """Take one source frame; one that does not come after the frame before it (or before 0 s) is left out.

        `gone`: the second until which the frame before it is known to have been shown.
        """
        if time <= self._last_time:
            return
        self._write_held(time)
        self._let_go(gone)
        self._last, self._last_time = frame, time
        if time >= self._edge:
            self.commit()
            while time >= self._edge:
                self._edge += min(LONGEST_WINDOW_SECONDS, max(SHORTEST_WINDOW_SECONDS, self._edge / 2))
        self._write(frame, time, lambda track: track.keeps(time))

    def finish(self, end_seconds: float) -> None:
        """Take note that the last frame is shown until then, and commit."""
        self._write_held(end_seconds)
        self._let_go(end_seconds)
        self.commit()

    def _let_go(self, seconds: float) -> None:
        """Note until when the frame before was shown."""
        for track in self.tracks:
            track.writer.gone(max(seconds, self._last_time))

    def _write_held(self, until: float) -> None:
        """Write the frame before, which is shown until then, where it was left out and is shown for long."""
        if self._last is not None:
            self._write(self._last, self._last_time, lambda track: track.lacks(self._last_time, until))

    def _write(self, frame: VideoFrame, time: float, wants: Callable[[_Track], bool]) -> None:
        work: list[tuple[_Shape, list[Place]]] = []
        for shape in self._shapes.values():
            places = [track.writer.place(time) for track in shape.tracks if wants(track)]
            if places:
                work.append((shape, places))
        if work:
            self._pending.append(self._pool.submit(self._convert, frame, work))
        while len(self._pending) > self._waiting:
            self._pending.popleft().result()

    def commit(self) -> None:
        """Finish and show the window of every rendition."""
        while self._pending:
            self._pending.popleft().result()
        for track in self.tracks:
            track.writer.commit()

    def discard(self) -> None:
        """Remove what was not committed."""
        for future in self._pending:
            future.cancel()
        self._pool.shutdown(wait=True)
        for track in self.tracks:
            track.writer.discard()

    def _convert(self, frame: VideoFrame, work: list[tuple[_Shape, list[Place]]]) -> None:
        for shape, places in work:
            image = self._scaled(frame, shape)
            for file, item in places:
                file.write_at(item, image)

    def _scaled(self, frame: VideoFrame, shape: _Shape) -> NDArray[np.uint8]:
        # a reformatter keeps swscale's tables and serves one thread
        reformatters = self._local.__dict__.setdefault("reformatters", {})
        reformatter = reformatters.setdefault((shape.size, shape.format), VideoReformatter())
        # area averaging: no aliasing, and measured as fast as bilinear; slices would cost more than they give here
        image = reformatter.reformat(
            frame,
            *shape.size,
            shape.format,
            interpolation=Interpolation.AREA,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        (width, height), plane = shape.size, image.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height]
        view = rows[:, : width * 3].reshape(height, width, 3) if shape.format == "rgb24" else rows[:, :width]
        upright = np.rot90(view, self._quarter_turns)
        return np.ascontiguousarray(upright[:, ::-1] if self._mirrored else upright)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()
