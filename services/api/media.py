"""The video itself, with byte ranges, and single pictures of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import cast

from flask import Response, redirect, request, send_file
from pydantic import Field
from werkzeug.exceptions import ClientDisconnected

from services.api.access import caller, visible_job
from services.api.documentation import PICTURE, TAG_MEDIA, VIDEO, blueprint
from services.api.jobs import JobPath
from services.api.pace import sending
from services.api.places import Places
from shared.errors import BadInput
from shared.isolated import thumbnail
from shared.schema import Frozen, MediaInfo
from shared.settings import settings
from shared.storage import video_key
from shared.tables import Job
from tasks.node import storage

MIMETYPES = {
    "mov": "video/mp4",
    "mp4": "video/mp4",
    "matroska": "video/webm",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "mpegts": "video/mp2t",
    "mpeg": "video/mpeg",
    "flv": "video/x-flv",
    "ogg": "video/ogg",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
"""By the first name of FFmpeg's demuxer."""

ONE_RANGE = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-\d{1,18})[ \t]*", re.IGNORECASE | re.ASCII)
KEPT_PICTURES = 256
DECODERS = 2
"""Pictures decoded at once: more would take the analyzers' cores."""

LOOK_SECONDS = 0.1
"""Between looks whether who waits for a decoder is still there."""

PICTURES = 8
"""Requests in one process that make pictures, or wait for it: each holds a thread."""

PICTURES_OF_ONE = 6
"""Of them, those of one key: as many as a browser has connections."""

api = blueprint("media", __name__, TAG_MEDIA, url_prefix="/v1/jobs")
_places = Places("pictures and exports are being made", code="too_many_pictures")
_decoding = threading.BoundedSemaphore(DECODERS)


class FramePath(JobPath):
    """Which moment of which job."""

    t: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="seconds")


class FrameQuery(Frozen):
    """How large."""

    width: int = Field(320, ge=16, le=1920, description="pixels; the height follows")


@api.get("/<job_id>/video", responses=VIDEO, operation_id="show_video")
def video(path: JobPath) -> Response:
    """The video as it was handed in. One range of bytes may be asked for; any other `Range` gets the whole."""
    job = visible_job(path.job_id)
    _ignore_other_ranges()
    key = video_key(job.video_sha256)
    mimetype = MIMETYPES.get(_media(job).container.split(",", maxsplit=1)[0], "application/octet-stream")
    elsewhere = signed(key, name=job.source_name or "video", mimetype=mimetype, head=request.method == "HEAD")
    if elsewhere is not None:
        return _sent_to(elsewhere, key, job)
    file = storage().path(key)
    if not file.is_file():
        raise BadInput(f"the video of job {job.id} is gone", code="no_video")
    response = send_file(
        file,
        mimetype=mimetype,
        download_name=job.source_name or "video",
        conditional=True,
        etag=job.video_sha256,
        max_age=0,
    )
    response.cache_control.private = True
    return response


def signed(key: str, *, name: str = "", mimetype: str = "", head: bool = False) -> str | None:
    """The bucket's own address of a blob, where the settings want it to be read from there."""
    seconds = settings().storage_signed_seconds
    if seconds is None:
        return None
    return storage().download_url(key, seconds=seconds, name=name, mimetype=mimetype, head=head)


def _sent_to(address: str, key: str, job: Job) -> Response:
    if not storage().exists(key):
        raise BadInput(f"the video of job {job.id} is gone", code="no_video")
    response = cast("Response", redirect(address, code=307))
    response.cache_control.no_store = True  # the address is good for a while only
    return response


@api.get("/<job_id>/frames/<t>.jpg", responses=PICTURE, operation_id="show_frame")
def frame(path: FramePath, query: FrameQuery) -> Response:
    """The picture shown at `t` seconds, upright. Raises as `drawing`."""
    job = visible_job(path.job_id)
    media = _media(job)
    if not media.has_video:
        raise BadInput(f"the file of job {job.id} has no pictures", code="no_video")
    if path.t > media.duration_seconds:
        raise BadInput(f"{path.t} s is beyond the video's end at {media.duration_seconds} s", code="beyond_end")
    response = Response(_picture(media, round(path.t, 3), query.width), mimetype="image/jpeg")
    response.set_etag(f"{job.video_sha256}-{path.t:.3f}-{query.width}")
    response.headers["Cache-Control"] = "private, max-age=86400"
    return cast("Response", response.make_conditional(request))


@contextmanager
def drawing() -> Iterator[None]:
    """A place for the caller to have pictures made; pictures that are kept need none.

    Raises:
        QuotaExceeded: this key has as many as one may have (`too_many_pictures`).
        Infrastructure: all are taken (`too_many_pictures`).
    """
    with _places.place(caller().owner, most=PICTURES, most_of_one=PICTURES_OF_ONE):
        yield


def _ignore_other_ranges() -> None:
    """Forget a Range that is malformed, in another unit, or several: the library would answer 416.

    RFC 9110, 14.2: a server may ignore any Range, and has to where it does not know the unit.
    """
    asked = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    first, last = (asked[1], asked[2]) if asked else (None, None)
    if asked is None or (first and last and int(last) < int(first)):
        request.environ.pop("HTTP_RANGE", None)


@lru_cache(maxsize=KEPT_PICTURES)
def _picture(media: MediaInfo, t: float, width: int) -> bytes:
    with storage().held(video_key(media.sha256)) as file:
        if not file.is_file():
            raise BadInput("the video is gone", code="no_video")
        with drawing(), _decoder():
            return thumbnail(file, media, t, width=width)


@contextmanager
def _decoder() -> Iterator[None]:
    """One of the decoders, once it is free. Raises ClientDisconnected: who asked has left before that."""
    connection = sending.get()
    while not _decoding.acquire(timeout=LOOK_SECONDS):
        # a page that was left has asked for as many pictures as the next one will
        if connection is not None and connection.has_left():
            raise ClientDisconnected
    try:
        yield
    finally:
        _decoding.release()


def _media(job: Job) -> MediaInfo:
    return job.video
