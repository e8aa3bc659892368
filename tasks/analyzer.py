"""The contract of an analyzer: one plug-in that turns media into typed tracks.

An analyzer is one file in `tasks/analyzers/` with one subclass of `Analyzer`. Importing that file must be cheap:
heavy imports belong into `load`. Constructors do nothing. No analyzer knows Celery, Flask, Redis or another analyzer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from shared.frames import Audio, FrameBatch, Frames
from shared.schema import Item, MediaInfo, SeriesTrack, Span, TrackSet
from tasks.models import EngineKind, EngineT

__all__ = ["Analyzer", "Audio", "Frames", "Media", "ModelContext", "Options"]


class Options(BaseModel):
    """Options of one analyzer. Subclass it; every field has a default and a description. JSON has no inf and no nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


ESSENTIAL = 3
"""The value of analyzers on which most others stand, or for which most people send a video."""

OptionsT = TypeVar("OptionsT", bound=Options)
ResultT = TypeVar("ResultT", bound=TrackSet, covariant=True)
ItemT = TypeVar("ItemT", bound=Item)


class Media(Protocol):
    """What an analyzer sees of a job: frames, audio and the tracks it asked for. Times are seconds."""

    @property
    def info(self) -> MediaInfo:
        """Facts about the file."""

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches of frames of a declared rendition in time order.

        Arrays are read-only views of shared memory: uint8 `(n, height, width, 3)` for rgb, `(n, height, width)` for
        gray. Raises Cancelled between batches when the job was cancelled.
        """

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that the rendition has at most: fewer than asked for where all would not fit. None: all."""

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """The frame of the rendition shown at `t` (the last one with a time <= t, else the first) and its time."""

    def shown(self, need: Frames) -> tuple[Span, ...]:
        """When there is a picture: from the first to the end of the last, without what could not be read; at least one.

        Sound may begin before it and go on after it. Waits until all of the video is read.
        """

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """The chosen audio stream from 0 s on: float32 -1..1, `(samples,)` if mono, else `(samples, channels)`.

        Raises Skipped when the video has no audio.
        """

    def items(self, track: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
        """Items of a track (`analyzer/name`) named in `requires` or `uses`; empty when `uses` brought none."""

    def series(self, track: str) -> SeriesTrack | None:
        """A series track named in `requires` or `uses`; None when `uses` brought none."""

    def has(self, analyzer: str) -> bool:
        """Whether that analyzer (in `requires` or `uses`) looked and has a result."""

    def progress(self, fraction: float) -> None:
        """Say how far the work is, 0..1. Raises Cancelled when the job was cancelled."""


class ModelContext(Protocol):
    """What an analyzer gets to load its model with."""

    @property
    def profile(self) -> str:
        """`local` or `gpu`."""

    @property
    def threads(self) -> int:
        """CPU threads one model may use."""

    def path(self, file: str) -> str:
        """Path of a file of the analyzer's weights, its sha256 checked.

        Raises WeightsMissing or WeightsTampered.
        """

    def onnx(self, file: str) -> Any:
        """An `onnxruntime.InferenceSession` of a weights file."""

    def tflite(self, file: str) -> Any:
        """An `ai_edge_litert` interpreter of a weights file, tensors allocated."""

    def engine(self, kinds: Mapping[str, EngineKind[EngineT]]) -> EngineT:
        """The engine that the entry of the analyzer's weights names, of `kinds` by name: loaded, on its device.

        Raises WeightsMissing, WeightsTampered, BadInput (an engine that is not among the kinds) or NoDevice.
        """

    def extra_engine(self, kinds: Mapping[str, EngineKind[EngineT]]) -> EngineT | None:
        """The engine of the analyzer's `extra` entry, or None where there is none or its files are not here.

        Raises as `engine` does, but for WeightsMissing.
        """


class Analyzer(ABC, Generic[OptionsT, ResultT]):
    """Base of all analyzers. See the module's docstring."""

    name: ClassVar[str]
    version: ClassVar[int]
    """One more when the same video gives another result: no cached outcome of an older one is taken then."""
    group: ClassVar[str]
    summary: ClassVar[str]
    """One line: what it finds and by which method."""
    options: type[OptionsT]
    """Set from the type arguments of the subclass, like `result`."""
    result: type[ResultT]
    needs: ClassVar[tuple[Frames | Audio, ...]] = ()
    needs_in: ClassVar[Mapping[str, tuple[Frames | Audio, ...]]] = {}
    """Profile to what its model there reads instead of `needs`."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Analyzers without whose result this one is skipped."""
    uses: ClassVar[tuple[str, ...]] = ()
    """Analyzers whose result it reads when there is one."""
    weights: ClassVar[Mapping[str, str | None]] = {}
    """Profile to entry of `weights.toml`; None: needs no weights there. Empty: needs none anywhere.

    A profile left out: unavailable there.
    """
    extra: ClassVar[dict[str, str]] = {}
    """Profile to an entry that it makes use of when its files are there, and works without."""
    cost: ClassVar[float] = 0.05
    """Seconds of work per second of video on one CPU core, measured; orders the queue and sets time limits."""
    cost_in: ClassVar[dict[str, float]] = {}
    """Profile to the seconds that it takes there for a second of video, measured, instead of `cost`."""
    value: ClassVar[int] = 2
    """What its result is worth beside others' where a deadline leaves no time for all: 1, 2, or ESSENTIAL, which no
    deadline leaves out. A judgement, not a measurement (docs/decisions.md, 71).
    """
    infers_personal_traits: ClassVar[bool] = False
    """Whether it says what somebody is like: their age, how they feel. A deployment may switch all of these off."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Analyzer:
                cls.options, cls.result = get_args(base)

    @classmethod
    def reads(cls, profile: str) -> tuple[Frames | Audio, ...]:
        """The renditions it reads in a profile."""
        return cls.needs_in.get(profile, cls.needs)

    @classmethod
    def seconds_per_second(cls, profile: str, options: OptionsT | None = None) -> float:  # noqa: ARG003  (some look)
        """Work for a second of video in a profile, in seconds; None stands for the default options."""
        return cls.cost_in.get(profile, cls.cost)

    def load(self, model: ModelContext) -> None:
        """Import heavy libraries and load models. Called once per process, before the worker takes work."""

    @abstractmethod
    def analyze(self, media: Media, options: OptionsT) -> ResultT:
        """Look at the media. Raise nothing on purpose but Skipped, Unavailable or Cancelled."""
