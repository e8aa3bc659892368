"""Comparing a document with what was really put into a reel."""

from __future__ import annotations

import re
from typing import Any

import jiwer

Document = dict[str, Any]


def items(document: Document, track: str) -> list[dict[str, Any]]:
    """The items of a track."""
    return next(one["items"] for one in document["tracks"] if one["id"] == track)


def cut_times(document: Document) -> list[float]:
    """Times of all hard cuts."""
    return [one["t"] for one in items(document, "cut_analysis/cuts") if one["type"] == "cut"]


def letters_wrong(said: str, truth: str) -> int:
    """Edit distance of two captions, case and spaces aside."""
    first, second = (re.sub(r"\s", "", text.upper()) for text in (said, truth))
    return round(jiwer.cer(second, first) * len(second)) if first else len(second)


def word_error_rate(document: Document, truth: str) -> float:
    """Of everything that was said, lower-cased and without punctuation."""
    said = " ".join(one["text"] for one in items(document, "speech_transcription/segments"))
    first, second = (re.sub(r"[^a-z ]", "", text.lower()) for text in (said, truth))
    return float(jiwer.wer(second, first))


def share_covered(document: Document, track: str, label: str, start: float, end: float) -> float:
    """Share of a span in which some object of that label is there."""
    spans = [(one["start"], one["end"]) for one in items(document, track) if one["label"] == label]
    moments = [start + (end - start) * (n + 0.5) / 50 for n in range(50)]
    return sum(any(first <= t < last for first, last in spans) for t in moments) / len(moments)


def motion_share(document: Document, motion: str, start: float, end: float) -> float:
    """Share of a span in which the camera moves like that."""
    moments = [start + (end - start) * (n + 0.5) / 50 for n in range(50)]
    spans = [(one["start"], one["end"]) for one in items(document, "camera_analysis/motion") if one["motion"] == motion]
    return sum(any(first <= t < last for first, last in spans) for t in moments) / len(moments)
