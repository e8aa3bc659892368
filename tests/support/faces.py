"""Faces for the analyzers that read face tracks: found by the real detector in a video, or written by hand."""

from __future__ import annotations

from pathlib import Path

from shared.schema import Face, FaceBox, ObjectTrack, TrackSet
from tasks.analyzers.face_detection import FaceDetection
from tests.support.drawings import blank, drawn
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import Picture, write_video
from tests.support.tracks import Tracks, result

FPS = 20

__all__ = ["FPS", "black", "drawn", "face_at", "found_faces", "no_faces", "still"]


def found_faces(video: Path, folder: Path) -> tuple[str, TrackSet]:
    """What the real detector finds in a video, to hand to an analyzer."""
    return "face_detection", run(loaded(FaceDetection()), video, folder)


def no_faces() -> tuple[str, Tracks]:
    """The result of a detector that found nobody."""
    return result("face_detection", faces=ObjectTrack[Face](method="model"))


def face_at(times: list[float], x: float, *, identity: str = "f1", nose: float = 0.0) -> Face:
    """A face whose eyes are 0.1 of the picture apart around `x`; `nose` moves its nose aside, in eye distances."""
    keypoints = ((x - 0.05, 0.4), (x + 0.05, 0.4), (x + nose * 0.1, 0.45), (x, 0.5), (x - 0.1, 0.4), (x + 0.1, 0.4))
    boxes = tuple(FaceBox(t=t, box=(x - 0.1, 0.3, 0.2, 0.25), confidence=0.9, keypoints=keypoints) for t in times)
    return Face(id=identity, label="face", start=times[0], end=times[-1] + 0.25, confidence=0.9, boxes=boxes)


def still(path: Path, picture: Picture, seconds: float = 1.0) -> Path:
    """A video of one picture."""
    return write_video(path, [picture] * round(seconds * FPS), fps=FPS)


def black(path: Path, seconds: float = 1.0) -> Path:
    """A black video."""
    return still(path, blank(320, 240, (0, 0, 0)), seconds)
