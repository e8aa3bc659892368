"""Whether a file's pictures are encrypted: FFmpeg then decodes none, or noise, and does not say why."""

from __future__ import annotations

from pathlib import Path

from shared.truncation import movie_index


def is_encrypted(path: Path) -> bool:
    """Whether an MP4 or MOV announces encrypted pictures: a sample entry `encv` with its `sinf` (ISO/IEC 23001-7)."""
    index = movie_index(path)
    return b"encv" in index and b"sinf" in index
