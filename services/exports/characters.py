"""Text from strangers (captions, words, file names) made fit for files that are read line by line or as XML."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no Char of XML 1.0 (fifth edition, section 2.2): controls, lone surrogates, U+FFFE and U+FFFF."""


def writable(text: str) -> str:
    """The text with U+FFFD in place of each character that XML forbids and no subtitle can show."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text that hold something, by every line break that Unicode has."""
    lines = (writable(line.strip()) for line in text.splitlines())
    return tuple(line for line in lines if line)


def on_one_line(text: str) -> str:
    """The text with a space for each run of white space, line breaks among them."""
    return " ".join(writable(" ".join(text.split())).split())
