"""The folder of results of one video: `result.json` and `report.html`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path

from services.exports.html import render
from shared.errors import Infrastructure
from shared.isolated import thumbnail
from shared.schema import Document
from shared.storage import video_key
from shared.text import one_line
from tasks.node import storage

THUMBNAIL_WIDTH = 240


def folders_of(videos: Sequence[Path], out: Path) -> tuple[Path, ...]:
    r"""A folder for each video, named after it; later ones of the same name are numbered.

    What cannot be shown is escaped as in messages, and a backslash doubled, so that no two names become one.
    """
    folders: list[Path] = []
    for video in videos:
        stem = video.stem if video.stem.strip(".") else "video"  # ".." would be another folder
        stem = one_line(stem.replace("\\", "\\\\"))
        names = (f"{stem}{suffix}" for suffix in chain([""], (f"-{n}" for n in count(2))))
        folders.append(next(out / name for name in names if out / name not in folders))
    return tuple(folders)


def write_results(document: Document, folder: Path, picture: Callable[[float], bytes | None]) -> None:
    """Write document and report into the folder; `picture` gives the one shown at a moment, as a JPEG.

    Raises:
        Infrastructure: the folder cannot be written (`disk_error`), or the document is there and the report cannot be
            made of it (`report_failed`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "result.json", document.model_dump_json(indent=2) + "\n")
        _replace(folder / "report.html", _report(document, folder, picture))
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise Infrastructure(f"{folder} cannot be written: {reason}", code="disk_error") from error


def _report(document: Document, folder: Path, picture: Callable[[float], bytes | None]) -> str:
    try:
        return render(document, thumbnail=picture)
    except Exception as error:  # whatever breaks a page, the document is there and other videos wait
        reason = f"{type(error).__name__}: {error}"
        raise Infrastructure(
            f"{folder}: result.json is written, but no report can be made of it: {reason}", code="report_failed"
        ) from error


def unwritten(document: Document, folder: Path, picture: Callable[[float], bytes | None]) -> Infrastructure | None:
    """Write the results; why not all of them could be: other videos are analyzed all the same."""
    try:
        write_results(document, folder, picture)
    except Infrastructure as error:
        return error
    return None


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
