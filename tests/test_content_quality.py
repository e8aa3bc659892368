"""Tests of content quality: each measure on pictures that were made worse on purpose."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.evaluation.damage import blurred, natural, noisy, squeezed
from tasks.analyzers.content_quality import ContentQuality, ContentQualityAnalysis, blocking, noise
from tasks.analyzers.cut_analysis import CutAnalysis
from tests.support.media import run
from tests.support.models import loaded, nothing
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip

H, W, FPS = 240, 320, 10


@pytest.fixture(scope="module")
def quality() -> ContentQualityAnalysis:
    return loaded(ContentQualityAnalysis())


def test_more_blur_is_less_sharp(quality: ContentQualityAnalysis) -> None:
    """Sharpness and Tenengrad fall with each step of blur."""
    seen = [quality.measure(blurred(natural(1), sigma)) for sigma in (0.3, 1, 2, 4)]
    assert all(a.sharpness > 1.3 * b.sharpness for a, b in pairwise(seen))
    assert all(a.tenengrad > b.tenengrad for a, b in pairwise(seen))


def test_contrast_is_not_sharpness(quality: ContentQualityAnalysis) -> None:
    """Half the contrast leaves sharpness as it was."""
    picture = blurred(natural(2), 1)
    dull = (picture // 2 + 64).astype(np.uint8)
    assert quality.measure(dull).sharpness == pytest.approx(quality.measure(picture).sharpness, rel=0.1)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_measured_in_levels(sigma: float) -> None:
    """Gaussian noise over a gradient is estimated within 5 %: planes do not count as noise."""
    plane = np.add.outer(np.linspace(60, 120, 300), np.linspace(0, 60, 400))
    assert noise(noisy(plane, sigma)) == pytest.approx(sigma, rel=0.05)


def test_blocking_is_one_without_a_grid_and_rises_with_compression() -> None:
    """An untouched picture has no grid; JPEG at falling quality has more and more; a shifted crop hides the grid."""
    picture = natural(3)
    assert blocking(picture) == pytest.approx(1, abs=0.02)
    grids = [blocking(squeezed(picture, q)) for q in (60, 30, 10)]
    assert grids == sorted(grids)
    assert grids[-1] > 1.5
    assert blocking(squeezed(picture, 10)[4:, 4:]) < 1


def test_a_bar_on_the_grid_is_no_blocking() -> None:
    """The edge of a letterbox at a row that 8 divides is one strong row, not a grid."""
    picture = natural(3)
    picture[:80] = picture[400:] = 0
    assert blocking(picture) == pytest.approx(1, abs=0.03)


def test_exposure_counts_clipped_values(quality: ContentQualityAnalysis) -> None:
    """A quarter black and half white are counted as such."""
    picture = natural(4)
    picture[:120], picture[240:] = 0, 255
    seen = quality.measure(picture)
    assert (seen.clipped_dark, seen.clipped_light) == pytest.approx((0.25, 0.5), abs=0.02)


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_brisque_ranks_damage(quality: ContentQualityAnalysis, seed: int) -> None:
    """Blurred, noisy and squeezed versions of a picture score worse the more it was damaged."""
    picture = natural(seed)
    best = quality.measure(picture).brisque
    for damage, mild, strong in ((blurred, 1.5, 3), (noisy, 10, 30), (squeezed, 30, 5)):
        first, second = quality.measure(damage(picture, mild)).brisque, quality.measure(damage(picture, strong)).brisque
        assert best < first < second, (damage.__name__, best, first, second)


def test_flat_pictures_have_no_texture_to_judge(quality: ContentQualityAnalysis) -> None:
    """Of black it is said how bright it is and nothing else."""
    seen = quality.measure(np.zeros((H, W), np.uint8))
    assert (seen.mean, seen.clipped_dark) == (0, 1)
    assert (seen.sharpness, seen.blocking, seen.brisque) == (None, None, None)


def clip(folder: Path, frames: list[Picture], quality: ContentQualityAnalysis) -> ContentQuality:
    video = write_video(folder / "v.mp4", frames, fps=FPS)
    cuts = CutAnalysis()
    cuts.load(nothing())
    return run(quality, video, folder / "store", ("cut_analysis", run(cuts, video, folder / "store")))


def test_shots_are_scored_apart(quality: ContentQualityAnalysis, tmp_path: Path) -> None:
    """A sharp, a blurred and a noisy shot of one scene differ in their own measure; each cites its shot."""
    scene = texture(8, 400, 600)
    views = [window(scene, 200 + 3 * i, 150, 1.0, H, W) for i in range(20)]
    other = [255 - blurred(f, 4) for f in views]
    result = clip(tmp_path, [*views, *other, *[noisy(f, 12) for f in views]], quality)
    sharp, soft, grainy = result.shots.items
    assert [shot.evidence for shot in result.shots.items] == [(f"cut_analysis/shots/s{i}",) for i in (1, 2, 3)]
    assert sharp.sharpness > 2 * soft.sharpness
    assert grainy.noise > 2 * sharp.noise
    assert result.analysed == ((0, 6),)
    overall = {scalar.name: scalar.value for scalar in result.overall.items}
    assert overall["mean"] == pytest.approx(np.mean([shot.mean for shot in result.shots.items]), abs=0.01)


def test_without_cuts_the_video_is_one_shot(quality: ContentQualityAnalysis, tmp_path: Path) -> None:
    """One second without cut analysis is measured as one span that cites nothing."""
    video = write_video(tmp_path / "v.mp4", [texture(9, H, W)] * 10, fps=FPS)
    (only,) = run(quality, video, tmp_path / "store").shots.items
    assert (only.start, only.end, only.evidence) == (0, 1, ())
    assert only.frames == 2


def test_black_video(quality: ContentQualityAnalysis, tmp_path: Path) -> None:
    """Black is clipped; nothing about texture is made up, neither per shot nor over all."""
    result = clip(tmp_path, [np.zeros((H, W, 3), np.uint8)] * 20, quality)
    overall = {scalar.name: scalar.value for scalar in result.overall.items}
    assert overall["clipped_dark"] == 1
    assert [overall[name] for name in ("sharpness", "blocking", "brisque")] == [None] * 3


def test_a_shot_without_a_frame_is_not_analysed(quality: ContentQualityAnalysis, tmp_path: Path) -> None:
    """Two frames a second are looked at; a shot between two of them is left out of `analysed`."""
    frames = [np.roll(texture(seed, H, W), i, 1) for seed, n in ((10, 26), (11, 9), (12, 25)) for i in range(n)]
    video = write_video(tmp_path / "v.mp4", frames, fps=30)
    cuts = CutAnalysis()
    cuts.load(nothing())
    found = run(cuts, video, tmp_path / "store")
    # Frames at 0.0, 0.5, 1.0 and 1.5 s; the middle shot lasts from 0.867 to 1.167 s, so it has the one at 1.0 s.
    assert len(run(quality, video, tmp_path / "store", ("cut_analysis", found)).shots.items) == 3
    short = found.model_copy(update={"shots": found.shots.model_copy(update={"items": _split(found.shots.items)})})
    result = run(quality, video, tmp_path / "store", ("cut_analysis", short))
    assert result.analysed == ((0, 1.1), (1.167, 2))


def _split(items):
    """The middle shot cut again at 1.1 s: its last part has no frame of its own."""
    first, middle, last = items
    parts = [middle.model_copy(update=u) for u in ({"end": 1.1}, {"id": "s9", "start": 1.1})]
    return (first, *parts, last)


def test_real_clips(quality: ContentQualityAnalysis, tmp_path: Path) -> None:
    """In the trailer the fades clip more dark values than the sign language clip, which is filmed in light."""
    dark = {s.name: s.value for s in run(quality, real_clip("trailer.mp4"), tmp_path / "a").overall.items}
    light = {s.name: s.value for s in run(quality, real_clip("sign_book.mkv"), tmp_path / "b").overall.items}
    assert dark["clipped_dark"] > 0.2 > light["clipped_dark"]
