"""Analyzers on a video in this process, without a broker: the frame store underneath, tracks of others handed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import ReelgraphError, Skipped, Unavailable
from shared.frames import Audio, FrameBatch, FrameReader, Frames, FrameStore
from shared.media import probe
from shared.schema import BaseTrack, MediaInfo, SeriesTrack, Span, TrackSet
from shared.settings import settings
from tasks.analyzer import Analyzer, ItemT, OptionsT, ResultT
from tasks.loading import loaded
from tasks.registry import levels, select

AnalyzerT = TypeVar("AnalyzerT", bound=Analyzer[Any, Any])
STORE_BYTES = 4 << 30


class LocalMedia:
    """Implements `tasks.analyzer.Media` over a file on disk and the tracks of other analyzers."""

    def __init__(
        self, video: Path, store: FrameStore, wanted: Sequence[Frames | Audio], tracks: Sequence[BaseTrack]
    ) -> None:
        self.info: MediaInfo = probe(video)
        self.reader: FrameReader = store.open(video, self.info, wanted)
        self.tracks: Mapping[str, BaseTrack] = {track.id: track for track in tracks}
        self.fractions: list[float] = []

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches of frames of a rendition in time order."""
        return self.reader.frames(need, batch=batch)

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that it has at most."""
        return self.reader.rate(need)

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """The frame shown at `t` and its time."""
        return self.reader.frame_at(need, t)

    def shown(self, need: Frames) -> tuple[Span, ...]:
        """When that rendition has a picture."""
        return self.reader.shown(need)

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """The sound in that rendition."""
        return self.reader.audio(need)

    def items(self, track: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
        """Items of another analyzer's track, seen as `kind`."""
        known = set(kind.model_fields)
        found = getattr(self.tracks.get(track), "items", ())
        return tuple(
            item if isinstance(item, kind) else kind.model_validate(item.model_dump(include=known)) for item in found
        )

    def series(self, track: str) -> SeriesTrack | None:
        """Another analyzer's series."""
        found = self.tracks.get(track)
        return found if isinstance(found, SeriesTrack) else None

    def has(self, analyzer: str) -> bool:
        """Whether that analyzer has a result."""
        return any(track.analyzer == analyzer for track in self.tracks.values())

    def progress(self, fraction: float) -> None:
        """Note how far the work is."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress of {fraction} is not in 0..1")
        self.fractions.append(fraction)


def run(
    analyzer: Analyzer[OptionsT, ResultT], video: Path, folder: Path, *others: tuple[str, TrackSet], **options: object
) -> ResultT:
    """Run a loaded analyzer on a video, frames kept in `folder`; `others` are results of other analyzers, by name."""
    duration = probe(video).duration_seconds
    tracks = [track for name, result in others for track in result.tracks(name, duration)]
    media = LocalMedia(video, FrameStore(folder, budget_bytes=STORE_BYTES), analyzer.reads(settings().profile), tracks)
    return analyzer.analyze(media, analyzer.options(**options))


def ready(kind: type[AnalyzerT]) -> AnalyzerT:
    """An analyzer with its model loaded, now or before. Raises Unavailable where its weights are missing."""
    analyzer = loaded(kind).analyzer
    if not isinstance(analyzer, kind):
        raise TypeError(f"{kind.name} was loaded as {type(analyzer).__name__}")
    return analyzer


def look(video: Path, folder: Path, names: Sequence[str]) -> dict[str, TrackSet | ReelgraphError]:
    """Run the named analyzers and what they require on a video; by name, what each found or why it could not look.

    What they merely use is not run.
    """
    chosen = select(names)
    store = FrameStore(folder, budget_bytes=STORE_BYTES)
    duration = probe(video).duration_seconds
    found: dict[str, TrackSet | ReelgraphError] = {}
    for one in (analyzer for level in levels(chosen) for analyzer in level):
        tracks = [
            track
            for name, result in found.items()
            if isinstance(result, TrackSet)
            for track in result.tracks(name, duration)
        ]
        try:
            analyzer = loaded(one).analyzer
            found[one.name] = analyzer.analyze(
                LocalMedia(video, store, one.reads(settings().profile), tracks), analyzer.options()
            )
        except (Unavailable, Skipped) as error:
            found[one.name] = error
    return found
