"""Text from outside, such as a file's name, made fit for one line of a message."""

from __future__ import annotations

import unicodedata

UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories: controls (line breaks among them), bytes that are no UTF-8, line and paragraph separators."""


def one_line(text: str) -> str:
    r"""Escape what would break a line or cannot be written: a line break becomes `\n`."""
    return "".join(
        _escaped(character) if unicodedata.category(character) in UNSHOWN else character for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
