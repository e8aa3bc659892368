"""`reelgraph export` as its users meet it: a real document of a real video, pipes, files, sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from services.exports.registry import formats
from tasks.registry import parse_document
from tests.support.clips import click, make_clip, plain
from tests.support.document import sample_document
from tests.support.exported import NAMES, csv, edl, items_in, read_items, timeline
from tests.support.real import real_clip

REELGRAPH = Path(sys.executable).with_name("reelgraph")
CUT = 1.001


def reelgraph(*arguments, given: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command's end."""
    return subprocess.run(
        [str(REELGRAPH), *map(str, arguments)],
        capture_output=True,
        input=given,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


def analyzed(video: Path, folder: Path) -> Path:
    """The result.json of a video."""
    names = "cut_analysis,audio_analysis,color_analysis"
    data = str(folder / "data")
    ended = reelgraph("analyze", video, "--analyzers", names, "--out", folder, REELGRAPH_DATA_DIR=data)
    assert ended.returncode == 0, ended.stderr.decode()
    return folder / video.stem / "result.json"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds at 29.97 frames a second, a cut in the middle, clicks; named so that it must be quoted."""
    dark, light = plain(20), plain(220)
    return make_clip(
        tmp_path_factory.mktemp("clip") / "my reel #1.mp4",
        frames=60,
        fps=Fraction(30_000, 1001),
        picture=lambda number, *size: (light if number >= 30 else dark)(number, *size),
        sound=click(2.0, [0.25, 0.75, 1.25, 1.75]),
    )


@pytest.fixture(scope="module")
def document(video, tmp_path_factory):
    """Its document, by `reelgraph analyze`."""
    return analyzed(video, tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("name", NAMES)
def test_a_real_document_is_read(name, document, tmp_path):
    """What `analyze` wrote is exported to a file that the format's reader opens, with every item."""
    out = tmp_path / f"export{formats()[name].suffix}"
    ended = reelgraph("export", name, document, "--out", out)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    text = out.read_bytes().decode()
    assert read_items(name, text, tmp_path) == items_in(name, parse_document(document.read_bytes()))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_real_cut_is_where_it_was_made(document):
    """The clip's cut, frame 30 at 29.97, is 1.001 s in the table, frame 30 in the timeline, 00:00:01;00 in EDL."""
    exports = {name: reelgraph("export", name, document).stdout.decode() for name in ("csv", "edl", "otio")}
    (cut,) = [row for row in csv(exports["csv"]) if row["track"] == "cut_analysis/cuts"]
    assert float(cut["start_seconds"]) == pytest.approx(CUT, abs=0.001)
    second = list(timeline(exports["otio"]).video_tracks()[0].find_clips())[1]
    assert second.source_range.start_time.value == 30
    assert second.media_reference.target_url == "my%20reel%20%231.mp4"
    assert "002  AX       V     C        00:00:01;00" in exports["edl"]
    clips = list(edl(exports["edl"], 30_000 / 1001).find_clips())
    assert clips[1].source_range.start_time.to_seconds() == pytest.approx(CUT, abs=1 / 29.97)


def test_html_takes_pictures_from_the_video(document, video):
    """With the video at hand the report has pictures, without it none."""
    assert b"data:image/jpeg" in reelgraph("export", "html", document, "--video", video).stdout
    assert b"data:image/jpeg" not in reelgraph("export", "html", document).stdout


def test_another_video_is_refused(document, tmp_path):
    """Pictures of another video would lie: it is refused in a sentence."""
    other = make_clip(tmp_path / "other.mp4", frames=5)
    ended = reelgraph("export", "html", document, "--video", other)
    assert ended.returncode == 2
    assert b"this is not the video that the document is about" in ended.stderr


def test_pipes_at_both_ends(document):
    """A document comes from standard input, and a reader that has had enough is no error."""
    whole = reelgraph("export", "csv", "-", given=document.read_bytes())
    assert whole.stdout == reelgraph("export", "csv", document).stdout
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{REELGRAPH}" export csv "{document}" | head -c 10'],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"track,anal", b"")


BAD = {
    "no file": (None, "no.json: it cannot be read (No such file or directory)"),
    "no JSON": (b"{", "this is no Reelgraph document"),
    "a list": (b"[]", "this is no Reelgraph document"),
    "no UTF-8": (b"\xff\xfe{", "this is no Reelgraph document"),
    "another object": (b'{"tracks": []}', "this is no Reelgraph document: job: Field required"),
    "a track without id": (b'{"tracks": [{}]}', "this is no Reelgraph document"),
    "an unknown track": (b'{"tracks": [{"id": "tea/leaves"}]}', "no analyzer here makes the track 'tea/leaves'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_document_is_one_sentence(case, tmp_path):
    """A file that is missing, or no document, ends with exit code 2 and one sentence that names it."""
    content, words = BAD[case]
    path = tmp_path / "no.json"
    if content is not None:
        path.write_bytes(content)
    ended = reelgraph("export", "srt", path, "--out", tmp_path / "out.srt")
    said = ended.stderr.decode()
    assert (ended.returncode, len(said.splitlines())) == (2, 1), said
    assert words in said
    assert str(path) in said
    assert not (tmp_path / "out.srt").exists()


def test_the_document_is_not_overwritten(tmp_path):
    """--out on the document itself is refused, and the document is still there."""
    path = tmp_path / "result.json"
    path.write_text(sample_document().model_copy(update={"tracks": ()}).model_dump_json())
    before = path.read_bytes()
    ended = reelgraph("export", "csv", path, "--out", path)
    assert ended.returncode == 2
    assert b"is the document itself" in ended.stderr
    assert path.read_bytes() == before
    assert json.loads(before)["media"]["fps"] == "30/1"


def test_subtitles_wait_for_no_celery():
    """Exporting loads neither Celery nor a database nor a model library."""
    command = [sys.executable, "-c", "import sys; import services.commands.export; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert "services.exports.formats.srt" in loaded
    assert not {"celery", "sqlalchemy", "cv2"} & set(loaded)


def test_what_cannot_be_written_is_exit_code_3(document, tmp_path):
    """A folder that does not exist ends in a sentence with exit code 3."""
    ended = reelgraph("export", "srt", document, "--out", tmp_path / "none" / "out.srt")
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1
    assert b"Traceback" not in ended.stderr


def test_help_teaches_every_format(document):
    """`--help` names each format with what is in it, and an unknown one is answered with all."""
    shown = reelgraph("export", "--help", COLUMNS="200").stdout.decode()
    assert all(f"{name:<5} {one.summary}" in shown for name, one in formats().items())
    ended = reelgraph("export", "docx", document)
    assert ended.returncode == 2
    assert all(name in ended.stderr.decode() for name in formats())


@pytest.mark.slow
def test_a_real_clip_is_read(tmp_path):
    """The exports of a real reel open in their readers with every item."""
    document = analyzed(real_clip("reel.mp4"), tmp_path)
    for name in NAMES:
        text = reelgraph("export", name, document).stdout.decode()
        assert read_items(name, text, tmp_path) == items_in(name, parse_document(document.read_bytes())), name
