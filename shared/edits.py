"""How long a file's edit lists are: FFmpeg looks through every sample for every entry, before it says anything."""

from __future__ import annotations

import re
from pathlib import Path

from shared.truncation import movie_index

NAME = re.compile(rb"elst")
HEADER_BYTES = 16
LEAST_ENTRY_BYTES = 12


def edits(path: Path) -> int:
    """Entries of the longest edit list of an MP4 or MOV (ISO/IEC 14496-12, section 8.6.6); 0 where there is none."""
    index = movie_index(path)
    return max((_entries(index, found.start() - 4) for found in NAME.finditer(index)), default=0)


def _entries(index: bytes, start: int) -> int:
    """Entries that a list at this place has; 0 where the bytes are no list: more would not fit its box."""
    size, count = (int.from_bytes(index[start + at : start + at + 4], "big") for at in (0, 12))
    return count if start >= 0 and HEADER_BYTES + count * LEAST_ENTRY_BYTES <= size else 0
