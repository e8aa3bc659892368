"""Real media for one analyzer without a broker: the frame store underneath, tracks of others handed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.frames import Audio, FrameBatch, FrameReader, Frames, FrameStore
from shared.media import probe
from shared.schema import BaseTrack, MediaInfo, SeriesTrack, TrackSet
from tasks.analyzer import Analyzer, ItemT, Options, ResultT


class LocalMedia:
    """Implements `tasks.analyzer.Media` over a file on disk and the tracks of other analyzers."""

    def __init__(self, video: Path, store: FrameStore, wanted: Sequence[Frames | Audio], tracks: Sequence[BaseTrack]):
        self.info: MediaInfo = probe(video)
        self.reader: FrameReader = store.open(video, self.info, wanted)
        self.tracks = {track.id: track for track in tracks}
        self.fractions: list[float] = []

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        return self.reader.frames(need, batch=batch)

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        return self.reader.frame_at(need, t)

    def audio(self, need: Audio) -> NDArray[np.float32]:
        return self.reader.audio(need)

    def items(self, track: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
        found = self.tracks.get(track)
        return tuple(kind.model_validate(item.model_dump()) for item in found.items) if found else ()  # type: ignore[attr-defined]

    def series(self, track: str) -> SeriesTrack | None:
        found = self.tracks.get(track)
        return found if isinstance(found, SeriesTrack) else None

    def has(self, analyzer: str) -> bool:
        return any(track.analyzer == analyzer for track in self.tracks.values())

    def progress(self, fraction: float) -> None:
        assert 0 <= fraction <= 1
        self.fractions.append(fraction)


def run(
    analyzer: Analyzer[Options, ResultT], video: Path, folder: Path, *others: tuple[str, TrackSet], **options: object
) -> ResultT:
    """Run a loaded analyzer on a video; `others` are the results of other analyzers, by name."""
    store = FrameStore(folder, budget_bytes=4 << 30)
    tracks = [track for name, result in others for track in result.tracks(name)]
    media = LocalMedia(video, store, analyzer.needs, tracks)
    return analyzer.analyze(media, analyzer.options(**options))
