"""Odd clocks: frames and sound come at the moments at which a player shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from shared.errors import BadInput
from shared.frames import Audio, Frames
from shared.media import probe
from tests.support.clips import Sound, click, make_clip, numbered
from tests.support.project import ROOT
from tests.support.reading import clicks_in, opened, seen
from tests.support.remux import copy, with_duration

ALL = Frames(None, None, "gray")
SOUND = Audio()
WRAP_SECONDS = 2**33 / 90_000


def phone_stamps(frames: int) -> list[int]:
    """Milliseconds of a phone's frames: 33 ms apart, jittering by a few, a pause of the sensor now and then."""
    rng = np.random.default_rng(3)
    gaps = 33 + rng.integers(-6, 7, frames - 1)
    gaps[40::50] = 250
    return [0, *np.cumsum(gaps).tolist()]


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


def test_recordings_that_were_joined_follow_one_another(tmp_path: Path) -> None:
    """Two transport streams in one file, each with its own clock: all frames, picture and sound together."""
    parts = [
        make_clip(
            tmp_path / f"{first}.ts",
            frames=30,
            picture=lambda number, width, height, first=first: numbered(first + number, width, height),
            sound=click(3, [at]),
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
