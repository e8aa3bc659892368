"""What is known to be true of a video: `truth.json` in the folder of the videos, by a person or by who made them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from services.demo import Seen, Shown, Span
from shared.errors import BadInput


class Motion(BaseModel):
    """What the camera did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: str
    start: float
    end: float


class KnownFace(Span):
    """A face that is seen, how old its owner is, and what its expression is called, where somebody knows."""

    age: int | None = None
    emotion: str | None = None


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
    faces: tuple[KnownFace, ...] = ()
    blinks_seconds: tuple[float, ...] | None = None
    camera: tuple[Motion, ...] = ()
    speech: Span | None = None
    spoken: tuple[Span, ...] = ()
    """When anybody speaks, all of it: what is between is silence or another sound."""
    dissolves: tuple[Span, ...] | None = None
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
