"""Media files spoiled on purpose: packets left out or moved in time, headers that say something wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av


def copy(
    source: Path, target: Path, keep: Callable[[av.Packet], bool] = lambda packet: True, *, later: float = 0.0
) -> Path:
    """Copy the packets that `keep` accepts, `later` seconds later (or earlier), without decoding."""
    with av.open(str(source)) as read, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as write:
        streams = {stream.index: write.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is not None and keep(packet):
                moved = round(Fraction(later) / packet.time_base)
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
                packet.stream = streams[packet.stream.index]
                write.mux(packet)
    return target


def without_first_key_frame(source: Path, target: Path) -> Path:
    """Copy a clip but for the key frame that it begins with."""
    left_out: list[int] = []

    def keep(packet: av.Packet) -> bool:
        first = packet.stream.type == "video" and not left_out
        left_out.extend([1] if first else [])
        return not first

    return copy(source, target, keep)


def replaced(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """Copy a file with some bytes exchanged for as many others."""
    data = source.read_bytes()
    assert old in data
    assert len(old) == len(new)
    target.write_bytes(data.replace(old, new))
    return target


def with_last_length(source: Path, target: Path, seconds: float) -> Path:
    """Copy a clip of pictures whose last packet claims to last so long."""
    with av.open(str(source)) as container:
        last = max(packet.dts for packet in container.demux(video=0) if packet.dts is not None)

    def keep(packet: av.Packet) -> bool:
        if packet.dts == last:
            packet.duration = round(Fraction(seconds) / packet.time_base)
        return True

    return copy(source, target, keep)


def with_duration(source: Path, target: Path, seconds: float) -> Path:
    """Copy a Matroska file (Duration, a float of milliseconds) or MP4 (mvhd, tkhd, mdhd) with another duration."""
    data = bytearray(source.read_bytes())
    if data.startswith(bytes.fromhex("1a45dfa3")):
        at = data.index(bytes.fromhex("448988")) + 3
        data[at : at + 8] = struct.pack(">d", seconds * 1000)
    else:
        movie = data.index(b"mvhd")
        for box, scale, length in ((b"mvhd", 16, 20), (b"tkhd", None, 24), (b"mdhd", 16, 20)):
            at = -1
            while (at := data.find(box, at + 1)) >= 0:
                ticks = int.from_bytes(data[(first := (at if scale else movie) + 16) : first + 4], "big")
                data[at + length : at + length + 4] = min(round(seconds * ticks), 2**32 - 2).to_bytes(4, "big")
    target.write_bytes(data)
    return target
