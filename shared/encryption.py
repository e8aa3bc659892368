"""Whether a file's pictures are encrypted: FFmpeg then decodes none, or noise, and does not say why."""

from __future__ import annotations

from pathlib import Path

from shared.truncation import boxes

MOST_INDEX_BYTES = 64 << 20
"""How much of an index is looked at: that of a film of three hours has 20 MB."""


def is_encrypted(path: Path) -> bool:
    """Whether an MP4 or MOV announces encrypted pictures: a sample entry `encv` with its `sinf` (ISO/IEC 23001-7)."""
    with path.open("rb") as file:
        start = 0
        for name, end in boxes(file, path.stat().st_size):
            if name == b"moov":
                file.seek(start)
                index = file.read(min(end - start, MOST_INDEX_BYTES))
                return b"encv" in index and b"sinf" in index
            start = end
    return False
