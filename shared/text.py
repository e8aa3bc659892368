"""Text from outside, such as a file's name or a model's answer, made fit for a message or for UTF-8."""

from __future__ import annotations

import re
import unicodedata

TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What makes a terminal show the rest of the line in another order: Unicode's bidirectional embeddings and isolates."""

UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories: controls (line breaks among them), bytes that are no UTF-8, line and paragraph separators."""

SAID_CHARACTERS = 500
"""An error's own words: some libraries give a traceback, or the whole model, as theirs."""

FOLDERS = re.compile(r"""(?<![\w/:.])/(?:[^\s/'"]+/)+""")
"""The folders of an absolute path, not those of an address."""


def one_line(text: str) -> str:
    r"""Escape what would break or turn a line or cannot be written: a line break becomes `\n`."""
    return "".join(
        _escaped(character) if character in TURNING or unicodedata.category(character) in UNSHOWN else character
        for character in text
    )


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: a surrogate without its other half becomes U+FFFD, two halves their character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def readable(text: str) -> str:
    """What a model says, without what nobody can read: as UTF-8 can hold it, no controls but line breaks and tabs.

    No white space is left at its ends.
    """
    read = encodable(text)
    return "".join(one for one in read if one in "\n\t" or unicodedata.category(one) != "Cc").strip()


def in_short(text: str) -> str:
    """What a library's error says, fit for others' eyes: one line, of a traceback its last, no folder of this host."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1 if text.lstrip().startswith("Traceback (") else 0] if lines else ""
    return one_line(encodable(FOLDERS.sub("", line)))[:SAID_CHARACTERS]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
