"""Lines of text followed through a video: which frames are read, and when each line came and went."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from shared.schema import Box
from tasks.boxes import covered, overlap
from tasks.edges import OTHER_LEVELS, SAME_LEVELS, Gray, Mask, differs, edges_of, fullest_tile, grow, shrunk, span
from tasks.engines.texts import TextReader

TILE_EDGES = 64
"""New lasting edge pixels in one tile that ask for a reading; a word of five letters 12 pixels high has about 120."""
STILL_THERE = 0.65
"""How much of a line's edge pixels must be met again for the line to be still on screen, chance agreement taken off
as in Cohen's kappa (1960): in a page of other text most pixels lie near some edge. Fading titles pass 0.7."""
UNTOUCHED = 0.05
"""A line is not recognised again while fewer new edge pixels than this share of its own have come into its box."""
GOES_ON = 0.3
"""New edges beside a line, over a square of its height, as a share of their density in it: a letter was appended."""
SAME_TEXT = 0.75
"""Least similarity (Ratcliff and Obershelp) of two readings of one line."""
SURE = 0.95
"""Two readings of at least this confidence that differ are two texts, unless the pixels stayed: "Step 1", "Step 2"."""
SAME_PLACE = 0.3
"""Least overlap (intersection over union) of one line's boxes in two readings."""
REPLACED = 0.6
"""A line is over when another text is read over this share of its box: two texts cannot stand in one place."""
PATIENCE_SECONDS = 1.05
"""A line gone for longer has ended; moving text is met at readings only, at most every second."""
LETTER = 0.04
"""Pixels that changed in a line's box, as a share of the square of its height, when one of its letters may have. One
digit for another, in four fonts: half of all pairs 0.08 and more, 92 in 100 this much at 24 px in 720 lines, 99 at 40;
least are 3 and 8 (0.022 and up). Noise of a deviation of 12 levels, compressed: none.
"""
HELD_LETTER = 0.015
"""The same in a picture that is held: nobody looks at it again, and what is sent only when something changes has little
noise. 0 for 5 in 20 px changes 0.026 and less."""
LASTING_SECONDS = (0.0, 0.5, 1.0)
"""Least time since the last reading when lasting edges ask for one, after 0, 1, 2 or more readings without news."""
NEXT_WORD = 0.1
"""New edge pixels in the box of a line that has gone, as a share of its own, that ask for a reading at once."""
CHANGED_FACTORS = (1, 2, 4)
"""The same for mere change, in multiples of `reread_seconds`."""
PAGE_LINES, PAGE_SIDE = 6, 960
"""This many new lines at once are a page (a slide, credits): it is read again with a finer detector."""


UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""A letter of a script without spaces (Thai, Lao, Burmese, Khmer, kana, Chinese); each counts as a word."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read and kept.

    Lines below `min_confidence` or shorter than `min_characters` are dropped; `detector_side` is the long side in
    pixels of the picture that text is found in; moving footage is read every `reread_seconds` without a cause.
    """

    min_confidence: float
    detector_side: int
    min_characters: int
    reread_seconds: float


@dataclass(slots=True, eq=False)
class Line:
    """One line while it is on screen. Boxes are `(x, y, w, h)` in 0..1; `signature` are its edges in the edge map."""

    first: float
    last: float
    """Time of the last frame with it."""
    box: Box
    signature: Mask
    readings: list[tuple[float, str]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    read: float = -1.0
    """Time of the last reading."""
    end: float = 0.0
    """Time of the first frame without it; 0 while it is there."""

    def best(self) -> tuple[float, str]:
        """Confidence and text of the best reading, or of a fuller one that contains it: captions build up by words."""
        best = max(self.readings)
        fuller = [r for r in self.readings if plain(best[1]) in plain(r[1])]
        return max(fuller, key=lambda reading: (len(plain(reading[1])), reading[0]))

    def agreement(self, grown: Mask) -> float:
        """How well the line's edges are met again in a grown edge map: 1 fully, 0 as by chance."""
        there = grown[span(self.box, grown.shape)]
        chance = float(there.mean())
        if not self.signature.any() or chance == 1:
            return 0.0
        return (float(there[self.signature].mean()) - chance) / (1 - chance)


class Reading:
    """The walk over one video's frames."""

    def __init__(self, reader: TextReader, asked: Asked) -> None:
        self.reader, self.asked = reader, asked
        self.live: list[Line] = []
        self.done: list[Line] = []
        self._since: deque[tuple[float, Mask]] = deque(maxlen=16)
        self._read_edges: Mask | None = None
        self._read_gray: Gray | None = None
        self._gray: Gray | None = None
        self._other: Mask | None = None
        """Pixels that are not what they were at the last reading."""
        self._letter = LETTER
        self._read_at = 0.0
        self._without_news = 0

    def step(self, t: float, frame: NDArray[np.uint8], *, held: bool = False) -> None:
        """Take in the next frame, uint8 rgb `(height, width, 3)`; `held`: it stands until the next look or longer."""
        gray = shrunk(frame)
        sharp = edges_of(gray)
        grown = grow(sharp)
        self._letter = HELD_LETTER if held else LETTER
        self._other = None if self._read_gray is None else differs(gray, self._read_gray, OTHER_LEVELS)
        self._follow(t, grown)
        if self._should_read(t, gray, sharp, held=held):
            found = self._read(t, frame, sharp, self.asked.detector_side)
            if found >= PAGE_LINES and self.asked.detector_side < PAGE_SIDE:
                self._read(t, frame, sharp, PAGE_SIDE)
            self._without_news = 0 if found else min(self._without_news + 1, 2)
            self._read_edges, self._read_gray, self._read_at = grown, gray, t
        self._gray = gray
        self._since.append((t, sharp))

    def finish(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Look at the last frame once more when lines that may have moved were lost since the last reading."""
        if any(line.end for line in self.live) and self._read_at < t:
            self._read(t, frame, edges_of(shrunk(frame)), self.asked.detector_side)

    def _follow(self, t: float, grown: Mask) -> None:
        for line in self.live:
            if line.agreement(grown) >= STILL_THERE:
                line.last, line.end = t, 0.0
            elif not line.end:
                line.end = t
        # by when it went, not by when it was seen last: pictures may be minutes apart
        over = [line for line in self.live if line.end and t - line.end > PATIENCE_SECONDS]
        self.done += over
        self.live = [line for line in self.live if line not in over]

    def _should_read(self, t: float, gray: Gray, sharp: Mask, *, held: bool) -> bool:
        if self._read_edges is None:
            return True
        waited = t - self._read_at
        new = sharp & ~self._read_edges
        if waited >= LASTING_SECONDS[self._without_news] and self._lasts(gray, new, held=held):
            return True
        if self._without_news < 2 and any(line.end and self._written_over(line, new) for line in self.live):
            return True
        lost = any(line.end for line in self.live)
        factor = 1 if lost else CHANGED_FACTORS[self._without_news]
        return waited >= factor * self.asked.reread_seconds and fullest_tile(new) >= TILE_EDGES

    def _lasts(self, gray: Gray, new: Mask, *, held: bool) -> bool:
        """Whether text may have come, or a letter of a line changed, that was there at the last look, too."""
        lasting = new if held else new & grow(self._since[-1][1])
        if fullest_tile(lasting) >= TILE_EDGES:
            return True
        lines = [line for line in self.live if not line.end and self._altered(line, self._other)]
        if held or not lines or self._gray is None or self._other is None:
            return bool(lines)
        stays = self._other & ~differs(gray, self._gray, SAME_LEVELS)
        return any(self._altered(line, stays) for line in lines)

    def _altered(self, line: Line, other: Mask | None) -> bool:
        """Whether so many pixels of a line are other ones that a letter of it may be."""
        if other is None:
            return False
        part = other[span(line.box, other.shape)]
        return bool(part.sum() >= self._letter * part.shape[0] ** 2)

    def _written_over(self, line: Line, new: Mask) -> bool:
        """Whether what stands where a line stood is as full of new edges as text: the next word of a caption."""
        return bool(new[span(line.box, new.shape)].sum() >= NEXT_WORD * line.signature.sum())

    def _read(self, t: float, frame: NDArray[np.uint8], sharp: Mask, side: int) -> int:
        """Read a frame; give the number of lines that were not known."""
        known = [line.box for line in self.live if line.last == t and not self._changed(line, sharp)]
        new = 0
        for read in self.reader.lines(frame, known, side):
            text, confidence, box = read.text, read.confidence, read.box
            if confidence < self.asked.min_confidence or len(plain(text)) < self.asked.min_characters:
                continue
            line = self._match(text, confidence, box, sharp)
            if line is None:
                new += 1
                line = Line(t, t, box, sharp[span(box, sharp.shape)])
                line.first = self._came(line)
                self._replace(line)
                self.live.append(line)
            line.box, line.signature, line.last, line.end = box, sharp[span(box, sharp.shape)], t, 0.0
            line.read = t
            line.readings.append((confidence, text))
            line.boxes.append(box)
        return new

    def _changed(self, line: Line, sharp: Mask) -> bool:
        return self._touched(line, sharp) or self._altered(line, self._other)

    def _touched(self, line: Line, sharp: Mask) -> bool:
        if self._read_edges is None:
            return False
        new = sharp & ~self._read_edges
        inside = new[span(line.box, sharp.shape)]
        if inside.sum() > UNTOUCHED * line.signature.sum():
            return True
        density = line.signature.mean()
        return any(side.size and side.mean() >= GOES_ON * density for side in beside(line.box, new))

    def _match(self, text: str, confidence: float, box: Box, sharp: Mask) -> Line | None:
        def fits(line: Line) -> bool:
            theirs, other = line.best()
            if overlap(line.box, box) < SAME_PLACE:
                return False
            if plain(other) == plain(text):
                return True
            if min(confidence, theirs) >= SURE and self._changed(line, sharp):
                return False
            if digits(other) != digits(text) and self._altered(line, self._other):
                return False
            return similarity(other, text) >= SAME_TEXT

        return max((line for line in self.live if fits(line)), key=lambda line: overlap(line.box, box), default=None)

    def _replace(self, by: Line) -> None:
        over = [line for line in self.live if line.read < by.last and covered(line.box, by.box) >= REPLACED]
        for line in over:
            # One that was missed before the other was read went then.
            line.last = line.end = max(min(by.first, line.end or by.first), line.first)
        self.live = [line for line in self.live if line not in over]
        self.done += over

    def _came(self, line: Line) -> float:
        """Walk back from its first reading to the first frame that shows this line and no other in its place."""
        earliest = self._since[0][0] if self._since else line.first
        others = [other for other in self.done if other.last >= earliest]
        others += [other for other in self.live if other.read < line.last]
        rivals = [other for other in others if covered(other.box, line.box) >= REPLACED]
        came = line.first
        for t, sharp in reversed(self._since):
            grown = grow(sharp)
            likeness = line.agreement(grown)
            if likeness < STILL_THERE or any(rival.agreement(grown) >= likeness for rival in rivals):
                break
            came = t
        return came


def beside(box: Box, mask: Mask) -> tuple[Mask, Mask]:
    """What lies to the left and to the right of a box, as wide as the box is high."""
    x, y, width, height = box
    side = height * mask.shape[0] / mask.shape[1]
    left, right = max(0.0, x - side), min(1.0, x + width + side)
    return mask[span((left, y, x - left, height), mask.shape)], mask[
        span((x + width, y, right - x - width, height), mask.shape)
    ]


def plain(text: str) -> str:
    """Keep the letters and digits of a text, in lower case: recognisers disagree on spaces and dots."""
    return "".join(character for character in text.casefold() if character.isalnum())


def digits(text: str) -> str:
    """Keep the digits of a text: another number is another text, however alike the rest is."""
    return "".join(character for character in text if character.isdigit())


def similarity(a: str, b: str) -> float:
    """0..1 of two texts, spaces and punctuation aside."""
    return SequenceMatcher(None, plain(a), plain(b), autojunk=False).ratio()


def word_count(text: str) -> int:
    """Words of a text: what stands between spaces and has a letter or digit, and each letter of an unspaced script."""
    spaced = (part for part in UNSPACED.sub(" ", text).split() if plain(part))
    return len(UNSPACED.findall(text)) + sum(1 for _ in spaced)
