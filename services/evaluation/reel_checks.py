"""Analyzers on reels whose truth is written down: `truth.json` in the folder of the videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from services.demo import Seen, Shown, Span
from services.evaluation.figures import Figure, at_least, at_most, hits, letters_wrong, share_covered, word_error_rate
from services.evaluation.media import look
from shared.errors import BadInput
from shared.schema import Caption, TrackSet
from tasks.analyzers.camera_analysis import CameraTracks
from tasks.analyzers.cut_analysis import CutTracks
from tasks.analyzers.face_detection import FaceTracks
from tasks.analyzers.object_detection import ObjectTracks
from tasks.analyzers.speech_transcription import Transcription
from tasks.analyzers.text_overlay import TextTracks

CUT_SECONDS = 0.1
MARGIN_SECONDS = 0.1
"""Cut off a motion's span at both ends: its truth is known to a few frames only."""


class Motion(BaseModel):
    """What the camera did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: str
    start: float
    end: float


class ReelTruth(BaseModel):
    """What is known of one video; what is not said is not judged. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    fps: str | None = None
    cuts_seconds: tuple[float, ...] | None = None
    texts: tuple[Shown, ...] = ()
    objects: tuple[Seen, ...] = ()
    faces: tuple[Span, ...] = ()
    camera: tuple[Motion, ...] = ()
    speech: Span | None = None
    transcript: str | None = None


def truths(folder: Path) -> dict[Path, ReelTruth]:
    """Videos of a folder and what its `truth.json` says of them: by file name, or about the only video there.

    Raises:
        BadInput: there is no such file, it says something else, or names a file that is not there.
    """
    path = folder / "truth.json"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; it says what is in each video of the folder", code="no_truth")
    content = path.read_bytes()
    try:
        single = ReelTruth.model_validate_json(content)
    except ValidationError:
        try:
            by_name = TypeAdapter(dict[str, ReelTruth]).validate_json(content)
        except ValidationError as error:
            raise BadInput(f"{path}: {error.errors()[0]['msg']}", code="bad_truth") from error
    else:
        videos = sorted(one for one in folder.iterdir() if one.is_file() and one.suffix != ".json")
        if len(videos) != 1:
            raise BadInput(f"{path} speaks of one video, and the folder has {len(videos)}", code="bad_truth")
        by_name = {videos[0].name: single}
    missing = [name for name in by_name if not (folder / name).is_file()]
    if missing:
        raise BadInput(f"{path} speaks of {missing[0]}, which is not there", code="bad_truth")
    return {folder / name: truth for name, truth in by_name.items()}


def reels(folder: Path, media: Path) -> Iterator[Figure]:
    """Judge every video of `media` by its truth; frames are kept in `folder`."""
    for video, truth in truths(media).items():
        names = judged_by(truth)
        found = look(video, folder, names)
        for name in names:
            result = found[name]
            if isinstance(result, TrackSet):
                yield from _judged(result, truth, video.name)
            else:
                yield Figure(name, "not judged", video.name, None, note=result.message)


def judged_by(truth: ReelTruth) -> list[str]:
    """The analyzers that this truth says something about."""
    known = {
        "camera_analysis": truth.camera,
        "cut_analysis": truth.cuts_seconds is not None,
        "face_detection": truth.faces,
        "object_detection": truth.objects,
        "speech_transcription": truth.transcript,
        "text_overlay": truth.texts,
    }
    return [name for name, says in known.items() if says]


def _judged(found: TrackSet, truth: ReelTruth, name: str) -> Iterator[Figure]:
    match found:
        case CameraTracks():
            yield from _camera(found, truth, name)
        case CutTracks():
            yield from _cuts(found, truth, name)
        case FaceTracks():
            yield from _faces(found, truth, name)
        case ObjectTracks():
            yield from _objects(found, truth, name)
        case Transcription():
            yield from _speech(found, truth, name)
        case TextTracks():
            yield from _texts(found, truth, name)


def _cuts(found: CutTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    times = [event.t for event in found.cuts.items if event.type == "cut"]
    f1 = hits(times, truth.cuts_seconds or (), CUT_SECONDS).f1
    yield Figure("cut_analysis", f"F1 of cuts within {CUT_SECONDS:g} s", name, f1, goal=at_least(0.95))


def _texts(found: TextTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    letters, late = 0, 0.0
    for text in truth.texts:
        best = _closest(found.captions.items, text)
        letters = max(letters, len(text.text) if best is None else letters_wrong(best.text, text.text))
        if best is not None:
            late = max(late, abs(best.start - text.start), abs(best.end - text.end))
    yield Figure("text_overlay", "most wrong letters in a caption", name, letters, goal=at_most(2))
    yield Figure("text_overlay", "largest error of a caption's times", name, late, "s", at_most(0.5))


def _closest(captions: tuple[Caption, ...], text: Shown) -> Caption | None:
    return min(captions, key=lambda one: letters_wrong(one.text, text.text), default=None)


def _objects(found: ObjectTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [
        share_covered([one for one in found.objects.items if one.label == seen.label], seen.start, seen.end)
        for seen in truth.objects
    ]
    yield Figure("object_detection", "least share of an object's time", name, min(shares), goal=at_least(0.8))


def _faces(found: FaceTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [share_covered(found.faces.items, span.start, span.end) for span in truth.faces]
    yield Figure("face_detection", "least share of a face's time", name, min(shares), goal=at_least(0.8))


def _camera(found: CameraTracks, truth: ReelTruth, name: str) -> Iterator[Figure]:
    shares = [
        share_covered(
            [one for one in found.motion.items if one.motion == known.motion],
            known.start + MARGIN_SECONDS,
            known.end - MARGIN_SECONDS,
        )
        for known in truth.camera
    ]
    yield Figure("camera_analysis", "least share of a motion's time", name, min(shares), goal=at_least(0.8))


def _speech(found: Transcription, truth: ReelTruth, name: str) -> Iterator[Figure]:
    said = " ".join(one.text for one in found.segments.items)
    rate = word_error_rate(said, truth.transcript or "")
    yield Figure("speech_transcription", "word error rate", name, rate, goal=at_most(0.1))
