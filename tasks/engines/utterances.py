"""What engines that write down speech take and give, and how sound is packed into the windows that Whisper hears."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.engines.base import TorchEngine
from tasks.voice import SAMPLE_RATE, SILENCE_SECONDS, Samples, Spans

WINDOW_SECONDS = 30.0
"""What Whisper hears at once (Radford et al. 2022)."""
MARGIN_SECONDS = 0.2
"""Sound kept before and after a voice, as far as the next voice leaves it."""
JOINED_SECONDS = 1.0
"""A pause up to here is kept as it sounds; of a longer one only `APART_SECONDS` of silence."""
APART_SECONDS = 0.5
CUT_SECONDS, CUT_HOP = 5.0, 0.02
"""Speech without a pause is cut where it is softest in the last five seconds of a window."""
SENTENCE_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")
UNSPACED = frozenset(("zh", "ja", "th", "lo", "my", "yue"))
"""Languages whose words no spaces part: each character counts as a word (openai-whisper's tokenizer)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Sound from `start` seconds on: mono float32 at 16 kHz, and where in it somebody speaks, in its own seconds."""

    start: float
    samples: Samples
    spans: Spans

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Asked:
    """How to decode. `language` is an ISO 639-1 code, None for a model of one language; `beams` None: as the engine
    does best.
    """

    language: str | None = None
    beams: int | None = None
    speech_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Language:
    """What is spoken, and the model's probability of it."""

    code: str
    probability: float


@dataclass(frozen=True, slots=True)
class Part:
    """A word or the beginning of one, in seconds of its stretch; a part that begins a word begins with a space, save in
    languages without spaces. Its probability is the mean of its tokens'.
    """

    text: str
    start: float
    end: float
    probability: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What was decoded in one go: text to be trusted, or not, as a whole.

    `log_probability`: mean of the tokens'. `no_speech`: probability that nobody speaks; None where it is not told.
    """

    stretch: Stretch
    parts: tuple[Part, ...]
    log_probability: float
    no_speech: float | None

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Piece:
    """Sound of a stretch from `start` until `end` that lies `at` seconds in a window."""

    at: float
    start: float
    end: float

    @property
    def until(self) -> float:
        """Where it ends in the window."""
        return self.at + self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """At most 30 s of one stretch's speech, long pauses cut out."""

    stretch: Stretch
    pieces: tuple[Piece, ...]

    @property
    def seconds(self) -> float:
        """How much of it is filled."""
        return self.pieces[-1].until

    def samples(self) -> Samples:
        """30 s of samples, `(480000,)`; silence between and after the pieces."""
        filled = np.zeros(round(WINDOW_SECONDS * SAMPLE_RATE), np.float32)
        for piece in self.pieces:
            sound = self.stretch.samples[round(piece.start * SAMPLE_RATE) : round(piece.end * SAMPLE_RATE)]
            at = round(piece.at * SAMPLE_RATE)
            filled[at : at + len(sound)] = sound[: len(filled) - at]
        return filled


@dataclass(frozen=True, slots=True)
class Written:
    """What an engine wrote down of one window, in seconds of the window."""

    parts: tuple[Part, ...]
    no_speech: float | None


class WindowedTranscriber(TorchEngine):
    """A Whisper that writes down batches of windows."""

    @abstractmethod
    def written(self, windows: Sequence[Window], asked: Asked) -> Sequence[Written]:
        """What is said in each window."""

    @abstractmethod
    def languages(self, window: Window) -> Mapping[str, float] | None:
        """Probability of each language that the model knows; None where it knows only one."""

    def language(self, stretches: Sequence[Stretch]) -> Language | None:
        """The likeliest language of the window that is fullest of speech; None where the model knows only one."""
        fullest = max(windows(stretches), key=lambda window: window.seconds, default=None)
        found = self.languages(fullest) if fullest else None
        return Language(*max(found.items(), key=lambda one: one[1])) if found else None

    def transcribe(self, stretches: Sequence[Stretch], asked: Asked) -> Iterator[Heard]:
        """What is said, in order of time."""

        def heard_in(batch: Sequence[Window]) -> list[list[Heard]]:
            return [list(heard(one, said)) for one, said in zip(batch, self.written(batch, asked), strict=True)]

        for answers in self.batches(windows(stretches), heard_in):
            yield from chain.from_iterable(answers)


def windows(stretches: Iterable[Stretch]) -> Iterator[Window]:
    """Pack the speech of stretches, in order, into as few windows as its pauses allow."""
    for stretch in stretches:
        filled: list[Piece] = []
        for start, end in _pieces(stretch):
            at = filled[-1].until + APART_SECONDS if filled else 0.0
            if at + end - start > WINDOW_SECONDS:
                yield Window(stretch, tuple(filled))
                filled, at = [], 0.0
            filled.append(Piece(at, start, end))
        if filled:
            yield Window(stretch, tuple(filled))


def heard(window: Window, said: Written) -> Iterator[Heard]:
    """The sentences that were said in each piece of a window, in seconds of its stretch."""
    edges = [-math.inf, *((one.until + other.at) / 2 for one, other in pairwise(window.pieces)), math.inf]
    for piece, (first, last) in zip(window.pieces, pairwise(edges), strict=True):
        within = [part for part in said.parts if first <= (part.start + part.end) / 2 < last]
        for parts in _sentences(within):
            moved = tuple(_moved(part, piece) for part in parts)
            likely = sum(part.log_probability for part in parts) / len(parts)
            yield Heard(window.stretch, moved, likely, said.no_speech)


def _sentences(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Part the words where a sentence ends and silence follows; an abbreviation has none."""
    sentence: list[Part] = []
    for part in parts:
        if sentence and sentence[-1].text.endswith(SENTENCE_ENDS) and part.start - sentence[-1].end >= SILENCE_SECONDS:
            yield sentence
            sentence = []
        sentence.append(part)
    if sentence:
        yield sentence


def _moved(part: Part, piece: Piece) -> Part:
    start, end = (min(max(t - piece.at + piece.start, piece.start), piece.end) for t in (part.start, part.end))
    return Part(part.text, start, end, part.probability, part.log_probability)


def _pieces(stretch: Stretch) -> Iterator[tuple[float, float]]:
    """Speech with its margins, short pauses kept, none longer than a window."""
    joined: list[tuple[float, float]] = []
    for start, end in _with_margins(stretch):
        if joined and start - joined[-1][1] <= JOINED_SECONDS and end - joined[-1][0] <= WINDOW_SECONDS:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    for start, end in joined:
        begins = start
        while end - begins > WINDOW_SECONDS:
            cut = _softest(stretch.samples, begins + WINDOW_SECONDS - CUT_SECONDS, begins + WINDOW_SECONDS)
            yield begins, cut
            begins = cut
        yield begins, end


def _with_margins(stretch: Stretch) -> Iterator[tuple[float, float]]:
    if not (spans := stretch.spans):
        return
    middles = [0.0, *((one[1] + other[0]) / 2 for one, other in pairwise(spans)), stretch.seconds]
    for (start, end), (before, after) in zip(spans, pairwise(middles), strict=True):
        yield max(before, start - MARGIN_SECONDS), min(after, end + MARGIN_SECONDS)


def _softest(samples: Samples, start: float, end: float) -> float:
    """The middle of the softest 20 ms between two times."""
    hop = round(CUT_HOP * SAMPLE_RATE)
    part: NDArray[np.float32] = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    power = (part[: len(part) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    return start + (int(power.argmin()) + 0.5) * CUT_HOP
