"""Timecode: counting frames at the rates for which it is defined, those of SMPTE ST 12-1:2014.

At 30000/1001 and 60000/1001 the drop-frame count leaves out 2 or 4 numbers at each minute but every tenth, so that it
follows the clock. 24000/1001 and 48000/1001 have no such count: their timecode is 3.6 s late after an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from shared.errors import BadInput

TOLERANCE = Fraction(1, 2000)
"""Half the distance of 30000/1001 from 30: what files say of their rate is rounded (2997/100)."""

DEFAULT_RATE = Fraction(30)
"""Where there are no frames to count."""


@dataclass(frozen=True, slots=True)
class TimecodeRate:
    """Frames per second, and how they are numbered."""

    fps: Fraction

    @property
    def nominal(self) -> int:
        """Frame numbers in a second of timecode."""
        return round(self.fps)

    @property
    def dropped(self) -> int:
        """Numbers left out a minute: 0 for non-drop-frame."""
        return self.nominal // 15 if self.fps.denominator == 1001 and self.nominal % 30 == 0 else 0

    def frame_at(self, seconds: float) -> int:
        """The frame that begins nearest to a time."""
        return round(Fraction(seconds) * self.fps)

    def timecode(self, frame: int) -> str:
        """`hh:mm:ss:ff`, drop-frame `hh:mm:ss;ff`.

        Raises:
            BadInput: the frame lies beyond 24 hours, where timecode begins anew (`too_long`).
        """
        if self.dropped:
            tens, rest = divmod(frame, 600 * self.nominal - 9 * self.dropped)
            minutes = max(0, rest - self.dropped) // (60 * self.nominal - self.dropped)
            frame += self.dropped * (9 * tens + minutes)
        seconds, frames = divmod(frame, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        if hours >= 24:
            raise BadInput("the video is too long for timecode, which ends at 24 hours", code="too_long")
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if self.dropped else ':'}{frames:02d}"


RATES = tuple(
    TimecodeRate(Fraction(rate))
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48000/1001", "48", "50", "60000/1001", "60")
)


def timecode_rate(fps: Fraction | None) -> TimecodeRate:
    """The rate to count a video's frames at.

    Its own where timecode has it; else the lowest that is a whole multiple of it (10: 30); else the highest of which it
    is one (240: 60); else the next higher one (29.5: 30000/1001); else 60.
    """
    wanted = fps if fps is not None and fps > 0 else DEFAULT_RATE
    own = (rate for rate in RATES if _multiple(rate.fps / wanted) == 1)
    multiples = (rate for rate in RATES if _multiple(rate.fps / wanted))
    parts = (rate for rate in reversed(RATES) if _multiple(wanted / rate.fps))
    higher = (rate for rate in RATES if rate.fps > wanted)
    return next(chain(own, multiples, parts, higher), RATES[-1])


def _multiple(ratio: Fraction) -> int:
    """The whole number that a ratio of rates is, but for rounding; 0 where it is none."""
    whole = round(ratio)
    return whole if whole and abs(ratio / whole - 1) < TOLERANCE else 0
