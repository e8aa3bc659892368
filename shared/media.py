"""The one place that opens videos: probing facts, and containers for the frame store's decode pass."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.digests import sha256_of
from shared.edits import edits
from shared.encryption import is_encrypted
from shared.errors import BadInput
from shared.gif import with_delays
from shared.length import is_sought, length_seconds
from shared.packets import packets
from shared.rate import SCANNED_PACKETS, frame_rate
from shared.renditions import DEFAULT_FPS
from shared.schema import Frozen, MediaInfo, StreamInfo
from shared.stills import canvas, is_animated_webp, still_picture
from shared.truncation import missing_part

logger = logging.getLogger(__name__)

FORMATS = (
    "mov,mp4,3gp,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,gif,apng,ivf,nut,rm,dv,h264,hevc,m4v,"
    "wav,w64,mp3,flac,aac,amr,aiff,caf"
)
"""Demuxers that may be used. Left out on purpose: playlists and scripts (hls, concat, dash), which open other files,
and text and still pictures (tty, srt, image2), which make a video of anything."""

MAX_PIXELS = 142_606_336
"""No codec level allows more (HEVC 7.2 and AV1 7.3: 16384x8704): a larger header is a decompression bomb."""

MAX_FRAMES = 2_000_000
"""Four hours at 120 frames a second are 1.7 million."""

MAX_EDITS = 10_000
"""A cut film has some hundreds at most. FFmpeg takes half a minute for 100,000 in 1.2 MB, before it says anything."""

LEAST_BITS_PER_SECOND = 4750
SPARSE_SECONDS = 600.0
"""AMR's lowest mode (3GPP TS 26.071); Opus begins at 6000 (RFC 6716). A file that has less for sound, pictures and all,
for over ten minutes, is a decompression bomb.

All bytes count: where there are real pictures, or talk for a part of the time, a microphone may be muted for the rest.
"""

TOO_SPARSE = "too_sparse"

MAX_CHANNELS = 64
"""FFmpeg's resampler takes no more (SWR_CH_MAX)."""

MAX_SAMPLE_RATE = 6_144_000
"""DSD1024 at an eighth, as FFmpeg decodes it. At 2 GHz the resampler's filter takes 4 GiB."""

LANGUAGE_CHARACTERS = 64
"""A language tag has 35 at most (RFC 5646, section 4.4.1) without extensions; what is longer names none."""

TOLD_STREAMS = 128
"""FFmpeg opens up to 1000. Those that are analysed are told wherever they stand."""

Streams: TypeAlias = tuple[VideoStream | None, AudioStream | None]


UNREADABLE = frozenset({errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENXIO})
"""What a damaged disk, a lost network folder or a file of the kernel's answers when it is read."""


class Limits(Frozen):
    """What a video may have at most: `pixels` of one picture, as stored and as shown. `seconds` None: any length."""

    pixels: int = MAX_PIXELS
    frames: int = MAX_FRAMES
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Pictures:
    """What only packets tell: the first frame, the rate, whether it varies."""

    first: VideoFrame
    fps: Fraction | None
    vfr: bool | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """How a picture is displayed: see MediaInfo."""

    width: int | None = None
    height: int | None = None
    rotation: int = 0
    mirrored: bool = False


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading. FFmpeg gets no other protocol than `file` and no format that opens other files.

    Raises:
        BadInput: the file is missing, empty, cut short, or no media that FFmpeg knows.
    """
    _refuse_unreachable(path)
    if path.is_file() and not os.access(path, os.R_OK):
        raise BadInput(f"{path}: it may not be read.", code="unreadable")
    if not path.is_file():
        kind = "folder" if path.is_dir() else "device or pipe"
        raise BadInput(f"{path}: this is a {kind}, not a video.", code="not_a_file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty.", code="empty_file")
    if is_animated_webp(path):
        raise BadInput(
            f"{path}: an animated WebP cannot be decoded here; a GIF, an APNG or a video can.", code="undecodable"
        )
    if still := still_picture(path):
        raise BadInput(f"{path}: this is a picture ({still}), not a video.", code="still_picture")
    if missing := missing_part(path):
        raise BadInput(f"{path}: the file is cut short, {missing} is missing.", code="truncated")
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    mended = with_delays(path)
    source = f"file:{path.absolute()}" if mended is None else BytesIO(mended)
    try:
        container = av.open(source, mode="r", metadata_errors="replace", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise BadInput(f"{path}: this is not a video that can be read.", code="not_a_video") from error
    with container:
        yield container


def probe(path: Path, *, sha256: str | None = None, limits: Limits | None = None) -> MediaInfo:
    """Read the facts about a video from its headers, its first frame and its first packets, in this very process.

    A file that somebody sent is probed by `shared.isolated.probe`: FFmpeg may crash on it.

    The duration is the header's where the last packets agree, else that of the packets (`shared/length.py`).

    Raises:
        BadInput: it is not a video that can be read (`not_found`, `not_a_file`, `empty_file`, `truncated`,
            `still_picture`, `not_a_video`, `undecodable`, `no_streams`, `no_duration`), or larger or longer than
            allowed or than it can be (`too_large`, `too_long`, `too_many_frames`, `too_sparse`, `too_slow`).
    """
    limits = limits or Limits()
    with _refused_where_unreadable(path):
        _refuse_canvas(path, limits)
        _refuse_edits(path)
    with _refused_where_unreadable(path), open_container(path) as container:
        video, audio = chosen_streams(container)
        if video is None and audio is None:
            _refuse_sound(path, container.streams.audio)
            raise BadInput(f"{path}: the file has neither pictures nor sound.", code="no_streams")
        if video is not None:
            _refuse_pictures(path, video, limits)
        pictures = _look(path, container, video) if video is not None else None
        duration = _length(path, container, (video, audio), pictures.fps if pictures else None)
        if duration <= 0:
            raise BadInput(f"{path}: there is nothing in it, its length is zero.", code="no_duration")
        if round(duration, 3) <= 0:
            raise BadInput(f"{path}: it is too short, under a millisecond.", code="no_duration")
        _refuse_length(path, duration, pictures, limits, has_sound=audio is not None)
        shown = _displayed(video, pictures.first) if video and pictures else _Shown()
        return MediaInfo(
            sha256=sha256 or sha256_of(path),
            size_bytes=path.stat().st_size,
            container=container.format.name,
            duration_seconds=duration,
            start_seconds=(container.start_time or 0) / av.time_base,
            width=shown.width,
            height=shown.height,
            fps=f"{pictures.fps.numerator}/{pictures.fps.denominator}" if pictures and pictures.fps else None,
            vfr=pictures.vfr if pictures else None,
            rotation=shown.rotation,
            mirrored=shown.mirrored,
            streams=_told(container, (video, audio)),
        )


def chosen_streams(container: InputContainer) -> Streams:
    """The video and the audio stream that are analysed: FFmpeg's best ones; no cover pictures, no sound of an unknown
    codec or beyond what can be resampled.
    """
    video = container.streams.best("video")
    if video is not None and video.disposition & Disposition.attached_pic:
        moving = (other for other in container.streams.video if not other.disposition & Disposition.attached_pic)
        video = next(moving, None)
    audio = container.streams.best("audio", video)
    heard = (
        other for other in (audio, *container.streams.audio) if isinstance(other, AudioStream) and _is_heard(other)
    )
    audio = next(heard, None)
    # narrowed for mypy: `best` says Stream
    return video if isinstance(video, VideoStream) else None, audio


def can_be_resampled(sound: AudioFrame | AudioStream) -> bool:
    """Whether FFmpeg's resampler takes so many channels and such a rate."""
    return sound.layout.nb_channels <= MAX_CHANNELS and sound.sample_rate <= MAX_SAMPLE_RATE


def _look(path: Path, container: InputContainer, video: VideoStream) -> _Pictures:
    """Read the first packets and decode one frame."""
    first: VideoFrame | None = None
    stamps: list[int] = []
    lengths: list[int] = []
    # frame threads would decode a dozen frames to give the first one, and slice threads wait for one another
    video.thread_type = "SLICE"
    video.codec_context.thread_count = 1
    for number, packet in enumerate(packets(container, [video], lost=partial(_note_loss, path))):
        if packet.size:
            lengths.append(packet.duration or 0)
        if packet.pts is not None:
            stamps.append(packet.pts)
        if first is None:
            first = _first_frame(packet)
        if number >= SCANNED_PACKETS and first is not None:
            break
        if number >= 10 * SCANNED_PACKETS:
            break
    if first is None:
        # FFmpeg forgets a size that it cannot decode
        reason = "" if video.width else ": their size is missing or too large"
        raise BadInput(f"{path}: no picture in it can be decoded{reason}.", code="not_a_video")
    return _Pictures(first, *frame_rate(video, stamps, lengths))


def _note_loss(path: Path) -> None:
    logger.warning("probe_lost_packets", extra={"path": str(path)})


def _first_frame(packet: Packet[Stream]) -> VideoFrame | None:
    try:
        return next((frame for frame in packet.decode() if isinstance(frame, VideoFrame)), None)
    except av.error.FFmpegError:
        return None


def _displayed(video: VideoStream, frame: VideoFrame) -> _Shown:
    """Pixel shape and display matrix applied."""
    width = max(1, round(frame.width * (video.sample_aspect_ratio or Fraction(1))))
    rotation, mirrored = _turn(frame)
    width, height = (frame.height, width) if rotation in (90, 270) else (width, frame.height)
    return _Shown(width, height, rotation, mirrored)


def _turn(frame: VideoFrame) -> tuple[int, bool]:
    """Counterclockwise rotation in degrees, and whether the picture is mirrored after it, by the display matrix.

    The matrix is that of ISO/IEC 14496-12, section 6.2.2: x' = ax + cy, y' = bx + dy, y down.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, Buffer):
        return 0, False
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).astype(float)
    mirrored = a * d - b * c < 0
    # mirroring comes last and swaps the sign of x'
    degrees = math.degrees(math.atan2(-b, -a if mirrored else a))
    return round(degrees / 90) * 90 % 360, mirrored


@contextmanager
def _refused_where_unreadable(path: Path) -> Iterator[None]:
    """Raise BadInput for a file that fails while it is read, not for what this process lacks (memory, open files)."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        reason = os.strerror(error.errno)
        raise BadInput(f"{path}: it cannot be read ({reason}).", code="unreadable") from error


def _refuse_unreachable(path: Path) -> None:
    """Raise BadInput for what is not there, lies in a folder that may not be entered, or has too long a name."""
    try:
        path.stat()
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no such file.", code="not_found") from error
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read ({error.strerror}).", code="unreadable") from error


def _refuse_canvas(path: Path, limits: Limits) -> None:
    """Raise BadInput for a GIF or PNG larger than allowed: FFmpeg forgets a size beyond its own limit."""
    _refuse_unreachable(path)
    size = canvas(path) if path.is_file() and os.access(path, os.R_OK) else None
    if size and size[0] * size[1] > limits.pixels:
        raise BadInput(f"{path}: pictures of {size[0]}x{size[1]} are too large.", code="too_large")


def _refuse_edits(path: Path) -> None:
    """Raise BadInput for an edit list that FFmpeg would be busy with for long."""
    if path.is_file() and os.access(path, os.R_OK) and (count := edits(path)) > MAX_EDITS:
        raise BadInput(f"{path}: its {count} edits are more than the {MAX_EDITS} allowed.", code="too_slow")


def _refuse_pictures(path: Path, video: VideoStream, limits: Limits) -> None:
    """Raise BadInput for pictures that cannot be decoded here, are too many, or too large, as stored or as shown.

    Of encrypted ones FFmpeg decodes noise, or none.
    """
    if is_encrypted(path):
        raise BadInput(f"{path}: its pictures are encrypted.", code="undecodable")
    if not _decoder(video):
        raise BadInput(f"{path}: its pictures are in a format that cannot be decoded.", code="undecodable")
    shape = max(1.0, float(video.sample_aspect_ratio or 1))
    if video.width * video.height * shape > limits.pixels:
        size = f"{round(video.width * shape)}x{video.height}"
        raise BadInput(f"{path}: pictures of {size} are too large.", code="too_large")
    size_bytes = path.stat().st_size
    if video.frames > min(limits.frames, size_bytes):
        least = f"the {limits.frames} allowed" if video.frames > limits.frames else f"its {size_bytes} bytes can hold"
        raise BadInput(f"{path}: {video.frames} pictures are more than {least}.", code="too_many_frames")


def _refuse_sound(path: Path, streams: Sequence[AudioStream]) -> None:
    """Raise BadInput for sound that was not chosen because nothing can resample it."""
    for stream in streams:
        if _decoder(stream) and not can_be_resampled(stream):
            what = f"{stream.layout.nb_channels} channels at {stream.sample_rate} Hz"
            most = f"{MAX_CHANNELS} channels and {MAX_SAMPLE_RATE} Hz"
            raise BadInput(f"{path}: its sound has {what}; {most} are the most.", code="undecodable")


def _refuse_length(path: Path, seconds: float, pictures: _Pictures | None, limits: Limits, *, has_sound: bool) -> None:
    """Raise BadInput for a video that is too long, has too many pictures, or whose bytes cannot be that much sound."""
    if limits.seconds is not None and seconds > limits.seconds:
        raise BadInput(f"{path}: {seconds:.0f} s are longer than the {limits.seconds:.0f} s allowed.", code="too_long")
    frames = seconds * float(pictures.fps) if pictures and pictures.fps else 0.0
    size_bytes = path.stat().st_size
    if min(frames, size_bytes) > limits.frames:
        message = f"{path}: {frames:.0f} pictures are more than the {limits.frames} allowed."
        raise BadInput(message, code="too_many_frames")
    if has_sound:
        refuse_sparse(path, seconds, size_bytes)


def refuse_sparse(path: Path, seconds: float, size_bytes: int) -> None:
    """Raise BadInput for a file whose bytes cannot be so many seconds of sound."""
    if seconds > SPARSE_SECONDS and 8 * size_bytes < LEAST_BITS_PER_SECOND * seconds:
        message = f"{path}: its {size_bytes} bytes are too few to be {seconds:.0f} s of sound."
        raise BadInput(message, code=TOO_SPARSE)


def _length(path: Path, container: InputContainer, chosen: Streams, fps: Fraction | None) -> float:
    """Seconds that the chosen streams last; a frame without a duration is shown for one step.

    They were chosen before anything was read: FFmpeg may meet a stream on its way that this container does not know.
    """
    step_seconds = float(1 / fps) if fps else 1 / DEFAULT_FPS
    streams = [stream for stream in chosen if stream is not None]
    if is_sought(container, streams):
        return length_seconds(container, streams, step_seconds)
    with open_container(path) as unread:
        streams = [stream for stream in chosen_streams(unread) if stream is not None]
        return length_seconds(unread, streams, step_seconds)


def _is_heard(stream: AudioStream) -> bool:
    return bool(_decoder(stream)) and can_be_resampled(stream)


def _decoder(stream: Stream) -> str | None:
    """Name of the decoder; None for data, and for a codec that FFmpeg does not know."""
    return getattr(stream.codec_context, "name", None)


def _told(container: InputContainer, chosen: Streams) -> tuple[StreamInfo, ...]:
    """The first streams and the chosen ones: what a file says of itself is stored and read with every job."""
    return tuple(
        _stream_info(stream, chosen=stream in chosen)
        for number, stream in enumerate(container.streams)
        if number < TOLD_STREAMS or stream in chosen
    )


def _stream_info(stream: Stream, *, chosen: bool) -> StreamInfo:
    language = stream.language if stream.language and len(stream.language) <= LANGUAGE_CHARACTERS else None
    common = {"index": stream.index, "language": language, "chosen": chosen}
    kind = stream.type if stream.type != "unknown" else "data"
    codec = _decoder(stream)
    if codec and isinstance(stream, VideoStream):
        return StreamInfo(**common, kind="video", codec=codec, width=stream.width, height=stream.height)
    if codec and isinstance(stream, AudioStream):
        context = stream.codec_context
        return StreamInfo(
            **common, kind="audio", codec=codec, sample_rate=context.sample_rate, channels=context.channels
        )
    return StreamInfo(**common, kind=kind, codec=codec)
