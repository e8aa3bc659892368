"""Odd sound: every rate, number of channels and codec has its clicks in place, and nothing in it breaks a number."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from services.evaluation.media import look
from shared.errors import BadInput, Skipped
from shared.frames import Audio, Frames
from shared.media import probe
from shared.schema import Scalar, TrackSet
from tasks.analyzers.audio_analysis import AudioAnalysis
from tasks.registry import analyzers
from tests.support.clips import Sound, click, make_clip, numbered
from tests.support.media import run
from tests.support.reading import clicks_in, opened
from tests.support.remux import replaced

MONO, EVERY = Audio(), Audio(48_000, mono=False)


def with_codec(sound: Sound, codec: str) -> Sound:
    return Sound(sound.samples, sound.sample_rate, sound.start_seconds, codec)


def wav(path: Path, channels: int, at: float = 1.0, rate: int = 48_000) -> Path:
    """Two seconds of 16-bit sound that does not say which channel is which, a click in all of them."""
    samples = np.repeat(click(2, [at], sample_rate=rate).samples.T, channels, axis=1)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    ("ending", "codec", "rate", "channels"),
    [
        ("m4a", "aac", 8000, 1),
        ("m4a", "aac", 96_000, 2),
        ("m4a", "aac", 48_000, 6),
        ("flac", "flac", 96_000, 6),
        ("wav", "pcm_s16le", 8000, 1),
        ("wav", "pcm_f32le", 192_000, 2),
        ("mp3", "mp3", 44_100, 2),
        ("ogg", "libopus", 48_000, 6),
        ("ts", "ac3", 48_000, 6),
    ],
)
def test_sound_alone_is_in_place(ending: str, codec: str, rate: int, channels: int, tmp_path: Path) -> None:
    """Sound without pictures, 8 to 192 kHz, mono to 5.1: clicks in place, no pictures, and the length of the sound."""
    sound = with_codec(click(3, [0.5, 2.0], sample_rate=rate, channels=channels), codec)
    reader = opened(make_clip(tmp_path / f"a.{ending}", frames=0, sound=sound), MONO, EVERY, Frames(1))
    info = reader.info
    assert (info.has_video, info.has_audio, info.width, info.fps) == (False, True, None, None)
    assert info.duration_seconds == pytest.approx(3, abs=0.08)
    # AC-3 has 256 samples of run-in that nothing in a transport stream tells of
    tolerance = 0.007 if codec == "ac3" else 0.002
    for need in (MONO, EVERY):
        assert clicks_in(reader.audio(need), need) == pytest.approx([0.5, 2.0], abs=tolerance)
    assert reader.audio(EVERY).shape[1] == channels
    with pytest.raises(Skipped) as caught:
        reader.frames(Frames(1))
    assert caught.value.code == "no_video"


def test_amr_is_read_as_in_3gp(tmp_path: Path) -> None:
    """AMR without a container, as telephones record it, is the same sound after its run-in of 50 samples."""
    sound = with_codec(click(3, [0.5, 2.0], sample_rate=8000), "libopencore_amrnb")
    bare, contained = (opened(make_clip(tmp_path / name, frames=0, sound=sound), EVERY) for name in ("a.amr", "a.3gp"))
    assert bare.info.container == "amr"
    assert bare.info.duration_seconds == pytest.approx(3, abs=0.021)
    inside = contained.audio(EVERY)
    assert np.abs(inside).max() > 0.04
    assert bare.audio(EVERY)[300 : 300 + len(inside)] == pytest.approx(inside[: len(bare.audio(EVERY)) - 300], abs=1e-5)


def test_wide_band_amr_is_read(tmp_path: Path) -> None:
    """AMR-WB has a mark of its own: 50 frames of its lowest mode are a second at 16 kHz."""
    (tmp_path / "a.amr").write_bytes(b"#!AMR-WB\n" + (b"\x04" + bytes(17)) * 50)
    reader = opened(tmp_path / "a.amr", MONO)
    assert (reader.info.streams[0].codec, reader.info.duration_seconds) == ("amrwb", 1.0)
    assert len(reader.audio(MONO)) == 16_000


@pytest.mark.parametrize("channels", [1, 3, 6, 8, 9, 12, 17, 64])
def test_channels_without_names_are_all_read(channels: int, tmp_path: Path) -> None:
    """Any number of channels, named or not, comes in full and as a mean; PyAV alone crashes at 8 and more."""
    reader = opened(wav(tmp_path / "a.wav", channels), MONO, EVERY)
    assert reader.audio(EVERY).shape == (96_000, channels)
    assert reader.audio(EVERY)[48_010] == pytest.approx([0.9] * channels, abs=0.001)
    assert clicks_in(reader.audio(MONO), MONO) == pytest.approx([1.0], abs=0.002)
    assert np.abs(reader.audio(MONO)).max() < 1.2


@pytest.mark.parametrize(("channels", "rate"), [(65, 8000), (1, 2**31 - 1)])
def test_sound_that_nothing_can_resample_is_no_sound(channels: int, rate: int, tmp_path: Path) -> None:
    """Too many channels or too high a rate: listed, not chosen, and refused in one sentence where there is no more."""
    sound = tmp_path / "a.wav"
    wave_header = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2 % 2**32, channels * 2, 16)
    data = bytes(channels * 2 * 16_000)
    body = b"WAVEfmt " + wave_header + b"data" + struct.pack("<I", len(data)) + data
    sound.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(BadInput, match=f"its sound has {channels} channels at {rate} Hz") as caught:
        probe(sound)
    assert caught.value.code == "undecodable"


def test_pictures_go_on_beside_sound_that_nothing_can_resample(tmp_path: Path) -> None:
    """A film with 65 channels is a silent one."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        pictures, sound = container.add_stream("mpeg4", rate=10), container.add_stream("pcm_s16le", rate=8000)
        pictures.width, pictures.height, sound.layout = 64, 48, "65 channels"
        for number in range(10):
            container.mux(pictures.encode(VideoFrame.from_ndarray(numbered(number, 64, 48), format="rgb24")))
        frame = AudioFrame("s16", "65 channels", 8000)
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(pictures.encode())
    reader = opened(tmp_path / "a.mkv", Frames(10), MONO)
    assert [(stream.kind, stream.chosen) for stream in reader.info.streams] == [("video", True), ("audio", False)]
    assert sum(len(batch.times) for batch in reader.frames(Frames(10))) == 10


def test_a_change_of_rate_and_channels_in_mid_stream(tmp_path: Path) -> None:
    """Sound that goes on at another rate and number of channels stays in place, before the change and after it."""
    parts = [
        make_clip(tmp_path / f"{rate}.ts", sound=click(2, [at], sample_rate=rate, channels=channels)).read_bytes()
        for rate, channels, at in ((48_000, 1, 1.0), (44_100, 2, 1.5))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    reader = opened(joined, MONO, EVERY)
    for need in (MONO, EVERY):
        # run-in of 1024 samples before each part; the first part ends with its sound, at 2.03 s
        assert clicks_in(reader.audio(need), need) == pytest.approx([1.021, 2.03 + 1.523], abs=0.01)
    assert np.isfinite(reader.audio(EVERY)).all()


def test_silence_is_silence(tmp_path: Path) -> None:
    """A silent stream is zeros of its full length, and its measures are null, not made up."""
    video = make_clip(tmp_path / "a.mkv", frames=30, sound=with_codec(click(3, []), "flac"))
    samples = opened(video, MONO).audio(MONO)
    assert len(samples) == 48_000
    assert not samples.any()
    result = run(AudioAnalysis(), video, tmp_path / "other")
    assert {item.name: item.value for item in result.scalars.items}["integrated_loudness"] is None
    assert [(item.start, item.end) for item in result.silence.items] == [(0.0, 3.0)]


def test_clipped_sound_is_read_as_it_is(tmp_path: Path) -> None:
    """A square wave at full scale keeps its level; the measured peak says that it clips."""
    square = np.sign(np.sin(np.arange(96_000) * 2 * np.pi * 220 / 48_000)).astype(np.float32)[None]
    video = make_clip(tmp_path / "a.mkv", frames=0, sound=Sound(square, codec="flac"))
    assert np.abs(opened(video, EVERY).audio(EVERY)).max() == pytest.approx(1, abs=0.001)
    result = run(AudioAnalysis(), video, tmp_path / "other")
    scalars = {item.name: item.value for item in result.scalars.items}
    assert scalars["sample_peak"] == pytest.approx(0, abs=0.01)
    assert scalars["true_peak"] > 0


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    """Infinities and NaN in floating-point sound are zeros; what is above full scale stays."""
    samples = click(2, [1.0]).samples * 3
    samples[:, 100:200], samples[:, 300] = np.nan, np.inf
    video = make_clip(tmp_path / "a.wav", frames=0, sound=Sound(samples, codec="pcm_f32le"))
    read = opened(video, EVERY).audio(EVERY)
    assert np.isfinite(read).all()
    assert read.max() == pytest.approx(2.7)
    assert np.flatnonzero(np.abs(read[:, 0]) > 0.4)[0] == 48_000


def wav_of(path: Path, rate: int, samples: int) -> Path:
    """So many loud samples at that rate."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((20_000 * np.sin(np.arange(samples) + 1)).astype("<i2").tobytes())
    return path


HEARERS = [
    name for name, one in analyzers().items() if not one.weights and any(isinstance(n, Audio) for n in one.needs)
]


@pytest.mark.parametrize("name", HEARERS)
def test_sound_that_yields_no_sample_breaks_no_analyzer(name: str, tmp_path: Path) -> None:
    """At 1 Hz FFmpeg's resampler gives nothing: every analyzer of sound ends without a claim about any time."""
    clip = wav_of(tmp_path / "a.wav", 1, 20)
    assert len(opened(clip, MONO).audio(MONO)) == 0
    found = look(clip, tmp_path / "frames", (name,))[name]
    assert isinstance(found, TrackSet)
    items = [item for track in found.tracks(name) for item in getattr(track, "items", ())]
    assert [item for item in items if not isinstance(item, Scalar) or item.value] == []


@pytest.mark.parametrize("name", [*HEARERS, "temporal_flow"])
def test_a_millisecond_of_sound_breaks_no_analyzer(name: str, tmp_path: Path) -> None:
    """The shortest sound that is accepted goes through every analyzer of sound, and through the flow."""
    assert isinstance(look(wav_of(tmp_path / "a.wav", 48_000, 48), tmp_path / "frames", (name,))[name], TrackSet)


def test_a_single_sample_is_refused(tmp_path: Path) -> None:
    """What is shorter than a millisecond, the document's unit of time, ends in one sentence."""
    with pytest.raises(BadInput, match="under a millisecond") as caught:
        probe(wav_of(tmp_path / "a.wav", 48_000, 1))
    assert caught.value.code == "no_duration"


def test_sound_that_nobody_can_decode_is_no_sound(tmp_path: Path) -> None:
    """A stream of an unknown codec is listed and not chosen; the pictures are read."""
    whole = make_clip(tmp_path / "a.mkv", sound=with_codec(click(2, [1.0]), "aac"))
    info = probe(replaced(whole, tmp_path / "b.mkv", b"A_AAC", b"A_ZZZ"))
    assert (info.has_video, info.has_audio) == (True, False)
    assert [(stream.kind, stream.codec, stream.chosen) for stream in info.streams] == [
        ("video", "h264", True),
        ("audio", None, False),
    ]
