"""What is kept of every frame, and of every shot, to look for signs of editing in.

About 300 bytes a frame (62 MiB for two hours at 30 fps) and 0.3 MB a shot.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.schema import Box
from tasks.transitions.pictures import percentiles

Picture = NDArray[np.uint8]
Levels = NDArray[np.float32]
Shares = NDArray[np.float64]

CELLS = 8
"""A thumbnail has 8 x 8 cells."""
FLOW_CELLS = 4
"""Motion is kept as means of 4 x 4 cells."""
LEAST_SIDE = 32
"""Smaller pictures, in pixels, cannot be looked at: cells and motion need some area."""
CONTRAST = 16
"""A frame whose values (2 % left out) span at most this many levels of 0..255 is blank: black, white or one colour."""
COLOUR_LEVELS = 5
"""A pixel has colour when its largest and smallest channel differ by more. Gray stays within 2 in H.264; a snowstorm
graded almost to gray has 1 % of its pixels beyond 16 and 40 % beyond 8."""
LIT_LEVEL, LIT_SHARE = 24, 0.1
"""A frame has a picture to judge the colour of when at least this share of its pixels is brighter than the level, that
of bars in `layouts`: a logo (2 % of the picture) over black shows the logo's colour only. Our own choice."""
BESIDE = 3
"""Pixels on either side of a line whose changes are compared: nearer ones share the blur of the line itself."""
STILL_MEAN, STILL_CELL = 0.5, 2.0
"""A frame shows the same as another when they differ by at most this in the mean and in each cell, in levels of 0..255.
FFmpeg's `freezedetect` takes 0.001 of full scale, 0.26 levels; a key frame redraws a still with a little more."""
HELD_SECONDS = 0.3
"""A single frame that is shown for so long is held: GIFs and recorders of variable rate keep one for many."""
MOVED_LEVELS = 0.5
"""Mean change of a cell, in levels of 0..255, from which on something moves in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sign of editing: what was measured, what it had to pass, and where in the picture (0..1), if in a part."""

    label: str
    start: float
    end: float
    measure: float
    threshold: float
    box: Box | None = None
    evidence: tuple[str, ...] = ()


class Lines:
    """Sums over the frames of one shot for each of its columns, or of its rows."""

    def __init__(self, length: int) -> None:
        self.edges = np.zeros(length)
        """Share of pixels with a step across the line."""
        self.squares = np.zeros(length)
        """Squares of the change of each pixel."""
        self.products = np.zeros(length)
        """Changes of each pixel `BESIDE` before the line times those of the pixel as far behind it."""
        self.lit = np.zeros(length)
        """Largest share of pixels brighter than `LIT_LEVEL` in one frame."""

    def add(self, edges: Shares, lit: Shares, change: Levels | None) -> None:
        """Add the share of pixels with a step across each column but the outermost, and how much each pixel changed.

        `edges` `(width - 2,)`, `lit` `(width,)`, `change` `(height, width)`.
        """
        self.edges[1:-1] += edges
        np.maximum(self.lit, lit, out=self.lit)
        if change is not None:
            self.squares += np.einsum("yx,yx->x", change, change)
            self.products[BESIDE:-BESIDE] += np.einsum("yx,yx->x", change[:, : -2 * BESIDE], change[:, 2 * BESIDE :])


class Sums:
    """Sums over the frames of one shot; pictures are luma, `(height, width)`."""

    def __init__(self, height: int, width: int) -> None:
        self.frames = 0
        self.total: Levels = np.zeros((height, width), np.float32)
        self.peak: Picture = np.zeros((height, width), np.uint8)
        """Largest luma each pixel ever had."""
        self.activity: Levels = np.zeros((height, width), np.float32)
        """Sum of absolute differences to the frame before."""
        self.columns, self.rows = Lines(width), Lines(height)

    def add(self, gray: Picture, colours: Sequence[Picture], change: Levels | None) -> None:
        """Add a frame: its luma, its red, green and blue, and how much its luma changed; all `(height, width)`."""
        import cv2

        self.frames += 1
        cv2.accumulate(gray, self.total)
        np.maximum(self.peak, gray, out=self.peak)
        if change is not None:
            self.activity += change
        lit = gray > LIT_LEVEL
        self.columns.add(shares(stepped(colours, axis=1), axis=0), shares(lit, axis=0), change)
        turned = None if change is None else change.T
        self.rows.add(shares(stepped(colours, axis=0), axis=1), shares(lit, axis=1), turned)

    @property
    def mean(self) -> Levels:
        """The mean picture, float32 `(height, width)`."""
        return self.total / np.float32(self.frames)


@dataclass(slots=True)
class Shot:
    """One shot and, once a frame of it was seen that is not blank, its sums."""

    start: float
    end: float
    evidence: str
    sums: Sums | None = None


@dataclass(slots=True)
class Signals:
    """Per frame; index is the frame's number."""

    times: array[float] = field(default_factory=lambda: array("d"))
    bright: array[float] = field(default_factory=lambda: array("f"))
    """98th percentile of the values, 0..255, as cut_analysis measures black."""
    dark: array[float] = field(default_factory=lambda: array("f"))
    """0.2th percentile of the values; a page with a little text is not white."""
    luma: array[float] = field(default_factory=lambda: array("f"))
    colour: array[float] = field(default_factory=lambda: array("f"))
    """Share of pixels with colour."""
    lit: array[float] = field(default_factory=lambda: array("f"))
    """Share of pixels brighter than `LIT_LEVEL`."""
    step: array[float] = field(default_factory=lambda: array("f"))
    """Mean absolute difference to the frame before in the cell that changed most, levels of 0..255."""
    moved: array[int] = field(default_factory=lambda: array("Q"))
    """The cells, a bit each, in which something moved since the frame before."""
    speed: array[float] = field(default_factory=lambda: array("f"))
    """Median motion from the frame before, in short sides (not per second): of the whole picture, not of one hand."""
    thumbnails: bytearray = field(default_factory=bytearray)
    flow: bytearray = field(default_factory=bytearray)
    end: float = 0.0
    """When the last frame is over."""
    stills: list[tuple[int, int]] = field(default_factory=list)
    """Runs (first, last frame) that all show what the first one shows: of at least 3 frames, or `HELD_SECONDS`."""

    def cells(self) -> NDArray[np.uint8]:
        """Thumbnails of all frames, rgb, `(frames, 64, 3)`."""
        return np.frombuffer(bytes(self.thumbnails), np.uint8).reshape(-1, CELLS * CELLS, 3)

    def motion(self) -> NDArray[np.float16]:
        """Motion of all frames from the one before, pixels, `(frames, 16, 2)`."""
        return np.frombuffer(bytes(self.flow), np.float16).reshape(-1, FLOW_CELLS * FLOW_CELLS, 2)

    def spread(self, frames: Sequence[int]) -> float:
        """Share of the cells in which something moved in some of these frames, 0..1."""
        return reduce(or_, (self.moved[index] for index in frames), 0).bit_count() / CELLS**2

    def blank(self, index: int) -> bool:
        """Whether the frame is black, white or one colour."""
        return self.bright[index] - self.dark[index] <= CONTRAST

    def index_at(self, t: float) -> int:
        """Number of the frame shown from `t` on; document times are rounded to a millisecond."""
        return min(int(np.searchsorted(np.asarray(self.times), t - 0.001)), len(self.times) - 1)

    def end_of(self, index: int) -> float:
        """When the frame is followed by the next one; the last one by nothing."""
        return self.times[index + 1] if index + 1 < len(self.times) else max(self.end, self.times[index])


@dataclass(frozen=True, slots=True)
class Change:
    """How much each pixel differs between two pictures, in levels."""

    levels: Levels
    mean: float
    most: float
    """Mean of the cell in which it is the most."""
    moved: int
    """The cells in which it is `MOVED_LEVELS` or more, a bit each."""


def changed(a: Picture, b: Picture) -> Change:
    """The absolute difference of two pictures `(height, width)`."""
    import cv2

    difference = cv2.absdiff(a, b)
    # means of 8-bit cells would be rounded to whole levels
    levels = difference.astype(np.float32)
    cells = cv2.resize(levels, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    moved = int.from_bytes(np.packbits(cells >= MOVED_LEVELS).tobytes())
    return Change(levels, cv2.sumElems(difference)[0] / difference.size, float(cells.max()), moved)


class Watch:
    """Takes in frames one by one and keeps what `Signals` and `Shot` hold."""

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2
        self._flow = self._cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.signals = Signals()
        self._before: Picture | None = None
        self._change: Change | None = None
        self._held: Picture | None = None
        self._held_from = 0

    def see(self, t: float, frame: Picture, shot: Shot, *, mixed: bool = False) -> None:
        """Take in the next frame, rgb uint8 `(height, width, 3)`, of that shot, or `mixed` with the one beside it."""
        cv2, signals = self._cv2, self.signals
        gray: Picture = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        dark, bright = percentiles(frame[::2, ::2], (0.2, 98))
        red, green, blue = colours = cv2.split(frame)  # numpy is slow at what goes over an axis of three
        spread = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
        signals.times.append(t)
        signals.bright.append(float(bright))
        signals.dark.append(float(dark))
        signals.luma.append(cv2.sumElems(gray)[0] / gray.size)
        signals.colour.append(np.count_nonzero(spread > COLOUR_LEVELS) / spread.size)
        signals.lit.append(np.count_nonzero(gray > LIT_LEVEL) / gray.size)
        signals.thumbnails += np.asarray(cv2.resize(frame, (CELLS, CELLS), interpolation=cv2.INTER_AREA)).tobytes()
        self._change = None if self._before is None else changed(self._before, gray)
        self._move(gray)
        self._hold(gray)
        # Blank frames, as black between pictures, tell nothing about the shot, mixed ones something about another.
        if bright - dark > CONTRAST and not mixed:
            inside = shot.sums is not None
            shot.sums = shot.sums or Sums(*gray.shape)
            shot.sums.add(gray, colours, self._change.levels if self._change and inside else None)
        self._before = gray

    def done(self, end: float) -> Signals:
        """Close the last still run; `end`: when the last frame is over, in seconds."""
        self.signals.end = end
        self._release(len(self.signals.times))
        return self.signals

    def _move(self, gray: Picture) -> None:
        cells = np.zeros((FLOW_CELLS, FLOW_CELLS, 2), np.float16)
        step = speed = 0.0
        if self._change is not None:
            step = self._change.most
            if step > 0:
                flow = self._flow.calc(self._before, gray, None)
                speed = float(np.median(self._cv2.magnitude(*self._cv2.split(flow)))) / min(gray.shape)
                cells = self._cv2.resize(flow, (FLOW_CELLS, FLOW_CELLS), interpolation=self._cv2.INTER_AREA)
        self.signals.step.append(step)
        self.signals.moved.append(self._change.moved if self._change else 0)
        self.signals.speed.append(speed)
        self.signals.flow += np.asarray(cells, np.float16).tobytes()

    def _hold(self, gray: Picture) -> None:
        index = len(self.signals.times) - 1
        if self._held is not None:
            change = self._change if self._held is self._before else None
            change = change or changed(self._held, gray)
            if change.mean <= STILL_MEAN and change.most <= STILL_CELL:
                return
            self._release(index)
        self._held, self._held_from = gray, index

    def _release(self, index: int) -> None:
        first, signals = self._held_from, self.signals
        if index - first >= 3 or (signals.times and signals.end_of(index - 1) - signals.times[first] >= HELD_SECONDS):
            signals.stills.append((first, index - 1))


SEAM_LEVELS = 16
"""Least step, in levels of 0..255 in some colour, between the pixels on both sides of a line."""


def stepped(colours: Sequence[Picture], *, axis: int) -> NDArray[np.bool_]:
    """Where some colour, each `(height, width)`, steps over a column, `(height, width - 2)`; axis 0: over a row."""
    import cv2

    ends = [(each[:, 2:], each[:, :-2]) if axis else (each[2:], each[:-2]) for each in colours]
    steps = [cv2.absdiff(*pair) for pair in ends]
    return np.asarray(cv2.max(cv2.max(steps[0], steps[1]), steps[2]) >= SEAM_LEVELS, np.bool_)


def shares(mask: NDArray[np.bool_], *, axis: int) -> Shares:
    """Share of true values along an axis of a mask `(height, width)`."""
    import cv2

    sums = cv2.reduce(mask.view(np.uint8), axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return np.asarray(sums.ravel() / mask.shape[axis], np.float64)


def runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the runs of true values as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
