"""Tests of visual effects on clips whose effects the test made itself, frame by frame."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pytest

from services.evaluation.effects import (
    FPS,
    SIZE,
    WITHOUT,
    Film,
    drift,
    falloff,
    flashes,
    greyed,
    room,
    sidelong,
    stamped,
    towards,
    vignetted,
    without_colour,
)
from shared.errors import Skipped
from tasks.analyzers.visual_effects import EffectEvent, Label
from tasks.effects.moments import quartiles
from tasks.effects.rules import RULES
from tasks.effects.signals import Shot, Watch
from tasks.transitions.pictures import percentiles
from tests.support.looked import Looked, look
from tests.support.moving import Picture, texture, window
from tests.support.project import ROOT
from tests.support.real import real_clip

H, W = SIZE
FRAME = 1 / FPS


@pytest.mark.parametrize(("level", "colour"), [(0, "black"), (255, "white")])
def test_fades_are_found_within_two_frames(tmp_path: Path, level: int, colour: str) -> None:
    """A fade out over frames 30 to 60 and a fade in over 75 to 95 have their ends within two frames."""
    frames = towards(drift(1, 75), 30, 60, level) + towards(drift(2, 75), 20, 0, level)
    seen = look(tmp_path, frames)
    out, back = seen.one(f"fade_out_to_{colour}"), seen.one(f"fade_in_from_{colour}")
    assert (out.start, out.end) == pytest.approx((30 / FPS, 60 / FPS), abs=2 * FRAME)
    assert (back.start, back.end) == pytest.approx((75 / FPS, 95 / FPS), abs=2 * FRAME)
    assert out.measure >= out.threshold


@pytest.mark.parametrize(("level", "colour"), [(0, "black"), (255, "white"), (215, "colour")])
def test_a_fade_by_one_end_only_is_found_within_two_frames(tmp_path: Path, level: int, colour: str) -> None:
    """A ramp to a plain colour that ends the film, and one out of a colour that was cut to, are found."""
    out = look(tmp_path, towards(drift(3, 80), 40, 70, level)).one(f"fade_out_to_{colour}")
    (tmp_path / "in").mkdir()
    frames = drift(4, 40) + towards(drift(5, 75), 40, 10, level)
    back = look(tmp_path / "in", frames).one(f"fade_in_from_{colour}")
    assert (out.start, out.end) == pytest.approx((40 / FPS, 70 / FPS), abs=2 * FRAME)
    assert (back.start, back.end) == pytest.approx((50 / FPS, 80 / FPS), abs=2 * FRAME)
    assert min(out.measure, back.measure) >= out.threshold


def test_a_white_fade_between_bars_is_one(tmp_path: Path) -> None:
    """Black bars above and below do not hide that the picture between them fades to white."""
    frames = [np.pad(f, ((24, 24), (0, 0), (0, 0))) for f in towards(drift(6, 80, size=(H - 48, W)), 40, 70, 255)]
    found = look(tmp_path, frames).one("fade_out_to_white")
    assert (found.start, found.end) == pytest.approx((40 / FPS, 70 / FPS), abs=2 * FRAME)
    assert found.measure >= found.threshold


def test_the_signer_fades_to_white(tmp_path: Path) -> None:
    """A real shot that goes to white over 30 frames at the end of a clip is a fade of that span, and no cut."""
    with av.open(str(real_clip("sign_book.mkv"))) as container:
        shot = [f.reformat(W, H, "rgb24").to_ndarray() for f in islice(container.decode(video=0), 90)]
    seen = look(tmp_path, [*towards(shot, 60, 89, 255), *[np.full((H, W, 3), 255, np.uint8)] * 10])
    found = seen.one("fade_out_to_white")
    assert (found.start, found.end) == pytest.approx((60 / FPS, 89 / FPS), abs=2 * FRAME)
    assert [event.type for event in seen.cuts.cuts.items] == ["fade_out"]


def test_fades_are_cut_analysis_own(tmp_path: Path) -> None:
    """Every fade contains the event of cut_analysis that it cites, and no event is left out."""
    frames = towards(drift(3, 60), 20, 50, 0) + towards(drift(4, 60), 12, 0, 0)
    seen = look(tmp_path, frames)
    events = {f"cut_analysis/cuts/{event.id}": event.t for event in seen.cuts.cuts.items if event.type != "cut"}
    fades = {f.evidence[0]: f for f in seen.result.effects.items if f.label.startswith("fade")}
    assert len(events) == 2
    assert fades.keys() == events.keys()
    assert all(fades[key].start <= t <= fades[key].end for key, t in events.items())


def test_flashes_are_flashes_and_cuts_are_cuts(tmp_path: Path) -> None:
    """White frames within a shot are flashes, at their first frame; the cuts between are found and are no flashes."""
    white = np.full((H, W, 3), 255, np.uint8)
    frames = drift(5, 30) + drift(6, 40) + drift(7, 30)
    frames[40:42] = [white] * 2
    frames[55] = np.minimum(frames[55].astype(np.int16) + 90, 255).astype(np.uint8)
    seen = look(tmp_path, frames)
    assert seen.moments == [
        ("flash", pytest.approx(40 / FPS, abs=0.001)),
        ("flash", pytest.approx(55 / FPS, abs=0.001)),
    ]
    assert [event.t for event in seen.cuts.cuts.items] == [1.0, 2.333]


def test_a_quick_dip_to_white_is_no_flash(tmp_path: Path) -> None:
    """Pictures that give way to one another through white, seven frames each way, fade and do not flash."""
    shots = [[(frame * 0.4).astype(np.uint8) for frame in drift(seed, 37)] for seed in (5, 6, 7, 8)]
    film = [f for shot in shots for f in towards(towards(shot, 7, 0, 255), 30, 36, 255)]
    seen = look(tmp_path, film)
    assert seen.moments == []
    assert seen.labels.count("fade_out_to_white") == seen.labels.count("fade_in_from_white") == 4


def test_a_short_bright_shot_is_no_flash(tmp_path: Path) -> None:
    """Eight frames of a brighter picture between two different ones are a shot."""
    bright = [np.minimum(f.astype(np.int16) + 60, 255).astype(np.uint8) for f in drift(9, 8)]
    dark = [f // 2 for f in drift(8, 30)]
    assert look(tmp_path, dark + bright + drift(10, 30)).moments == []


def test_a_freeze_frame_has_its_span(tmp_path: Path) -> None:
    """Frame 30 held until frame 60 is a freeze of one second; the same frames drifting are none."""
    frames = drift(11, 90, (3.0,))
    assert "freeze" not in look(tmp_path, frames).labels
    held = [*frames[:30], *[frames[30]] * 30, *frames[31:61]]
    (tmp_path / "held").mkdir()
    found = look(tmp_path / "held", held).one("freeze")
    assert (found.start, found.end) == pytest.approx((1.0, 2.0), abs=FRAME + 0.001)


def test_a_still_shot_is_not_frozen(tmp_path: Path) -> None:
    """A photograph between two moving shots stands still, but nothing shows that it ever moved."""
    still = [texture(12, H, W)] * 40
    assert "freeze" not in look(tmp_path, drift(13, 30) + still + drift(14, 30)).labels


def test_the_same_motion_twice_as_fast_is_faster(tmp_path: Path) -> None:
    """A pan that triples its speed is `faster` where it does so, and `slower` when it goes back; even pans are none."""
    seen = look(tmp_path, drift(15, 120, (1.0, 3.0, 1.0)))
    assert [kind for kind, _ in seen.moments] == ["faster", "slower"]
    assert [t for _, t in seen.moments] == pytest.approx([40 / FPS, 80 / FPS], abs=3 * FRAME)
    assert [event.measure for event in seen.result.moments.items] == pytest.approx([3, 3], rel=0.2)


def test_letterbox_and_its_height(tmp_path: Path) -> None:
    """Bars of 24 of 180 rows hold from the first to the last of three shots, also over a dark one."""
    frames = [np.pad(f, ((24, 24), (0, 0), (0, 0))) for seed in (16, 17) for f in drift(seed, 30, size=(H - 48, W))]
    frames[30:30] = [np.zeros((H, W, 3), np.uint8)] * 20
    seen = look(tmp_path, frames)
    bars = seen.one("letterbox")
    assert (bars.start, bars.end) == pytest.approx((0, 80 / FPS), abs=0.001)
    assert bars.box == pytest.approx((0, 24 / 180, 1, 132 / 180), abs=1 / 90)
    assert bars.measure == pytest.approx(48 / 180, abs=1 / 90)
    assert "pillarbox" not in seen.labels


def test_bars_with_a_title_in_them(tmp_path: Path) -> None:
    """A title written into the upper bar does not hide it."""
    frames = [np.pad(f, ((40, 40), (0, 0), (0, 0))) for f in drift(19, 40, size=(H - 80, W))]
    for frame in frames:
        cv2.putText(frame, "ONLY 3 LEFT", (90, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 220, 0), 2)
    assert look(tmp_path, frames).one("letterbox").measure == pytest.approx(80 / 180, abs=1 / 90)


def test_pillarbox_and_its_width(tmp_path: Path) -> None:
    """Bars of 40 of 320 columns left and right."""
    frames = [np.pad(f, ((0, 0), (40, 40), (0, 0))) for f in drift(18, 40, size=(H, W - 80))]
    seen = look(tmp_path, frames)
    assert seen.one("pillarbox").box == pytest.approx((40 / 320, 0, 240 / 320, 1), abs=1 / 90)
    assert "letterbox" not in seen.labels


def test_a_vignette_over_many_shots(tmp_path: Path) -> None:
    """Corners at 40 % of the light in all of six shots are a vignette; without the mask they are none."""
    frames = [f for seed in range(20, 26) for f in drift(seed, 15)]
    assert "vignette" not in look(tmp_path, frames).labels
    (tmp_path / "dark").mkdir()
    masked = [(f * falloff(0.4)).astype(np.uint8) for f in frames]
    vignette = look(tmp_path / "dark", masked).one("vignette")
    assert vignette.measure == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("seed", [40, 70])
def test_a_vignette_over_shots_lit_from_their_sides(tmp_path: Path, seed: int) -> None:
    """Six shots each lit from another side: the mask over them is found, and without it there is none."""
    vignette = look(tmp_path, vignetted(seed).frames).one("vignette")
    assert vignette.measure == pytest.approx(0.4, abs=0.1)
    (tmp_path / "bare").mkdir()
    bare = [f for n in range(6) for f in sidelong(seed + n, 15)]
    assert "vignette" not in look(tmp_path / "bare", bare).labels


def test_colour_left_by_the_codec_is_none(tmp_path: Path) -> None:
    """A grey shot that the codec predicts from a coloured one, which leaves traces of colour, is black and white."""
    seen = look(tmp_path, greyed(40).frames).one("black_and_white")
    assert 0.002 < seen.measure < seen.threshold
    assert (seen.start, seen.end) == pytest.approx((1.0, 2.5), abs=0.25)


def test_a_grey_logo_over_black_is_no_picture_in_black_and_white(tmp_path: Path) -> None:
    """A white logo stands over a fade and 1.5 s of black between coloured pictures: nothing grey was shown."""
    frames = [stamped(f) for f in [*towards(drift(54, 75), 15, 30, 0), *drift(55, 45)]]
    assert "black_and_white" not in look(tmp_path, frames).labels


def test_black_and_white_spans(tmp_path: Path) -> None:
    """A shot without colour between two with it is black and white for its own length."""
    seen = look(tmp_path, drift(26, 30) + without_colour(drift(27, 45)) + drift(28, 30)).one("black_and_white")
    assert (seen.start, seen.end) == pytest.approx((1.0, 2.5), abs=0.001)


def test_a_logo_that_stays_over_cuts_is_an_overlay(tmp_path: Path) -> None:
    """A logo over shots 2 to 5 of six is one overlay there, in its place; shots alone have none."""
    frames = [f for seed in range(30, 36) for f in drift(seed, 20)]
    assert "overlay" not in look(tmp_path, frames).labels
    (tmp_path / "logo").mkdir()
    for frame in frames[20:100]:
        stamped(frame)
    logo = look(tmp_path / "logo", frames).one("overlay")
    assert (logo.start, logo.end) == pytest.approx((20 / FPS, 100 / FPS), abs=0.001)
    assert logo.box == pytest.approx((264 / W, 14 / H, 32 / W, 32 / H), abs=0.03)
    assert logo.evidence == tuple(f"cut_analysis/shots/s{i}" for i in range(2, 6))


@pytest.mark.parametrize(("last", "labels"), [(60, []), (62, ["overlay"])])
def test_a_picture_that_is_faded_back_to_is_no_other(tmp_path: Path, last: int, labels: list[str]) -> None:
    """A logo over a picture that goes white, another and the first again is no overlay; over a third one it is."""
    first, second, third = (drift(seed, 60, (0.0,)) for seed in (60, 61, last))
    frames = [*towards(first, 20, 60, 255), *towards(second, 30, 0, 255), *third]
    seen = look(tmp_path, [cv2.addWeighted(f, 0.5, stamped(f.copy()), 0.5, 0) for f in frames])
    assert [label for label in seen.labels if label == "overlay"] == labels


def test_frames_of_a_dissolve_are_of_neither_shot() -> None:
    """What is summed up of a shot are its own frames, not those that the next one is mixed into."""
    watch, shot = Watch(), Shot(0, 2, "s1")
    for index, frame in enumerate(drift(60, 30)):
        watch.see(index / FPS, frame if index < 20 else frame // 2, shot, mixed=index >= 20)
    assert shot.sums is not None
    assert (shot.sums.frames, len(watch.signals.times)) == (20, 30)


def test_an_overlay_stands_as_long_as_it_stands(tmp_path: Path) -> None:
    """A grey box over dark and bright shots is one overlay from the first to the last, though its edges turn round."""
    light = (1.2, 1.3, 1.4, 0.15, 0.2, 1.2, 0.15)
    shots = [[np.clip(frame * share, 0, 255) for frame in drift(seed, 15)] for seed, share in enumerate(light, 50)]
    frames = [frame.astype(np.uint8) for shot in shots for frame in shot]
    for frame in frames:
        frame[150:165, 20:70] = 70
    boxes = [one for one in look(tmp_path, frames).result.effects.items if one.label == "overlay"]
    assert [(one.start, one.end) for one in boxes] == [(0, pytest.approx(len(frames) / FPS, abs=0.001))]
    assert boxes[0].box == pytest.approx((20 / W, 150 / H, 50 / W, 15 / H), abs=0.03)


@pytest.mark.parametrize("upright", [True, False])
def test_a_split_screen(tmp_path: Path, upright: bool) -> None:
    """Two moving pictures side by side, or one above the other, are a split screen with the seam between them."""
    size = (H, W // 2) if upright else (H // 2, W)
    halves = zip(drift(40, 40, size=size), drift(41, 40, (-2.0,), size=size), strict=True)
    seen = look(tmp_path, [np.concatenate(pair, axis=1 if upright else 0) for pair in halves])
    box = seen.one("split_screen").box
    assert box == pytest.approx((0, 0, 0.5, 1) if upright else (0, 0, 1, 0.5), abs=1 / 45)


def railing(seed: int, frames: int) -> list[Picture]:
    """A pan along a railing: pale posts of one height, each a little wider than a third of the gap to the next."""
    picture = (texture(seed, H, W + 60) // 3).astype(np.uint8)
    for left in range(7 * seed % 33, W + 60, 33):
        picture[120:150, left : left + 12] = 230
    return [np.ascontiguousarray(picture[:, left : left + W]) for left in range(frames)]


def test_lines_that_pans_run_along_are_no_overlay(tmp_path: Path) -> None:
    """Heads of posts that four pans share in their means, for each smears them into one line, were laid on nothing."""
    film = [frame for seed in (71, 72, 73, 74) for frame in railing(seed, 40)]
    assert "overlay" not in look(tmp_path, film).labels


@pytest.mark.parametrize("what", ["bar", "ticker", "progress"])
def test_bars_over_pans_are_overlays(tmp_path: Path, what: str) -> None:
    """A plain bar, one with letters that run along, and a progress bar stand over pans, though in lines only."""
    film = [frame for seed in (71, 72, 73, 74) for frame in drift(seed, 40)]
    for number, frame in enumerate(film):
        if what == "progress":
            frame[166:174, 16:-16] = 250
            frame[166:174, 16 : 16 + 288 * number // len(film)] = (250, 220, 40)
        else:
            frame[156:] = (250, 250, 240)
        if what == "ticker":
            at = (W - 3 * number, 174)
            cv2.putText(frame, "MARKETS CLOSE HIGHER TODAY", at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 60), 1)
    boxes = [one.box for one in look(tmp_path, film).result.effects.items if one.label == "overlay"]
    assert boxes
    assert all(box is not None and box[1] >= 0.84 for box in boxes)


def swaying(seed: int, frames: int) -> list[Picture]:
    """A hand-held camera before a wall over a floor with a moulding above the line, and grain of two levels."""
    grain = np.random.default_rng(seed)
    picture = (texture(seed, H + 60, W + 60) // 3).astype(np.uint8)
    line = (H + 60) * 3 // 5
    picture[:line] += np.array((120, 125, 130), np.uint8)
    picture[line - 10 : line - 4] //= 2
    found = []
    for index in range(frames):
        y = (H + 60) / 2 + 3 * np.sin(1.7 * index / FPS)
        x = (W + 60) / 2 + 6 * np.sin(1.3 * index / FPS)
        frame = window(picture, x, y, 1.0, H, W) + grain.normal(0, 2, (H, W, 1))
        found.append(np.clip(frame, 0, 255).astype(np.uint8))
    return found


@pytest.mark.parametrize("seed", [91, 92])
def test_a_room_before_a_hand_held_camera_is_no_split_screen(tmp_path: Path, seed: int) -> None:
    """Lines beside a seam that sway with the camera say that it is one scene, though grain changes both sides apart."""
    assert "split_screen" not in look(tmp_path, swaying(seed, 30)).labels


def test_a_skirting_board_is_no_seam(tmp_path: Path) -> None:
    """Wall and floor of a room meet in a line from border to border; who walks across it moves on both sides at once.

    The same room cut in two at the line, the halves moved by half a second, is a split screen.
    """
    frames = room(90, 75)
    assert look(tmp_path, frames[:60]).labels == []
    (tmp_path / "two").mkdir()
    board = H * 3 // 5
    halves = [np.concatenate([a[:board], b[board:]]) for a, b in zip(frames, frames[15:], strict=False)]
    assert look(tmp_path / "two", halves).one("split_screen").box == pytest.approx((0, 0, 1, 0.6), abs=1 / 45)


@pytest.mark.parametrize("make", WITHOUT, ids=lambda make: make.__name__)
def test_what_only_looks_like_an_effect_is_none(tmp_path: Path, make: Callable[[int], Film]) -> None:
    """Of the films that eval makes to mislead, none has an effect that was not put in."""
    film = make(60)
    seen = look(tmp_path, film.frames)
    assert seen.labels == [known.label for known in film.effects]
    assert seen.moments == []


def test_every_label_has_its_rule() -> None:
    """Labels, rules and the table of the quality page are the same, with measure, threshold and source."""
    assert RULES.keys() == {*get_args(Label), *get_args(EffectEvent.model_fields["type"].annotation)}
    page = (ROOT / "docs/quality/visual_effects.md").read_text(encoding="utf-8")
    rows = {f"| {name} | {one.measure} | {one.sense} {one.threshold:g} | {one.source} |" for name, one in RULES.items()}
    assert [row for row in sorted(rows) if row not in page] == []


def test_items_carry_threshold_and_source(tmp_path: Path) -> None:
    """What is found says which threshold it passed, on the right side of it, and where that comes from."""
    seen = look(tmp_path, [*towards(drift(61, 75), 30, 60, 0), *flashes(62).frames])
    found = [(e.label, e) for e in seen.result.effects.items] + [(e.type, e) for e in seen.result.moments.items]
    assert {name for name, _ in found} == {"fade_out_to_black", "flash"}
    for name, item in found:
        assert (item.threshold, item.source) == (RULES[name].threshold, RULES[name].source)
        assert item.measure >= item.threshold


def test_plain_footage_has_no_effects(tmp_path: Path) -> None:
    """Three moving shots with hard cuts between them: nothing is claimed."""
    seen = look(tmp_path, [f for seed in (50, 51, 52) for f in drift(seed, 40)])
    assert seen.labels == []
    assert seen.moments == []


def test_black_video_has_no_effects(tmp_path: Path) -> None:
    """Black is neither black and white nor frozen nor barred."""
    seen = look(tmp_path, [np.zeros((H, W, 3), np.uint8)] * 60)
    assert seen.labels == []
    assert seen.moments == []


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_short_videos(tmp_path: Path, frames: int) -> None:
    """One frame, two frames and one second of plain footage are looked at and have nothing."""
    seen = look(tmp_path, drift(53, frames))
    assert seen.labels == []
    assert seen.moments == []


def test_tiny_pictures_are_skipped(tmp_path: Path) -> None:
    """16 x 16 pixels are too few to look at, and the analyzer says so instead of finding nothing."""
    with pytest.raises(Skipped, match="too small"):
        look(tmp_path, [texture(60, 16, 16)] * 10)


def test_the_trailer(tmp_path: Path) -> None:
    """Sintel's trailer is letterboxed from end to end (2.35:1 in 16:9: 24.3 %), and nothing but bars and fades."""
    seen = Looked(real_clip("trailer.mp4"), tmp_path)
    assert {label for label in seen.labels if not label.startswith("fade")} == {"letterbox"}
    bars = seen.one("letterbox")
    assert (bars.start, bars.end) == (0, pytest.approx(30, abs=0.1))
    assert bars.measure == pytest.approx(1 - 16 / 9 / 2.35, abs=0.02)


@pytest.mark.parametrize("name", ["people.mp4", "bottles.mp4", "faces.mp4", "sign_book.mkv"])
def test_unedited_footage_has_no_effects(tmp_path: Path, name: str) -> None:
    """Clips straight from a camera have none of the effects."""
    seen = Looked(real_clip(name), tmp_path)
    assert seen.labels == []
    assert seen.moments == []


@pytest.mark.parametrize("seed", range(8))
def test_percentiles_are_numpys(seed: int) -> None:
    """Counting the values gives, to the last bit, what numpy gives, of crowded and of lone values; quartiles, too."""
    numbers = np.random.default_rng(seed)
    values = numbers.integers(0, 1 + 2**seed, (7 + seed, 5, 3)).astype(np.uint8)
    asked = (0, 0.2, 50, 98, 100)
    assert percentiles(values, asked) == np.percentile(values, asked).tolist()
    speeds = numbers.random(5 + seed)
    assert quartiles(speeds) == np.percentile(speeds, (25, 50, 75)).tolist()
