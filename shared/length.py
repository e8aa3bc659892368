"""How long a video really is: headers are estimates, or wrong; packets are not.

Times at which packets are shown are believed, their durations only of the last one shown: the MP4 family keeps the step
to the next decoding time, and where pictures are reordered that is not how long this picture is shown.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from shared.packets import packets
from shared.timing import Clock, Timeline

TRUSTED_SECONDS = 0.5
"""A header that is off by less is believed: it knows how long the last frame is shown."""


def restarts(container: InputContainer) -> bool:
    """Whether the format is one whose clock may start again in the middle (MPEG-TS, MPEG-PS, Ogg)."""
    return bool(container.format.flags & cast("int", Flags.ts_discont.value))


def is_sought(container: InputContainer, streams: Sequence[Stream]) -> bool:
    """Whether `length_seconds` begins by seeking, so that it does not matter what was read before."""
    has_video = any(isinstance(stream, VideoStream) for stream in streams)
    return (container.duration or 0) > 0 and not restarts(container) and has_video


def length_seconds(container: InputContainer, streams: Sequence[Stream], step_seconds: float) -> float:
    """Where the later of the streams ends, in seconds from the container's start; 0 when nothing is in them.

    It is the header's word where the packets agree, but for a header that counts from zero (FLV, Matroska) or leaves
    out the last picture (NUT, MPEG-PS).
    The last packets are found by seeking; all are read where seeking finds nothing: sound alone, no length in the
    header, a clock that may start again. A packet that names no duration lasts `step_seconds`. The container must not
    have been read from, unless `is_sought`.
    """
    start, header = (container.start_time or 0) / av.time_base, max(0.0, (container.duration or 0) / av.time_base)
    ends: Sequence[float] = ()
    if is_sought(container, streams):
        ends = _last_ends(container, streams, (start, header), step_seconds)
        if not any(ends):
            _seek(container, start)
    if not any(ends):
        ends = _whole_ends(container, streams, (start, header), step_seconds)
    measured = max(ends, default=0.0)
    if not header or (measured > 0 and abs(measured - header) > TRUSTED_SECONDS):
        return measured
    pictures = max((end for stream, end in zip(streams, ends, strict=True) if stream.type == "video"), default=0.0)
    if pictures and abs(header - start - measured) <= TRUSTED_SECONDS:
        header -= max(0.0, start)
    return pictures if pictures - header > step_seconds / 3 else header


def _last_ends(
    container: InputContainer, streams: Sequence[Stream], span: tuple[float, float], step_seconds: float
) -> list[float]:
    """The end of each stream's last packets, from the last key frame before the header's end; 0 where none is found."""
    start, header = span
    last = {stream.index: _Last() for stream in streams}
    if not _seek(container, start + header):
        return [0.0 for _ in streams]
    for packet in _filled(container, streams):
        if packet.pts is not None:
            last[packet.stream.index].see(packet.pts, packet.duration or 0)
    steps = has_decoding_steps(container)
    return [max(0.0, last[stream.index].end_seconds(stream, step_seconds, steps=steps) - start) for stream in streams]


def has_decoding_steps(container: InputContainer) -> bool:
    """Whether a packet's duration is the time until the next one is decoded (MP4, MOV), not how long it is shown."""
    return container.format.name.startswith("mov,")


@dataclass(slots=True)
class _Last:
    """The packet of a stream that is shown last, and how long that is and the last one in the file; in ticks."""

    shown: int | None = None
    length: int = 0
    final_length: int = 0

    def see(self, pts: int, length: int) -> None:
        """Take the next packet in the file's order."""
        if self.shown is None or pts >= self.shown:
            self.shown, self.length = pts, length
        self.final_length = length

    def end_seconds(self, stream: Stream, step_seconds: float, *, steps: bool) -> float:
        """When it ends on the container's clock; 0 where there was none. `steps`: see `has_decoding_steps`."""
        if self.shown is None or stream.time_base is None:
            return 0.0
        # nothing is decoded after the last packet: its duration is its own
        length = min(self.length, self.final_length) if steps else self.length
        base = stream.time_base
        return float(self.shown * base) + (float(length * base) if length else step_seconds)


def _seek(container: InputContainer, seconds: float) -> bool:
    """Go to the key frame before a time; whether that worked."""
    try:
        container.seek(int(seconds * av.time_base), backward=True)
    except FFmpegError:
        return False
    return True


def _whole_ends(
    container: InputContainer, streams: Sequence[Stream], span: tuple[float, float], step_seconds: float
) -> list[float]:
    """The end of each stream on the timeline on which all packets are placed, in the order in which they are shown."""
    timeline = Timeline(start_seconds=span[0], duration_seconds=span[1], restarts=restarts(container))
    shown: dict[int, _Shown] = {}
    for stream in streams:
        clock = Clock(timeline, step_seconds=step_seconds, is_sound=stream.type == "audio")
        shown[stream.index] = _Shown(clock, step_seconds)
    for packet in _filled(container, streams):
        shown[packet.stream.index].add(packet)
    return [stream.finish() for stream in shown.values()]


class _Shown:
    """Places the packets of one stream as a decoder gives their pictures: a packet waits until no later one, whose
    decoding time is later, can be shown before it. A clock that jumps back ends the wait of all.
    """

    def __init__(self, clock: Clock, step_seconds: float) -> None:
        self._clock, self._step = clock, step_seconds
        self._waiting: list[tuple[float, float]] = []
        self._decoded = -math.inf

    def add(self, packet: Packet[Stream]) -> None:
        """Take the next packet in the file's order."""
        length = float(packet.duration * packet.time_base) if packet.duration else self._step
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            self.finish()
            self._clock.at(None, length)
            return
        decoded = float((stamp if packet.dts is None else packet.dts) * packet.time_base)
        if decoded < self._decoded:
            self.finish()
        self._decoded = decoded
        heapq.heappush(self._waiting, (float(stamp * packet.time_base), length))
        while self._waiting and self._waiting[0][0] <= decoded:
            self._show()

    def finish(self) -> float:
        """Place what still waits; the end of all."""
        while self._waiting:
            self._show()
        return self._clock.end_seconds

    def _show(self) -> None:
        seconds, length = heapq.heappop(self._waiting)
        if self._waiting:  # durations in MP4 are steps of decoding
            length = min(length, self._waiting[0][0] - seconds)
        self._clock.at(seconds, length)


def _filled(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Stream]]:
    """The packets that are shown: edit lists mark some that are only decoded."""
    return (packet for packet in packets(container, streams) if packet.size and not packet.is_discard)
