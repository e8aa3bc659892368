from pathlib import Path

import numpy as np
import pytest

from tasks.analyzers.color_analysis import ColorAnalysis, ColorOptions, ColorTracks, dominant, measures, shot_at
from tasks.analyzers.cut_analysis import CutAnalysis
from tests.support.media import run
from tests.support.models import nothing
from tests.support.moving import Picture, texture, write_video

H, W = 120, 160


@pytest.fixture(scope="module")
def colour() -> ColorAnalysis:
    analyzer = ColorAnalysis()
    analyzer.load(nothing())
    return analyzer


def flat(*colours: tuple[int, int, int]) -> Picture:
    """Upright bars of equal width in these colours."""
    bars = np.array(colours, np.uint8)
    return np.ascontiguousarray(np.repeat(np.repeat(bars[None], W // len(bars), axis=1), H, axis=0))


def rgb(code: str) -> tuple[int, ...]:
    return tuple(int(code[i : i + 2], 16) for i in (1, 3, 5))


def test_palettes_follow_the_shots(colour: ColorAnalysis, tmp_path: Path) -> None:
    """Each shot has its own palette with the true colours (to 6 of 255: H.264 halves colour) and shares."""
    first, second = flat((200, 30, 30), (200, 30, 30), (200, 30, 30), (20, 40, 180)), flat((240, 240, 240))
    video = write_video(tmp_path / "v.mp4", [first] * 30 + [second] * 30)
    analyzer = CutAnalysis()
    analyzer.load(nothing())
    cuts = run(analyzer, video, tmp_path / "store")
    one, two = run(colour, video, tmp_path / "store", ("cut_analysis", cuts)).palette.items
    assert (one.start, one.end, two.start, two.end) == (0.0, 1.0, 1.0, 2.0)
    assert [swatch.share for swatch in one.colours] == pytest.approx([0.75, 0.25], abs=0.03)
    assert rgb(one.colours[0].hex) == pytest.approx((200, 30, 30), abs=6)
    assert rgb(one.colours[1].hex) == pytest.approx((20, 40, 180), abs=6)
    assert [rgb(swatch.hex) for swatch in two.colours] == [pytest.approx((240, 240, 240), abs=6)]


def test_without_shots_the_video_is_one(colour: ColorAnalysis, tmp_path: Path) -> None:
    """Without cut_analysis one palette covers the whole video."""
    video = write_video(tmp_path / "v.mp4", [texture(31, H, W)] * 45)
    (item,) = run(colour, video, tmp_path / "store").palette.items
    assert (item.start, item.end) == (0.0, 1.5)
    assert 0.9 <= sum(swatch.share for swatch in item.colours) <= 1.001


def test_series_follow_the_light(colour: ColorAnalysis, tmp_path: Path) -> None:
    """A black, a white and a coloured second show in brightness, contrast and colourfulness, two values a second."""
    frames = [flat((0, 0, 0))] * 30 + [flat((255, 255, 255))] * 30 + [flat((255, 0, 0), (0, 0, 255))] * 30
    result: ColorTracks = run(colour, write_video(tmp_path / "v.mp4", frames), tmp_path / "store")
    assert result.brightness.dt == 0.5
    assert result.brightness.values[:4] == pytest.approx((0, 0, 100, 100), abs=1.5)
    assert result.contrast.values[:4] == pytest.approx((0, 0, 0, 0), abs=1)
    assert result.saturation.values[4:] == pytest.approx((1, 1), abs=0.05)
    assert all(value is not None and value > 82 for value in result.colourfulness.values[4:])


def test_a_gap_in_the_frames_is_null(colour: ColorAnalysis, tmp_path: Path) -> None:
    """Half seconds without a frame of their own are null in the series, not repeated and not zero."""
    video = write_video(tmp_path / "v.mp4", [texture(32, H, W)] * 4, times=[0.0, 0.1, 1.6, 2.0])
    values = run(colour, video, tmp_path / "store").brightness.values
    assert [value is None for value in values] == [False, True, True, False, False]


def test_colourfulness_is_hasler_and_suesstrunks(colour: ColorAnalysis) -> None:
    """Red and cyan halves give the value that the paper's formula gives by hand, gray gives 0."""
    halves = flat((255, 0, 0), (0, 255, 255))
    # rg: 255 and -255; yb: 127.5 and -127.5; spread is the root of both variances, the means are 0.
    assert measures(halves)[4] == pytest.approx(np.hypot(255, 127.5), abs=0.1)
    assert measures(flat((90, 90, 90)))[4] == pytest.approx(0, abs=0.01)


def test_warm_is_positive_and_cold_negative() -> None:
    """Orange light is warm, blue light is cold, gray is neither."""
    warm, cold, gray = (measures(flat(c))[3] for c in ((230, 150, 60), (60, 120, 230), (128, 128, 128)))
    assert warm > 20 > -20 > cold
    assert gray == pytest.approx(0, abs=0.1)


def test_the_same_pixels_give_the_same_palette() -> None:
    """Clustering is seeded: three runs over a rich picture agree to the last digit."""
    pixels = texture(33, H, W).reshape(-1, 3)
    assert len({dominant(pixels, ColorOptions()) for _ in range(3)}) == 1


def test_near_colours_are_one() -> None:
    """Two grays a few levels apart are one swatch over the whole picture; with distance 0 they are two."""
    pixels = flat((120, 120, 120), (126, 126, 126)).reshape(-1, 3)
    (one,) = dominant(pixels, ColorOptions())
    assert one.share == 1.0
    assert len(dominant(pixels, ColorOptions(merge_distance=0))) == 2


def test_a_frame_at_a_cut_belongs_to_the_new_shot() -> None:
    """The time of a frame and of the cut at it differ by rounding only."""
    assert shot_at([(0.0, 8.567), (8.567, 12.0)], 8.5 + 1 / 15) == 1
    assert shot_at([(0.0, 8.567), (8.567, 12.0)], 8.53) == 0
