"""GIFs whose pictures name no delay: FFmpeg's demuxer takes all of them for one packet, and shows the first.

Blocks: CompuServe's GIF89a specification, sections 18 to 26.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

EXTENSION, PICTURE, CONTROL = 0x21, 0x2C, 0xF9
DELAY = bytes([EXTENSION, CONTROL, 4, 0, 10, 0, 0, 0])
"""A graphic control extension of 0.1 s, which browsers and FFmpeg take where a delay is missing."""


def with_delays(path: Path) -> bytes | None:
    """The file with a delay before each picture that has none; None where that changes nothing."""
    with path.open("rb") as file:
        if file.read(3) != b"GIF":
            return None
        data = b"GIF" + file.read()
    bare = list(_bare_pictures(data))
    return DELAY.join(data[start:stop] for start, stop in pairwise([0, *bare, len(data)])) if bare else None


def _bare_pictures(data: bytes) -> Iterator[int]:
    """Where pictures without a graphic control extension begin, up to the file's end wherever it is cut."""
    at, controlled = 13 + _table_bytes(data[10:11]), False
    while at < len(data) and data[at] in (EXTENSION, PICTURE):
        if data[at] == EXTENSION:
            controlled = controlled or data[at + 1 : at + 2] == bytes([CONTROL])
            at = _end_of_blocks(data, at + 2)
            continue
        if not controlled:
            yield at
        controlled = False
        # after the descriptor and its colours comes one byte of code size
        at = _end_of_blocks(data, at + 11 + _table_bytes(data[at + 9 : at + 10]))


def _table_bytes(flags: bytes) -> int:
    """Length of the colour table that the flags of a screen or a picture announce."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    """Where the sub-blocks end that begin there."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
