"""Freeze frames: motion that stops within a shot, and goes on or ends in a cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tasks.effects.signals import STILL_MEAN, Finding, Signals
from tasks.transitions.pictures import Look, small, unexplained
from tasks.transitions.signals import UNEXPLAINED

FREEZE_SECONDS = 0.5
"""Least length of a frozen picture: 15 frames at 30 fps, beyond what cadences (animation on threes) repeat."""
FREEZE_RATIO, FREEZE_LEAST, FREEZE_ABRUPT = 5.0, 1.5, 0.5
"""How many times as much must change per frame in the half second beside a still (the cell that changes most), and
least, in levels; how much of it the three frames next to the still must have: bodies slow down before they stop. Our
own measurement: a held frame of a pan 30, of a signer 30; no still of seven real clips passes the other two at all."""
FREEZE_BUSY = 65
"""Percentile of the changes beside a still: one jump (the next slide) is no motion, film at 12 on 30 fps is."""
FREEZE_NOISE = 0.1
"""Change per frame, in levels, that is taken for nothing."""
FREEZE_FRAMES = 5
"""Least number of frames beside a still that show motion."""
WIPE_SECONDS = 2.0
"""Longest time in which one held picture gives way to another, in whatever way."""

Span = tuple[float, float]
"""Seconds."""


def freezes(signals: Signals, bounds: Sequence[int], mixed: Sequence[Span], look: Look) -> Iterator[Finding]:
    """Yield spans in which a moving picture stands still; measure: how many times as much changes per frame in the half
    second before it, and in that after it where the shot goes on.

    `bounds`: first frames of shots. `mixed`: dissolves and ramps of fades: what changes there is no motion. A picture
    that never moved before it stood (a slide, a photograph, whether it was cut, faded, dissolved or wiped to) is not
    frozen.
    """
    step, times = np.asarray(signals.step), np.asarray(signals.times)
    moving = np.ones(len(times), np.bool_)
    for start, end in mixed:
        moving[(times >= start - 0.001) & (times <= end + 0.001)] = False
    for begun, last in signals.stills:
        opening = max((b for b in bounds if b <= begun), default=0)
        first = begun
        # A codec sharpens a held picture over its first frames, which makes it differ from what it becomes.
        while first > opening and step[first] <= STILL_MEAN:
            first -= 1
        start, end = signals.times[first], signals.end_of(last)
        if end - start < FREEZE_SECONDS or signals.blank(first):
            continue
        closing = min((b for b in bounds if b > last), default=len(times))
        before = [i for i in range(first, opening, -1) if start - times[i] < FREEZE_SECONDS and moving[i]]
        after = [i for i in range(last + 1, closing) if times[i] - end < FREEZE_SECONDS and moving[i]]
        if len(before) < FREEZE_FRAMES:
            continue
        sides = [before, after] if len(after) >= FREEZE_FRAMES else [before]
        abrupt = all(step[side[:3]].mean() >= FREEZE_ABRUPT * step[side].mean() for side in sides)
        moved = [float(np.percentile(step[side], FREEZE_BUSY)) for side in sides]
        within = max(float(np.percentile(step[first + 1 : last + 1], FREEZE_BUSY)), FREEZE_NOISE)
        busy = abrupt and min(moved) >= max(FREEZE_LEAST, FREEZE_RATIO * within)
        if busy and not _wiped(signals, first, look):
            yield Finding("freeze", start, end, min(moved) / within, FREEZE_RATIO)


def _wiped(signals: Signals, first: int, look: Look) -> bool:
    """Whether another picture, which was held too, gave way to the still that begins at `first`.

    Wipes are no transitions of cut_analysis. Motion does not explain the one picture by the other.
    """
    for begun, last in signals.stills:
        gone = signals.times[first] - signals.times[last]
        held = signals.end_of(last) - signals.times[begun]
        if 0 < gone <= WIPE_SECONDS and held >= FREEZE_SECONDS:
            return unexplained(small(look(last)), small(look(first))) >= UNEXPLAINED
    return False
