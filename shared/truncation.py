"""Whether a file is shorter than its own headers say: a download or a copy that broke off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

MOST_INDEX_BYTES = 64 << 20
"""How much of an index is looked at: that of a film of three hours has 20 MB."""

MATROSKA_SEGMENT = bytes.fromhex("18538067")


def missing_part(path: Path) -> str | None:
    """What is missing when an MP4 or MOV lacks its index or boxes it announces, or when a Matroska segment or AVI list
    runs past the file's end; None when nothing is.

    Reads a few hundred bytes. Other formats carry no length: None. Boxes: ISO/IEC 14496-12, section 4.2; EBML:
    RFC 8794, section 4.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
            found = dict(boxes(file, size))
            if any(end > size for name, end in found.items() if name != b"free"):
                return "its end"
            return None if b"moov" in found else "its index (moov)"
        if head.startswith(bytes.fromhex("1a45dfa3")):
            return "its end" if _matroska_end(head) > size else None
        if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
            length = int.from_bytes(head[4:8], "little")
            return "its end" if length < 2**31 and length + 8 > size else None
    return None


def boxes(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """Name and end of each top-level box of an MP4 or MOV of that size."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(16)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - start
        if length < 8 or not name.isalnum():
            return
        start += length
        yield name, start


def movie_index(path: Path) -> bytes:
    """The index (`moov`) of an MP4 or MOV, header and all, its first 64 MiB; empty where there is none."""
    with path.open("rb") as file:
        start = 0
        for name, end in boxes(file, path.stat().st_size):
            if name == b"moov":
                file.seek(start)
                return file.read(min(end - start, MOST_INDEX_BYTES))
            start = end
    return b""


def _matroska_end(head: bytes) -> int:
    """Where the segment ends; 0 when its length is unknown or its header lies further on."""
    header_bytes, width = _varint(head, 4)
    start = 4 + width + (header_bytes or 0)
    if head[start : start + 4] != MATROSKA_SEGMENT or start + 12 > len(head):
        return 0
    length, width = _varint(head, start + 4)
    return start + 4 + width + length if length is not None else 0


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML variable-length integer and its width in bytes; None means unknown."""
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width
