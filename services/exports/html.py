"""The report: one HTML file with everything in it, for reading a document quickly.

It holds no script and asks for nothing from elsewhere, and its content security policy says so to the browser. All
text is escaped by the template engine: captions, file names and messages come from strangers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.exports.timeline import OTHER, timeline
from services.exports.words import between, clock, details, headline, number, plain, when
from shared.errors import BadInput
from shared.groups import groups
from shared.schema import (
    AnalyzerReport,
    BaseTrack,
    CameraMotion,
    Caption,
    Document,
    EventTrack,
    Item,
    ObjectTrack,
    ScalarTrack,
    Segment,
    SegmentT,
    SegmentTrack,
    Span,
    SpeechSegment,
    TrackedObject,
    track_length,
)
from tasks.registry import analyzers

MAX_PICTURES = 48
MOMENTS = 6
SHOTS = "cut_analysis/shots"
FINDINGS = "cross_analyzer_intelligence"


@dataclass(frozen=True, slots=True)
class Picture:
    """A shot, or a moment where shots are not known. `jpeg` is base64, None where no picture could be had."""

    title: str
    span: str
    left: float
    width: float
    jpeg: str | None
    labels: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What several analyzers say together."""

    item: Item
    headline: str
    when: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A number about the whole video."""

    analyzer: str
    group: str
    name: str
    value: str | None
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """How one analyzer fared. `load` to `infer` are seconds; `share` of the longest one, in percent."""

    report: AnalyzerReport
    group: str
    items: int
    parts: tuple[tuple[str, float, float], ...]
    seconds: float | None


def render(document: Document, *, thumbnail: Callable[[float], bytes | None]) -> str:
    """The report of a document as one HTML page.

    `thumbnail` gives the JPEG of the picture at a moment, None where there is none; a BadInput from it (the video
    breaks there) costs only that picture. Track types that this code does not know are shown by their common fields.
    """
    group_of = {name: analyzer.group for name, analyzer in analyzers().items()}
    shots = _shots(document)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            facts=_facts(document),
            shots_known=bool(shots),
            pictures=_pictures(document, shots, thumbnail),
            shot_count=len(shots),
            timeline=timeline(document, shots, group_of),
            purposes={**{name: group.purpose for name, group in groups().items()}, OTHER: "analyzers not known here"},
            findings=_findings(document),
            speech=_items(document, SpeechSegment),
            captions=_items(document, Caption),
            measures=_measures(document, group_of),
            rows=_rows(document, group_of),
            missing=[report for report in document.analyzers if report.status != "ok"],
        )
    )
    # a file name may hold bytes that are no text
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.exports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, number=number, plain=plain)
    environment.globals.update(between=between)
    return environment


# --- the video -------------------------------------------------------------------------------------------------


def _facts(document: Document) -> tuple[tuple[str, str], ...]:
    media = document.media
    facts = [("Length", clock(media.duration_seconds))]
    if media.width and media.height:
        turned = f", turned by {media.rotation}\N{DEGREE SIGN}" if media.rotation else ""
        turned += ", mirrored" if media.mirrored else ""
        facts.append(("Picture", f"{media.width}\N{MULTIPLICATION SIGN}{media.height}{turned}"))
    if media.fps:
        facts.append(("Frames", f"{number(float(Fraction(media.fps)))} fps{', varying' if media.vfr else ''}"))
    for stream in media.streams:
        if stream.chosen and stream.kind in ("video", "audio"):
            rate = f", {number((stream.sample_rate or 0) / 1000)} kHz" if stream.sample_rate else ""
            channels = {None: "", 1: ", mono", 2: ", stereo"}.get(stream.channels, f", {stream.channels} channels")
            facts.append((stream.kind.capitalize(), f"{stream.codec or 'unknown codec'}{rate}{channels}"))
    if not media.has_audio:
        facts.append(("Audio", "none"))
    facts.append(("File", f"{media.container.split(',')[0]}, {number(media.size_bytes / 1e6)} MB"))
    return tuple(facts)


def _shots(document: Document) -> tuple[Span, ...]:
    """The shots that were found; empty where nobody looked."""
    return tuple(
        (item.start, item.end)
        for track in document.tracks
        if track.id == SHOTS and isinstance(track, SegmentTrack)
        for item in track.items
    )


def _pictures(
    document: Document, shots: Sequence[Span], thumbnail: Callable[[float], bytes | None]
) -> tuple[Picture, ...]:
    """One picture from the middle of each shot, of very many shots an even choice; without shots, even moments."""
    if not document.media.has_video:
        return ()
    seconds = document.media.duration_seconds
    numbered = list(enumerate(shots or _moments(seconds), start=1))
    step = max(1.0, len(numbered) / MAX_PICTURES)
    chosen = [numbered[int(index * step)] for index in range(min(len(numbered), MAX_PICTURES))]
    return tuple(
        Picture(
            title=f"{'Shot' if shots else 'Moment'} {index}",
            span=between(start, end) if shots else clock((start + end) / 2),
            left=round(100 * start / seconds, 3) if seconds else 0.0,
            width=round(100 * (end - start) / seconds, 3) if seconds else 100.0,
            jpeg=_jpeg((start + end) / 2, thumbnail),
            labels=_labels(document, (start, end)),
            texts=tuple(dict.fromkeys(item.text for item in _items(document, Caption) if _belongs(item, (start, end)))),
        )
        for index, (start, end) in chosen
    )


def _moments(seconds: float) -> tuple[Span, ...]:
    return tuple((seconds * index / MOMENTS, seconds * (index + 1) / MOMENTS) for index in range(MOMENTS))


def _jpeg(t: float, thumbnail: Callable[[float], bytes | None]) -> str | None:
    try:
        jpeg = thumbnail(t)
    except BadInput:
        return None
    return base64.b64encode(jpeg).decode("ascii") if jpeg else None


def _labels(document: Document, shot: Span) -> tuple[str, ...]:
    """Names of the objects and of the camera's motion in a shot."""
    objects = (item.label for item in _items(document, TrackedObject) if _belongs(item, shot))
    motions = (item.motion for item in _items(document, CameraMotion) if _belongs(item, shot))
    return tuple(dict.fromkeys(map(plain, (*objects, *motions))))


def _belongs(item: Segment, shot: Span) -> bool:
    """Whether at least half of the item or of the shot overlaps the other."""
    overlap = min(item.end, shot[1]) - max(item.start, shot[0])
    return overlap > 0 and overlap >= min(item.end - item.start, shot[1] - shot[0]) / 2


# --- what was found --------------------------------------------------------------------------------------------


def _of(track: BaseTrack) -> tuple[Item, ...]:
    return tuple(track.items) if isinstance(track, SegmentTrack | EventTrack | ObjectTrack) else ()


def _items(document: Document, kind: type[SegmentT]) -> tuple[SegmentT, ...]:
    """All items of a type, in time order."""
    found = [item for track in document.tracks for item in _of(track) if isinstance(item, kind)]
    return tuple(sorted(found, key=lambda item: item.start))


def _findings(document: Document) -> tuple[Finding, ...]:
    items = (item for track in document.tracks if track.analyzer == FINDINGS for item in _of(track))
    return tuple(Finding(item, headline(item), when(item), details(item)) for item in items)


def _measures(document: Document, group_of: Mapping[str, str]) -> tuple[Measure, ...]:
    return tuple(
        Measure(
            track.analyzer,
            group_of.get(track.analyzer, OTHER),
            plain(item.name),
            None if item.value is None else number(item.value),
            "" if item.unit == "1" else item.unit,
        )
        for track in document.tracks
        if isinstance(track, ScalarTrack)
        for item in track.items
    )


# --- what it cost ----------------------------------------------------------------------------------------------


def _rows(document: Document, group_of: Mapping[str, str]) -> tuple[Row, ...]:
    spent = {report.name: _parts(report) for report in document.analyzers}
    longest = max((sum(seconds for _, seconds in parts) for parts in spent.values()), default=0.0) or 1.0
    return tuple(
        Row(
            report=report,
            group=group_of.get(report.name, OTHER),
            items=sum(track_length(track) for track in document.tracks if track.analyzer == report.name),
            parts=tuple((name, seconds, round(100 * seconds / longest, 2)) for name, seconds in spent[report.name]),
            seconds=_total(spent[report.name]),
        )
        for report in document.analyzers
    )


def _parts(report: AnalyzerReport) -> tuple[tuple[str, float], ...]:
    receipt = report.receipt
    parts = (("load", receipt.load_seconds), ("decode", receipt.decode_seconds), ("infer", receipt.infer_seconds))
    return tuple((name, seconds) for name, seconds in parts if seconds is not None)


def _total(parts: Iterable[tuple[str, float]]) -> float | None:
    seconds = [part for _, part in parts]
    return sum(seconds) if seconds else None
