"""Analyzers without the service: one process, model loaded, frames and sound in memory already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.frames import Audio, FrameBatch, Frames
from shared.schema import BaseTrack, MediaInfo, SeriesTrack, Span
from shared.storage import video_key
from shared.tables import Job
from tasks.analyzer import ItemT
from tasks.inputs import JobMedia, endings, stored_tracks
from tasks.loading import loaded
from tasks.node import frame_store, ledger, storage
from tasks.plan import Plan
from tasks.registry import AnyAnalyzer, analyzers, dependencies


class Held:
    """The media of a job as `tasks.analyzer.Media`, frames and sound read into memory at birth."""

    def __init__(self, media: JobMedia, analyzer: AnyAnalyzer, profile: str) -> None:
        self._media = media
        self._frames: dict[str, FrameBatch] = {}
        self._audio: dict[str, NDArray[np.float32]] = {}
        for need in analyzer.reads(profile):
            if isinstance(need, Audio):
                self._audio[need.key] = np.array(media.audio(need))
            else:
                batches = list(media.frames(need))
                self._frames[need.key] = FrameBatch(
                    np.concatenate([batch.times for batch in batches]),
                    np.concatenate([batch.frames for batch in batches]),
                    np.concatenate([batch.until for batch in batches]),
                )

    @property
    def info(self) -> MediaInfo:
        """Facts about the file."""
        return self._media.info

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches out of memory."""
        held = self._frames[need.key]
        for at in range(0, len(held.times), batch):
            part = slice(at, at + batch)
            yield FrameBatch(held.times[part], held.frames[part], held.until[part])

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that it has at most."""
        return self._media.rate(need)

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """The frame shown at `t` and its time."""
        held = self._frames[need.key]
        at = max(0, int(np.searchsorted(held.times, t, side="right")) - 1)
        return float(held.times[at]), held.frames[at]

    def shown(self, need: Frames) -> tuple[Span, ...]:
        """When that rendition has a picture."""
        return self._media.shown(need)

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """The sound."""
        return self._audio[need.key]

    def items(self, track: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
        """Items of another analyzer's track."""
        return self._media.items(track, kind)

    def series(self, track: str) -> SeriesTrack | None:
        """Another analyzer's series."""
        return self._media.series(track)

    def has(self, analyzer: str) -> bool:
        """Whether that analyzer has a result."""
        return self._media.has(analyzer)

    def progress(self, fraction: float) -> None:
        """Nobody listens."""


@dataclass(slots=True)
class Inside:
    """Seconds spent inside the libraries that run networks."""

    seconds: float = 0.0


@contextmanager
def inside_models() -> Iterator[Inside]:
    """Count the seconds inside ONNX Runtime, LiteRT and CTranslate2's Whisper while the block runs."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    whisper = import_module("ctranslate2.models").Whisper  # has no types
    entrances: list[tuple[Any, str]] = [(onnxruntime.InferenceSession, "run"), (Interpreter, "invoke")]
    entrances += [(whisper, name) for name in ("encode", "generate", "align", "detect_language")]
    spent = Inside()
    before = [(owner, name, getattr(owner, name)) for owner, name in entrances]
    for owner, name, call in before:
        setattr(owner, name, _timed(call, spent))
    try:
        yield spent
    finally:
        for owner, name, call in before:
            setattr(owner, name, call)


def _timed(call: Callable[..., Any], spent: Inside) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spent.seconds += time.perf_counter() - began

    return timed


@dataclass(frozen=True, slots=True)
class Alone:
    """What one analyzer took for one video: wall clock, CPU, and wall clock inside its networks."""

    seconds: float
    cpu_seconds: float
    model_seconds: float


def media_of(job: Job, analyzer: AnyAnalyzer) -> JobMedia:
    """What the service gives the analyzer for that job."""
    plan = Plan.of(job)
    info = job.video
    video = storage().path(video_key(job.video_sha256))
    tracks: dict[str, BaseTrack] = stored_tracks(storage(), job.id, endings(ledger(), job.id, dependencies(analyzer)))
    return JobMedia(
        info=info,
        plan=plan,
        open_reader=lambda check: frame_store().open(video, info, plan.renditions, check=check),
        tracks=tracks,
        cancelled=lambda: False,
        report=lambda _: None,
    )


@contextmanager
def held(job: Job, name: str) -> Iterator[Callable[[], Alone]]:
    """The analyzer with its model and the job's media in memory: calling what comes runs it once."""
    analyzer = analyzers()[name]
    media = media_of(job, analyzer)
    with media.reader:
        memory = Held(media, analyzer, job.profile)
    ready = loaded(analyzer)
    options = analyzer.options.model_validate(dict(job.options.get(name, {})))

    def once() -> Alone:
        with inside_models() as spent:
            began, cpu = time.perf_counter(), time.process_time()
            ready.analyzer.analyze(memory, options)
            took = time.perf_counter() - began
        return Alone(took, time.process_time() - cpu, spent.seconds)

    yield once
