"""The document: everything Reelgraph says about one video, aligned in time.

Times are seconds from the container's start, taken from presentation timestamps, rounded to 3 decimals.
Spans are half-open `[start, end)`. Boxes are `[x, y, w, h]` in 0..1 of the displayed picture (after rotation).
Confidence is 0..1 as the model gave it, or null: it is never invented.
"""

from __future__ import annotations

import math
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

SCHEMA_VERSION = "1.0"

Seconds = Annotated[float, Field(ge=0), AfterValidator(lambda value: round(value, 3))]
Unit = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda value: round(value, 4))]
Coordinate = Annotated[float, AfterValidator(lambda value: round(value, 4))]
Confidence = Unit | None
Box = tuple[Unit, Unit, Unit, Unit]
Point = tuple[Coordinate, Coordinate]
Span = tuple[Seconds, Seconds]
Status = Literal["ok", "partial", "failed", "timeout", "unavailable", "skipped", "cancelled"]
JobState = Literal["queued", "running", "completed", "completed_with_errors", "failed", "cancelled"]
Method = Literal["model", "measurement", "heuristic"]
OptionValue = str | int | float | bool | None | tuple[str, ...]


class Frozen(BaseModel):
    """Base of everything in the document."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- items -----------------------------------------------------------------------------------------------------


class Item(Frozen):
    """One thing in a track. `id` is unique in its track; `evidence` cites items as `analyzer/track/id`."""

    id: str
    evidence: tuple[str, ...] = ()


class Segment(Item):
    """Something that holds from `start` until `end`."""

    start: Seconds
    end: Seconds
    confidence: Confidence = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"segment ends at {self.end} s before it starts at {self.start} s")
        return self


class Event(Item):
    """Something that happens at one moment."""

    t: Seconds
    type: str
    confidence: Confidence = None


class Scalar(Item):
    """One number about the whole video; null where it could not be measured."""

    name: str
    value: float | None
    unit: str


class TimedBox(Frozen):
    """Where an object is at one moment."""

    t: Seconds
    box: Box
    confidence: Confidence = None


class TrackedObject(Segment):
    """One object followed over time. `confidence` is the mean over its boxes."""

    label: str
    boxes: tuple[TimedBox, ...]


class FaceBox(TimedBox):
    """Where a face is at one moment: brow to chin.

    `keypoints` in 0..1 of the picture, beyond it where the picture cuts the face off. In this order, sides as the
    person has them: right eye, left eye, tip of the nose, middle of the mouth, right ear, left ear.
    """

    keypoints: tuple[Point, Point, Point, Point, Point, Point]


class Face(TrackedObject):
    """One face followed over time."""

    boxes: tuple[FaceBox, ...]


class Word(Frozen):
    """One spoken word."""

    start: Seconds
    end: Seconds
    text: str
    confidence: Confidence = None


class SpeechSegment(Segment):
    """What was said in one breath."""

    text: str
    words: tuple[Word, ...] = ()


class Caption(Segment):
    """A line of text seen on screen; `box` is where it stood most of the time.

    `dwell_seconds` is how long it stood there, `words_per_second` how fast it has to be read in that time; in scripts
    without spaces each letter counts as a word. Null in documents of versions that did not work them out.
    """

    text: str
    box: Box
    dwell_seconds: Seconds | None = None
    words_per_second: Annotated[float, Field(ge=0)] | None = None


class LabelledSegment(Segment):
    """A span with a name, from a closed set that its analyzer documents."""

    label: str


class CameraMotion(Segment):
    """How the camera moved."""

    motion: Literal["static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "shake", "mixed"]


# --- tracks ----------------------------------------------------------------------------------------------------

SegmentT = TypeVar("SegmentT", bound=Segment)
EventT = TypeVar("EventT", bound=Event)
ObjectT = TypeVar("ObjectT", bound=TrackedObject)


class BaseTrack(Frozen):
    """What all tracks share. `id` (`analyzer/name`) and `analyzer` are filled in by the task that ran the analyzer."""

    id: str = ""
    analyzer: str = ""
    method: Method


class SegmentTrack(BaseTrack, Generic[SegmentT]):
    """Spans in time, ordered by start."""

    kind: Literal["segment"] = "segment"
    items: tuple[SegmentT, ...] = ()


class EventTrack(BaseTrack, Generic[EventT]):
    """Moments, ordered by time."""

    kind: Literal["event"] = "event"
    items: tuple[EventT, ...] = ()


class ObjectTrack(BaseTrack, Generic[ObjectT]):
    """Objects followed over time, ordered by start."""

    kind: Literal["object"] = "object"
    items: tuple[ObjectT, ...] = ()


class SeriesTrack(BaseTrack):
    """A value every `dt` seconds from `t0`; null where it could not be measured."""

    kind: Literal["series"] = "series"
    unit: str
    t0: Seconds
    dt: Annotated[float, Field(gt=0)]
    values: tuple[float | None, ...]


class ScalarTrack(BaseTrack):
    """Numbers about the whole video."""

    kind: Literal["scalar"] = "scalar"
    items: tuple[Scalar, ...] = ()


Track = SegmentTrack[Segment] | EventTrack[Event] | ObjectTrack[TrackedObject] | SeriesTrack | ScalarTrack


TIMES = frozenset({"start", "end", "t"})
"""Fields that hold a moment of the video."""
FrozenT = TypeVar("FrozenT", bound=Frozen)


def within(one: FrozenT, duration: float) -> FrozenT:
    """The same without a moment after `duration`, seconds: itself where there is none."""
    changed: dict[str, object] = {}
    for name in type(one).model_fields:
        value = getattr(one, name)
        if name in TIMES and isinstance(value, float) and value > duration:
            changed[name] = duration
        elif isinstance(value, tuple) and value and isinstance(value[0], Frozen):
            inner = tuple(within(part, duration) for part in value)
            if any(new is not old for new, old in zip(inner, value, strict=True)):
                changed[name] = inner
    return one.model_copy(update=changed) if changed else one


def track_length(track: BaseTrack) -> int:
    """How many items or values a track has."""
    return len(track.values) if isinstance(track, SeriesTrack) else len(getattr(track, "items", ()))


class TrackSet(Frozen):
    """What one analyzer returns: one field a track; the field's name is the track's name.

    `analysed` says which spans were looked at; None means everything that was asked for.
    """

    analysed: tuple[Span, ...] | None = None

    def tracks(self, analyzer: str, duration: float = math.inf) -> tuple[BaseTrack, ...]:
        """The tracks, signed with their analyzer; nothing in them lasts beyond the video's `duration`, seconds.

        A decoder's last packet of sound, and the last frame, may last longer than the container says.
        """
        named = ((name, getattr(self, name)) for name in type(self).model_fields if name != "analysed")
        return tuple(
            within(track, duration).model_copy(update={"id": f"{analyzer}/{name}", "analyzer": analyzer})
            for name, track in named
        )


# --- outcomes --------------------------------------------------------------------------------------------------


class ErrorInfo(Frozen):
    """Why an analyzer has no (full) result."""

    code: str
    message: str
    retryable: bool = False


class Receipt(Frozen):
    """What one analyzer run cost. Seconds are wall clock; null where it was not measured.

    GPU memory is what torch's tensors take in the worker: CUDA's context, some 800 MiB more, and what CTranslate2
    allocates are not in it.
    """

    queue_seconds: float | None = None
    load_seconds: float | None = None
    decode_seconds: float | None = None
    infer_seconds: float | None = None
    decode_passes: int = 0
    peak_rss_mib: float | None = None
    peak_gpu_mib: float | None = None
    held_gpu_mib: float | None = None
    """GPU memory that the worker's models hold after the run."""
    device: str | None = None
    precision: str | None = None
    batches: dict[str, int] = Field(default_factory=dict)
    """Batches that each of its models answered, by weights entry: 0 where nothing in the video was for it to answer.

    Small networks that run picture by picture without an engine are not counted.
    """
    notes: tuple[str, ...] = ()
    """What it could not have as it should: why a model is not on the GPU or its loop not recorded, why it was given
    fewer pictures.
    """
    weights_reviewed: bool | None = None
    """False: hub files that were taken unlocked. Null: the analyzer has no weights."""
    attempts: int = 0
    cache_hit: bool = False
    realtime_factor: float | None = None
    worker: str | None = None


class AnalyzerReport(Frozen):
    """How one analyzer fared on one video."""

    name: str
    version: int
    status: Status
    weights: str | None = None
    options: dict[str, OptionValue] = Field(default_factory=dict)
    analysed: tuple[Span, ...] = ()
    error: ErrorInfo | None = None
    receipt: Receipt = Receipt()


class Outcome(Frozen):
    """What one analyzer run ended in: the report and, when it is ok or partial, the tracks."""

    report: AnalyzerReport
    tracks: tuple[SerializeAsAny[BaseTrack], ...] = ()


class StreamInfo(Frozen):
    """One stream of the container."""

    index: int
    kind: Literal["video", "audio", "subtitle", "data", "attachment"]
    codec: str | None = None
    language: str | None = None
    chosen: bool = False
    width: int | None = None
    height: int | None = None
    sample_rate: int | None = None
    channels: int | None = None


class MediaInfo(Frozen):
    """Facts about the video file. Width and height are as displayed: rotation and pixel shape applied."""

    sha256: str
    size_bytes: int
    container: str
    duration_seconds: Seconds
    start_seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    fps: str | None = None
    vfr: bool | None = None
    rotation: int = Field(
        0,
        description=(
            "Degrees counterclockwise (0, 90, 180 or 270) by which the stored picture is turned to be upright. `width` "
            "and `height` beside it, frames and boxes are those of the upright picture already; those of `streams` are "
            "as stored."
        ),
    )
    mirrored: bool = Field(
        default=False,
        description="Whether left and right are swapped after that turn; frames and boxes are so already.",
    )
    streams: tuple[StreamInfo, ...] = ()

    @property
    def has_video(self) -> bool:
        """Whether a video stream was chosen."""
        return any(stream.chosen and stream.kind == "video" for stream in self.streams)

    @property
    def has_audio(self) -> bool:
        """Whether an audio stream was chosen."""
        return any(stream.chosen and stream.kind == "audio" for stream in self.streams)


class JobInfo(Frozen):
    """The job that made the document."""

    id: str
    state: JobState
    profile: str
    submitted_at: str
    decode_passes: int
    wall_seconds: float
    realtime_factor: float | None
    source_name: str | None = None
    notes: tuple[str, ...] = ()


class Coverage(Frozen):
    """Which analyzers ended how: the holes, at one glance."""

    ok: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    timeout: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()


class Document(Frozen):
    """Everything about one video. `reelgraph schema` prints its JSON Schema with every analyzer's track types."""

    schema_version: Literal["1.0"] = "1.0"
    job: JobInfo
    media: MediaInfo
    coverage: Coverage
    analyzers: tuple[AnalyzerReport, ...]
    tracks: tuple[SerializeAsAny[BaseTrack], ...]
