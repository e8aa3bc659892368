"""When a frame is shown: presentation timestamps turned into seconds from the container's start."""

from __future__ import annotations

from av.frame import Frame

DISCONTINUITY_SECONDS = 10.0
"""A larger jump back, or past the container's end, is a clock that was reset: FFmpeg's `dts_delta_threshold`."""


class Clock:
    """Places the frames of one stream in time.

    The time is pts * time_base - start. Nothing is invented: only a frame without a timestamp gets the end of the one
    before it. After a discontinuity (wrapped or reset timestamps) time goes on where it was. `lose` says that a packet
    could not be decoded; when frames are missing behind it, `holes` names the seconds.
    """

    def __init__(self, *, start_seconds: float, duration_seconds: float, step_seconds: float) -> None:
        self._start, self._duration, self._step = start_seconds, duration_seconds, step_seconds
        self._lost = False
        self.end_seconds = 0.0
        self.holes: list[tuple[float, float]] = []

    def lose(self) -> None:
        """Remember that something before the next frame was lost."""
        self._lost = True

    def place(self, frame: Frame, length_seconds: float | None = None) -> float:
        """Seconds at which the frame starts; it lasts `length_seconds`, or its own duration, or the nominal step."""
        time_base = frame.time_base
        if frame.pts is None or time_base is None:
            time = self.end_seconds
        else:
            time = float(frame.pts * time_base) - self._start
            limit = max(self._duration, self.end_seconds) + DISCONTINUITY_SECONDS
            if not self.end_seconds - DISCONTINUITY_SECONDS <= time <= limit:
                self._start += time - self.end_seconds
                time = self.end_seconds
        if abs(time) < 1e-5:  # the container's start is rounded to microseconds
            time = 0.0
        if self._lost and time - self.end_seconds > self._step / 2:
            self.holes.append((self.end_seconds, time))
        self._lost = False
        own = float(frame.duration * time_base) if frame.duration and time_base else self._step
        self.end_seconds = max(self.end_seconds, time + (length_seconds or own))
        return time
