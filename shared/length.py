"""How long a video really is: headers are estimates, or wrong; packets are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from shared.timing import Clock, Timeline

TRUSTED_SECONDS = 0.5
"""A header that is off by less is believed: it knows how long the last frame is shown."""


def restarts(container: InputContainer) -> bool:
    """Whether the format is one whose clock may start again in the middle (MPEG-TS, MPEG-PS, Ogg)."""
    return bool(container.format.flags & cast("int", Flags.ts_discont.value))


def is_sought(container: InputContainer, streams: Sequence[Stream]) -> bool:
    """Whether `length_seconds` looks at the last packets alone, for which it does not matter what was read before."""
    has_video = any(isinstance(stream, VideoStream) for stream in streams)
    return (container.duration or 0) > 0 and not restarts(container) and has_video


def length_seconds(container: InputContainer, streams: Sequence[Stream], step_seconds: float) -> float:
    """Where the later of the streams ends, in seconds from the container's start; 0 when nothing is in them.

    It is the header's word where the packets agree. The last packets are found by seeking; all are read where seeking
    finds nothing: sound alone, no length in the header, a clock that may start again. A packet that names no duration
    lasts `step_seconds`. The container must not have been read from, unless `is_sought`.
    """
    start, header = (container.start_time or 0) / av.time_base, max(0.0, (container.duration or 0) / av.time_base)
    if is_sought(container, streams):
        measured = _last_end(container, streams, (start, header), step_seconds)
    else:
        measured = _whole_length(container, streams, (start, header), step_seconds)
    # nothing can be read at the header's end where an index is broken
    return header if measured <= 0 or abs(measured - header) <= TRUSTED_SECONDS else measured


def _last_end(
    container: InputContainer, streams: Sequence[Stream], span: tuple[float, float], step_seconds: float
) -> float:
    """The end of the last packets, from the last key frame before the header's end."""
    start, header = span
    try:
        container.seek(int((start + header) * av.time_base), backward=True)
    except FFmpegError:
        return 0.0
    ends = (
        (packet.pts + (packet.duration or 0)) * packet.time_base + (0 if packet.duration else step_seconds) - start
        for packet in _packets(container, streams)
        if packet.pts is not None
    )
    return float(max(ends, default=0.0))


def _whole_length(
    container: InputContainer, streams: Sequence[Stream], span: tuple[float, float], step_seconds: float
) -> float:
    """The end of the timeline on which all packets are placed."""
    timeline = Timeline(start_seconds=span[0], duration_seconds=span[1], restarts=restarts(container))
    clocks = {stream.index: Clock(timeline, step_seconds=step_seconds) for stream in streams}
    for packet in _packets(container, streams):
        clock = clocks[packet.stream.index]
        # decoding times rise; presentation times jump to and fro where pictures are reordered
        stamp = packet.pts if packet.dts is None else packet.dts
        time = clock.at(None if stamp is None else float(stamp * packet.time_base))
        ahead = float(((packet.pts or 0) - (stamp or 0)) * packet.time_base) if packet.pts is not None else 0.0
        clock.run_to(time + ahead + (float(packet.duration * packet.time_base) if packet.duration else step_seconds))
    return timeline.end_seconds


def _packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Stream]]:
    """All packets up to the first that cannot be read."""
    try:
        yield from (packet for packet in container.demux(streams) if packet.size)
    except FFmpegError:
        return
