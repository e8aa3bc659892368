"""Odd files from end to end: what is refused ends with exit code 2 and one sentence, the rest with a right document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from services.evaluation.media import look
from shared.errors import BadInput
from shared.frames import Audio, Frames, FrameStore
from shared.media import probe
from shared.schema import TrackSet
from tests.support.clips import click, make_clip, numbered, plain
from tests.support.project import ROOT
from tests.support.reading import clicks_in, opened, seen
from tests.support.real import real_clip
from tests.support.remux import replaced, with_duration, without_first_key_frame

REELGRAPH = Path(sys.executable).with_name("reelgraph")
STRANGE = "two\nlines, a space, \N{CLAPPER BOARD} [b] :smile: 'quoted'"


def command(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `reelgraph analyze` in a folder, with its own data."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "REELGRAPH_DATA_DIR": str(folder / "data"), "COLUMNS": "300", "PYTHONPATH": path}
    line = [str(REELGRAPH), "analyze", *map(str, arguments)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


# --- refused ---------------------------------------------------------------------------------------------------


def still(folder: Path) -> Path:
    Image.fromarray(numbered(3, 160, 120)).save(folder / "still.png")
    return folder / "still.png"


def without_index(folder: Path) -> Path:
    return replaced(make_clip(folder / "whole.mp4"), folder / "a.mp4", b"moov", b"free")


def without_a_sample(folder: Path) -> Path:
    with av.open(str(folder / "a.wav"), "w") as container:
        container.add_stream("pcm_s16le", rate=16_000)
        container.start_encoding()
    return folder / "a.wav"


def unknown_codec(folder: Path) -> Path:
    return replaced(make_clip(folder / "whole.mp4"), folder / "a.mp4", b"avc1", b"zz9z")


def encrypted(folder: Path) -> Path:
    """Common encryption (ISO/IEC 23001-7), written by FFmpeg's own muxer."""
    path = folder / "locked.mp4"
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": 32 * "1", "encryption_kid": 32 * "2"}
    with av.open(str(make_clip(folder / "open.mp4"))) as source, av.open(str(path), "w", options=keys) as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path


REFUSED = {
    "encrypted": (encrypted, "its pictures are encrypted"),
    "no moov": (without_index, "its index (moov) is missing"),
    "still picture": (still, "this is a picture (PNG), not a video"),
    "zero duration": (without_a_sample, "its length is zero"),
    "unknown codec": (unknown_codec, "format that cannot be decoded"),
    "strange missing name": (lambda folder: folder / f"{STRANGE}.mp4", "no such file"),
    "name of 300 bytes": (lambda folder: folder / f"{300 * 'x'}.mp4", "File name too long"),
    "path of 5000 bytes": (lambda folder: folder.joinpath(*25 * [200 * "x"]), "File name too long"),
    "file that fails to be read": (lambda _: Path("/proc/self/mem"), "it cannot be read (Input/output error)"),
    "name that is no UTF-8": (lambda folder: folder / os.fsdecode(b"caf\xe9.mp4"), "no such file"),
}


@pytest.mark.parametrize("where", [[], ["--server", "http://127.0.0.1:1"]])
def test_an_empty_path_is_no_folder(where: list[str], tmp_path: Path) -> None:
    """`reelgraph analyze "$UNSET"` is told what is wrong, here as for a service, and not of the current folder."""
    ended = command(tmp_path, "", *where)
    assert (ended.returncode, ended.stderr) == (2, "reelgraph: the path of a video is empty\n")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_analysed_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    """Exit code 2, one sentence on one line, whatever the name; no traceback, and nothing left behind."""
    make, words = REFUSED[case]
    path = make(tmp_path)
    before = {*tmp_path.rglob("*")}
    ended = command(tmp_path, path)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert words in line
    assert line.endswith(".")
    assert {*tmp_path.rglob("*")} == before


def test_a_closed_folder_is_named(tmp_path: Path) -> None:
    """A file in a folder that may not be entered cannot be read, and that is said."""
    (tmp_path / "closed").mkdir(mode=0)
    user = os.geteuid()
    if not user:
        os.seteuid(65_534)  # root may enter every folder
    try:
        with pytest.raises(BadInput, match="cannot be read") as caught:
            probe(tmp_path / "closed" / "a.mp4")
    finally:
        os.seteuid(user)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tiff", "avif"])
def test_every_still_picture_is_named(ending: str, tmp_path: Path) -> None:
    """A still picture is called one, also where its container is that of a video (AVIF)."""
    Image.fromarray(numbered(3, 160, 120)).save(tmp_path / f"a.{ending}")
    renamed = (tmp_path / f"a.{ending}").rename(tmp_path / "a.mp4")
    with pytest.raises(BadInput, match=r"this is a picture \(") as caught:
        probe(renamed)
    assert caught.value.code == "still_picture"


def test_an_animated_webp_is_named(tmp_path: Path) -> None:
    """An animated WebP is not called a still picture: the sentence says that this build cannot decode it."""
    first, *others = [Image.fromarray(numbered(number, 160, 120)) for number in range(3)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=100)
    with pytest.raises(BadInput, match="animated WebP cannot be decoded here") as caught:
        probe(tmp_path / "a.webp")
    assert caught.value.code == "undecodable"


def test_a_link_to_itself_is_no_missing_file(tmp_path: Path) -> None:
    """A symbolic link in a circle ends in a sentence that says so."""
    (tmp_path / "a.mp4").symlink_to("a.mp4")
    with pytest.raises(BadInput, match="cannot be read") as caught:
        probe(tmp_path / "a.mp4")
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("head", [b"\0\0\0\x18ftypheic", b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a\xfa\x1f"])
def test_pictures_that_only_phones_write_are_named(head: bytes, tmp_path: Path) -> None:
    """HEIC and JPEG XL are known by their first bytes."""
    (tmp_path / "a.mp4").write_bytes(head + bytes(100))
    with pytest.raises(BadInput, match=r"picture \((HEIC|JPEG XL)\)"):
        probe(tmp_path / "a.mp4")


# --- analysed --------------------------------------------------------------------------------------------------


def second_scene(number: int, width: int, height: int) -> np.ndarray:
    """Black for ten frames, then white."""
    return plain(0 if number < 10 else 255)(number, width, height)


def videos(folder: Path) -> dict[str, Path]:
    """One of each kind that takes its own way through the analyzers."""
    tone = click(2, [1.0])
    cut = make_clip(folder / "whole.mkv", picture=second_scene, sound=tone)
    return {
        "strange": make_clip(folder / f"{STRANGE}.mp4", picture=second_scene, sound=tone),
        "no UTF-8": make_clip(folder / os.fsdecode(b"caf\xe9.mp4"), picture=second_scene),
        "audio only": make_clip(folder / "sound.m4a", frames=0, sound=tone),
        "one frame": make_clip(folder / "one.mp4", frames=1),
        "8x8": make_clip(folder / "tiny.mp4", size=(8, 8), picture=second_scene),
        "thin": make_clip(folder / "thin.mkv", size=(3, 2000), picture=second_scene, pix_fmt="yuv444p"),
        "banner": make_clip(folder / "banner.mp4", size=(400, 100), picture=second_scene),
        "gif": make_clip(folder / "a.gif", picture=second_scene, codec="gif", pix_fmt="rgb8", encoder={}),
        "1 fps": make_clip(folder / "slow.mp4", fps=1, picture=second_scene),
        "240 fps": make_clip(folder / "fast.mp4", frames=480, fps=240, picture=plain(90)),
        "too long a header": with_duration(cut, folder / "long.mkv", 3e6),
        "too short a header": with_duration(cut, folder / "short.mkv", 0.3),
        "no key frame": without_first_key_frame(make_clip(folder / "keys.ts", frames=30), folder / "nokey.ts"),
        "black and silent": make_clip(folder / "black.mp4", picture=plain(0), sound=click(2, [])),
        "5.1": make_clip(folder / "surround.mp4", picture=second_scene, sound=click(2, [1.0], channels=6)),
        "96 kHz": make_clip(folder / "fine.mkv", frames=0, sound=click(2, [1.0], sample_rate=96_000)),
    }


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, dict]]:
    """All of them through one command: how it ended, and the documents."""
    folder = tmp_path_factory.mktemp("odd")
    made = videos(folder)
    names = "cut_analysis,color_analysis,audio_analysis"
    ended = command(folder, *made.values(), "--analyzers", names, "--out", folder / "out", "--json")
    documents = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended, dict(zip(made, documents, strict=False))


def items(document: dict, track: str) -> list[dict]:
    return next(one["items"] for one in document["tracks"] if one["id"] == track)


def statuses(document: dict) -> dict[str, str]:
    return {one["name"]: one["status"] for one in document["analyzers"]}


def test_every_odd_video_is_analysed(analysed: tuple[subprocess.CompletedProcess[str], dict[str, dict]]) -> None:
    """One command over all of them exits with 0, without a traceback, with a document for each and nothing failed."""
    ended, documents = analysed
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(documents) == 16
    for case, document in documents.items():
        assert document["job"]["state"] == "completed", case
        assert set(statuses(document).values()) <= {"ok", "skipped"}, case
        sound = any(stream["chosen"] and stream["kind"] == "audio" for stream in document["media"]["streams"])
        pictures = document["media"]["width"] is not None
        assert (statuses(document)["audio_analysis"] == "ok") == sound, case
        assert (statuses(document)["color_analysis"] == "ok") == pictures, case
        assert (statuses(document)["cut_analysis"] == "ok") == (pictures and case not in ("8x8", "thin")), case


@pytest.mark.parametrize(
    ("case", "at"),
    [
        ("strange", 1.0),
        ("no UTF-8", 1.0),
        ("banner", 1.0),
        ("gif", 1.0),
        ("1 fps", 10.0),
        ("5.1", 1.0),
        ("too long a header", 1.0),
        ("too short a header", 1.0),
    ],
)
def test_a_cut_is_found_where_it_is(
    analysed: tuple[subprocess.CompletedProcess[str], dict[str, dict]], case: str, at: float
) -> None:
    """The change from black to white is one cut at its time, and the shots go to the video's end."""
    document = analysed[1][case]
    assert [one["t"] for one in items(document, "cut_analysis/cuts")] == [pytest.approx(at, abs=0.011)]
    assert document["media"]["duration_seconds"] == pytest.approx(2 * at, abs=0.05)
    (report,) = [one for one in document["analyzers"] if one["name"] == "cut_analysis"]
    assert report["analysed"] == [[0.0, pytest.approx(2 * at, abs=0.05)]]


def test_odd_videos_end_where_they_end(analysed: tuple[subprocess.CompletedProcess[str], dict[str, dict]]) -> None:
    """Nothing in any document lies beyond the video, and what could not be decoded is not called analysed."""
    for case, document in analysed[1].items():
        end = document["media"]["duration_seconds"] + 0.06
        times = [item.get("end", item.get("t", 0)) for track in document["tracks"] for item in track.get("items", [])]
        assert all(time <= end for time in times), case
    (report,) = [one for one in analysed[1]["no key frame"]["analyzers"] if one["name"] == "cut_analysis"]
    assert report["analysed"] == [[pytest.approx(0.9, abs=0.01), pytest.approx(2.9, abs=0.01)]]


def test_a_strange_name_is_one_line_everywhere(
    analysed: tuple[subprocess.CompletedProcess[str], dict[str, dict]],
) -> None:
    """A name with a line break, an emoji, brackets and colons is printed on one line, unchanged but for the break."""
    ended, documents = analysed
    shown = STRANGE.replace("\n", "\\n")
    assert documents["strange"]["job"]["source_name"] == f"{shown}.mp4"
    assert any(shown in line and line.endswith("result.json") for line in ended.stderr.splitlines())
    assert documents["no UTF-8"]["job"]["source_name"] == "caf\\udce9.mp4"


# --- several streams -------------------------------------------------------------------------------------------


def test_the_default_of_several_streams_is_analysed(tmp_path: Path) -> None:
    """Of two videos and two sounds those are read that the file calls its default; subtitles are listed."""
    path = tmp_path / "several.mkv"
    with av.open(str(path), "w") as container:
        small, large = (container.add_stream("libx264", rate=10) for _ in range(2))
        for stream, size in ((small, (80, 60)), (large, (160, 120))):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        mono, stereo = (container.add_stream("flac", rate=48_000) for _ in range(2))
        mono.layout, stereo.layout = "mono", "stereo"
        stereo.metadata["language"] = "deu"
        large.disposition = stereo.disposition = Disposition.default
        subtitles = container.add_mux_stream("subrip")
        container.start_encoding()
        line = av.Packet(b"Hello")
        line.stream, line.pts, line.dts, line.duration, line.time_base = subtitles, 0, 0, 1000, Fraction(1, 1000)
        container.mux(line)
        for number in range(20):
            for stream, drawn in ((small, 100 + number), (large, number)):
                frame = av.VideoFrame.from_ndarray(numbered(drawn, stream.width, stream.height), "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            for stream, at in ((mono, 0.5), (stereo, 1.5)):
                samples = click(2, [at], channels=stream.layout.nb_channels).samples
                part = samples[:, number * 4800 : (number + 1) * 4800].T.reshape(1, -1)
                packed = np.ascontiguousarray(part * 32767).astype(np.int16)
                sound = av.AudioFrame.from_ndarray(packed, "s16", stream.layout.name)
                sound.sample_rate, sound.pts = 48_000, number * 4800
                container.mux(stream.encode(sound))
        for stream in (small, large, mono, stereo):
            container.mux(stream.encode(None))
    need, sound_need = Frames(None, None), Audio()
    reader = opened(path, need, sound_need)
    assert [stream.chosen for stream in reader.info.streams] == [False, True, False, True, False]
    assert reader.info.streams[4].kind == "subtitle"
    assert reader.info.streams[3].language == "deu"
    assert seen(reader, need) == [(number, number / 10) for number in range(20)]
    assert clicks_in(reader.audio(sound_need), sound_need) == pytest.approx([1.5], abs=0.002)


def test_a_real_file_of_six_streams() -> None:
    """NASA's clip has two videos, two sounds and two subtitles: the larger video and its sound are chosen."""
    info = probe(real_clip("multistream.mp4"))
    assert [(stream.kind, stream.chosen) for stream in info.streams] == [
        ("video", False),
        ("audio", False),
        ("subtitle", False),
        ("video", True),
        ("audio", True),
        ("subtitle", False),
    ]
    assert (info.width, info.height, info.fps) == (480, 270, "30000/1001")
    assert info.duration_seconds == pytest.approx(13.06, abs=0.1)


def test_a_real_file_of_six_streams_is_read(tmp_path: Path) -> None:
    """Every picture of the larger video at its time, sound of the finer stream, its cut and its dissolve."""
    video, need, sound_need = real_clip("multistream.mp4"), Frames(None, None), Audio()
    reader = FrameStore(tmp_path / "store", budget_bytes=1 << 30).open(video, probe(video), (need, sound_need))
    times = []
    for batch in reader.frames(need):
        assert batch.frames.shape[1:] == (270, 480, 3)
        times += batch.times.tolist()
    assert times == pytest.approx([number * 1001 / 30_000 for number in range(390)], abs=0.001)
    samples = reader.audio(sound_need)
    assert len(samples) == pytest.approx(13.056 * 16_000, abs=1600)
    power = np.abs(np.fft.rfft(samples)) ** 2  # the stream of 8 kHz has nothing above 4 kHz
    assert power[len(power) // 2 :].sum() > 1e-4 * power.sum()
    found = look(video, tmp_path / "store", ["cut_analysis"])["cut_analysis"]
    assert isinstance(found, TrackSet)
    by_name = {track.id: track.items for track in found.tracks("cut_analysis")}
    assert [cut.t for cut in by_name["cut_analysis/cuts"]] == pytest.approx([5.5, 8.008], abs=0.1)
    (dissolve,) = by_name["cut_analysis/transitions"]
    assert (dissolve.start, dissolve.end) == pytest.approx((5.005, 6.006), abs=0.15)
