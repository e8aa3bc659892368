"""Sound over time by AudioSet's classes (Gemmeke et al. 2017): which slots of it are heard, and what is told of them.

A class's probability is a sigmoid of its own, so several hold at once. AudioSet's annotators named clips of 10 s; here
each slot is heard with what surrounds it, half as long as that, and the model is given silence for the rest, as it was
for its shorter clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.schema import LabelledSegment
from tasks.engines.sounds import Probabilities, SoundTagger
from tasks.voice import SAMPLE_RATE, Samples

SLOT_SECONDS, HEARD_SECONDS = 2.5, 5.0
"""A slot, and what is heard around its middle."""
SILENCE_DBFS = -70.0
"""BS.1770-4's absolute gate: what is quieter is silence, in which nothing is named."""
KINDS = {
    "speech": ("Speech",),
    "music": ("Music",),
    "noise": ("Noise", "Environmental noise", "Static", "Mains hum", "White noise", "Pink noise", "Throbbing"),
}
"""Kinds of sound by classes of the ontology. Speech and Music stand for all that is below them; noise is what the
ontology has below Noise, less what needs no noise (distortion, echo of one's own voice, cacophony, vibration).
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of the sound from `start` until `end`, and the samples by which it is judged."""

    start: float
    end: float
    heard: Samples

    @property
    def silent(self) -> bool:
        """Whether nothing sounds that could be named."""
        return not len(self.heard) or float(np.square(self.heard).mean()) < 10 ** (SILENCE_DBFS / 10)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The probability `(slots, labels)` of each label in each slot; zero in silence."""

    slots: tuple[Slot, ...]
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def spans(self, names: Iterable[str], least: float) -> Iterator[tuple[float, float, float]]:
        """From when until when the likeliest of these labels reaches a probability, and the mean of its probability."""
        columns = [self.labels.index(name) for name in names if name in self.labels]
        if not columns:
            return
        likely = self.probabilities[:, columns].max(axis=1)
        first: int | None = None
        for number, value in enumerate([*likely.tolist(), 0.0]):
            if value >= least:
                first = number if first is None else first
            elif first is not None:
                yield self.slots[first].start, self.slots[number - 1].end, float(likely[first:number].mean())
                first = None

    def of_kinds(self, least: float) -> tuple[LabelledSegment, ...]:
        """Speech, music and noise, by time; they may overlap."""
        found = [(*span, kind) for kind, names in KINDS.items() for span in self.spans(names, least)]
        return _segments("e", found)

    def tags(self, least: float) -> tuple[LabelledSegment, ...]:
        """Every label, silence but for, by time, the likeliest first."""
        found = [(*span, name) for name in self.labels if name != "Silence" for span in self.spans([name], least)]
        return _segments("t", found)


def timeline(audio: Samples, tagger: SoundTagger, progress: Callable[[float], None]) -> Timeline:
    """Listen to a sound; `progress` is told how far it is (0 to 1) after every batch."""
    slots = tuple(_slots(audio))
    probabilities = np.zeros((len(slots), len(tagger.labels)), np.float32)
    sounding = [number for number, slot in enumerate(slots) if not slot.silent]
    done: list[Probabilities] = []
    for batch in tagger.tags(slots[number].heard for number in sounding):
        done.extend(batch)
        progress(len(done) / len(sounding))
    if done:
        probabilities[sounding] = done
    return Timeline(slots, tagger.labels, probabilities)


def _slots(audio: Samples) -> Iterator[Slot]:
    length = len(audio) / SAMPLE_RATE
    for number in range(max(1, round(length / SLOT_SECONDS)) if len(audio) else 0):
        start = number * SLOT_SECONDS
        # a rest of less than half a slot belongs to the last one
        end = start + SLOT_SECONDS if length - start >= 1.5 * SLOT_SECONDS else length
        middle = (start + end) / 2
        first, last = (round((middle + side * HEARD_SECONDS / 2) * SAMPLE_RATE) for side in (-1, 1))
        yield Slot(start, end, audio[max(0, first) : last])


def _segments(letter: str, found: Sequence[tuple[float, float, float, str]]) -> tuple[LabelledSegment, ...]:
    ordered = sorted(found, key=lambda span: (span[0], -span[2]))
    return tuple(
        LabelledSegment(id=f"{letter}{number}", start=start, end=end, label=label, confidence=sure)
        for number, (start, end, sure, label) in enumerate(ordered, 1)
    )


@dataclass(frozen=True, slots=True)
class Named:
    """What began to sound, and the probability of it."""

    label: str
    probability: float


NAMED_SECONDS = 2.0
"""Sound before and after a moment that is compared."""


def names(audio: Samples, times: Sequence[float], tagger: SoundTagger, least: float) -> Iterator[Named | None]:
    """For each moment the class that begins to sound there; None where the model does not say so.

    That is a class which reaches the probability `least` in the two seconds after, and did not in those before: the one
    that gained most.
    """
    reach = round(NAMED_SECONDS * SAMPLE_RATE)

    def around() -> Iterator[Samples]:
        for time in times:
            at = round(time * SAMPLE_RATE)
            yield audio[max(0, at - reach) : at]
            yield audio[at : at + reach]

    nameable = np.array([label != "Silence" for label in tagger.labels])
    before: Probabilities | None = None
    for batch in tagger.tags(around()):
        for found in batch:
            if before is None:
                before = found
                continue
            gained = np.where((found >= least) & (before < least) & nameable, found - before, 0.0)
            best = int(gained.argmax())
            yield Named(tagger.labels[best], float(found[best])) if gained[best] > 0 else None
            before = None
