"""Cues: what SRT and WebVTT have in common."""

from __future__ import annotations

from dataclasses import dataclass

from services.exports.characters import lines_of
from services.exports.format import Subtitles
from services.exports.selection import items_of
from shared.schema import Caption, Document, SpeechSegment

SOURCES: dict[Subtitles, type[SpeechSegment | Caption]] = {"speech": SpeechSegment, "captions": Caption}
ANALYZERS: dict[Subtitles, str] = {"speech": "speech_transcription", "captions": "text_overlay"}


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines that are shown for a time in milliseconds; at least one line and one millisecond."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    item: SpeechSegment | Caption


def cues(document: Document, subtitles: Subtitles) -> tuple[Cue, ...]:
    """What is said or stands on screen, by its start. What has no text has no cue; what has no length gets 1 ms."""
    found = []
    for item in items_of(document, SOURCES[subtitles]):
        start, end = milliseconds(item.start), milliseconds(item.end)
        if lines := lines_of(item.text):
            found.append(Cue(start, max(end, start + 1), lines, item))
    return tuple(found)


def milliseconds(seconds: float) -> int:
    """A time of the document, exactly: it has three decimals."""
    return round(seconds * 1000)


def clock(ms: int, point: str) -> str:
    """Hours, minutes, seconds and milliseconds; more than 99 hours take more digits."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
