"""Small files that announce or hold far more than they are, and files that point to others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.hostile import Case, boxes

BILLION = 1_000_000_000


def bombs(originals: dict[str, bytes]) -> Iterator[Case]:
    """Each is refused by a limit at probe."""
    mp4, mkv, gif = originals["mp4"], originals["mkv"], originals["gif"]
    yield Case("bomb-frames-mp4", "mp4", billion_samples(mp4))
    yield Case("bomb-frames-avi", "avi", billion_in_header(originals["avi"]))
    yield Case("bomb-pixels-mp4", "mp4", sized_mp4(mp4, 32_768, 32_768))
    yield Case("bomb-pixels-gif", "gif", gif[:6] + struct.pack("<HH", 32_768, 32_768) + gif[10:])
    yield Case("bomb-pixels-y4m", "mkv", mkv)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def replaced_box(data: bytes, name: bytes, body: bytes) -> bytes:
    """An MP4 with another body in the first box of that name; the lengths of the boxes around it follow."""
    start, length, _ = next(box for box in boxes(data) if box[2] == name)
    grown = 8 + len(body) - length
    changed = bytearray(data[:start] + _box(name, body) + data[start + length :])
    for at, size, around in boxes(data):
        if at < start < at + size and around != name:
            changed[at : at + 4] = struct.pack(">I", size + grown)
    return bytes(changed)


def billion_samples(mp4: bytes) -> bytes:
    """Tables of one line each that make a billion samples of one byte (ISO/IEC 14496-12, sections 8.6 and 8.7)."""
    chunk = mp4.index(b"mdat") + 4
    made = replaced_box(mp4, b"stsz", struct.pack(">III", 0, 1, BILLION))
    made = replaced_box(made, b"stts", struct.pack(">IIII", 0, 1, BILLION, 1))
    made = replaced_box(made, b"stsc", struct.pack(">IIIII", 0, 1, 1, BILLION, 1))
    return replaced_box(made, b"stco", struct.pack(">III", 0, 1, chunk))
