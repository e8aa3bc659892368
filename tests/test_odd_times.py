"""Odd clocks: frames and sound come at the moments at which a player shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from shared.errors import BadInput
from shared.frames import Audio, Frames
from shared.isolated import thumbnail
from shared.media import probe
from tests.support.clips import Sound, click, make_clip, number_of, numbered
from tests.support.project import ROOT
from tests.support.reading import clicks_in, opened, seen
from tests.support.remux import copy, with_duration, with_last_length

ALL = Frames(None, None, "gray")
B_FRAMES = {"preset": "veryfast", "crf": "12", "bf": "3", "x264-params": "b-adapt=0"}
X265_B_FRAMES = {"preset": "ultrafast", "x265-params": "bframes=3:b-adapt=0:log-level=none"}
MPEG_B_FRAMES = {"bf": "2", "b": "4000000"}
REORDERED = [
    *((ending, "libx264", 10, B_FRAMES) for ending in ("mp4", "mov", "mkv", "flv", "avi", "nut", "ts", "m2ts", "h264")),
    *((ending, "libx265", 10, X265_B_FRAMES) for ending in ("ts", "mp4", "hevc")),
    *((ending, "mpeg2video", 25, MPEG_B_FRAMES) for ending in ("ts", "mpg", "mxf")),
    ("avi", "mpeg4", 10, MPEG_B_FRAMES),
]
"""Ending, encoder, frames a second and its options: decoding times that are not presentation times."""
SOUND = Audio()
WRAP_SECONDS = 2**33 / 90_000


def phone_stamps(frames: int) -> list[int]:
    """Milliseconds of a phone's frames: 33 ms apart, jittering by a few, a pause of the sensor now and then."""
    rng = np.random.default_rng(3)
    gaps = 33 + rng.integers(-6, 7, frames - 1)
    gaps[40::50] = 250
    return [0, *np.cumsum(gaps).tolist()]


def noisy(number: int, width: int, height: int) -> np.ndarray:
    """A frame that no encoder makes small."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_a_phones_uneven_frames_keep_their_times(ending: str, tmp_path: Path) -> None:
    """200 frames at uneven distances: each within a millisecond of its own time, and a sample never off by a frame."""
    stamps, some = phone_stamps(200), Frames(4, None, "gray")
    reader = opened(make_clip(tmp_path / f"a.{ending}", frames=200, fps=30, pts_ms=stamps), ALL, some)
    assert reader.info.vfr is True
    frames = seen(reader, ALL)
    assert [number for number, _ in frames] == list(range(200))
    assert [time for _, time in frames] == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.001)
    firsts = {int(stamp * 4 // 1000): number for number, stamp in reversed(list(enumerate(stamps)))}
    assert [number for number, _ in seen(reader, some)] == sorted(firsts.values())


@pytest.mark.parametrize(("ending", "codec", "fps", "encoder"), REORDERED)
def test_reordered_pictures_keep_their_times(
    ending: str, codec: str, fps: int, encoder: dict[str, str], tmp_path: Path
) -> None:
    """With B-frames every frame is at its own time and the length is exact, in every container that holds them."""
    clip = make_clip(tmp_path / f"a.{ending}", frames=60, fps=fps, codec=codec, encoder=encoder, keyframe_every=30)
    reader = opened(clip, ALL)
    assert seen(reader, ALL) == [(number, pytest.approx(number / fps, abs=0.0011)) for number in range(60)]
    assert reader.info.duration_seconds == pytest.approx(60 / fps, abs=0.002)
    assert reader.info.fps == f"{fps}/1"
    assert reader.info.vfr is not True


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("pause", [4, 12, 120])
@pytest.mark.parametrize("before", [40, 41, 42, 43, 48])
def test_a_pause_before_reordered_pictures_is_counted_once(
    before: int, pause: int, ending: str, tmp_path: Path
) -> None:
    """Wherever in a group of B-frames no new picture comes for seconds, all have their times, the length is exact, and
    there is a picture all the time.
    """
    stamps = [40 * number + (1000 * pause if number >= before else 0) for number in range(50)]
    clip = make_clip(tmp_path / f"a.{ending}", frames=50, fps=25, pts_ms=stamps, encoder=B_FRAMES, keyframe_every=250)
    reader = opened(clip, ALL)
    assert [time for _, time in seen(reader, ALL)] == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.001)
    assert reader.info.duration_seconds == pytest.approx(2 + pause, abs=0.002)
    assert reader.shown(ALL) == ((0.0, pytest.approx(2 + pause, abs=0.002)),)


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_a_picture_that_claims_minutes_does_not_move_the_last_one(ending: str, tmp_path: Path) -> None:
    """The packet that ends the file, a B-frame shown before the last picture, claims ten minutes: it lasts 40 ms."""
    whole = make_clip(tmp_path / f"whole.{ending}", frames=49, fps=25, encoder=B_FRAMES, keyframe_every=250)
    reader = opened(with_last_length(whole, tmp_path / f"a.{ending}", 600), ALL)
    assert [time for _, time in seen(reader, ALL)] == pytest.approx([number / 25 for number in range(49)], abs=0.001)
    assert reader.info.duration_seconds == pytest.approx(1.96, abs=0.002)
    assert reader.shown(ALL) == ((0.0, pytest.approx(1.96, abs=0.002)),)


@pytest.mark.parametrize("before", [43, 44, 45, 46, 47, 48])
def test_no_picture_outlasts_the_video(before: int, tmp_path: Path) -> None:
    """With a pause among the B-frames that end an MP4, the last picture ends with the length that the document says."""
    stamps = [40 * number + (12_000 if number >= before else 0) for number in range(49)]
    clip = make_clip(tmp_path / "a.mp4", frames=49, fps=25, pts_ms=stamps, encoder=B_FRAMES, keyframe_every=250)
    reader = opened(clip, ALL)
    frames = [span for part in reader.frames(ALL) for span in zip(part.times, part.until, strict=True)]
    length = reader.info.duration_seconds
    assert length == pytest.approx(13.96, abs=0.1)
    assert [t for t, _ in frames] == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.001)
    assert max(until for _, until in frames) == pytest.approx(length, abs=0.05)
    assert max(until for _, until in frames) <= length
    assert reader.shown(ALL)[-1][1] <= length
    assert reader.stats.spans[-1][1] <= length


@pytest.mark.parametrize("ending", ["ts", "flv", "avi", "mkv"])
def test_reordered_pictures_stay_with_the_sound(ending: str, tmp_path: Path) -> None:
    """With B-frames and sound together: the click is heard at the frame that it was made for."""
    clip = make_clip(tmp_path / f"a.{ending}", frames=30, encoder=B_FRAMES, keyframe_every=30, sound=click(3, [1.0]))
    reader = opened(clip, ALL, SOUND)
    frames = dict(seen(reader, ALL))
    assert len(frames) == 30
    assert clicks_in(reader.audio(SOUND), SOUND) == pytest.approx([frames[10]], abs=0.025)
    assert reader.info.duration_seconds == pytest.approx(3, abs=0.3 if ending == "avi" else 0.1)


@pytest.mark.parametrize(("stamps", "fps", "vfr"), [(phone_stamps(120), 27.3, True), (range(400), 1000, False)])
def test_a_transport_streams_rate_is_that_of_its_frames(
    stamps: list[int], fps: float, vfr: bool, tmp_path: Path
) -> None:
    """Where FFmpeg guesses the rate of a clock's ticks, the rate is the mean of the frames, constant or not."""
    info = probe(make_clip(tmp_path / "a.ts", frames=len(stamps), fps=1000, pts_ms=list(stamps)))
    assert float(Fraction(info.fps or "0")) == pytest.approx(fps, rel=0.01)
    assert info.vfr is vfr


@pytest.mark.parametrize("later", [-0.5, -1000.0, WRAP_SECONDS - 1.5, WRAP_SECONDS - 0.05, 2 * WRAP_SECONDS - 1.5])
def test_negative_and_wrapping_clocks_begin_at_zero(later: float, tmp_path: Path) -> None:
    """A transport stream whose 33-bit clock passes zero, or wraps in the middle, has its frames and sound in place."""
    whole = make_clip(tmp_path / "whole.mp4", frames=30, sound=click(3, [1.0, 2.0]))
    reader = opened(copy(whole, tmp_path / "a.ts", later=later), ALL, SOUND)
    assert reader.info.duration_seconds == pytest.approx(3.03, abs=0.02)
    frames = seen(reader, ALL)
    # the encoder's run-in of 21 ms comes first in the file
    assert frames == [(number, pytest.approx(number / 10 + 0.021, abs=0.001)) for number in range(30)]
    assert clicks_in(reader.audio(SOUND), SOUND) == pytest.approx([1.021, 2.021], abs=0.002)


def test_what_lies_before_an_mp4_begins_is_left_out(tmp_path: Path) -> None:
    """Frames and sound that an edit list puts before 0 s are not shown; the others are in place."""
    whole = make_clip(tmp_path / "whole.mp4", frames=30, sound=click(3, [1.0]))
    reader = opened(copy(whole, tmp_path / "a.mp4", later=-0.5), ALL, SOUND)
    assert reader.info.duration_seconds == pytest.approx(2.5, abs=0.01)
    assert seen(reader, ALL) == [(number, (number - 5) / 10) for number in range(5, 30)]
    assert clicks_in(reader.audio(SOUND), SOUND) == pytest.approx([0.5], abs=0.002)


@pytest.mark.parametrize("encoder", [None, B_FRAMES])
def test_recordings_that_were_joined_follow_one_another(encoder: dict[str, str] | None, tmp_path: Path) -> None:
    """Two transport streams in one file, each with its own clock: all frames, picture and sound together."""
    parts = [
        make_clip(
            tmp_path / f"{first}.ts",
            frames=30,
            picture=lambda number, width, height, first=first: numbered(first + number, width, height),
            sound=click(3, [at]),
            encoder=encoder,
        )
        for first, at in ((0, 1.0), (30, 2.0), (60, 0.5))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    reader = opened(joined, ALL, SOUND)
    frames = dict(seen(reader, ALL))
    assert list(frames) == list(range(90))
    assert reader.info.duration_seconds == pytest.approx(9.05, abs=0.1)
    assert list(np.diff(list(frames.values()))) == pytest.approx([0.1] * 89, abs=0.04)
    clicks = clicks_in(reader.audio(SOUND), SOUND)
    assert clicks == pytest.approx([frames[10], frames[50], frames[65]], abs=0.002)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 300.0, 3e6])
def test_a_wrong_duration_is_corrected(ending: str, seconds: float, tmp_path: Path) -> None:
    """A header that says nothing, too little or too much: the length is that of the packets, and all of it is read."""
    whole = make_clip(tmp_path / f"whole.{ending}", frames=30, sound=click(3, [1.0]))
    reader = opened(with_duration(whole, tmp_path / f"a.{ending}", seconds), ALL, SOUND)
    assert reader.info.duration_seconds == pytest.approx(3.0, abs=0.01)
    assert seen(reader, ALL) == [(number, number / 10) for number in range(30)]
    assert clicks_in(reader.audio(SOUND), SOUND) == pytest.approx([1.0], abs=0.002)


def test_a_wrong_duration_is_found_beyond_the_key_frames(tmp_path: Path) -> None:
    """A length in the header that ends before the second key frame does not hide what follows it."""
    whole = make_clip(tmp_path / "whole.mkv", frames=100, keyframe_every=50)
    assert probe(with_duration(whole, tmp_path / "a.mkv", 2.0)).duration_seconds == pytest.approx(10, abs=0.01)


def test_a_short_file_without_a_length_is_measured(tmp_path: Path) -> None:
    """Ten frames in a live Matroska, WebM or raw H.264, and a GIF that names no delay, are less than 0.5 s long."""
    clips = [
        make_clip(tmp_path / "a.mkv", frames=10, fps=25, options={"live": "1"}),
        make_clip(tmp_path / "a.webm", frames=10, fps=25, codec="libvpx", encoder={}, options={"live": "1"}),
        make_clip(tmp_path / "a.h264", frames=10, fps=25),
    ]
    assert [probe(clip).duration_seconds for clip in clips] == [pytest.approx(0.4, abs=0.002)] * 3
    Image.fromarray(numbered(5, 160, 120)).save(tmp_path / "a.gif")
    reader = opened(tmp_path / "a.gif", ALL)
    assert (reader.info.duration_seconds, seen(reader, ALL)) == (0.1, [(5, 0.0)])


@pytest.mark.parametrize("delays", [None, 0, 100])
def test_a_gif_shows_all_its_pictures(delays: int | None, tmp_path: Path) -> None:
    """Twenty pictures with delays of 0.1 s, of 0, or without any: all are read, one every 0.1 s; of half, half."""
    first, *others = [Image.fromarray(numbered(number, 160, 120)) for number in range(20)]
    options = {} if delays is None else {"duration": delays}
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, **options)
    reader = opened(tmp_path / "a.gif", ALL)
    assert seen(reader, ALL) == [(number, number / 10) for number in range(20)]
    assert (reader.info.duration_seconds, reader.info.fps, reader.info.vfr) == (2.0, "10/1", False)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "half.gif").write_bytes(data[: len(data) // 2])
    half = seen(opened(tmp_path / "half.gif", ALL), ALL)
    assert 8 <= len(half) <= 11
    assert half[:8] == [(number, number / 10) for number in range(8)]


def test_an_animated_png_is_a_video(tmp_path: Path) -> None:
    """Twenty pictures of 0.1 s in an APNG are all read at their times, and have thumbnails."""
    first, *others = [Image.fromarray(numbered(number, 160, 120)) for number in range(20)]
    first.save(tmp_path / "a.png", save_all=True, append_images=others, duration=100)
    reader = opened(tmp_path / "a.png", ALL)
    assert seen(reader, ALL) == [(number, number / 10) for number in range(20)]
    assert (reader.info.duration_seconds, reader.info.fps, reader.info.vfr) == (2.0, "10/1", False)
    shown = Image.open(BytesIO(thumbnail(tmp_path / "a.png", reader.info, 1.25, width=160)))
    assert number_of(np.asarray(shown)) == 12


def test_an_unreadable_stretch_ends_nothing(tmp_path: Path) -> None:
    """A transport stream with its middle third overwritten is as long as before, and is read to its end."""
    clip = make_clip(tmp_path / "a.ts", frames=60, picture=noisy)
    data = clip.read_bytes()
    third = len(data) // 3
    clip.write_bytes(data[:third] + bytes(third) + data[2 * third :])
    reader = opened(clip, ALL)
    assert reader.info.duration_seconds == pytest.approx(6, abs=0.1)
    times = np.concatenate([part.times for part in reader.frames(ALL)])
    assert times[-1] == pytest.approx(5.9, abs=0.01)
    assert len(times) < 60


@pytest.mark.parametrize("encoder", [None, B_FRAMES], ids=["in order", "B-frames"])
def test_pictures_that_an_mp4_lost_are_in_no_span(encoder: dict[str, str] | None, tmp_path: Path) -> None:
    """With zeros in the middle of an MP4 every picture either comes, or its seconds are no part of what is shown."""
    clip = make_clip(tmp_path / "a.mp4", frames=60, picture=noisy, encoder=encoder)
    data = clip.read_bytes()
    third = len(data) // 3
    clip.write_bytes(data[:third] + bytes(third) + data[2 * third :])
    reader = opened(clip, ALL)
    delivered = {round(10 * t) for part in reader.frames(ALL) for t in part.times.tolist()}
    spans = reader.shown(ALL)
    shown = {number for number in range(60) if any(start <= number / 10 + 0.05 < end for start, end in spans)}
    assert 10 < len(delivered) < 50
    assert shown == delivered


@pytest.mark.parametrize(
    ("ending", "codec", "encoder"),
    [
        ("ts", "libx264", None),
        ("mkv", "libx264", None),
        ("mkv", "libx264", B_FRAMES),
        ("flv", "libx264", None),
        ("mpg", "mpeg2video", {"qmin": "1", "qmax": "2"}),
    ],
)
def test_pictures_that_were_lost_are_in_no_span(
    ending: str, codec: str, encoder: dict[str, str] | None, tmp_path: Path
) -> None:
    """With zeros in its middle third, a file shows and has analysed two stretches, with a hole of a third between."""
    path = tmp_path / f"a.{ending}"
    data = make_clip(path, frames=150, fps=25, picture=noisy, codec=codec, encoder=encoder).read_bytes()
    third = len(data) // 3
    path.write_bytes(data[:third] + bytes(third) + data[2 * third :])
    reader = opened(path, ALL)
    times = np.concatenate([part.times for part in reader.frames(ALL)])
    hole = int(np.diff(times).argmax())
    before, after = reader.shown(ALL)
    assert before == (0.0, pytest.approx(times[hole], abs=0.06))
    assert after == (pytest.approx(times[hole + 1], abs=0.001), pytest.approx(6, abs=0.1))
    assert after[0] - before[1] > 1.5
    assert reader.stats.spans == [before, after]


def test_a_pause_is_no_hole(tmp_path: Path) -> None:
    """Two seconds without a new picture in a whole transport stream, or Matroska, with B-frames too, part no span."""
    stamps = [*range(0, 2000, 40), *range(4000, 6000, 40)]
    for ending, codec, encoder in (("ts", "libx264", None), ("mkv", "libx264", B_FRAMES), ("mkv", "libx264", None)):
        (folder := tmp_path / f"{ending}-{bool(encoder)}").mkdir()
        clip = make_clip(
            folder / f"a.{ending}", frames=100, fps=25, pts_ms=stamps, picture=noisy, codec=codec, encoder=encoder
        )
        assert len(opened(clip, ALL).shown(ALL)) == 1


@pytest.mark.parametrize(
    ("ending", "codec", "encoder"), [("ts", "libx264", None), ("mpg", "mpeg2video", {"qmin": "1", "qmax": "2"})]
)
def test_sound_that_begins_in_mid_file_is_left_out(
    ending: str, codec: str, encoder: dict[str, str] | None, tmp_path: Path
) -> None:
    """A stream that FFmpeg meets only when it reads on ends neither the probe nor the reading."""
    sound = Sound(click(0.8, [0.5]).samples, codec="mp2")
    seen_only, heard = (
        make_clip(
            tmp_path / f"{name}.{ending}",
            frames=20,
            fps=25,
            size=(640, 480),
            picture=noisy,
            sound=heard,
            codec=codec,
            encoder=encoder,
        ).read_bytes()
        for name, heard in (("silent", None), ("loud", sound))
    )
    # FFmpeg looks for streams in the first 5 MB and at the end
    assert len(seen_only) > 5_000_000
    (path := tmp_path / f"joined.{ending}").write_bytes(seen_only + heard + seen_only)
    reader = opened(path, ALL)
    assert not reader.info.has_audio
    assert sum(len(part.times) for part in reader.frames(ALL)) == 60


def test_zero_seconds_are_refused(tmp_path: Path) -> None:
    """A file of sound without a sample, and an MP4 without a frame, end in one sentence."""
    silent, unseen = tmp_path / "a.wav", tmp_path / "a.mp4"
    with av.open(str(silent), "w") as container:
        container.add_stream("pcm_s16le", rate=16_000)
        container.start_encoding()
    with pytest.raises(BadInput, match="length is zero") as caught:
        probe(silent)
    assert caught.value.code == "no_duration"
    with av.open(str(unseen), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(BadInput) as caught:
        probe(unseen)
    assert caught.value.code in {"no_streams", "not_a_video"}


READ = """
import json, sys
from pathlib import Path
from shared.frames import Audio, Frames
from tests.support.clips import number_of
from tests.support.processes import peak_mib
from tests.support.reading import opened
every, sound = Frames(None, 48, "gray"), Audio()
reader = opened(Path(sys.argv[1]), every, sound)
numbers = [(number_of(f), round(float(t), 3)) for b in reader.frames(every) for t, f in zip(b.times, b.frames)]
samples = reader.audio(sound)
around = {at: int(abs(samples[(at - 1) * 16000:(at + 1) * 16000]).argmax()) / 16000 + at - 1 for at in (10, 7190)}
print(json.dumps({
    "numbers": numbers, "around": around, "samples": len(samples), "length": reader.info.duration_seconds,
    "mib": peak_mib(),
}))
"""


@pytest.mark.slow
def test_two_hours_are_read_in_bounded_memory(tmp_path: Path) -> None:
    """7200 frames and 460 MB of sound: all frames at their times, clicks in place, less than 300 MiB of memory."""
    sound = click(7200, [10, 7190], sample_rate=8000)
    quiet = Sound(sound.samples, 8000, codec="pcm_s16le")
    video = make_clip(
        tmp_path / "long.mkv",
        frames=7200,
        fps=1,
        size=(96, 64),
        picture=lambda number, width, height: numbered(number % 4096, width, height),
        sound=quiet,
        keyframe_every=100,
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(video)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=True
    )
    assert time.monotonic() - started < 60
    read = json.loads(done.stdout)
    assert read["numbers"] == [[number % 4096, number] for number in range(7200)]
    assert read["around"] == {"10": pytest.approx(10, abs=0.002), "7190": pytest.approx(7190, abs=0.002)}
    assert read["samples"] == 7200 * 16_000
    assert read["length"] == 7200
    assert read["mib"] < 300
