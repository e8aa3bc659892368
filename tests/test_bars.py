"""Tests of the picture between bars, on bars told by hand, and of the analyzers that measure it."""

from __future__ import annotations

import numpy as np
import pytest

from shared.schema import Face, FaceBox, ObjectTrack
from tasks.analyzers.background_segmentation import look
from tasks.analyzers.color_analysis import ColorAnalysis
from tasks.analyzers.composition_analysis import CompositionAnalysis
from tasks.analyzers.content_quality import ContentQualityAnalysis
from tasks.analyzers.visual_effects import Effect
from tasks.bars import WHOLE, Bars, between, inside
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import texture, write_video
from tests.support.tracks import result, segments

HEIGHT, WIDTH, BAR = 240, 320, 48
BOX = (0.0, 0.2, 1.0, 0.6)
WIDE = Bars(id="e1", start=0.0, end=2.0, label="letterbox", box=BOX)
TALL = Bars(id="e2", start=1.0, end=2.0, label="pillarbox", box=(0.25, 0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    ("t", "expected"), [(0.5, BOX), (1.0, (0.25, 0.2, 0.5, 0.6)), (2.0, WHOLE)], ids=["wide", "both", "none"]
)
def test_the_picture_is_what_all_bars_of_the_moment_leave(t, expected):
    """Bars count in their span alone, and bars on all four sides leave a window."""
    assert between((WIDE, TALL), t) == pytest.approx(expected)


def test_the_part_between_bars_has_no_pixel_of_them():
    """What is cut out holds no bar, nearly all of the picture, and begins on the grid that was asked for."""
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    frame[BAR:-BAR] = 200
    frame[BAR + 1] = 100
    assert inside(frame, BOX).min() == 100
    assert inside(frame, BOX).shape == (HEIGHT - 2 * BAR - 2, WIDTH)
    assert inside(frame, BOX, grid=8).shape[0] == HEIGHT - 2 * BAR - 8 - 1
    assert inside(frame, WHOLE) is frame
    assert inside(frame, (0.5, 0.5, 0.001, 0.001)) is frame


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The same picture for a second, alone and between bars."""
    picture = texture(5, HEIGHT - 2 * BAR, WIDTH)
    barred = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    barred[BAR:-BAR] = picture
    folder = tmp_path_factory.mktemp("bars")
    return [write_video(folder / f"{n}.mp4", [frame] * 30, fps=30) for n, frame in enumerate((picture, barred))]


def effects():
    """What visual_effects says about the film with bars."""
    bars = Effect(id="e1", start=0.0, end=1.0, label="letterbox", measure=0.4, threshold=0.04, source="", box=BOX)
    return result("visual_effects", effects=segments(bars))


def face(box, y):
    """A face in that box at four moments, its keypoints at that height."""
    points = ((0.5, y),) * 6
    boxes = tuple(FaceBox(t=t, box=box, keypoints=points) for t in (0.0, 0.25, 0.5, 0.75))
    item = Face(id="f1", label="face", start=0.0, end=1.0, boxes=boxes)
    return result("face_detection", faces=ObjectTrack[Face](method="model", items=(item,)))


def test_bars_are_no_colour_and_no_darkness(films, tmp_path):
    """Palette, brightness and contrast of a film between bars are those of the film without them."""
    colour = ColorAnalysis()
    colour.load(None)
    bare, barred = run(colour, films[0], tmp_path / "a"), run(colour, films[1], tmp_path / "b", effects())
    assert barred.brightness.values == pytest.approx(bare.brightness.values, abs=1)
    assert barred.contrast.values == pytest.approx(bare.contrast.values, abs=1)
    assert all(swatch.hex != "#000000" for swatch in barred.palette.items[0].colours)
    untold = run(colour, films[1], tmp_path / "c")
    assert untold.brightness.values[0] < bare.brightness.values[0] - 10


def test_bars_are_no_lack_of_quality(films, tmp_path):
    """Exposure and sharpness of a film between bars are those of the film without them."""
    quality = loaded(ContentQualityAnalysis())
    (bare,) = run(quality, films[0], tmp_path / "a").shots.items
    (barred,) = run(quality, films[1], tmp_path / "b", effects()).shots.items
    assert (barred.mean, barred.clipped_dark) == pytest.approx((bare.mean, bare.clipped_dark), abs=2)
    assert barred.sharpness == pytest.approx(bare.sharpness, rel=0.1)
    assert barred.clipped_dark < 0.1


def test_composition_is_that_of_the_picture_between_bars(films, tmp_path):
    """Headroom and thirds count from the bar's edge, emptiness and symmetry leave bars out; places stay the file's."""
    composition = CompositionAnalysis()
    composition.load(None)
    alone, between_bars = (0.3, 0.25, 0.2, 0.5), (0.3, 0.2 + 0.25 * 0.6, 0.2, 0.5 * 0.6)
    (bare,) = run(composition, films[0], tmp_path / "a", face(alone, 0.5)).shots.items
    (barred,) = run(composition, films[1], tmp_path / "b", face(between_bars, 0.5), effects()).shots.items
    for name in ("headroom", "third_point", "third_line", "symmetry", "negative_space"):
        assert getattr(barred, name) == pytest.approx(getattr(bare, name), abs=0.05), name
    assert barred.subject_place == pytest.approx((0.4, 0.5))
    assert barred.subject_size == pytest.approx(0.06)


def test_the_background_is_not_the_bars():
    """A yellow sky between black bars behind somebody is yellow, although there is more black."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[90:-90] = (220, 190, 60)
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[90:-90, :60] = True
    filmed = (0.0, 90 / HEIGHT, 1.0, 60 / HEIGHT)
    assert look(0.0, frame, mask, filmed=filmed).colour == (220, 190, 60)
    assert look(0.0, frame, mask).colour == (0, 0, 0)
