"""When a frame is shown: presentation timestamps turned into seconds from the container's start."""

from __future__ import annotations

from av.frame import Frame

DISCONTINUITY_SECONDS = 10.0
"""A larger jump back, or past the container's end, is a clock that was reset: FFmpeg's `dts_delta_threshold`."""

RESTART_SECONDS = 0.1
"""In formats that are cut and joined freely (MPEG-TS) a larger jump back is one: FFmpeg's `ts_discontinuity_detect`."""


class Timeline:
    """The clock of one container, shared by its streams, so that they stay together when it is reset.

    After a discontinuity (wrapped or reset timestamps, a second recording appended to the first) time goes on where the
    stream that ran longest had ended. `restarts`: the format is one that is cut and joined freely.
    """

    def __init__(self, *, start_seconds: float, duration_seconds: float, restarts: bool = False) -> None:
        self._origins = [start_seconds]
        self._duration = duration_seconds
        self._back = RESTART_SECONDS if restarts else DISCONTINUITY_SECONDS
        self.end_seconds = 0.0

    def place(self, seconds: float, *, end: float, part: int) -> tuple[float, int]:
        """Seconds from the start for a timestamp of a stream that has come to `end` in that part; the part it is in."""
        for known in range(part, len(self._origins)):
            time = seconds - self._origins[known]
            if end - self._back <= time <= max(self._duration, end) + DISCONTINUITY_SECONDS:
                return time, known
        resumed = max(self.end_seconds, end)
        self._origins.append(seconds - resumed)
        return resumed, len(self._origins) - 1


class Clock:
    """Places the frames of one stream in time.

    The time is pts * time_base - start. Nothing is invented: only a frame without a timestamp gets the end of the one
    before it. `lose` says that a packet could not be decoded; when frames are missing behind it, `holes` names the
    seconds.
    """

    def __init__(self, timeline: Timeline, *, step_seconds: float) -> None:
        self._timeline, self._step = timeline, step_seconds
        self._part, self._lost, self._placed = 0, False, 0.0
        self.end_seconds = 0.0
        self.holes: list[tuple[float, float]] = []

    def lose(self) -> None:
        """Remember that something before the next frame was lost."""
        self._lost = True

    def at(self, seconds: float | None) -> float:
        """Seconds from the start for a timestamp in seconds; None continues."""
        if seconds is None:
            return self.end_seconds
        time, self._part = self._timeline.place(seconds, end=self.end_seconds, part=self._part)
        # the container's start is rounded to microseconds
        return 0.0 if abs(time) < 1e-5 else time

    def run_to(self, seconds: float) -> None:
        """Note that the stream goes on until then."""
        self.end_seconds = max(self.end_seconds, seconds)
        self._timeline.end_seconds = max(self._timeline.end_seconds, seconds)

    def known_until(self, time: float) -> float:
        """Until when what came before the frame at `time`, the newest one, is known: a hole may lie between."""
        return self.holes[-1][0] if self.holes and self.holes[-1][1] == time else time

    def place(self, frame: Frame, length_seconds: float | None = None) -> float:
        """Seconds at which the frame starts; it lasts `length_seconds`, or its own duration, or the nominal step."""
        time_base = frame.time_base
        time = self.at(None if frame.pts is None or time_base is None else float(frame.pts * time_base))
        if self._lost and time - self.end_seconds > self._step / 2:
            self.holes.append((self.end_seconds, time))
        self._lost = False
        # a picture is shown until the next one, whatever its duration says: MP4 has steps of decoding there
        self.end_seconds = min(self.end_seconds, max(time, self._placed))
        self._placed = time
        own = float(frame.duration * time_base) if frame.duration and time_base else self._step
        self.run_to(time + (length_seconds or own))
        return time
