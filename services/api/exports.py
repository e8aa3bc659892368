"""The document in other formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from flask import Response
from pydantic import Field

from services.api.access import visible_job
from services.api.documentation import EXPORT, TAG_RESULTS, blueprint
from services.api.jobs import JobPath
from services.api.media import drawing
from services.api.stored import stored_result
from services.exports.format import Request
from services.exports.registry import format_named
from services.results import THUMBNAIL_WIDTH
from shared.errors import BadInput
from shared.isolated import thumbnail
from shared.schema import Document, Frozen
from shared.storage import document_key, video_key
from shared.tables import OPEN_STATES
from tasks.node import storage
from tasks.registry import parse_document

SUBTITLES = frozenset({"srt", "vtt"})
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

api = blueprint("exports", __name__, TAG_RESULTS, url_prefix="/v1/jobs")


class ExportPath(JobPath):
    """Which export of which job."""

    format: str = Field(pattern=r"^[a-z0-9_]{1,32}$", description="name of a format")


class ExportQuery(Frozen):
    """What may be chosen."""

    subtitles: Literal["speech", "captions"] = Field("speech", description="what SRT and WebVTT hold")


@api.get("/<job_id>/export/<format>", responses=EXPORT, operation_id="export_result")
def export(path: ExportPath, query: ExportQuery) -> Response:
    """The document of a job that has ended, in another format."""
    job = visible_job(path.job_id)
    chosen = format_named(path.format)
    if job.state in OPEN_STATES:
        raise BadInput(f"job {job.id} has not ended", code="job_open")
    document = parse_document(stored_result(document_key(job.id), job))
    request = Request(video_name=job.source_name, subtitles=query.subtitles, thumbnail=lambda t: _picture(document, t))
    with drawing():
        content = chosen.write(document, request)
    response = Response(content, content_type=_content_type(chosen.media_type))
    suffix = (
        f".on-screen{chosen.suffix}" if chosen.name in SUBTITLES and query.subtitles == "captions" else chosen.suffix
    )
    kind = "inline" if chosen.name == "html" else "attachment"
    response.headers["Content-Disposition"] = f"{kind}; {_file_name(Path(job.source_name or 'video').stem, suffix)}"
    if chosen.name == "html":
        response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


def _file_name(stem: str, suffix: str) -> str:
    """The parameters of a Content-Disposition: in ASCII, and as it is where that differs (RFC 6266, RFC 5987)."""
    plain = UNSAFE.sub("_", stem).strip("._") or "video"
    name = f'filename="{plain}{suffix}"'
    return name if plain == stem else f"{name}; filename*=UTF-8''{quote(stem + suffix, safe='')}"


def _picture(document: Document, t: float) -> bytes | None:
    with storage().held(video_key(document.media.sha256)) as video:
        if not document.media.has_video or not video.is_file():
            return None
        return thumbnail(video, document.media, t, width=THUMBNAIL_WIDTH)


def _content_type(media_type: str) -> str:
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") and ";" not in media_type else media_type
