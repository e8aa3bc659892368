"""What a reader of the frame store gets: the right frames, at the right times, in the right colours; sound in place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from shared.digests import sha256_of
from shared.errors import BadInput, Infrastructure, Skipped
from shared.frames import Audio, Frames, FrameStore, estimate_bytes, fit
from shared.media import probe
from shared.spans import merged, without
from shared.timing import Clock, Timeline
from tests.support.clips import Sound, click, make_clip, number_of, numbered, plain
from tests.support.reading import GIB, opened, seen
from tests.support.remux import copy


def test_every_frame_comes_with_its_time(tmp_path: Path) -> None:
    """All frames of a clip longer than several windows come once, in order, each with its own time."""
    need = Frames(None, 60, "gray")
    reader = opened(make_clip(tmp_path / "a.mp4", frames=250, fps=10), need)
    assert seen(reader, need) == [(number, number / 10) for number in range(250)]


def test_batches_are_full_and_read_only(tmp_path: Path) -> None:
    """Batches hold as many frames as asked but for the last, also across windows, and cannot be written to."""
    need = Frames(None, 60)
    batches = list(opened(make_clip(tmp_path / "a.mp4", frames=95, fps=10), need).frames(need, batch=20))
    assert [len(batch.times) for batch in batches] == [20, 20, 20, 20, 15]
    for batch in batches:
        assert batch.frames.shape[1:] == (60, 80, 3)
        with pytest.raises(ValueError, match="read-only"):
            batch.frames[0] = 0


def test_a_lower_rate_takes_the_first_frame_of_each_step(tmp_path: Path) -> None:
    """At 4 fps the first frame at or after each quarter second is taken, with the time at which it is really shown."""
    need = Frames(4, None)
    reader = opened(make_clip(tmp_path / "a.mp4", frames=20, fps=10), need)
    assert seen(reader, need) == [(n, n / 10) for n in (0, 3, 5, 8, 10, 13, 15, 18)]


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    """Frames at uneven times keep them to the millisecond, and sampling leaves out none that is held for long."""
    stamps = [0, 40, 80, 500, 510, 1900, *range(2000, 3400, 100)]
    every, some = Frames(None, None, "gray"), Frames(2, None, "gray")
    reader = opened(make_clip(tmp_path / "a.mkv", pts_ms=stamps), every, some)
    assert seen(reader, every) == [(number, stamp / 1000) for number, stamp in enumerate(stamps)]
    assert seen(reader, some) == [(0, 0.0), (3, 0.5), (4, 0.51), (5, 1.9), (6, 2.0), (11, 2.5), (16, 3.0)]


def test_times_begin_at_the_containers_start(tmp_path: Path) -> None:
    """A stream whose clock begins at 100 s begins at 0 s."""
    need = Frames()
    video = make_clip(tmp_path / "a.ts", pts_ms=[100_000 + 100 * number for number in range(20)])
    assert probe(video).start_seconds > 90
    assert seen(opened(video, need), need) == [(number, number / 10) for number in range(20)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied_as_other_players_do(rotation: int, tmp_path: Path) -> None:
    """A frame is turned as OpenCV, a second implementation, turns it, and is upright."""
    turns = rotation // 90

    def turned(number: int, width: int, height: int) -> np.ndarray:
        shown = (height, width) if turns % 2 else (width, height)
        return np.ascontiguousarray(np.rot90(numbered(number, *shown), -turns))

    video = make_clip(tmp_path / "a.mp4", size=(240, 180), picture=turned, rotation=rotation)
    need = Frames()
    reader = opened(video, need)
    frames = np.concatenate([batch.frames for batch in reader.frames(need)])
    other = cv2.VideoCapture(str(video))
    for number, frame in enumerate(frames):
        _, image = other.read()
        assert number_of(frame) == number
        assert frame.shape == image.shape
        assert np.abs(frame.astype(int) - image[..., ::-1]).mean() < 4


def test_pixel_shape_is_applied(tmp_path: Path) -> None:
    """Pixels twice as wide as high give a picture twice as wide, scaled in one step."""
    need = Frames(None, 60)
    reader = opened(make_clip(tmp_path / "a.mp4", size=(160, 120), pixel_shape=Fraction(2)), need)
    (batch,) = reader.frames(need, batch=20)
    assert batch.frames.shape == (20, 60, 160, 3)
    assert [number_of(frame) for frame in batch.frames] == list(range(20))


@pytest.mark.parametrize(("level", "size"), [(0, None), (0, 45), (128, 45), (255, None), (255, 45)])
def test_black_is_0_and_white_is_255_in_rgb_and_gray(level: int, size: int | None, tmp_path: Path) -> None:
    """Limited range is expanded alike in rgb and gray, at full size and scaled, to within 2."""
    rgb, gray = Frames(1, size), Frames(1, size, "gray")
    reader = opened(make_clip(tmp_path / "a.mp4", frames=2, picture=plain(level)), rgb, gray)
    for need in (rgb, gray):
        _, frame = reader.frame_at(need, 0)
        assert np.abs(frame.astype(int) - level).max() <= 2


def test_odd_sizes(tmp_path: Path) -> None:
    """A rendition of odd width and height has exactly that size."""
    need = Frames(1, 33)
    reader = opened(make_clip(tmp_path / "a.mp4", size=(158, 90)), need)
    assert reader.frame_at(need, 0)[1].shape == (33, 58, 3)


def test_colours_are_those_drawn(tmp_path: Path) -> None:
    """Red, green, blue and white bars keep their colours through decoding and scaling."""
    need = Frames(1, 60)
    _, frame = opened(make_clip(tmp_path / "a.mp4"), need).frame_at(need, 0)
    centres = [frame[45, 10 + 20 * bar].astype(int) for bar in range(4)]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    assert np.abs(np.array(centres) - expected).max() < 25


def test_frame_at_gives_what_is_shown(tmp_path: Path) -> None:
    """The last frame not after t is given, the first before the start, the last after the end."""
    need = Frames(None, None, "gray")
    reader = opened(make_clip(tmp_path / "a.mp4", frames=50, fps=10), need)
    for asked, number in [(-1, 0), (0, 0), (0.05, 0), (0.1, 1), (2.55, 25), (0.95, 9), (4.9, 49), (99, 49)]:
        time, frame = reader.frame_at(need, asked)
        assert (number_of(frame), round(time, 3)) == (number, number / 10)


def test_clicks_stay_in_their_places(tmp_path: Path) -> None:
    """Clicks at known times are found there to the millisecond, at each rate, mono and stereo."""
    times = [0.25, 1.0, 7.125, 29.5]
    video = make_clip(tmp_path / "a.mkv", frames=300, fps=10, sound=_with_codec(click(30, times, channels=2), "flac"))
    wanted = (Audio(16_000), Audio(48_000, mono=False), Audio(22_050))
    reader = opened(video, *wanted)
    for need in wanted:
        samples = reader.audio(need)
        assert samples.dtype == np.float32
        assert samples.shape == ((30 * need.sample_rate,) if need.mono else (30 * need.sample_rate, 2))
        loud = np.abs(samples if need.mono else samples[:, 1]) > 0.4
        starts = [
            at / need.sample_rate
            for at in np.flatnonzero(loud)
            if not loud[max(0, at - need.sample_rate // 100) : at].any()
        ]
        assert starts == pytest.approx(times, abs=0.001)


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    """Equal channels give the same level in mono, not 3 dB more."""
    tone = 0.5 * np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000, dtype=np.float32)
    video = make_clip(tmp_path / "a.mkv", frames=0, sound=Sound(np.stack([tone, tone]), codec="flac"))
    need = Audio()
    assert np.abs(opened(video, need).audio(need)).max() == pytest.approx(0.5, abs=0.01)


def test_sound_that_begins_late_is_preceded_by_silence(tmp_path: Path) -> None:
    """Sound that starts at 0.7 s of the video's clock has its samples at 0.7 s."""
    sound = click(2, [0.0])
    video = make_clip(tmp_path / "a.mkv", sound=Sound(sound.samples, start_seconds=0.7, codec="flac"))
    need = Audio()
    samples = opened(video, need).audio(need)
    assert np.flatnonzero(np.abs(samples) > 0.4)[0] / 16_000 == pytest.approx(0.7, abs=0.001)
    assert not samples[: int(0.69 * 16_000)].any()


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    """Packets that are missing from the middle leave silence, and what follows stays in its place."""
    times = [0.5, 2.5, 4.5]
    whole = make_clip(tmp_path / "whole.mkv", frames=50, sound=_with_codec(click(5, times), "flac"))
    video = tmp_path / "gap.mkv"
    copy(
        whole,
        video,
        lambda packet: packet.stream.type == "video" or not 2.0 <= float(packet.pts * packet.time_base) < 3.0,
    )
    need = Audio()
    samples = opened(video, need).audio(need)
    loud = np.flatnonzero(np.abs(samples) > 0.4) / 16_000
    assert sorted({round(float(at), 1) for at in loud}) == [0.5, 4.5]
    assert loud.max() == pytest.approx(4.501, abs=0.002)
    assert len(samples) == 5 * 16_000


def test_missing_streams_are_skipped(tmp_path: Path) -> None:
    """A video without sound and sound without pictures are no errors: they are skipped with a code."""
    silent, unseen = make_clip(tmp_path / "a.mp4"), make_clip(tmp_path / "b.m4a", frames=0, sound=click(1, [0.5]))
    with pytest.raises(Skipped) as caught:
        opened(silent, Audio(), Frames(1)).audio(Audio())
    assert caught.value.code == "no_audio"
    with pytest.raises(Skipped) as caught:
        opened(unseen, Audio(), Frames(1)).frames(Frames(1))
    assert caught.value.code == "no_video"


def test_only_declared_renditions_are_read(tmp_path: Path) -> None:
    """Reading a rendition that was not declared would cost a second pass: it is a mistake of the program."""
    with pytest.raises(ValueError, match="not declared"):
        opened(make_clip(tmp_path / "a.mp4"), Frames(1)).frames(Frames(2))


def test_spans_are_what_was_delivered(tmp_path: Path) -> None:
    """A reader that stops early has seen up to there, one that goes on has seen all, to the end and no further."""
    need = Frames(4, None)
    reader = opened(make_clip(tmp_path / "a.mp4", frames=30, fps=10), need)
    next(reader.frames(need, batch=4))
    assert reader.stats.spans == [(0.0, pytest.approx(1.05))]
    list(reader.frames(need))
    assert reader.stats.spans == [(0.0, pytest.approx(3.0))]
    assert reader.stats.decode_passes == 1


def test_a_broken_stretch_is_no_span(tmp_path: Path) -> None:
    """Frames whose packets are ruined are skipped, counted, and cut out of the spans; the rest keeps its times."""
    whole = make_clip(tmp_path / "whole.mkv", frames=60, fps=10, keyframe_every=10)
    video = tmp_path / "broken.mkv"
    _ruin(whole, video, 2.0, 4.0)
    need = Frames(None, None, "gray")
    reader = opened(video, need)
    frames = seen(reader, need)
    assert [number for number, _ in frames] == [*range(20), *range(40, 60)]
    assert all(time == number / 10 for number, time in frames)
    assert reader.stats.corrupt_packets >= 1
    assert reader.stats.spans == [(0.0, pytest.approx(2.0)), (pytest.approx(4.0), pytest.approx(6.0))]


def test_a_stream_that_ends_early_says_so(tmp_path: Path) -> None:
    """A transport stream cut in the middle delivers what there is, and its spans end there."""
    need = Frames(None, None, "gray")
    video = make_clip(tmp_path / "a.ts", frames=100, fps=10)
    info = probe(video)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    info = info.model_copy(update={"sha256": sha256_of(video)})
    reader = FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, info, (need,))
    frames = seen(reader, need)
    assert 20 < len(frames) < 80
    assert reader.stats.spans == [(0.0, pytest.approx(len(frames) / 10, abs=0.15))]


def test_a_video_that_is_not_the_one_handed_in_is_refused(tmp_path: Path) -> None:
    """One byte of the stored video has changed: nothing is decoded, and the error names both hashes."""
    need, video = Frames(), make_clip(tmp_path / "a.mp4", frames=30, fps=10)
    info, content = probe(video), bytearray(video.read_bytes())
    content[-1] ^= 1
    video.write_bytes(content)
    with FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, info, (need,)) as reader:
        with pytest.raises(Infrastructure, match=f"{sha256_of(video)}, not {info.sha256}") as caught:
            list(reader.frames(need))
        assert (caught.value.code, caught.value.retryable) == ("video_damaged", False)
    assert not list((tmp_path / "store").rglob("*.npy"))


def test_pictures_that_cannot_be_decoded_are_an_error(tmp_path: Path) -> None:
    """A video without one good picture ends in BadInput, not in an empty result."""
    whole = make_clip(tmp_path / "whole.mkv", frames=30, fps=10)
    video, need = tmp_path / "broken.mkv", Frames()
    _ruin(whole, video, 0.0, 3.0)
    info = probe(whole).model_copy(update={"sha256": sha256_of(video)})
    reader = FrameStore(tmp_path / "store", budget_bytes=GIB).open(video, info, (need,))
    with pytest.raises(BadInput) as caught:
        list(reader.frames(need))
    assert caught.value.code == "undecodable"


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 100, None, 300], [0.0, 0.1, 0.2, 0.3]),
        ([0, 100, 200, 50_000_000, 50_000_100], [0.0, 0.1, 0.2, 0.3, 0.4]),
        ([60_000, 60_100, 0, 100], [60.0, 60.1, 60.2, 60.3]),
        ([0, 100, 100, 200], [0.0, 0.1, 0.1, 0.2]),
        ([-50, 0, 100], [-0.05, 0.0, 0.1]),
    ],
    ids=["missing", "absurd", "wrapped", "repeated", "negative"],
)
def test_clock(stamps: list[int | None], expected: list[float]) -> None:
    """Missing timestamps are filled in, resets continue, and what is there is never changed."""
    clock = Clock(Timeline(start_seconds=0, duration_seconds=60), step_seconds=0.1)
    placed = []
    for stamp in stamps:
        frame = av.VideoFrame(16, 16)
        frame.pts, frame.time_base = stamp, Fraction(1, 1000)
        placed.append(clock.place(frame))
    assert placed == pytest.approx(expected)


def test_times_always_rise(tmp_path: Path) -> None:
    """Repeated and backward timestamps in a file lose their frame rather than get a made-up time."""
    whole, video = make_clip(tmp_path / "whole.mkv", frames=30, keyframe_every=1), tmp_path / "odd.mkv"
    _move(whole, video, {1000: 900, 2000: 1500})
    need = Frames(None, None, "gray")
    frames = seen(opened(video, need), need)
    assert [number for number, _ in frames] == [number for number in range(30) if number not in (10, 20)]
    assert all(time == number / 10 for number, time in frames)


def test_estimate_matches_the_store(tmp_path: Path) -> None:
    """The estimated bytes are those written, to within 5 %."""
    video = make_clip(tmp_path / "a.mkv", frames=100, fps=10, sound=_with_codec(click(10, [1]), "flac"))
    wanted = (Frames(None, 60), Frames(4, None, "gray"), Audio())
    reader = opened(video, *wanted)
    reader.audio(Audio())
    for need in wanted:
        written = sum(file.stat().st_size for file in (reader.folder / need.key).iterdir())
        assert written == pytest.approx(estimate_bytes(need, reader.info), rel=0.05)


def test_what_does_not_fit_is_lowered_and_said(tmp_path: Path) -> None:
    """The largest rendition is halved until the budget holds, the others stay, and the reader reads what was chosen."""
    video = make_clip(tmp_path / "a.mp4", frames=40, fps=10)
    info, large, small = probe(video), Frames(None), Frames(5, 60, "gray")
    assert fit((large, small), info, GIB).notes == ()
    budget = estimate_bytes(large, info) // 2
    fitted = fit((large, small), info, budget)
    assert sum(estimate_bytes(need, info) for need in fitted.renditions.values()) <= budget
    assert fitted.renditions[small] == small
    assert fitted.renditions[large] == Frames(2.5)
    assert len(fitted.notes) == 1
    assert "2.5 frames per second" in fitted.notes[0]
    reader = FrameStore(tmp_path / "store", budget_bytes=budget).open(video, info, (large, small))
    assert (reader.rate(large), reader.rate(small)) == (2.5, 5)
    assert [number for number, _ in seen(reader, large)] == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]


def test_spans_join_and_cut() -> None:
    """Touching spans are one; holes take their part out."""
    assert merged([(2, 3), (0, 1), (1, 2), (5, 5)]) == [(0, 3)]
    assert without([(0, 10)], [(2, 3), (9, 12)]) == [(0, 2), (3, 9)]


def _with_codec(sound: Sound, codec: str) -> Sound:
    return Sound(sound.samples, sound.sample_rate, sound.start_seconds, codec)


def _move(source: Path, target: Path, times_ms: dict[int, int]) -> None:
    """Give packets of a Matroska file other times, in place: a block's time is the 2 bytes before its flags."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as read:
        for packet in read.demux(video=0):
            if packet.pts in times_ms:
                at = data.find(bytes(packet))
                assert at > 0
                old = int.from_bytes(data[at - 3 : at - 1], "big", signed=True)
                data[at - 3 : at - 1] = (old + times_ms[packet.pts] - packet.pts).to_bytes(2, "big", signed=True)
    target.write_bytes(data)


def _ruin(source: Path, target: Path, start: float, end: float) -> None:
    """Overwrite the packets of a stretch with noise, in place."""
    data, noise = bytearray(source.read_bytes()), np.random.default_rng(1)
    with av.open(str(source)) as read:
        for packet in read.demux(video=0):
            if packet.pts is not None and start <= float(packet.pts * packet.time_base) < end:
                at = data.find(bytes(packet))
                assert at > 0
                data[at : at + packet.size] = noise.bytes(packet.size)
    target.write_bytes(data)
