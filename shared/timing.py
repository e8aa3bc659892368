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
        self._clocks: list[Clock] = []

    def join(self, clock: Clock) -> None:
        """Let the clock of one more stream run on this timeline."""
        self._clocks.append(clock)

    def place(self, seconds: float, *, reached: float, end: float, part: int) -> tuple[float, int]:
        """Seconds from the start for a timestamp of a stream that is in that part; the part that the timestamp is in.

        The stream has certainly `reached` a second, and goes on to `end` if its durations are true: by those alone no
        clock is taken for a reset one.
        """
        for known in range(part, len(self._origins)):
            time = seconds - self._origins[known]
            if reached - self._back <= time <= max(self._duration, end) + DISCONTINUITY_SECONDS:
                return time, known
        resumed = max(end, *(clock.end_seconds for clock in self._clocks))
        self._origins.append(seconds - resumed)
        return resumed, len(self._origins) - 1


class Clock:
    """Places the frames of one stream in time.

    The time is pts * time_base - start. Nothing is invented: only a frame without a timestamp gets the end of the one
    before it. `lose` says that a packet could not be decoded; when frames are missing behind it, `holes` names the
    seconds. `is_sound`: its frames last as long as they say. A picture lasts until the next one, whatever it says: the
    MP4 family keeps steps of decoding there.
    """

    def __init__(self, timeline: Timeline, *, step_seconds: float, is_sound: bool = False) -> None:
        self._timeline, self._step, self._is_sound = timeline, step_seconds, is_sound
        self._part, self._lost = 0, False
        self.placed_seconds = 0.0
        self.end_seconds = 0.0
        self.holes: list[tuple[float, float]] = []
        timeline.join(self)

    def lose(self) -> None:
        """Remember that something before the next frame was lost."""
        self._lost = True

    def at(self, seconds: float | None, length_seconds: float) -> float:
        """Seconds from the start for a timestamp in seconds, of something that lasts so long; None continues."""
        time = self.end_seconds if seconds is None else self._placed(seconds)
        if self._lost and time - self.end_seconds > self._step / 2:
            self.holes.append((self.end_seconds, time))
        self._lost = False
        self.end_seconds = min(self.end_seconds, max(time, self.placed_seconds))
        self.placed_seconds = time
        self.end_seconds = max(self.end_seconds, time + length_seconds)
        return time

    def _placed(self, seconds: float) -> float:
        reached = self.end_seconds if self._is_sound else self.placed_seconds
        time, self._part = self._timeline.place(seconds, reached=reached, end=self.end_seconds, part=self._part)
        # the container's start is rounded to microseconds
        return 0.0 if abs(time) < 1e-5 else time

    def known_until(self, time: float) -> float:
        """Until when what came before the frame at `time`, the newest one, is known: a hole may lie between."""
        return self.holes[-1][0] if self.holes and self.holes[-1][1] == time else time

    def place(self, frame: Frame, length_seconds: float | None = None) -> float:
        """Seconds at which the frame starts; it lasts `length_seconds`, or its own duration, or the nominal step."""
        time_base = frame.time_base
        own = float(frame.duration * time_base) if frame.duration and time_base else self._step
        stamp = None if frame.pts is None or time_base is None else float(frame.pts * time_base)
        return self.at(stamp, length_seconds or own)
