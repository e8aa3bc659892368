"""The contract of an export: one file in `services/exports/formats/` with one `FORMAT`.

An export is a pure function of a document and a request. It never fails because an analyzer did: what was not found is
an empty file of its format, which says why where the format has room for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.schema import Document

Subtitles = Literal["speech", "captions"]


def no_picture(t: float) -> bytes | None:  # noqa: ARG001  (the signature of a thumbnail)
    """A thumbnail where the video is not at hand."""
    return None


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller may say beside the document.

    `video_name`: the video's file name, for formats that point to it; None for the name that the document knows.
    `subtitles`: what SRT and WebVTT hold, the words said or the text on screen. `thumbnail`: the JPEG of the picture at
    a moment, None where there is none.
    """

    video_name: str | None = None
    subtitles: Subtitles = "speech"
    thumbnail: Callable[[float], bytes | None] = no_picture

    def video(self, document: Document) -> str:
        """The video's file name."""
        return self.video_name or document.job.source_name or f"{document.media.sha256}.video"


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `suffix` of its files begins with a dot; `summary` says in a line what is in it."""

    name: str
    media_type: str
    suffix: str
    summary: str
    write: Callable[[Document, Request], bytes]
