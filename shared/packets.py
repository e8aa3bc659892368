"""Reading a container to its end, past what cannot be read: the one loop over packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

MAX_READ_ERRORS = 16
"""So many errors in a row from the container, without a packet between them, end the reading."""

DECODING_TIMES = {"avi"}
"""Formats without presentation times: FFmpeg makes some up, and they are wrong for H.264 with B-frames."""


def packets(
    container: InputContainer, streams: Sequence[Stream], *, lost: Callable[[], None] = lambda: None
) -> Iterator[Packet[Stream]]:
    """All packets of the streams, then one empty packet a stream that makes its decoder give what it holds.

    `lost` is called for every stretch that cannot be read. Streams that begin in mid-file are left out. Where a format
    has decoding times alone, they stand for the presentation times too: `Restamp` puts those of the pictures right.
    """
    errors, decoding_times = 0, container.format.name in DECODING_TIMES
    while errors <= MAX_READ_ERRORS:
        try:
            for packet in container.demux(streams):
                errors = 0
                if decoding_times:
                    packet.pts = packet.dts
                yield packet
            return
        except IndexError:
            # PyAV 18.1 ends with an empty packet for a stream that began in mid-file, too, and does not know it
            return
        except FFmpegError:
            errors += 1
            lost()
    for stream in streams:
        last: Packet[Stream] = Packet()
        last.stream = stream
        yield last


class Restamp:
    """Gives the pictures of a format without presentation times those times, in place.

    They are shown in the order of the decoding times, the first of them at its own. Other formats are left alone.
    """

    def __init__(self, container: InputContainer) -> None:
        self._needed = container.format.name in DECODING_TIMES
        self._delay: int | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """The frame, which its decoder gave next after the one before."""
        if self._needed:
            # FFmpeg's dts of a frame is that of the packet that made the decoder give it, its pts that of its own
            if self._delay is None and frame.dts is not None and frame.pts is not None:
                self._delay = frame.dts - frame.pts
            frame.pts = None if frame.dts is None or self._delay is None else frame.dts - self._delay
        return frame
