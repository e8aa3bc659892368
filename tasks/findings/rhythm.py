"""Cuts against the beat."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

from shared.schema import Event, Segment
from tasks.findings.view import Finding, View, finding, span_of

BEAT_SECONDS = 0.08
"""Sound and picture this close are seen as one (ITU-R BT.1359-1: detectable from -125 ms to +45 ms)."""
BY_CHANCE = 0.01
"""Cuts keep the beat when so many on a beat would be rarer than this by chance (binomial test)."""


def cuts_on_beats(view: View) -> Iterator[Finding]:
    """Find cuts that fall on beats far more often than chance would have it."""
    cuts, beats = view.cuts or {}, view.beats or {}
    matched = on_beats(cuts, beats)
    if not matched:
        return
    times = sorted(beat.t for beat in beats.values())
    period = (times[-1] - times[0]) / max(len(times) - 1, 1)
    chance = 2 * BEAT_SECONDS / max(period, 2 * BEAT_SECONDS)
    tail = range(len(matched), len(cuts) + 1)
    if sum(comb(len(cuts), k) * chance**k * (1 - chance) ** (len(cuts) - k) for k in tail) < BY_CHANCE:
        span = span_of(Segment(id="", start=cuts[cut].t, end=cuts[cut].t) for cut in matched)
        message = f"{len(matched)} of {len(cuts)} cuts fall on a beat; by chance it would be {chance * len(cuts):.1f}"
        yield finding("cuts_on_beats", "agreement", span, message, *matched, *matched.values())


def on_beats(cuts: dict[str, Event], beats: dict[str, Event]) -> dict[str, str]:
    """Evidence id of the beat on which each cut falls, for those that do."""
    nearest = {cut: min(beats, key=lambda beat: abs(beats[beat].t - cuts[cut].t)) for cut in cuts if beats}
    return {cut: beat for cut, beat in nearest.items() if abs(beats[beat].t - cuts[cut].t) <= BEAT_SECONDS}
