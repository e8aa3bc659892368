import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.evaluation.films import softened
from shared.schema import Event, EventTrack, LabelledSegment, SegmentTrack
from tasks.analyzers.camera_analysis import CameraAnalysis, CameraTracks
from tasks.analyzers.cut_analysis import CutTracks, Transition
from tests.support.media import run
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip

H, W, FPS = 270, 360, 30
Pose = tuple[float, float, float]  # x and y of the camera over the picture in pixels, zoom

SPEEDS: dict[str, Pose] = {
    # Per frame: pixels right, pixels down, factor. 2 px of 270 are 0.22 short sides a second; 1.003 is 9 % a second.
    "static": (0.0, 0.0, 1.0),
    "pan_right": (2.0, 0.0, 1.0),
    "pan_left": (-2.0, 0.0, 1.0),
    "tilt_down": (0.0, 1.5, 1.0),
    "tilt_up": (0.0, -1.5, 1.0),
    "zoom_in": (0.0, 0.0, 1.003),
    "zoom_out": (0.0, 0.0, 1 / 1.003),
}


@pytest.fixture(scope="module")
def camera() -> CameraAnalysis:
    analyzer = CameraAnalysis()
    analyzer.load(None)  # type: ignore[arg-type]
    return analyzer


def path(motion: str, frames: int, start: Pose = (500, 400, 1.0), seed: int = 0) -> list[Pose]:
    """Where the camera stands in every frame of that motion; `shake` jitters by 3 pixels around one place."""
    x, y, zoom = start
    if motion == "shake":
        jitter = np.random.default_rng(seed).normal(0, 3, (frames, 2))
        return [(x + float(dx), y + float(dy), zoom) for dx, dy in jitter]
    right, down, factor = SPEEDS[motion]
    return [(x + right * i, y + down * i, zoom * factor**i) for i in range(frames)]


def film(poses: list[Pose], seed: int = 21) -> list[Picture]:
    picture = texture(seed, 800, 1000)
    return [window(picture, x, y, zoom, H, W) for x, y, zoom in poses]


def shots(*bounds: float) -> CutTracks:
    """The result of cut_analysis for shots with these bounds."""
    items = tuple(
        LabelledSegment(id=f"s{i}", start=start, end=end, label="shot")
        for i, (start, end) in enumerate(pairwise(bounds), 1)
    )
    return CutTracks(
        cuts=EventTrack[Event](method="heuristic"),
        shots=SegmentTrack[LabelledSegment](method="heuristic", items=items),
        transitions=SegmentTrack[Transition](method="heuristic"),
    )


def look(camera: CameraAnalysis, frames: list[Picture], folder: Path, *bounds: float) -> CameraTracks:
    video = write_video(folder / "v.mp4", frames, fps=FPS)
    return run(camera, video, folder / "store", ("cut_analysis", shots(0, *bounds, len(frames) / FPS)))


def by_frame(result: CameraTracks, frames: int) -> list[str | None]:
    found = result.motion.items
    return [next((m.motion for m in found if m.start <= i / FPS < m.end), None) for i in range(frames)]


@pytest.mark.parametrize("motion", [*SPEEDS, "shake"])
def test_each_motion_is_named_in_every_frame(camera: CameraAnalysis, tmp_path: Path, motion: str) -> None:
    """A shot of one motion is one segment with its name, from its first to its last frame."""
    (item,) = look(camera, film(path(motion, 75)), tmp_path).motion.items
    assert (item.motion, item.start, item.end) == (motion, 0.0, 2.5)


def test_a_sequence_of_motions_is_right_in_19_of_20_frames(camera: CameraAnalysis, tmp_path: Path) -> None:
    """In one shot of many motions at least 95 % of all frames get the true name."""
    poses: list[Pose] = []
    truth: list[str] = []
    order = ("static", "pan_right", "static", "zoom_in", "pan_left", "tilt_down", "shake", "tilt_up", "zoom_out")
    for seed, motion in enumerate(order):
        start = poses[-1] if poses else (420.0, 400.0, 1.0)
        poses += path(motion, 75, start, seed)
        truth += [motion] * 75
    found = by_frame(look(camera, film(poses), tmp_path), len(poses))
    assert np.mean([a == b for a, b in zip(truth, found, strict=True)]) >= 0.95


@pytest.mark.parametrize("speed", [2.0, 6.0])
def test_things_that_move_before_a_standing_camera_are_static(
    camera: CameraAnalysis, tmp_path: Path, speed: float
) -> None:
    """A textured object over a fifth of the picture that crosses it does not move the camera."""
    thing = texture(22, 200, 100)
    frames = []
    for index, frame in enumerate(film(path("static", 60))):
        x = round(20 + speed * index) % (W - 100)
        picture = frame.copy()
        picture[40:240, x : x + 100] = thing
        frames.append(picture)
    assert set(by_frame(look(camera, frames, tmp_path), 60)) == {"static"}


@pytest.mark.parametrize("motion", ["pan_right", "tilt_up", "zoom_in"])
def test_a_soft_picture_moves_too(camera: CameraAnalysis, tmp_path: Path, motion: str) -> None:
    """Out of focus, with half of the contrast and a sensor's noise, a motion has its name in 19 of 20 frames."""
    found = by_frame(look(camera, softened(film(path(motion, 60)), 0.5), tmp_path), 60)
    assert found.count(motion) >= 57


def test_noise_does_not_move(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Of noise on a plain wall nothing is said: what noise makes is not found again."""
    rng = np.random.default_rng(1)
    frames = [np.clip(120 + rng.normal(0, 4, (H, W, 3)), 0, 255).astype(np.uint8) for _ in range(45)]
    assert set(by_frame(look(camera, frames, tmp_path), 45)) == {None}


def test_a_caption_does_not_hold_the_camera(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Text that stands in the picture while the camera pans leaves it a pan."""
    rows = (np.indices((30, 300)) // 5).sum(0) % 2 * 255
    frames = film(path("pan_left", 60))
    for frame in frames:
        frame[220:250, 30:330] = rows[..., None]
    assert set(by_frame(look(camera, frames, tmp_path), 60)) == {"pan_left"}


def test_no_motion_is_measured_across_a_cut(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Two still shots of the same place, shifted by a cut, are two static segments that meet at the cut."""
    frames = film(path("static", 40)) + film(path("static", 35, (530, 400, 1.0)))
    items = look(camera, frames, tmp_path, 40 / FPS).motion.items
    assert [(m.start, m.end, m.motion) for m in items] == [(0.0, 1.333, "static"), (1.333, 2.5, "static")]


def test_shots_that_contradict_the_pictures_are_no_error(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Where the last shot ends long before the pictures do, no motion is told that would end before it begins."""
    poses = path("static", 60)
    poses += path("pan_right", 30, poses[-1])
    video = write_video(tmp_path / "v.mp4", film(poses), fps=FPS)
    result = run(camera, video, tmp_path / "store", ("cut_analysis", shots(0, 0.5, 1.0)))
    assert result.motion.items
    assert all(item.start < item.end for item in result.motion.items)
    assert result.analysed is not None
    assert all(start < end for start, end in result.analysed)


def test_where_there_is_nothing_to_track_nothing_is_claimed(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Black frames have no segment and are not in `analysed`; the shots beside them are."""
    black = [np.zeros((H, W, 3), np.uint8)] * 45
    result = look(camera, film(path("pan_right", 45)) + black, tmp_path, 1.5)
    assert [m.motion for m in result.motion.items] == ["pan_right"]
    assert result.analysed == ((0.0, 1.5),)


def test_speed_is_the_cameras_and_movement_that_of_all(camera: CameraAnalysis, tmp_path: Path) -> None:
    """A pan of 2 pixels of 270 a frame is 22 % of the short side a second in both series; before a standing camera a
    thing over a third of the picture moves alone. Nothing is said across the cut between them, nor of black frames.
    """
    panned, standing = film(path("pan_right", 45)), film(path("static", 45))
    for index, frame in enumerate(standing):
        frame[:, 3 * index : 3 * index + 120] = texture(23, H, 120)
    black = [np.zeros((H, W, 3), np.uint8)] * 45
    found = look(camera, panned + standing + black, tmp_path, 1.5, 3.0)
    (speed, movement) = (np.array(one.values, float) for one in (found.speed, found.movement))
    assert speed[:14] == pytest.approx(6000 / H, rel=0.05)
    assert movement[:14] == pytest.approx(6000 / H, rel=0.05)
    assert set(speed[15:29]) == {0.0}
    assert 5 < movement[15:29].mean() < 15
    assert np.isnan(speed[[14, 29, 30, 40]]).all()
    assert np.isnan(movement[[14, 29, 30, 40]]).all()


def test_what_has_a_value_was_looked_at(camera: CameraAnalysis, tmp_path: Path) -> None:
    """Where the camera's motion is not named but things' movement is measured, that time counts as looked at."""
    strip, speeds = texture(5, H, W // 6), (3, -2, 1, -3, 2, -1)
    frames = [np.hstack([np.roll(strip, speed * index, axis=0) for speed in speeds]) for index in range(45)]
    found = look(camera, film(path("static", 45)) + frames, tmp_path, 1.5)
    assert [one.motion for one in found.motion.items] == ["static"]
    assert sum(value is not None for value in found.movement.values) > 20
    for track in (found.speed, found.movement):
        middles = [(index + 0.5) * track.dt for index, value in enumerate(track.values) if value is not None]
        assert all(any(start <= middle <= end for start, end in found.analysed) for middle in middles)


def test_confidence_is_the_measured_share_of_points(camera: CameraAnalysis, tmp_path: Path) -> None:
    """All points of a rigid scene agree; a moving object lowers the share by about its area."""
    rigid = look(camera, film(path("static", 45)), tmp_path).motion.items[0].confidence
    frames = film(path("static", 45))
    for index, frame in enumerate(frames):
        frame[:, 3 * index : 3 * index + 120] = texture(23, H, 120)
    mixed = look(camera, frames, tmp_path).motion.items[0].confidence
    assert rigid is not None
    assert mixed is not None
    assert rigid > 0.95
    assert 0.5 < mixed < 0.9


def test_the_sample_reel_stands_and_zooms(camera: CameraAnalysis, tmp_path: Path) -> None:
    """The real reel's second shot is static and its last one zooms in, each as one segment."""
    video = real_clip("reel.mp4")
    truth = json.loads(video.with_name("truth.json").read_text())["reel.mp4"]
    found = run(camera, video, tmp_path, ("cut_analysis", shots(0.0, *truth["cuts_seconds"], 12.0))).motion.items
    for known in truth["camera"]:
        (name,) = {m.motion for m in found if m.start < known["end"] - 0.2 and m.end > known["start"] + 0.2}
        assert name == known["motion"]


def timed(camera: CameraAnalysis, frames: list[Picture], times: list[float], folder: Path) -> CameraTracks:
    """The last frame is shown for as long as the one before it, and the film is one shot."""
    video = write_video(folder / "v.mp4", frames, times=times)
    return run(camera, video, folder / "store", ("cut_analysis", shots(0, 2 * times[-1] - times[-2])))


@pytest.mark.parametrize("motion", ["static", "pan_right"])
def test_a_call_that_stalls_stands_still(camera: CameraAnalysis, tmp_path: Path, motion: str) -> None:
    """A picture that stands for 4 s is static, whatever the camera does before and after, and not what it did."""
    times = [i / FPS for i in range(60)] + [6 + i / FPS for i in range(60)]
    result = timed(camera, film(path(motion, 120)), times, tmp_path)
    found = [(item.motion, item.start, item.end) for item in result.motion.items]
    if motion == "static":
        assert found == [("static", 0.0, 8.0)]
    else:
        stood = pytest.approx(59 / FPS, abs=0.001)
        assert found == [("pan_right", 0.0, stood), ("static", stood, 6.0), ("pan_right", 6.0, 8.0)]
    assert result.analysed == ((0.0, 8.0),)
    assert set(result.speed.values[21:59]) == {0.0}


def test_photographs_are_static_and_black_ones_are_unknown(camera: CameraAnalysis, tmp_path: Path) -> None:
    """One picture of 4 s, though with little in it, is static for all of it; of a black one nothing is said."""
    title = np.zeros((H, W, 3), np.uint8)
    cv2.putText(title, "THE END", (60, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
    result = timed(camera, [title, np.zeros_like(title), title], [0.0, 4.0, 8.0], tmp_path)
    assert [(item.motion, item.start, item.end) for item in result.motion.items] == [("static", 0.0, 4.0)]
    assert result.analysed == ((0.0, 4.0),)


@pytest.mark.parametrize("motion", ["static", "pan_right"])
@pytest.mark.parametrize("fps", [1, 3, 5])
def test_slow_films_are_films(camera: CameraAnalysis, tmp_path: Path, fps: int, motion: str) -> None:
    """At 1 to 5 frames a second a camera that pans is no picture that stands, and one that stands pans nowhere."""
    frames = film([(x / 2, y, zoom) for x, y, zoom in path(motion, 150)[:: FPS // fps]])
    result = timed(camera, frames, [i / fps for i in range(len(frames))], tmp_path)
    assert {item.motion for item in result.motion.items} == {motion}
    assert sum(item.end - item.start for item in result.motion.items) >= 3.9
