"""The folder of results of one video: `result.json` and `report.html`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path

from services.exports.html import render
from services.exports.thumbnail import thumbnail
from shared.errors import Infrastructure
from shared.schema import Document
from shared.storage import video_key
from tasks.node import storage

THUMBNAIL_WIDTH = 240


def folders_of(videos: Sequence[Path], out: Path) -> tuple[Path, ...]:
    """A folder for each video, named after it; later ones of the same name are numbered."""
    folders: list[Path] = []
    for video in videos:
        stem = video.stem if video.stem.strip(".") else "video"  # ".." would be another folder
        names = (f"{stem}{suffix}" for suffix in chain([""], (f"-{n}" for n in count(2))))
        folders.append(next(out / name for name in names if out / name not in folders))
    return tuple(folders)


def write_results(document: Document, folder: Path, picture: Callable[[float], bytes | None]) -> None:
    """Write document and report into the folder; `picture` gives the one shown at a moment, as a JPEG.

    Raises:
        Infrastructure: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "result.json", document.model_dump_json(indent=2) + "\n")
        _replace(folder / "report.html", render(document, thumbnail=picture))
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise Infrastructure(f"{folder} cannot be written: {reason}", code="disk_error") from error


def stored_picture(document: Document, t: float) -> bytes | None:
    """The picture shown at `t` seconds in a video of this machine's storage; None without pictures."""
    stored = storage().path(video_key(document.media.sha256))
    return thumbnail(stored, document.media, t, width=THUMBNAIL_WIDTH) if document.media.has_video else None


def _replace(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
