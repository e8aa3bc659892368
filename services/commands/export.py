"""`reelgraph export`: a document in another program's format."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast, get_args

import click
from pydantic import ValidationError

from services.exports.format import Request, Subtitles, no_picture
from services.exports.registry import formats
from shared.digests import sha256_of
from shared.errors import BadInput
from shared.schema import Document
from tasks.registry import parse_document

STANDARD = Path("-")
FORMATS = "\n".join(f"  {name:<5} {one.summary}" for name, one in formats().items())
HELP = f"""Write a result.json in a format that another program opens.

FORMAT is one of:

\b
{FORMATS}

DOCUMENT is a result.json of `reelgraph analyze`; - reads standard input. Formats that point to the video name it as
the document does; --video gives another name or place. What an analyzer did not find is an empty file of the format,
and no error: `coverage` in the document says who did not look.

\b
Examples:
  reelgraph export srt results/reel/result.json --out reel.srt
  reelgraph export vtt results/reel/result.json --subtitles captions
  reelgraph export html results/reel/result.json --video reel.mp4 --out report.html
  reelgraph analyze reel.mp4 --json | reelgraph export csv - | head

Exit codes: 0 written, 2 no document or no such format, 3 the file cannot be written.
"""


@click.command(help=HELP, short_help="Write a document as subtitles, a table, a cut list, annotations or a page.")
@click.argument("name", type=click.Choice(tuple(formats())), metavar="FORMAT")
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True), metavar="DOCUMENT")
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    default=STANDARD,
    help="File to write.  [default: stdout]",
)
@click.option(
    "--subtitles",
    type=click.Choice(get_args(Subtitles)),
    default="speech",
    show_default=True,
    help="What srt and vtt hold: the words said, or the text on screen.",
)
@click.option("--video", type=click.Path(path_type=Path), help="The document's video; html takes pictures from it.")
def export(name: str, source: Path, out: Path, subtitles: str, video: Path | None) -> None:
    """See HELP."""
    document = read(source)
    if out != STANDARD and out.exists() and source.exists() and out.samefile(source):
        raise BadInput(f"--out {out} is the document itself", code="bad_option")
    request = Request(subtitles=cast("Subtitles", subtitles))
    content = formats()[name].write(document, of_video(request, document, video) if video else request)
    if out == STANDARD:
        _print(content)
    else:
        _write(out, content)


def of_video(request: Request, document: Document, video: Path) -> Request:
    """The request with the video's name and pictures.

    Raises:
        BadInput: it is not the video that the document is about (`bad_option`).
    """
    from services.results import THUMBNAIL_WIDTH
    from shared.isolated import thumbnail

    if sha256_of(video) != document.media.sha256:
        raise BadInput(f"{video}: this is not the video that the document is about", code="bad_option")
    pictures = partial(thumbnail, video, document.media, width=THUMBNAIL_WIDTH)
    return replace(request, video_name=video.name, thumbnail=pictures if document.media.has_video else no_picture)


def read(source: Path) -> Document:
    """The document in a file, or on standard input.

    Raises:
        BadInput: there is none, or it is no document that this version knows (`not_found`, `bad_document`).
    """
    named = "standard input" if source == STANDARD else str(source)
    try:
        return parse_document(sys.stdin.buffer.read() if source == STANDARD else source.read_bytes())
    except OSError as error:
        raise BadInput(f"{named}: it cannot be read ({error.strerror})", code="not_found") from error
    except BadInput as error:
        raise BadInput(f"{named}: {error.message}", code=error.code) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise BadInput(
            f"{named}: this is no Reelgraph document: {place}: {first['msg']}", code="bad_document"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{named}: this is no Reelgraph document", code="bad_document") from error


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # who reads has had enough (`| head`); Python would flush once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all; a device is written as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
