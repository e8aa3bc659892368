"""Results of analyzers, written by hand, to hand to one that reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from services.evaluation.sounds import tone, write_wav
from shared.schema import (
    BaseTrack,
    Box,
    Caption,
    Event,
    EventTrack,
    LabelledSegment,
    ObjectTrack,
    Segment,
    SegmentTrack,
    SpeechSegment,
    TimedBox,
    TrackedObject,
    TrackSet,
    Word,
    within,
)


class Tracks(TrackSet):
    """Any tracks by name, as the result of some analyzer."""

    tracks_by_name: dict[str, BaseTrack]

    def tracks(self, analyzer: str, duration: float = math.inf) -> tuple[BaseTrack, ...]:
        """The tracks under their names."""
        return tuple(
            within(track, duration).model_copy(update={"id": f"{analyzer}/{name}", "analyzer": analyzer})
            for name, track in self.tracks_by_name.items()
        )


def result(analyzer: str, **tracks: BaseTrack) -> tuple[str, Tracks]:
    """What `analyzer` found."""
    return analyzer, Tracks(tracks_by_name=tracks)


def segments(*items: Segment, method: Literal["measurement", "heuristic", "model"] = "measurement") -> BaseTrack:
    """A segment track of items of one type."""
    kind: Any = SegmentTrack
    return cast("BaseTrack", kind[type(items[0])](method=method, items=items) if items else kind(method=method))


def moments(kind: str, *times: float) -> EventTrack[Event]:
    """Events of one type."""
    items = tuple(Event(id=f"{kind}{number}", t=t, type=kind) for number, t in enumerate(times, 1))
    return EventTrack[Event](method="measurement", items=items)


def objects(*things: TrackedObject) -> ObjectTrack[TrackedObject]:
    """An object track."""
    return ObjectTrack[TrackedObject](method="model", items=things)


def thing(name: str, label: str, box: Box, times: Sequence[float]) -> TrackedObject:
    """An object that stands still while it is seen, at those times; it ends a quarter of a second later."""
    boxes = tuple(TimedBox(t=t, box=box, confidence=0.6) for t in times)
    return TrackedObject(id=name, label=label, start=times[0], end=times[-1] + 0.25, confidence=0.6, boxes=boxes)


def shot_list(*bounds: float) -> tuple[str, Tracks]:
    """Shots from each bound to the next."""
    shots = (
        LabelledSegment(id=f"s{number}", start=start, end=end, label="shot")
        for number, (start, end) in enumerate(pairwise(bounds), 1)
    )
    return result("cut_analysis", shots=segments(*shots))


def captions(*shown: tuple[str, float, float]) -> tuple[str, Tracks]:
    """Texts on screen: `(text, start, end)`, one line high."""
    items = (
        Caption(id=f"x{number}", start=start, end=end, text=text, box=(0, 0, 1, 0.1), confidence=0.9)
        for number, (text, start, end) in enumerate(shown, 1)
    )
    return result("text_overlay", captions=segments(*items))


def spoken(*said: tuple[str, float, float]) -> tuple[str, Tracks]:
    """A transcript of `(text, start, end)`, the words evenly spread over their segment."""
    items = []
    for number, (text, start, end) in enumerate(said, 1):
        parts = text.split()
        step = (end - start) / len(parts)
        words = tuple(
            Word(text=part, start=start + i * step, end=start + (i + 1) * step) for i, part in enumerate(parts)
        )
        items.append(SpeechSegment(id=f"s{number}", start=start, end=end, text=text, words=words))
    return result("speech_transcription", segments=segments(*items, method="model"))


def sound_of(duration: float, folder: Path) -> Path:
    """A file of that length; what sounds in it does not matter."""
    return write_wav(folder / "sound.wav", tone(100, duration))
