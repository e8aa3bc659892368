"""Small pictures of single moments of a video, for reports and pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageOps

from shared.errors import BadInput
from shared.media import chosen_streams, open_container
from shared.packets import Restamp, packets
from shared.schema import MediaInfo

JPEG_QUALITY = 80

FEW_THREADS_PIXELS = 3840 * 2160
FEW_THREADS = 4
"""Of larger pictures a decoder works on so many at a time, whatever the machine has: each thread holds one of them."""

HIGHEST = 4
"""No thumbnail is more times as high as wide: a JPEG ends at 65,500 pixels, a page is read long before."""


def thumbnail(path: Path, info: MediaInfo, t: float, *, width: int) -> bytes:
    """The picture shown at `t` seconds (the last frame with a time <= t, else the first), as a JPEG.

    `width` in pixels; the height follows from the displayed size in `info`, so rotation and pixel shape are applied. A
    picture over four times as high as wide is made narrower.

    Raises:
        BadInput: the file cannot be read, or has no picture that can be decoded there (`undecodable`).
    """
    if info.width is None or info.height is None:
        raise BadInput(f"{path}: the file has no pictures.", code="undecodable")
    with open_container(path) as container:
        frame = _shown_at(container, t + info.start_seconds)
        if frame is None:
            raise BadInput(f"{path}: no picture can be decoded at {t:.3f} s.", code="undecodable")
        try:
            pixels = frame.to_ndarray(format="rgb24")
        except (av.error.FFmpegError, ValueError) as error:
            raise BadInput(f"{path}: the picture at {t:.3f} s cannot be converted.", code="undecodable") from error
    upright = Image.fromarray(pixels).rotate(info.rotation, expand=True)
    upright = ImageOps.mirror(upright) if info.mirrored else upright
    scale = width * min(1 / info.width, HIGHEST / info.height)
    size = max(1, round(info.width * scale)), max(1, round(info.height * scale))
    jpeg = BytesIO()
    upright.resize(size, Image.Resampling.LANCZOS).save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return jpeg.getvalue()


def _shown_at(container: InputContainer, time: float) -> VideoFrame | None:
    """The frame shown at a time of the container's clock."""
    video, _ = chosen_streams(container)
    if video is None:
        return None
    video.thread_type = "AUTO"
    if video.width * video.height > FEW_THREADS_PIXELS:
        video.codec_context.thread_count = FEW_THREADS
    shown: VideoFrame | None = None
    with suppress(av.error.FFmpegError):  # a format without an index is read from its beginning
        container.seek(max(0, int(time * av.time_base)), backward=True)
    for frame in _frames(container, video):
        if shown is not None and frame.pts is not None and frame.time > time:
            break
        shown = frame
    return shown


def _frames(container: InputContainer, video: VideoStream) -> Iterator[VideoFrame]:
    """All frames from here on; what is broken is passed over, and the frame before it stays on screen."""
    restamp = Restamp(container)
    for packet in packets(container, [video]):
        with suppress(av.error.FFmpegError):
            yield from (restamp(frame) for frame in packet.decode() if isinstance(frame, VideoFrame))
