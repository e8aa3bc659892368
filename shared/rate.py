"""How many frames a second a video has, and whether their distance varies, by its first packets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from av.video.stream import VideoStream

SCANNED_PACKETS = 300
"""Video packets whose distances decide on variable frame rate: 10 s at 30 fps."""

VARIABLE_SHARE = 0.01
"""More frame distances than this share off the median by over 1 %, one tick and 1 ms: the rate is variable."""

TICK_RATE_FACTOR = 4
"""A header rate so much above the packets' is that of a clock's ticks (AVI), not of frames. Where there is no average
(MPEG-TS of uneven or very many frames), FFmpeg's guess may be one: 2000 for 27 frames a second."""

HELD_FACTOR = 1.5
"""A last picture that is shown for so much longer than the others is held: the rate is variable.

One that is held before the last makes their mean distance longer than the median one: a pause that takes more than
VARIABLE_SHARE of the time, and more than rounding does.
"""


def frame_rate(
    video: VideoStream, stamps: Sequence[int], lengths: Sequence[int]
) -> tuple[Fraction | None, bool | None]:
    """Frames per second, and whether their distance varies; None is unknown.

    `stamps`: the presentation times of the first packets that have one; `lengths`: the durations of all of them, 0 for
    unknown; both in ticks of the stream's time base.
    """
    if len(stamps) < 2 or len(stamps) <= len(lengths) / 2:
        return _rate_of_lengths(video, lengths), None
    return _rate_of_times(video, sorted(set(stamps)), lengths)


def _rate_of_lengths(video: VideoStream, lengths: Sequence[int]) -> Fraction | None:
    """Frames per second where packets have no times to tell it, as in raw H.264, whose average is FFmpeg's default."""
    known = [length for length in lengths if length]
    if not known or video.time_base is None or (len(lengths) == 1 and video.average_rate):
        return video.average_rate or video.guessed_rate
    return (1 / (Fraction(statistics.median(known)) * video.time_base)).limit_denominator(1001)


def _rate_of_times(
    video: VideoStream, stamps: list[int], lengths: Sequence[int]
) -> tuple[Fraction | None, bool | None]:
    """Frames per second, and whether their distance varies: among the first packets, or between those and the header's
    average over the whole stream.
    """
    average, guessed = video.average_rate, video.guessed_rate
    gaps = [after - before for before, after in pairwise(stamps)]
    # the last packets read may still lack neighbours that are shown between them
    gaps = gaps[:-4] if len(gaps) > SCANNED_PACKETS // 2 else gaps
    if not gaps or video.time_base is None:
        return average or guessed, None
    median = statistics.median(gaps)
    # a tick, or the millisecond that Matroska rounds to and that survives in files made from it
    allowed = max(1.0, 0.00101 / float(video.time_base), 0.01 * median)
    off = sum(abs(gap - median) > allowed for gap in gaps)
    mean_seconds = float(statistics.fmean(gaps) * video.time_base)
    held = len(lengths) <= SCANNED_PACKETS and lengths[-1] > max(HELD_FACTOR * median, median + allowed)
    uneven = held or off / len(gaps) > VARIABLE_SHARE or statistics.fmean(gaps) > median + allowed
    if not average or float(average) * mean_seconds > TICK_RATE_FACTOR:
        near = guessed if guessed and abs(float(guessed) * mean_seconds - 1) <= VARIABLE_SHARE else None
        mean = Fraction(1 / mean_seconds).limit_denominator(1001)
        return near or mean, uneven
    vfr = uneven or bool(average and abs(float(average) * mean_seconds - 1) > VARIABLE_SHARE)
    if not vfr and average and guessed and abs(guessed / average - 1) <= VARIABLE_SHARE:
        return guessed, vfr
    return average or guessed, vfr
