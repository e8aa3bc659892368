"""Tests of what moves and comes to rest: slides that build up, pointers, pages, and pictures that really freeze."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from services.evaluation.effects import FPS, SIZE, drift, room
from tests.support.looked import Looked, look
from tests.support.moving import Picture, texture, write_video
from tests.support.real import real_clip

H, W = SIZE
FRAME = 1 / FPS
FACE = cv2.FONT_HERSHEY_SIMPLEX
LINES = ("Quarterly results", "- revenue grew by 12 %", "- costs fell", "- next: hiring", "- and a party")
PAPER: Picture = np.full((H, W, 3), 250, np.uint8)
PHOTOGRAPH = texture(81, H, W)


def lines(behind: Picture, count: int, left: int = 0) -> Picture:
    """The first lines of a slide, the last of them so many pixels right of its place."""
    frame = behind.copy()
    for number, line in enumerate(LINES[:count]):
        at = (25 + (left if number == count - 1 else 0), 40 + 30 * number)
        cv2.putText(frame, line, at, FACE, 0.6, (20, 20, 60), 2, cv2.LINE_AA)
    return frame


def mixed(one: Picture, other: Picture, share: float) -> Picture:
    """Both pictures, `share` of the other."""
    return np.round(one * (1 - share) + other * share).astype(np.uint8)


@pytest.mark.parametrize("behind", [PAPER, PHOTOGRAPH], ids=["paper", "photograph"])
@pytest.mark.parametrize("way", ["fade", "fly", "type"])
def test_a_slide_that_builds_up_is_not_frozen(tmp_path: Path, way: str, behind: Picture) -> None:
    """Lines that fade in, fly in or are typed, and then stand for two seconds, on paper and on a photograph."""
    film: list[Picture] = []
    for count in (1, 2, 3):
        whole, without = lines(behind, count), lines(behind, count - 1)
        for number in range(1, 16):
            if way == "fade":
                film.append(mixed(without, whole, number / 15))
            elif way == "fly":
                film.append(lines(behind, count, round(300 * (1 - number / 15))))
            else:
                film.append(without.copy())
                film[-1][:, : W * number // 15] = whole[:, : W * number // 15]
        film += [whole] * 60
    assert "freeze" not in look(tmp_path, film).labels


@pytest.mark.parametrize("behind", [PAPER, PHOTOGRAPH], ids=["paper", "photograph"])
def test_a_pointer_that_stops_freezes_nothing(tmp_path: Path, behind: Picture) -> None:
    """A mouse pointer crosses a page, or a photograph, within two seconds and stands for two."""
    at = [(20 + 4 * min(number, 60), 40 + min(number, 60)) for number in range(120)]
    film = [cv2.circle(lines(behind, 5), place, 5, (200, 30, 30), -1).astype(np.uint8) for place in at]
    assert "freeze" not in look(tmp_path, film).labels


def test_a_page_that_scrolls_and_stops_is_not_frozen(tmp_path: Path) -> None:
    """A page of text is scrolled, stands for two seconds, and is scrolled again."""
    sheet = np.concatenate([lines(PAPER, 5), lines(PAPER, 4), lines(PAPER, 5), lines(PAPER, 3)])
    tops = [*range(0, 180, 5), *[180] * 60, *range(180, 340, 5)]
    film = [np.ascontiguousarray(sheet[top : top + H]) for top in tops]
    assert "freeze" not in look(tmp_path, film).labels


def test_a_page_that_is_zoomed_into_and_stands_is_not_frozen(tmp_path: Path) -> None:
    """A presentation that moves in on a page and stays there."""
    film = []
    for number in range(90):
        zoom = 1 + 0.02 * min(number, 30)
        matrix = np.array([[zoom, 0, (1 - zoom) * W / 3], [0, zoom, (1 - zoom) * H / 3]])
        film.append(cv2.warpAffine(lines(PAPER, 5), matrix, (W, H), borderValue=(250, 250, 250)).astype(np.uint8))
    assert "freeze" not in look(tmp_path, film).labels


def titled(frame: Picture, text: str, share: float = 1.0) -> Picture:
    """The frame with a title in its lower third."""
    written = cv2.putText(frame.copy(), text, (40, 130), FACE, 1.2, (255, 240, 0), 3, cv2.LINE_AA).astype(np.uint8)
    return mixed(frame, written, share)


@pytest.mark.parametrize(("after", "fading"), [(5, 0), (10, 0), (20, 0), (10, 10), (20, 10)])
def test_a_title_comes_over_a_freeze_frame(tmp_path: Path, after: int, fading: int) -> None:
    """Frame 30 of a pan is held to frame 80; a title comes 5 to 20 frames after it, at once or by a fade."""
    frames = drift(11, 90, (3.0,))
    held = [frames[30]] * after
    held += [titled(frames[30], "MEET BOB", number / (fading + 1)) for number in range(1, fading + 1)]
    held += [titled(frames[30], "MEET BOB")] * (50 - len(held))
    found = look(tmp_path, [*frames[:30], *held, *frames[31:71]]).one("freeze")
    assert (found.start, found.end) == pytest.approx((1.0, 80 / FPS), abs=2 * FRAME + 0.001)


def test_words_come_one_by_one_over_a_freeze_frame(tmp_path: Path) -> None:
    """A title that grows by a word every eight frames leaves one freeze, from the held frame's first to its last."""
    frames = drift(12, 90, (3.0,))
    held = [titled(frames[30], " ".join(("ONE", "DAY", "IN", "MAY")[: number // 8])) for number in range(48)]
    found = look(tmp_path, [*frames[:30], *held, *frames[31:71]]).one("freeze")
    assert (found.start, found.end) == pytest.approx((1.0, 78 / FPS), abs=2 * FRAME + 0.001)


def test_a_walker_who_is_held_is_frozen(tmp_path: Path) -> None:
    """Somebody who walks before a camera that stands is a freeze frame when he is held for a second in mid-step."""
    film = room(90, 75)
    found = look(tmp_path, [*film[:30], *[film[30]] * 30, *film[31:]]).one("freeze")
    assert (found.start, found.end) == pytest.approx((1.0, 2.0), abs=2 * FRAME + 0.001)


@pytest.mark.parametrize("between", [18, 36])
@pytest.mark.parametrize("speed", [1.5, 3.0])
def test_a_pan_that_stands_still_twice_is_frozen_twice(tmp_path: Path, speed: float, between: int) -> None:
    """Two frames of one pan are held for 0.8 s each, with 0.6 and 1.2 s of pan between them."""
    frames, second = drift(13, 120, (speed,)), 30 + between
    film = [*frames[:30], *[frames[30]] * 24, *frames[31:second], *[frames[second]] * 24, *frames[second + 1 :]]
    found = [(one.start, one.end) for one in look(tmp_path, film).result.effects.items if one.label == "freeze"]
    starts = (30, 30 + 24 + between - 1)
    assert found == [pytest.approx((f / FPS, (f + 24) / FPS), abs=2 * FRAME + 0.001) for f in starts]


def test_each_shot_of_a_montage_is_frozen(tmp_path: Path) -> None:
    """Five shots of 0.9 s of pan, a frame held for 0.8 s and 0.6 s of pan, with hard cuts between them."""
    film: list[Picture] = []
    for seed in range(19, 24):
        frames = drift(seed, 45, (2.0,))
        film += [*frames[:27], *[frames[26]] * 24, *frames[27:]]
    found = [(one.start, one.end) for one in look(tmp_path, film).result.effects.items if one.label == "freeze"]
    spans = [((26 + 69 * shot) / FPS, (51 + 69 * shot) / FPS) for shot in range(5)]
    assert found == [pytest.approx(span, abs=2 * FRAME + 0.001) for span in spans]


def held_from(number: int, count: int, seconds: float) -> list[float]:
    """Times of so many frames, the one of that number shown so much longer."""
    return [index * FRAME + (seconds if index > number else 0.0) for index in range(count)]


@pytest.mark.parametrize("seconds", [0.8, 1.5])
def test_one_frame_that_is_held_is_a_freeze(tmp_path: Path, seconds: float) -> None:
    """A pan of which a recorder keeps frame 40 alone for a while is frozen then, and no faster afterwards."""
    video = write_video(tmp_path / "v.mp4", drift(11, 80, (3.0,)), times=held_from(40, 80, seconds))
    seen = Looked(video, tmp_path / "store")
    found = seen.one("freeze")
    assert (found.start, found.end) == pytest.approx((40 / FPS, 41 / FPS + seconds), abs=2 * FRAME + 0.001)
    assert (seen.events, seen.moments) == ([], [])


def test_nothing_lasts_longer_than_the_video(tmp_path: Path) -> None:
    """A grey pan whose last frame comes three seconds after the one before: spans end with the last shot."""
    film = [np.repeat(frame[:, :, 1:2], 3, axis=2) for frame in drift(1, 60, (2.0,))]
    video = write_video(tmp_path / "v.mp4", film, times=held_from(58, 60, 3.0))
    seen = Looked(video, tmp_path / "store")
    assert seen.one("black_and_white").end == pytest.approx(seen.cuts.shots.items[-1].end, abs=0.001)


@pytest.mark.parametrize("fps", [10, 12])
def test_a_freeze_of_few_frames_a_second_is_found(tmp_path: Path, fps: int) -> None:
    """The same at 10 and 12 fps, as GIFs have them; below 10 fps none is told."""
    frames = drift(11, 120, (3.0,))[::3]
    found = look(tmp_path, [*frames[:15], *[frames[15]] * 15, *frames[16:]], fps=fps).one("freeze")
    assert (found.start, found.end) == pytest.approx((15 / fps, 30 / fps), abs=1.5 / fps)


def test_photographs_swiped_at_a_variable_rate_are_not_frozen(tmp_path: Path) -> None:
    """Three photographs, each kept as one frame for two seconds, between which ten frames swipe: none ever moved."""
    sheet = np.concatenate([texture(seed, H, W) for seed in (1, 2, 3)], axis=1)
    lefts = [0, *range(32, W, 32), W, *range(W + 32, 2 * W, 32), 2 * W, 2 * W]
    times = [0.0]
    for left in lefts[:-1]:
        times.append(times[-1] + (2.0 if left % W == 0 else FRAME))
    film = [np.ascontiguousarray(sheet[:, left : left + W]) for left in lefts]
    video = write_video(tmp_path / "v.mp4", film, times=times)
    assert "freeze" not in Looked(video, tmp_path / "store").labels


@pytest.mark.parametrize("first", [108, 396])
def test_held_frames_of_real_shots_are_frozen(tmp_path: Path, first: int) -> None:
    """A second of two of a trailer's shots, then its last frame for a second, then the rest."""
    with av.open(str(real_clip("trailer.mp4"))) as container:
        frames = islice(container.decode(video=0), first, first + 50)
        shot: list[Picture] = [np.asarray(f.reformat(W, H, "rgb24").to_ndarray(), np.uint8) for f in frames]
    found = look(tmp_path, [*shot[:25], *[shot[25]] * 30, *shot[26:]]).one("freeze")
    assert (found.start, found.end) == pytest.approx((25 / FPS, 55 / FPS), abs=3 * FRAME)
