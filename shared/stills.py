"""Still pictures by their first bytes: they are refused by name, before a demuxer makes a video of one."""

from __future__ import annotations

from pathlib import Path

SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
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


def still_picture(path: Path) -> str | None:
    """Name of the picture format that the file has; None when it is none of the known ones. Reads 32 bytes."""
    with path.open("rb") as file:
        head = file.read(32)
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    for offset, signature, name in SIGNATURES:
        if head[offset:].startswith(signature) and (name != "BMP" or head.startswith(b"BM")):
            return name
    return None
