"""An edit decision list: the shots as events, with locators at cuts, captions and beats.

Written after CMX 3600 as editing programs read it (SMPTE 258M-2004 describes it): `TITLE`, `FCM`, then for each event
number, reel, channel, `C`, and four timecodes: in and out in the source, in and out in the record. Both count from the
video's start. Out is exclusive, like the document's spans. Times go to the nearest frame. An EDL has no field for its
rate, so the first event's comment names it: the video's own where timecode has it, else as `timecode.py` says;
30000/1001 and 60000/1001 are counted drop-frame. A shot shorter than a frame has no event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.exports.characters import on_one_line
from services.exports.cut_list import WHOLE, Clip, CutList, Marker, MarkerKind, cut_list, frame_rate
from services.exports.format import Format, Request
from services.exports.timecode import TimecodeRate, timecode_rate
from shared.schema import Document

MAX_TITLE = 70
"""Characters of a title, by CMX 3600."""

COLOURS: dict[MarkerKind, str] = {"cut": "RED", "caption": "GREEN", "beat": "BLUE"}


@dataclass(frozen=True, slots=True)
class _Event:
    """A clip in frames; `end` is the first frame behind it."""

    name: str
    start: int
    end: int


def write(document: Document, request: Request) -> bytes:
    """The list in UTF-8 with CRLF; the header alone where not one frame is shown.

    Raises:
        BadInput: the video is longer than the 24 hours that timecode counts (`too_long`).
    """
    rate = timecode_rate(frame_rate(document.media))
    video = on_one_line(request.video(document))
    return "".join(f"{line}\r\n" for line in _lines(document, rate, video)).encode()


def _lines(document: Document, rate: TimecodeRate, video: str) -> Iterator[str]:
    cuts = cut_list(document)
    counted = f"{rate.fps} fps, {'drop frame' if rate.dropped else 'non-drop frame'}"
    events = _events(document, cuts, rate)
    yield f"TITLE: {video[:MAX_TITLE]}"
    yield f"FCM: {'DROP FRAME' if rate.dropped else 'NON-DROP FRAME'}"
    yield ""
    channel = "V" if document.media.has_video else "A"
    for number, event in enumerate(events, start=1):
        times = f"{rate.timecode(event.start)} {rate.timecode(event.end)}"
        yield f"{number:03d}  AX       {channel:<5} C        {times} {times}"
        yield f"* FROM CLIP NAME: {video}"
        yield f"* COMMENT: {on_one_line(event.name)}"
        if number == 1:
            yield f"* COMMENT: timecode counts {counted}"
            yield from (f"* COMMENT: {note}" for note in cuts.notes)
        following = events[number].start if number < len(events) else None
        yield from _locators(cuts.markers, rate, event.start if number > 1 else 0, following)


def _events(document: Document, cuts: CutList, rate: TimecodeRate) -> tuple[_Event, ...]:
    """The clips that last a frame or more; where none does, all of the video, to hang the locators on."""
    whole = Clip(WHOLE, 0.0, document.media.duration_seconds)
    for clips in (cuts.clips, (whole,)):
        found = (_Event(clip.name, rate.frame_at(clip.start), rate.frame_at(clip.end)) for clip in clips)
        if events := tuple(event for event in found if event.end > event.start):
            return events
    return ()


def _locators(markers: Iterable[Marker], rate: TimecodeRate, start: int, end: int | None) -> Iterator[str]:
    """Locators from a frame until another; until the last one for None."""
    for marker in markers:
        frame = rate.frame_at(marker.start)
        if frame >= start and (end is None or frame < end):
            text = f"{marker.kind.upper()}: {marker.text}" if marker.kind == "caption" else marker.text.upper()
            yield f"* LOC: {rate.timecode(frame)} {COLOURS[marker.kind]:<7} {text}"


FORMAT = Format(
    name="edl",
    media_type="text/plain",
    suffix=".edl",
    summary="CMX 3600 edit decision list: shots, with locators at cuts, captions and beats",
    write=write,
)
