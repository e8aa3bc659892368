"""Text from outside, such as a file's name or a model's answer, made fit for a message or for UTF-8."""

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


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: a surrogate without its other half becomes U+FFFD, two halves their character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
