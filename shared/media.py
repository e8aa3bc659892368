"""The one place that opens videos: probing facts, and decoders for the frame store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from shared.errors import BadInput
from shared.schema import MediaInfo, StreamInfo


def sha256_of(path: Path) -> str:
    """The file's sha256 as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        BadInput: the file is missing, empty, or no media that FFmpeg knows.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file", code="not_found")
    if not path.is_file():
        raise BadInput(f"{path}: is not a file", code="not_a_file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty", code="empty_file")
    try:
        container = av.open(os.fspath(path), mode="r", metadata_errors="replace")
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is not a video that can be read ({error.strerror})", code="not_a_video") from error
    with container:
        yield container


def probe(path: Path, *, sha256: str | None = None) -> MediaInfo:
    """Read the facts about a video from its headers and first frame.

    Raises:
        BadInput: it is not a video that can be read.
    """
    with open_container(path) as container:
        video, audio = chosen_streams(container)
        if video is None and audio is None:
            raise BadInput(f"{path}: has neither pictures nor sound", code="no_streams")
        start = (container.start_time or 0) / av.time_base
        duration = (container.duration or 0) / av.time_base
        width = height = None
        rotation = 0
        fps = None
        vfr = None
        if video is not None:
            frame = next(container.decode(video))
            rotation = int(frame.rotation) % 360
            sar = video.codec_context.sample_aspect_ratio or Fraction(1)
            width, height = round(frame.width * sar), frame.height
            if rotation in (90, 270):
                width, height = height, width
            rate = video.average_rate
            fps = f"{rate.numerator}/{rate.denominator}" if rate else None
            guessed = video.guessed_rate
            vfr = bool(rate and guessed and abs(float(rate) - float(guessed)) / float(guessed) > 0.01)
        return MediaInfo(
            sha256=sha256 or sha256_of(path),
            size_bytes=path.stat().st_size,
            container=container.format.name,
            duration_seconds=duration,
            start_seconds=start,
            width=width,
            height=height,
            fps=fps,
            vfr=vfr,
            rotation=rotation,
            streams=tuple(_stream_info(stream, chosen=stream in (video, audio)) for stream in container.streams),
        )


def chosen_streams(container: InputContainer) -> tuple[Any, Any]:
    """The video and the audio stream that are analysed: FFmpeg's best ones, cover pictures left out."""
    return container.streams.best("video"), container.streams.best("audio")


def _stream_info(stream: Any, *, chosen: bool) -> StreamInfo:
    context = getattr(stream, "codec_context", None)
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=context.name if context else None,
        language=stream.language,
        chosen=chosen,
        width=getattr(context, "width", None) if stream.type == "video" else None,
        height=getattr(context, "height", None) if stream.type == "video" else None,
        sample_rate=getattr(context, "sample_rate", None) if stream.type == "audio" else None,
        channels=getattr(context, "channels", None) if stream.type == "audio" else None,
    )
