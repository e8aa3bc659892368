import json
from itertools import islice, permutations
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from services.evaluation.effects import to_a_wall, towards
from tasks.analyzers.cut_analysis import CutAnalysis, CutTracks
from tasks.transitions.dissolves import dissolves
from tasks.transitions.pictures import luma, thumbnail
from tasks.transitions.signals import Signals
from tests.support.media import run
from tests.support.models import nothing
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip

H, W = 180, 320


@pytest.fixture(scope="module")
def cuts() -> CutAnalysis:
    analyzer = CutAnalysis()
    analyzer.load(nothing())
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


@pytest.mark.parametrize(("black", "own"), [(1, False), (10, False), (60, True)])
def test_black_before_the_first_fade_in_is_a_shot_when_it_lasts(
    cuts: CutAnalysis, tmp_path: Path, black: int, own: bool
) -> None:
    """A film that fades in after one frame or a third of a second of black is one shot from 0 on; 2 s are their own."""
    film = [*[np.zeros((H, W, 3), np.uint8)] * black, *towards(drift(7, 75), 25, 0, 0)]
    result = run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store")
    ((back, kind),) = events(result)
    assert (kind, back) == ("fade_in", pytest.approx(black / 30, abs=0.15))
    assert [shot.start for shot in result.shots.items] == ([0.0, back] if own else [0.0])


def test_black_after_a_cut_to_it_begins_its_shot(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A picture that is cut to black after half a second, from which another fades in: nothing of it is joined."""
    film = [*drift(8, 15), *[np.zeros((H, W, 3), np.uint8)] * 8, *towards(drift(7, 60), 25, 0, 0)]
    result = run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store")
    assert [kind for _, kind in events(result)] == ["cut", "fade_in"]
    assert [shot.start for shot in result.shots.items] == [0.0, *(t for t, _ in events(result))]


def test_black_between_hard_cuts_is_cuts(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Jumping to black and out of it is two cuts, not fades."""
    black = [np.zeros((H, W, 3), np.uint8)] * 20
    video = write_video(tmp_path / "v.mp4", drift(8, 30) + black + drift(9, 30))
    assert events(run(cuts, video, tmp_path / "store")) == [(1.0, "cut"), (1.667, "cut")]


def test_a_fade_through_grey_is_a_fade(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A picture that fades to one flat grey, out of which another comes, is two fades and one boundary, no dissolve."""
    before, after = drift(16, 45), drift(17, 45)
    before[30:] = [(p * (1 - i / 15) + 170 * i / 15).astype(np.uint8) for i, p in enumerate(before[30:], 1)]
    after[:15] = [(p * (i / 15) + 170 * (1 - i / 15)).astype(np.uint8) for i, p in enumerate(after[:15])]
    result = run(cuts, write_video(tmp_path / "v.mp4", before + after), tmp_path / "store")
    (out, first), (back, second) = events(result)
    assert (first, second) == ("fade_out", "fade_in")
    assert (out, back) == pytest.approx((1.467, 1.533), abs=0.07)
    assert [shot.start for shot in result.shots.items] == [0.0, back]


@pytest.mark.parametrize("level", [255, 215, 120])
def test_a_fade_that_ends_the_film_or_begins_a_shot_is_no_cut(cuts: CutAnalysis, tmp_path: Path, level: int) -> None:
    """A ramp to a plain colour that nothing comes out of, and one out of a colour that was cut to, are fades alone."""
    out = towards(drift(31, 80), 40, 70, level)
    back = towards(drift(32, 75), 40, 10, level)
    video = write_video(tmp_path / "v.mp4", out + drift(33, 30) + back)
    (end, first), cut, flat, (begun, second) = events(run(cuts, video, tmp_path / "store"))
    assert (first, cut, flat, second) == ("fade_out", (2.667, "cut"), (3.667, "cut"), "fade_in")
    assert (end, begun) == pytest.approx((70 / 30, 120 / 30), abs=2.1 / 30)


def night(seed: int, frames: int) -> list[Picture]:
    """A drifting picture as dark as bars but for what is lit in its middle."""
    light = np.full((H, W, 1), 0.12)
    light[60:120, 80:240] = 0.8
    return [(frame * light).astype(np.uint8) for frame in drift(seed, frames)]


@pytest.mark.parametrize(("ramp", "white"), [(6, 1), (12, 1), (12, 8), (25, 1)])
def test_a_dip_to_white_between_dark_pictures_is_two_fades_alone(
    cuts: CutAnalysis, tmp_path: Path, ramp: int, white: int
) -> None:
    """A dark picture goes to white and another comes out of it: both ends within two frames, no cut on the ramps."""
    out = towards(night(41, 40 + ramp), 39, 39 + ramp, 255)
    back = towards(night(42, 40 + ramp), ramp, 0, 255)
    film = out + [np.full((H, W, 3), 255, np.uint8)] * (white - 1) + back
    (end, first), (begun, second) = events(run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store"))
    assert (first, second) == ("fade_out", "fade_in")
    assert (end, begun) == pytest.approx(((39 + ramp) / 30, (40 + ramp + white) / 30), abs=2.1 / 30)


def test_a_dark_shot_between_white_ends_is_two_fades_alone(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A film that comes out of white and goes to white has a fade at each end and no cut."""
    film = towards(towards(night(43, 60), 14, 0, 255), 45, 59, 255)
    (begun, first), (end, second) = events(run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store"))
    assert (first, second) == ("fade_in", "fade_out")
    assert (begun, end) == pytest.approx((1 / 30, 59 / 30), abs=2.1 / 30)


def test_a_cut_in_the_ramp_of_a_fade_is_one(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Another picture that takes the place of a half faded one is a cut still."""
    film = towards(drift(44, 42) + drift(45, 33), 30, 60, 255)
    assert events(run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store"))[0] == (1.4, "cut")


@pytest.mark.parametrize("plain", [0, 255])
def test_a_cut_after_one_plain_frame_of_a_fade_is_one(cuts: CutAnalysis, tmp_path: Path, plain: int) -> None:
    """A shot that fades out until one plain frame and is followed by a whole picture ends with a cut."""
    film = [*towards(drift(46, 45), 30, 44, plain), *drift(47, 45)]
    found = events(run(cuts, write_video(tmp_path / "v.mp4", film), tmp_path / "store"))
    assert (pytest.approx(45 / 30, abs=0.01), "cut") in found


def test_a_camera_that_turns_to_a_wall_does_not_fade(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A picture that is left for a plain wall and comes back from it neither fades nor is cut."""
    result = run(cuts, write_video(tmp_path / "v.mp4", to_a_wall(34).frames), tmp_path / "store")
    assert {kind for _, kind in events(result)} <= {"dissolve"}


def test_a_title_that_appears_on_a_plain_page_is_no_fade_in(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A page stays the page when words fade in on it: no new shot begins."""
    plain, titled = page(), page("Shot boundaries", "and how they are found", "by a machine", top=60)
    ramp = [np.round(plain + (titled.astype(float) - plain) * i / 15).astype(np.uint8) for i in range(16)]
    result = run(cuts, write_video(tmp_path / "v.mp4", [plain] * 20 + ramp + [titled] * 20), tmp_path / "store")
    assert events(result) == []


@pytest.mark.parametrize("seed", [5, 14, 24])
def test_a_flash_is_no_cut_though_its_first_frame_is_not_seen(cuts: CutAnalysis, tmp_path: Path, seed: int) -> None:
    """Where two leaps hide each other, the picture that is back after the second one was there before."""
    rng, picture = np.random.default_rng(seed), texture(seed, 250, 900)
    places = [(200 + rng.normal(), 125 + rng.normal()) for _ in range(60)]
    shot = [window(picture, x, y, 1.0, 90, 160) for x, y in places]
    shot[30:32] = [np.minimum(p.astype(np.int16) + 60, 255).astype(np.uint8) for p in shot[30:32]]
    assert events(run(cuts, write_video(tmp_path / "v.mp4", shot), tmp_path / "store")) == []


def test_a_plain_page_does_not_fade(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A white page on which a picture grows comes out of nothing by a ramp, but nothing faded to it."""
    page, picture = np.full((H, W, 3), 245, np.uint8), texture(18, H, W)
    grown = [page.copy() for _ in range(30)]
    for i, frame in enumerate(grown):
        frame[: 6 * i, : 10 * i] = picture[: 6 * i, : 10 * i]
    video = write_video(tmp_path / "v.mp4", [page] * 30 + grown + [grown[-1]] * 15)
    assert events(run(cuts, video, tmp_path / "store")) == []


# --- pages -----------------------------------------------------------------------------------------------------


def page(*lines: str, top: int = 40) -> Picture:
    """A white page in a dark frame, with lines of text."""
    picture = np.full((H, W, 3), 20, np.uint8)
    picture[10:-10, 30:-30] = 250
    for number, line in enumerate(lines):
        cv2.putText(picture, line, (45, top + 22 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (15, 15, 15), 1, cv2.LINE_AA)
    return picture


FIRST = page("Shot boundaries", "and how they are found", "by a machine", top=60)
SECOND = page("What", "* cuts and fades", "* dissolves", "* wipes are missed", "* pages are turned")


def test_a_turned_page_is_a_cut(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Two still pages, mostly the same white in the same frame, are two shots."""
    video = write_video(tmp_path / "v.mp4", [FIRST] * 45 + [SECOND] * 45)
    assert events(run(cuts, video, tmp_path / "store")) == [(1.5, "cut")]


def test_what_is_added_to_a_page_is_no_cut(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Lines that appear one by one, and a caption that changes on a still picture, leave it one shot."""
    lines = ("What", "* cuts and fades", "* dissolves", "* wipes are missed", "* pages are turned")
    built = [frame for shown in range(1, 6) for frame in [page(*lines[:shown])] * 15]
    assert events(run(cuts, write_video(tmp_path / "v.mp4", built), tmp_path / "store")) == []
    still = texture(19, H, W)
    said = []
    for words in ("one line of words", "and then the next", "until the last of them"):
        said += [cv2.putText(still.copy(), words, (30, 160), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)] * 20
    assert events(run(cuts, write_video(tmp_path / "w.mp4", said), tmp_path / "other")) == []


@pytest.mark.parametrize("pixels", [1, 4, 12])
def test_a_knock_against_the_camera_is_no_cut(cuts: CutAnalysis, tmp_path: Path, pixels: int) -> None:
    """A still picture that jumps aside by up to 12 of 320 pixels is the same picture."""
    picture = texture(20, 300, 500)
    shot = [window(picture, 250 + pixels * (i >= 30), 150, 1.0, H, W) for i in range(60)]
    assert events(run(cuts, write_video(tmp_path / "v.mp4", shot), tmp_path / "store")) == []


# --- dissolves -------------------------------------------------------------------------------------------------


def dissolve(before: list[Picture], after: list[Picture], length: int) -> list[Picture]:
    """Both shots, the last frames of one mixed with the first of the other."""
    shares = [(i + 1) / (length + 1) for i in range(length)]
    mixed = [
        (one * (1 - share) + other * share).astype(np.uint8)
        for one, other, share in zip(before[-length:], after[:length], shares, strict=True)
    ]
    return [*before[:-length], *mixed, *after[length:]]


@pytest.mark.parametrize("length", [9, 20, 60])
@pytest.mark.parametrize("speed", [0.0, 3.0])
def test_a_dissolve_has_its_span(cuts: CutAnalysis, tmp_path: Path, length: int, speed: float) -> None:
    """A dissolve of 0.3 to 2 s between shots, still or moving, is found within 3 frames; its middle parts them."""
    before, after = drift(21, 45 + length, speed), drift(22, 45 + length, -speed)
    result = run(cuts, write_video(tmp_path / "v.mp4", dissolve(before, after, length)), tmp_path / "store")
    (span,) = result.transitions.items
    assert (span.start, span.end) == pytest.approx((1.5, 1.5 + length / 30), abs=0.101)
    ((middle, kind),) = events(result)
    assert (kind, span.label, span.evidence) == ("dissolve", "dissolve", ("cut_analysis/cuts/c1",))
    assert middle == pytest.approx((span.start + span.end) / 2, abs=0.034)
    assert [shot.start for shot in result.shots.items] == [0.0, middle]


def test_what_comes_back_is_no_dissolve(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A camera that loses focus for a second sees less detail in between, but the same picture after it."""
    frames = drift(23, 90)
    for i in range(30):
        sigma = 0.1 + 4 * min(i, 29 - i) / 15
        frames[30 + i] = cv2.GaussianBlur(frames[30 + i], (0, 0), sigma)
    result = run(cuts, write_video(tmp_path / "v.mp4", frames), tmp_path / "store")
    assert (events(result), result.transitions.items) == ([], ())


@pytest.mark.parametrize("van", [False, True])
def test_what_hides_the_street_is_no_dissolve(van: bool) -> None:
    """The same course of energy is a dissolve where the middle mixes both pictures, and none where a van hides them."""
    film = [luma(frame) for frame in dissolve(drift(8, 60), drift(11, 60), 30)]
    signals = Signals()
    for number, gray in enumerate(film):
        signals.add(number / 30, np.dstack([gray] * 3))
    if van:
        for gray in film[38:52]:
            gray[40:, 100:] = 250
    (*found,) = dissolves(signals, [], lambda frame: film[frame])
    assert [(one.start, one.end) for one in found] == (
        [] if van else [(pytest.approx(31, abs=2), pytest.approx(60, abs=2))]
    )


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


def test_the_turned_page_of_a_real_talk(cuts: CutAnalysis, tmp_path: Path) -> None:
    """The talk's slide changes once, at its frame 213, and nothing else does."""
    assert events(run(cuts, real_clip("slides_talk.mp4"), tmp_path)) == [(7.1, "cut")]


def test_the_dissolve_of_a_real_film(cuts: CutAnalysis, tmp_path: Path) -> None:
    """NASA's clip dissolves from frame 150 to frame 180 (looked at one by one), and is cut once, at frame 240."""
    result = run(cuts, real_clip("multistream.mp4"), tmp_path)
    assert [kind for _, kind in events(result)] == ["dissolve", "cut"]
    (span,) = result.transitions.items
    assert (span.start, span.end) == pytest.approx((5.005, 6.006), abs=0.1)


@pytest.mark.parametrize("name", ["bottles.mp4", "people.mp4", "sign_book.mkv"])
def test_one_real_shot_stays_one(cuts: CutAnalysis, tmp_path: Path, name: str) -> None:
    """Clips of one shot have no cut, no fade, no dissolve."""
    assert events(run(cuts, real_clip(name), tmp_path)) == []


PIECES = {"bottles.mp4": 500, "faces.mp4": 10, "multistream.mp4": 30, "people.mp4": 0, "sign_book.mkv": 0}
"""Clips, and a frame from which on 90 belong to one shot."""


def piece(name: str) -> list[Picture]:
    """The 90 frames of a real shot, 320 x 180."""
    with av.open(str(real_clip(name))) as container:
        frames = islice(container.decode(video=0), PIECES[name], PIECES[name] + 90)
        return [frame.reformat(W, H, "rgb24").to_ndarray() for frame in frames]


def test_dissolves_between_real_shots(cuts: CutAnalysis, tmp_path: Path) -> None:
    """Of 20 dissolves of 0.3 to 1.6 s, one for each pair of real shots, at least 17 are found; at most one is wrong."""
    shots = [piece(name) for name in PIECES]
    lengths = range(10, 50, 2)
    right = wrong = 0
    for (before, after), length in zip(permutations(shots, 2), lengths, strict=True):
        folder = tmp_path / str(length)
        folder.mkdir()
        video = write_video(folder / "v.mp4", dissolve(before, after, length))
        start = (90 - length) / 30
        for span in run(cuts, video, folder / "store").transitions.items:
            near = abs(span.start - start) < 0.2 and abs(span.end - start - length / 30) < 0.2
            right, wrong = right + near, wrong + (not near)
    assert right >= 17, right
    assert wrong <= 1, wrong


def test_somebody_who_walks_into_a_fade_is_no_cut(cuts: CutAnalysis, tmp_path: Path) -> None:
    """A real room comes out of black within 12 frames, upright, and somebody walks in meanwhile: one fade-in."""
    with av.open(str(real_clip("people.mp4"))) as container:
        rate = float(container.streams.video[0].average_rate or 0)
        frames = list(islice(container.decode(video=0), round(3.2 * rate), round(5 * rate)))
    room = [frame.reformat(640, 360, "rgb24").to_ndarray()[:, 218:421] for frame in frames]
    room = [cv2.resize(room[min(int(i * rate / 30), len(room) - 1)], (180, 320)) for i in range(50)]
    black = [np.zeros((320, 180, 3), np.uint8)] * 6
    faded = [(frame * min(1.0, (i + 1) / 13)).astype(np.uint8) for i, frame in enumerate(room)]
    seen = events(run(cuts, write_video(tmp_path / "v.mp4", [*black, *faded]), tmp_path))
    assert [kind for _, kind in seen] == ["fade_in"]
    assert seen[0][0] == pytest.approx(6 / 30, abs=2.01 / 30)


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (17, 31), (8, 8)])
def test_thumbnails_are_means_of_cells(height: int, width: int) -> None:
    """Each value of a thumbnail is the mean of its cell, its fraction cut off."""
    frame = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    high, wide = height // 8, width // 8
    cells = [[frame[y * high : (y + 1) * high, x * wide : (x + 1) * wide] for x in range(8)] for y in range(8)]
    expected = [[cell.reshape(-1, 3).mean(0).astype(int).tolist() for cell in row] for row in cells]
    assert thumbnail(frame).tolist() == expected
