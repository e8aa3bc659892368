import json
from pathlib import Path

import numpy as np
import pytest

from tasks.analyzers.cut_analysis import CutAnalysis, CutTracks
from tests.support.media import run
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip

H, W = 180, 320


@pytest.fixture(scope="module")
def cuts() -> CutAnalysis:
    analyzer = CutAnalysis()
    analyzer.load(None)  # type: ignore[arg-type]
    return analyzer


def drift(seed: int, frames: int, speed: float = 1.0) -> list[Picture]:
    """A shot of a camera that moves over a picture, `speed` pixels a frame."""
    picture = texture(seed, 400, 900)
    return [window(picture, 200 + i * speed, 200, 1.0, H, W) for i in range(frames)]


def events(result: CutTracks) -> list[tuple[float, str]]:
    return [(event.t, event.type) for event in result.cuts.items]


def test_a_cut_is_the_first_frame_of_the_new_picture(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Hard cuts are found at the timestamp of the new picture's first frame, and the shots tile the video."""
    video = write_video(tmp_path / "v.mp4", drift(1, 30) + drift(2, 45) + drift(3, 30))
    result = run(cuts, video, tmp_path / "store")
    assert events(result) == [(1.0, "cut"), (2.5, "cut")]
    assert [(shot.start, shot.end) for shot in result.shots.items] == [(0.0, 1.0), (1.0, 2.5), (2.5, 3.5)]


def test_times_come_from_timestamps_when_the_rate_varies(cuts: CutAnalysis, tmp_path: Path) -> None:
    """In a video of variable frame rate the cut has its frame's own timestamp, not number divided by rate."""
    times = [i / 30 for i in range(30)] + [1.0 + i / 10 for i in range(20)] + [3.0 + i / 24 for i in range(24)]
    video = write_video(tmp_path / "v.mp4", drift(1, 30) + drift(2, 20) + drift(3, 24), times=times)
    assert [t for t, _ in events(run(cuts, video, tmp_path / "store"))] == pytest.approx([1.0, 3.0], abs=0.002)


@pytest.mark.parametrize("speed", [0.0, 4.0, 16.0])
def test_motion_is_no_cut(cuts: CutAnalysis, tmp_path: Path, speed: float) -> None:
    """One shot without a cut stays one shot, however fast the camera pans (16 px of 320 a frame: 1.5 widths/s)."""
    result = run(cuts, write_video(tmp_path / "v.mp4", drift(4, 36, speed)), tmp_path / "store")
    assert events(result) == []
    assert [(shot.start, shot.end) for shot in result.shots.items] == [(0.0, 1.2)]


@pytest.mark.parametrize("length", [1, 3, 6])
def test_a_flash_is_no_cut(cuts: CutAnalysis, tmp_path: Path, length: int) -> None:
    """White frames of up to 0.2 s after which the same picture is back are not cuts."""
    shot = drift(5, 60)
    shot[30 : 30 + length] = [np.full((H, W, 3), 250, np.uint8)] * length
    assert events(run(cuts, write_video(tmp_path / "v.mp4", shot), tmp_path / "store")) == []


def test_a_fade_through_black_is_two_events_and_one_boundary(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A fade is `fade_out` where black is reached and `fade_in` where it ends, never `cut`."""
    before, after = drift(6, 60), drift(7, 60)
    before[30:] = [(p * (1 - i / 30)).astype(np.uint8) for i, p in enumerate(before[30:])]
    after[:30] = [(p * (i / 30)).astype(np.uint8) for i, p in enumerate(after[:30])]
    frames = [*before, *[np.zeros((H, W, 3), np.uint8)] * 15, *after]
    result = run(cuts, write_video(tmp_path / "v.mp4", frames), tmp_path / "store")
    (out, first), (back, second) = events(result)
    assert (first, second) == ("fade_out", "fade_in")
    # The ramp lasts 1 s from about 150 to 0, and its last 16 levels count as black.
    assert out == pytest.approx(2.0, abs=0.15)
    assert back == pytest.approx(2.5, abs=0.15)
    assert [shot.start for shot in result.shots.items] == [0.0, back]


def test_black_between_hard_cuts_is_cuts(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Jumping to black and out of it is two cuts, not fades."""
    black = [np.zeros((H, W, 3), np.uint8)] * 20
    video = write_video(tmp_path / "v.mp4", drift(8, 30) + black + drift(9, 30))
    assert events(run(cuts, video, tmp_path / "store")) == [(1.0, "cut"), (1.667, "cut")]


def test_nothing_is_known_of_confidence(cuts: CutAnalysis, tmp_path: Path) -> None:
    """The detector's ratio is no probability, so confidence is null and the method says heuristic."""
    result = run(cuts, write_video(tmp_path / "v.mp4", drift(1, 20) + drift(2, 20)), tmp_path / "store")
    assert {event.confidence for event in result.cuts.items} == {None}
    assert result.cuts.method == "heuristic"


def test_the_sample_reel_is_cut_where_it_was_cut(cuts: CutAnalysis, tmp_path: Path) -> None:
    """The real reel has its three cuts within 0.1 s and no others."""
    video = real_clip("reel.mp4")
    truth = json.loads(video.with_name("truth.json").read_text())["reel.mp4"]
    found = events(run(cuts, video, tmp_path))
    assert {kind for _, kind in found} == {"cut"}
    assert [t for t, _ in found] == pytest.approx(truth["cuts_seconds"], abs=0.1)
