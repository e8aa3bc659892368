"""Comparing a document with what was really put into a reel."""

from __future__ import annotations

from typing import Any

from services.evaluation.figures import letters_wrong
from services.evaluation.figures import word_error_rate as error_rate

__all__ = ["cut_times", "items", "letters_wrong", "motion_share", "share_covered", "word_error_rate"]

Document = dict[str, Any]


def items(document: Document, track: str) -> list[dict[str, Any]]:
    """The items of a track."""
    return next(one["items"] for one in document["tracks"] if one["id"] == track)


def cut_times(document: Document) -> list[float]:
    """Times of all hard cuts."""
    return [one["t"] for one in items(document, "cut_analysis/cuts") if one["type"] == "cut"]


def word_error_rate(document: Document, truth: str) -> float:
    """Of everything that was said, lower-cased and without punctuation."""
    return error_rate(" ".join(one["text"] for one in items(document, "speech_transcription/segments")), truth)


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
