"""Sets of seconds: half-open spans, joined and cut."""

from __future__ import annotations

from collections.abc import Iterable

Seconds = tuple[float, float]

TOUCHING_SECONDS = 1e-3
"""Spans nearer than the document's resolution are one."""


def merged(spans: Iterable[Seconds]) -> list[Seconds]:
    """Sort spans and join those that touch; empty ones vanish."""
    joined: list[Seconds] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1] + TOUCHING_SECONDS:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def without(spans: Iterable[Seconds], holes: Iterable[Seconds]) -> list[Seconds]:
    """Cut the holes out of the spans."""
    left = list(spans)
    for hole_start, hole_end in holes:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, hole_start)), (max(start, hole_end), end))
            if part[1] > part[0]
        ]
    return left
