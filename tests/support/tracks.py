"""Results of other analyzers, written by hand, to hand to one that reads them."""

from __future__ import annotations

from pathlib import Path

from shared.schema import BaseTrack, SegmentTrack, SpeechSegment, TrackSet, Word
from tests.support.sounds import tone, write_wav


class Tracks(TrackSet):
    """Any tracks by name, as the result of some analyzer."""

    tracks_by_name: dict[str, BaseTrack]

    def tracks(self, analyzer: str) -> tuple[BaseTrack, ...]:
        return tuple(
            track.model_copy(update={"id": f"{analyzer}/{name}", "analyzer": analyzer})
            for name, track in self.tracks_by_name.items()
        )


def result(analyzer: str, **tracks: BaseTrack) -> tuple[str, Tracks]:
    """What `analyzer` found."""
    return analyzer, Tracks(tracks_by_name=tracks)


def segments(*items, method="measurement") -> SegmentTrack:
    """A segment track of items of any type."""
    return SegmentTrack[type(items[0])](method=method, items=items) if items else SegmentTrack(method=method)


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
