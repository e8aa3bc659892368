"""The renditions on disk: windows of frames, a growing file of sound, and the marks that say what may be believed.

`<rendition>/00000.npy` holds the frames of the first window, `00000.spans.npy` when each of them was shown. Both are
written under another name and renamed; the spans come last, so a window without them does not exist for a reader.
`ended.json` is written when the stream has ended. Files are not synced: a store does not outlive a power cut.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shared.schema import Frozen

COMPLETE = "ended.json"
PARTIAL = ".partial"
SOUND = "sound.npy"


class Ending(Frozen):
    """How a rendition ended. `holes` are seconds that were lost to corrupt packets, `end_seconds` where the stream
    really ended.
    """

    count: int
    end_seconds: float
    holes: tuple[tuple[float, float], ...] = ()
    corrupt_packets: int = 0


class ArrayFile:
    """A .npy file that grows along its first axis; `commit` writes the length into the header and renames it."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.partial = path.with_name(path.name + PARTIAL)
        self.item_bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        self.file: IO[bytes] = self.partial.open("w+b")
        self._write_header(0)
        self.data_offset = self.file.tell()

    def write_at(self, item: int, array: NDArray[np.generic]) -> None:
        """Write one or more items; safe from several threads, each its own items."""
        if not array.size:
            return
        left, offset = np.ascontiguousarray(array).data.cast("B"), self.data_offset + item * self.item_bytes
        while left:
            written = os.pwrite(self.file.fileno(), left, offset)
            left, offset = left[written:], offset + written

    def commit(self, count: int) -> None:
        """Show the first `count` items to readers."""
        self.file.seek(0)
        self._write_header(count)
        self.file.close()
        self.partial.rename(self.path)

    def discard(self) -> None:
        """Remove the file, if it was not committed."""
        self.file.close()
        self.partial.unlink(missing_ok=True)

    def _write_header(self, count: int) -> None:
        # numpy pads headers so that the first axis may grow in place
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)
        self.file.flush()


class WindowWriter:
    """Writes the windows of one rendition after those that an earlier writer committed.

    `shape`: of one frame, `(height, width, 3)` or `(height, width)`.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        folder.mkdir(exist_ok=True)
        _remove_partial(folder)
        self.folder, self.shape = folder, shape
        windows = list(committed(folder))
        self.windows = len(windows)
        self.count = sum(len(spans) for spans in windows)
        self.last_time = float(windows[-1][-1, 0]) if windows else -np.inf
        self._times: list[float] = []
        self._until: list[float] = []
        self._file: ArrayFile | None = None

    def place(self, time: float) -> tuple[ArrayFile, int]:
        """The file and the item where the frame of `time` belongs."""
        if self._file is None:
            self._file = ArrayFile(self.folder / f"{self.windows:05}.npy", self.shape, np.uint8)
        self._times.append(time)
        return self._file, len(self._times) - 1

    def gone(self, seconds: float) -> None:
        """Note that the source's newest picture was shown until then: it may be the last one that was placed here."""
        if len(self._until) < len(self._times):
            self._until.append(seconds)

    def commit(self) -> None:
        """Show the window to readers. All its frames must have been written, and be gone."""
        if self._file is None:
            return
        self._file.commit(len(self._times))
        spans = ArrayFile(self.folder / f"{self.windows:05}.spans.npy", (2,), np.float64)
        spans.write_at(0, np.array(list(zip(self._times, self._until, strict=True))))
        spans.commit(len(self._times))
        self.windows += 1
        self.count += len(self._times)
        self._times, self._until, self._file = [], [], None

    def discard(self) -> None:
        """Remove what was not committed."""
        if self._file is not None:
            self._file.discard()
            self._times, self._until, self._file = [], [], None


class SoundWriter:
    """Appends the samples of one sound rendition; readers see them when `commit` has renamed the file."""

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        folder.mkdir(exist_ok=True)
        _remove_partial(folder)
        self.folder = folder
        self.count = 0
        self._file = ArrayFile(folder / SOUND, shape, np.float32)

    def append(self, samples: NDArray[np.float32]) -> None:
        """Append samples `(n,)` or `(n, channels)`."""
        self._file.write_at(self.count, samples)
        self.count += len(samples)

    def commit(self) -> None:
        """Show the sound to readers."""
        self._file.commit(self.count)

    def discard(self) -> None:
        """Remove what was not committed."""
        self._file.discard()


def complete(folder: Path, ending: Ending) -> None:
    """Mark the rendition as complete."""
    partial = folder / (COMPLETE + PARTIAL)
    partial.write_text(ending.model_dump_json())
    partial.rename(folder / COMPLETE)


def ending(folder: Path) -> Ending | None:
    """How the rendition ended; None while it is not complete."""
    try:
        return Ending.model_validate(json.loads((folder / COMPLETE).read_text()))
    except FileNotFoundError:
        return None


def window_spans(folder: Path, number: int) -> NDArray[np.float64] | None:
    """From when until when each frame of a committed window was shown, seconds `(n, 2)`; None when it is not there."""
    try:
        spans: NDArray[np.float64] = np.load(folder / f"{number:05}.spans.npy")
    except FileNotFoundError:
        return None
    return spans


def window_frames(folder: Path, number: int) -> NDArray[np.uint8] | None:
    """The frames of a window, read-only and mapped; None when it is not there."""
    try:
        return np.asarray(np.load(folder / f"{number:05}.npy", mmap_mode="r"))
    except FileNotFoundError:
        return None


def sound(folder: Path) -> NDArray[np.float32]:
    """The samples of a complete sound rendition, read-only and mapped."""
    try:
        return np.asarray(np.load(folder / SOUND, mmap_mode="r"))
    except ValueError:  # nothing can be mapped where there is no sample
        return np.asarray(np.load(folder / SOUND))


def committed(folder: Path) -> Iterator[NDArray[np.float64]]:
    """The spans of every committed window, in order."""
    number = 0
    while (spans := window_spans(folder, number)) is not None:
        yield spans
        number += 1


def _remove_partial(folder: Path) -> None:
    for path in folder.glob("*" + PARTIAL):
        path.unlink(missing_ok=True)


def remove_incomplete(folder: Path, keys: Sequence[str]) -> None:
    """Give back the bytes of renditions that a pass could not finish."""
    for key in keys:
        if not (folder / key / COMPLETE).exists():
            shutil.rmtree(folder / key, ignore_errors=True)
