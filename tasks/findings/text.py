"""Text on screen against speech and against the time it takes to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import shorten

from shared.schema import Caption
from tasks.boxes import overlap
from tasks.findings.view import Finding, View, finding, nearby, span_of

CAPTION_RESOLUTION_SECONDS = 0.25
SAME_SCREEN_SECONDS = 0.5
"""Lines that come and go within this time of one another are read as one screen."""
WORDS_SAID = 0.7
SAME_PLACE = 0.3
"""Least overlap (intersection over union) of a counter's boxes, as of a line's in two readings."""
NUMBER = re.compile(r"(?<![\w.,-])(\d+(?:[.,]\d+)*)\s*(%|(?:(?:thousand|million|billion)\s+)?[a-z]+)", re.IGNORECASE)
DIGITS = re.compile(r"\d+")
SCALES = {"K": "thousand", "M": "million", "B": "billion"}
SCALED = re.compile(r"(?<=\d)([KMB])\b")
MESSAGE_TEXT = 80


def text_is_said(view: View) -> Iterator[Finding]:
    """Find text of which most words, and all numbers, are said in two breaths while it is shown."""
    for cited, caption in (view.captions or {}).items():
        near = list(nearby(caption, view.speech or {}).items())
        shown = set(words_of(caption.text))
        numbers = {word for word in shown if any(letter.isdigit() for letter in word)}
        for first in range(len(near) if len(shown) >= 2 else 0):
            telling = {key: shown & set(words_of(said.text)) for key, said in near[first : first + 2]}
            heard = set().union(*telling.values())
            if len(heard) >= WORDS_SAID * len(shown) and numbers <= heard:
                keys = [key for key, words in telling.items() if words]
                yield finding("text_is_said", "agreement", caption, f'"{caption.text}" is shown and said', cited, *keys)
                break


def number_differs(view: View) -> Iterator[Finding]:
    """Compare a number on screen with the number of the same thing that is said."""
    for cited, caption in (view.captions or {}).items():
        near = nearby(caption, view.speech or {})
        said = {key: numbers_of(segment.text) for key, segment in near.items()}
        for unit, shown in numbers_of(caption.text).items():
            spoken = {number for numbers in said.values() for number in numbers.get(unit, ())}
            if spoken and not spoken & shown:
                one, other = ", ".join(sorted(shown)), ", ".join(sorted(spoken))
                keys = [key for key, numbers in said.items() if unit in numbers]
                message = f"the screen says {one} {unit}, the voice says {other} {unit}"
                yield finding("number_differs", "contradiction", caption, message, cited, *keys)


def text_too_fast(view: View) -> Iterator[Finding]:
    """Find text that is gone before it can be read."""
    for screen in screens_of(view.captions or {}):
        rate, span = reading_rate(screen), span_of(screen.values())
        if rate > view.reading_speed:
            text = shorten(" / ".join(caption.text for caption in screen.values()), MESSAGE_TEXT, placeholder=" ...")
            message = (
                f'"{text}" stands for {span.end - span.start:.1f} s: {rate:.0f} characters a second, '
                f"viewers read about {view.reading_speed:g}"
            )
            yield finding("text_too_fast", "observation", span, message, *screen)


def screens_of(captions: dict[str, Caption]) -> list[dict[str, Caption]]:
    """Group lines that come and go together; a counter is one line for as long as it runs."""
    screens: list[dict[str, Caption]] = []
    for key, caption in sorted(counters_joined(captions).items(), key=lambda pair: (pair[1].start, pair[1].end)):
        for screen in screens:
            first = next(iter(screen.values()))
            if max(abs(caption.start - first.start), abs(caption.end - first.end)) <= SAME_SCREEN_SECONDS:
                screen[key] = caption
                break
        else:
            screens.append({key: caption})
    return screens


def counters_joined(captions: dict[str, Caption]) -> dict[str, Caption]:
    """The captions, those that follow one another in one place and differ in their digits alone as one: the first."""
    joined: dict[str, Caption] = {}
    for key, caption in sorted(captions.items(), key=lambda pair: pair[1].start):
        before = next((first for first, known in joined.items() if _counts_on(known, caption)), None)
        if before is None:
            joined[key] = caption
        else:
            joined[before] = joined[before].model_copy(update={"end": caption.end})
    return joined


def _counts_on(before: Caption, caption: Caption) -> bool:
    soon = abs(caption.start - before.end) <= CAPTION_RESOLUTION_SECONDS
    return soon and overlap(before.box, caption.box) >= SAME_PLACE and _counted(before) == _counted(caption)


def _counted(caption: Caption) -> str:
    """The text with every number alike; of one without numbers, what no other has: its id."""
    return DIGITS.sub("0", caption.text) if DIGITS.search(caption.text) else caption.id


def reading_rate(screen: dict[str, Caption]) -> float:
    """Characters a second, with the benefit of the times' resolution."""
    span = span_of(screen.values())
    return sum(len(caption.text) for caption in screen.values()) / (span.end - span.start + CAPTION_RESOLUTION_SECONDS)


def words_of(text: str) -> list[str]:
    """Lower-cased words and numbers of a text."""
    return re.findall(r"[a-z0-9']+", text.lower())


def numbers_of(text: str) -> dict[str, set[str]]:
    """Numbers in a text by the word after them: "413M pairs" gives {"million pairs": {"413"}}."""
    found: dict[str, set[str]] = {}
    spelled = SCALED.sub(lambda scale: f" {SCALES[scale[1]]}", text)
    for number, unit in NUMBER.findall(spelled):
        found.setdefault(" ".join(unit.lower().split()), set()).add(number.replace(",", ""))
    return found
