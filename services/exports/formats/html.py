"""The report for people: see `services/exports/html.py`. It has pictures when the request brings the video."""

from __future__ import annotations

from services.exports.format import Format, Request
from shared.schema import Document


def write(document: Document, request: Request) -> bytes:
    """The report as one page in UTF-8."""
    from services.exports.html import render  # brings Celery and the ledger: not for whoever wants subtitles

    return render(document, thumbnail=request.thumbnail).encode()


FORMAT = Format(
    name="html", media_type="text/html", suffix=".html", summary="the report: one page to read", write=write
)
