"""Files that are made on this machine from pinned sources, and how they are recognised later.

A converted file's bytes depend on library versions, so its sha256 is not pinned. It is noted when the file is made, in
`<file>.origin.json`, with the recipe: the converter, its version and the sha256 of every source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from shared import keras, tfjs
from shared.digests import sha256_of
from shared.pins import ConvertedFile, Member, PinnedFile

File = PinnedFile | ConvertedFile


class Origin(BaseModel):
    """What a converted file was made from, and its sha256 at that time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    sha256: str


def recipe(file: File) -> str:
    """What determines a file's content: its pinned sha256, or the converter and the sha256 of its sources."""
    if isinstance(file, PinnedFile):
        return file.sha256
    version = keras.VERSION if file.convert == "keras_to_onnx" else tfjs.VERSION
    return " ".join([f"{file.convert}@{version}", *(source.sha256 for source in file.sources)])


def members(file: File, path: Path) -> Iterator[tuple[Path, Member]]:
    """What has to be unpacked, and where to, so that the file can come to be at `path`."""
    if isinstance(file, ConvertedFile):
        for source in file.sources:
            yield path.with_name(f"{path.name}.sources") / PurePosixPath(source.member).name, source
    else:
        yield path, file


def convert(file: ConvertedFile, path: Path) -> None:
    """Make the file at `path` from its unpacked members, and note its origin beside it."""
    sources = [source for source, _ in members(file, path)]
    if file.convert == "keras_to_onnx":
        (model,) = sources
        keras.convert(model, path)
    else:
        (model,) = (source for source in sources if source.suffix == ".json")
        tfjs.convert(model, path, any_size=file.convert == "tfjs_to_onnx_any_size")
    made = Origin(recipe=recipe(file), sha256=sha256_of(path))
    origin_path(path).write_text(made.model_dump_json(), encoding="utf-8")


def origin_path(path: Path) -> Path:
    """Where the origin of a converted file is noted."""
    return path.with_name(f"{path.name}.origin.json")


def expected_sha256(file: File, path: Path) -> str | None:
    """The sha256 that the file at `path` must have; None when it was not made from today's pins."""
    if isinstance(file, PinnedFile):
        return file.sha256
    try:
        origin = Origin.model_validate_json(origin_path(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return origin.sha256 if origin.recipe == recipe(file) else None
