"""What is kept of every frame to tell how pictures follow one another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.transitions.pictures import (
    Gray,
    between_bars,
    contrast,
    difference,
    energy,
    extremes,
    luma,
    percentiles,
    replaced,
    small,
    thumbnail,
    touched,
    unexplained,
)
from tasks.transitions.window import Changing, Window

FLASH_SECONDS = 0.3
"""A picture that is back within this time was interrupted (camera flash, dropped frame), not cut."""
FLASH_UNEXPLAINED = 0.4
"""It is back when motion since then leaves at most this share of what the interruption left unexplained."""
UNEXPLAINED = 0.25
"""Least share of a picture that motion does not explain when it is another one. Made films: cuts 0.44 to 1.25,
everything else under 0.15; a trailer: a cut in a fight 0.32."""
STILL_STEP = 1.0
"""Least step, in levels of 0..255, after which a still picture may be another: a codec redraws one with 0.1."""
STILL_RATIO, STILL_AROUND = 3.0, 8
"""A still picture jumps when one step is this many times the largest of so many frames on each side: more frames than
a cadence (film on twos or threes, screens at 5 fps) holds one."""
AROUND_SECONDS = 1.5
"""Frames farther away than this say nothing about one: in a slideshow with a frame a picture every step is a cut."""


@dataclass(slots=True)
class Levels:
    """What fades are told by, by number of the frame."""

    times: list[float] = field(default_factory=list)
    bright: list[float] = field(default_factory=list)
    """98th percentile of the values, 0..255."""
    peak: list[float] = field(default_factory=list)
    """Largest luma, 0..255."""
    pale: list[float] = field(default_factory=list)
    """How far the 2nd percentile of luma is below white, 0..255."""
    contrast: list[float] = field(default_factory=list)
    """Levels that the picture between the bars spans, 0..255."""
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)
    extremes: list[NDArray[np.uint8]] = field(default_factory=list)
    """Least and largest luma of the thumbnail's cells, `(2, 8, 8)`."""
    changing: Changing = field(default_factory=Changing)

    def add(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 `(height, width, 3)`."""
        gray = luma(frame)
        self._keep(t, frame, gray, between_bars(gray))

    def window(self) -> Window:
        """Where in the frames the film is: all of them, but for a picture in a band or between pillars."""
        return self.changing.window(self.thumbnails)

    def _keep(self, t: float, frame: NDArray[np.uint8], gray: Gray, inside: tuple[slice, slice]) -> None:
        self.times.append(t)
        self.bright.append(brightness(frame))
        self.peak.append(float(gray.max()))
        self.pale.append(255 - percentiles(gray[::2, ::2], (2,))[0])
        self.contrast.append(contrast(gray, inside))
        self.thumbnails.append(thumbnail(frame))
        self.extremes.append(extremes(gray))
        self.changing.add(gray)


def brightness(frame: NDArray[np.uint8]) -> float:
    """98th percentile of the values, 0..255."""
    return percentiles(frame[::2, ::2], (98,))[0]


@dataclass(slots=True)
class Signals(Levels):
    """What cuts and dissolves are told by too; about 600 bytes a frame, 120 MiB for two hours at 30 fps."""

    unexplained: list[float] = field(default_factory=list)
    """Share of the picture that motion since the frame before does not explain, 0..1."""
    step: list[float] = field(default_factory=list)
    """Mean absolute difference of luma to the frame before, 0..255."""
    replaced: list[float] = field(default_factory=list)
    """Share of edges replaced since the frame before, 0..1; 0 where no still picture jumped."""
    touched: list[float] = field(default_factory=list)
    """Share of cells changed since the frame before, 0..1; 0 where no still picture jumped."""
    energy: list[float] = field(default_factory=list)
    """Squared gradient between the bars."""

    returns: dict[int, set[int]] = field(default_factory=dict)
    """For each frame that motion does not explain, the frames soon after it in which the picture before it is back."""

    _gray: Gray | None = None
    _small: Gray | None = None
    _before: dict[int, Gray] = field(default_factory=dict)

    def add(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 `(height, width, 3)`."""
        gray = luma(frame)
        self._compare(t, small(gray))
        self._differ(t, gray)
        inside = between_bars(gray)
        self.energy.append(energy(gray, inside))
        self._keep(t, frame, gray, inside)

    def _compare(self, t: float, gray: Gray) -> None:
        index = len(self.times)
        self._before = {i: before for i, before in self._before.items() if t - self.times[i] <= FLASH_SECONDS}
        for i, before in self._before.items():
            if unexplained(before, gray) <= FLASH_UNEXPLAINED * self.unexplained[i]:
                self.returns[i].add(index)
        self.unexplained.append(0.0 if self._small is None else unexplained(self._small, gray))
        if self._small is not None and self.unexplained[index] >= UNEXPLAINED:
            self._before[index], self.returns[index] = self._small, set()
        self._small = gray

    def _differ(self, t: float, gray: Gray) -> None:
        before, self._gray = self._gray, gray
        step = 0.0 if before is None else difference(before, gray)
        recent = zip(self.times[-STILL_AROUND:], self.step[-STILL_AROUND:], strict=True)
        largest = max((one for when, one in recent if t - when <= AROUND_SECONDS), default=0.0)
        jumped = step >= max(STILL_STEP, STILL_RATIO * largest)
        self.step.append(step)
        self.replaced.append(replaced(before, gray) if before is not None and jumped else 0.0)
        self.touched.append(touched(before, gray) if before is not None and jumped else 0.0)

    def change(self, a: int, b: int) -> float:
        """Mean absolute difference of two frames' thumbnails, 0..255."""
        return float(np.abs(self.thumbnails[a].astype(np.int16) - self.thumbnails[b]).mean())

    def back(self, index: int, most: float) -> int | None:
        """The first frame at most `FLASH_SECONDS` after `index` that shows the picture before it, within `most`."""
        for later in range(index + 1, len(self.times)):
            if self.times[later] - self.times[index] > FLASH_SECONDS:
                return None
            if self.change(index - 1, later) <= most and later in self.returns.get(index, {later}):
                return later
        return None
