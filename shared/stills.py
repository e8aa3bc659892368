"""Still pictures by their first bytes: they are refused by name, before a demuxer makes a video of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, PNG_SIGNATURE, "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (14, b"\x28\0\0\0", "BMP"),
    (14, b"\x7c\0\0\0", "BMP"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
)
"""Offset, bytes, name. BMP has its `BM` looked at as well."""

BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
"""Major brands of ISO/IEC 23008-12 for single pictures; sequences (`hevc`, `msf1`, `avis`) are videos."""


PNG_ANIMATION = b"acTL"
WEBP_ANIMATION = 0x02
"""The chunk of a PNG that announces an animation, before its first picture; the flag in a WebP's `VP8X` chunk."""


def still_picture(path: Path) -> str | None:
    """Name of the picture format that the file has; None when it is none of the known ones, or moves (APNG).

    Reads 32 bytes, and of a PNG the heads of the chunks before its first picture.
    """
    with path.open("rb") as file:
        head = file.read(32)
        if head.startswith(PNG_SIGNATURE) and _is_animated(file):
            return None
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    for offset, signature, name in SIGNATURES:
        if head[offset:].startswith(signature) and (name != "BMP" or head.startswith(b"BM")):
            return name
    return None


def is_animated_webp(path: Path) -> bool:
    """Whether the file is a WebP of several pictures, which FFmpeg does not decode. Reads 32 bytes."""
    with path.open("rb") as file:
        head = file.read(32)
    return head[8:16] == b"WEBPVP8X" and bool(head[20] & WEBP_ANIMATION)


def _is_animated(png: IO[bytes]) -> bool:
    png.seek(len(PNG_SIGNATURE))
    while len(chunk := png.read(8)) == 8 and chunk[4:] != b"IDAT":
        if chunk[4:] == PNG_ANIMATION:
            return True
        # data and checksum
        png.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    return False
