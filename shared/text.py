"""Text from outside, such as a file's name, made fit for one line of a message."""

from __future__ import annotations

import unicodedata

TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What makes a terminal show the rest of the line in another order: Unicode's bidirectional embeddings and isolates."""

UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories: controls (line breaks among them), bytes that are no UTF-8, line and paragraph separators."""


def one_line(text: str) -> str:
    r"""Escape what would break or turn a line or cannot be written: a line break becomes `\n`."""
    return "".join(
        _escaped(character) if character in TURNING or unicodedata.category(character) in UNSHOWN else character
        for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
