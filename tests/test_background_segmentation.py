"""Tests of background segmentation: run lengths, patches and measures on made masks, its networks on real people."""

import numpy as np
import pytest

from shared.schema import Caption, LabelledSegment, ObjectTrack, TimedBox, TrackedObject
from tasks.analyzers.background_segmentation import (
    BackgroundSegmentation,
    Look,
    as_series,
    backgrounds,
    look,
    run_lengths,
    without_noise,
)
from tasks.backdrop import blur, detail_ratio, dominant
from tests.support.drawings import blank
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import texture, write_video
from tests.support.real import real_clip
from tests.support.tracks import result, segments

EVERYTHING = np.array([0.0, 0.0, 1.0, 1.0])


def decoded(item):
    """The mask of run lengths, as COCO's tools read them."""
    values = np.arange(len(item.counts)) % 2
    return np.repeat(values, item.counts).reshape(item.size, order="F").astype(bool)


# --- masks ---


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([[0, 1], [0, 1], [1, 1]], (2, 4)),
        ([[1, 0], [1, 0]], (0, 2, 2)),
        ([[0, 0], [0, 0]], (4,)),
        ([[1, 1], [1, 1]], (0, 4)),
        ([[0, 1, 0], [1, 0, 0]], (1, 2, 3)),
    ],
)
def test_run_lengths_are_cocos(rows, counts):
    """Runs go down the columns and begin with zeros, of which there may be none."""
    assert run_lengths(np.array(rows, bool)) == counts


def square(left, top, side, *, shape=(100, 160)):
    """A mask with one square in it."""
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_specks_are_no_people():
    """Of a patch of 2.5 % and one of 1.4 % of the picture, only the larger stays."""
    large, small = square(10, 10, 20), square(100, 50, 15)
    np.testing.assert_array_equal(without_noise(large | small, [], [], 0.02), large)


def test_a_patch_on_a_bottle_is_no_person():
    """A patch inside another object's box is dropped, unless a person's box covers it too, or it reaches far beyond."""
    patch = square(40, 20, 40)
    bottle, half = np.array([0.25, 0.2, 0.5, 0.6]), np.array([0.25, 0.2, 0.5, 0.4])
    assert not without_noise(patch, [], [bottle], 0.02).any()
    np.testing.assert_array_equal(without_noise(patch, [EVERYTHING], [bottle], 0.02), patch)
    np.testing.assert_array_equal(without_noise(patch, [], [half], 0.02), patch)


# --- measures ---


def test_the_dominant_colour_is_that_of_most_pixels():
    """Of 70 bluish and 30 red pixels the mean of the bluish ones, with a share of 0.7; what is outside is not seen."""
    pixels = np.array([[10, 20, 200]] * 35 + [[20, 30, 210]] * 35 + [[250, 0, 0]] * 30, np.uint8)
    colour, share = dominant(np.concatenate([pixels, pixels[-1:]])[None], np.arange(101)[None] < 100)
    assert colour == pytest.approx((15, 25, 205), abs=1)
    assert share == pytest.approx(0.7)


@pytest.fixture(scope="module")
def noise():
    """A picture of fine grey noise."""
    grey = np.random.default_rng(3).integers(60, 190, (200, 320), np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def test_detail_is_compared_in_variance(noise):
    """The same noise on both sides has a ratio of 1; at half the contrast behind people it is a quarter."""
    inside = square(0, 0, 160, shape=(200, 320))
    half = np.where(inside[..., None], noise, 128 + (noise.astype(int) - 128) // 2).astype(np.uint8)
    assert detail_ratio(noise[..., 0], inside, ~inside) == pytest.approx(1, rel=0.05)
    # the two lines of pixels at the seam have an edge of their own
    assert detail_ratio(half[..., 0], inside, ~inside) == pytest.approx(0.25, rel=0.1)


def test_a_blurred_background_has_little_detail(noise):
    """Blurring what is behind a person takes the ratio below a hundredth."""
    import cv2

    person = square(100, 20, 120, shape=(200, 320))
    picture = np.where(person[..., None], noise, cv2.GaussianBlur(noise, (0, 0), 4)).astype(np.uint8)
    assert look(0.0, picture, person).ratio < 0.01 < look(0.0, noise, person).ratio


@pytest.mark.parametrize(("side", "why"), [(20, "people_too_small"), (180, "people_too_smooth")])
def test_detail_of_too_few_pixels_or_of_a_smooth_person_is_not_known(noise, side, why):
    """A tiny person, or one without any texture, is no measure: the reason, not a number."""
    person = square(40, 10, side, shape=(200, 320))
    smooth = np.where(person[..., None], 90, noise).astype(np.uint8)
    assert look(0.0, smooth, person).ratio == why
    assert look(0.0, smooth, person).colour is not None


def test_blur_rises_with_blur_and_not_with_contrast(noise):
    """The more a picture was blurred the nearer its measure is to 1; half the contrast changes nothing."""
    import cv2

    everything = np.ones((200, 320), bool)
    grey = cv2.cvtColor(texture(7, 200, 320), cv2.COLOR_RGB2GRAY)
    sharp, *blurred = (
        blur(one, everything) for one in (grey, *(cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4)))
    )
    assert [sharp, *blurred] == sorted([sharp, *blurred])
    assert blur(noise[..., 0], everything) < 0.15
    assert blurred[-1] > 1.2 * sharp
    assert blur(grey // 2 + 40, everything) == pytest.approx(sharp, abs=0.05)


def test_blur_is_that_of_the_part(noise):
    """Of a picture that is sharp on the left and blurred on the right, each side has its own blur."""
    import cv2

    soft = cv2.GaussianBlur(noise[..., 0], (0, 0), 3)
    left = np.arange(320) < 150
    picture = np.where(np.arange(320) < 160, noise[..., 0], soft)
    sides = [blur(picture, np.broadcast_to(part, (200, 320))) for part in (left, np.arange(320) > 170)]
    assert sides[0] < 0.15 < 0.4 < sides[1]


@pytest.mark.parametrize("shape", [(2, 2), (7, 9)])
def test_a_picture_smaller_than_the_filter_has_no_blur(noise, shape):
    """Of a few pixels nothing is said of blur: the measure would see their mirror and give a ninth of anything."""
    assert blur(noise[: shape[0], : shape[1], 0], np.ones(shape, bool)) is None


@pytest.mark.parametrize("level", [0, 90])
def test_a_flat_background_has_no_blur(level):
    """One colour has nothing that could be sharp or blurred: null."""
    assert blur(np.full((200, 320), level, np.uint8), np.ones((200, 320), bool)) is None


def test_without_people_all_is_background(noise):
    """A frame in which nobody is has a colour and a blur, and no people to compare its detail with."""
    seen = look(1.0, noise, np.zeros((200, 320), bool))
    assert seen.colour is not None
    assert seen.blur < 0.15
    assert (seen.share, seen.ratio) == (0, "no_people")


def test_captions_belong_to_neither_side(noise):
    """Sharp letters on a smooth person are not the person's detail, and their colour is not the background's."""
    person = square(40, 10, 180, shape=(200, 320))
    picture = np.where(person[..., None], 90, noise).astype(np.uint8)
    picture[100:130, 60:200] = noise[100:130, 60:200]
    box = np.array([60 / 320, 100 / 200, 200 / 320, 130 / 200])
    assert isinstance(look(0.0, picture, person).ratio, float)
    assert look(0.0, picture, person, [box]).ratio == "people_too_smooth"


def test_a_picture_full_of_people_has_no_background(noise):
    """Where nothing is left behind people, their share is known and nothing else."""
    assert look(2.0, noise, np.ones((200, 320), bool)) == Look(2.0, 1.0, ratio="no_background")


def shot_list(*spans):
    """Shots of these spans."""
    return [LabelledSegment(id=f"h{n}", start=start, end=end, label="shot") for n, (start, end) in enumerate(spans, 1)]


def test_shots_take_the_median_of_their_frames():
    """Colour and blur are medians over all frames, the ratio over those with people."""
    looks = [
        Look(0.0, 0.2, (10, 10, 10), 0.5, 0.3, 4.0),
        Look(0.25, 0.4, (30, 10, 10), 0.7, 0.5, 2.0),
        Look(0.5, 0.3, (20, 10, 10), 0.6, 0.4, "people_too_smooth"),
        Look(0.75, 0.0, (20, 10, 10), 0.6, 0.4),
        Look(1.0, 0.9, (255, 255, 255), 1.0, None, "people_too_small"),
        Look(2.0, 0.0, (1, 2, 3), 1.0, 0.2),
    ]
    first, second, third = backgrounds(shot_list((0, 1), (1, 2), (2, 3)), looks)
    assert (first.colour, first.colour_share, first.blur, first.detail_ratio) == ("#140a0a", 0.6, 0.4, 3.0)
    assert (first.blur_unknown, first.ratio_unknown) == (None, None)
    assert first.person_share == pytest.approx(0.225)
    assert first.evidence == ("cut_analysis/shots/h1",)
    assert (second.start, second.end, second.colour) == (1.0, 2.0, "#ffffff")
    assert (second.blur, second.blur_unknown, second.ratio_unknown) == (None, "plain", "people_too_small")
    assert (third.colour, third.blur, third.detail_ratio) == ("#010203", 0.2, None)
    assert third.ratio_unknown == "no_people"


def test_a_shot_says_why_it_has_no_background():
    """A shot full of people has no background, one between two sampled frames was not looked at: both say so."""
    full, missed = backgrounds(shot_list((0, 1), (1, 1.1)), [Look(0.0, 1.0, ratio="no_background")])
    assert (full.colour, full.blur_unknown, full.ratio_unknown, full.person_share) == (
        None,
        "no_background",
        "no_background",
        1,
    )
    assert (missed.colour, missed.blur_unknown, missed.ratio_unknown, missed.person_share) == (
        None,
        "no_frame",
        "no_frame",
        None,
    )


def test_the_series_has_null_where_the_video_has_no_frame():
    """A video of one frame a second has one value in four."""
    series = as_series([Look(0.0, 0.0), Look(1.02, 0.5)])
    assert (series.t0, series.dt, series.unit) == (0.0, 0.25, "share")
    assert series.values == (0.0, None, None, None, 0.5)


# --- the networks ---


@pytest.fixture(scope="module")
def segmentation():
    return loaded(BackgroundSegmentation())


@pytest.mark.parametrize("seconds", [1, 3])
def test_black_frames_hold_nobody(segmentation, tmp_path, seconds):
    """A black video, also of one second, was looked at: shares of 0, no masks, and a background that is black."""
    video = write_video(tmp_path / "black.mp4", [blank(320, 240, (0, 0, 0))] * (20 * seconds), fps=20)
    found = run(segmentation, video, tmp_path / "frames")
    assert found.person_share.values == (0.0,) * (4 * seconds)
    assert found.masks.items == ()
    (behind,) = found.backgrounds.items
    assert (behind.colour, behind.colour_share, behind.blur_unknown, behind.ratio_unknown) == (
        "#000000",
        1,
        "plain",
        "no_people",
    )


def test_a_landscape_has_nobody(segmentation, tmp_path):
    """A colourful picture of nothing has a measured share of 0."""
    video = write_video(tmp_path / "texture.mp4", [texture(4, 240, 320)] * 20, fps=20)
    assert set(run(segmentation, video, tmp_path / "frames").person_share.values) == {0.0}


def test_a_signer_before_a_wall(segmentation, tmp_path):
    """The signer fills a fifth of the picture all the time; masks once a second lie on her; the wall is greyish."""
    found = run(segmentation, real_clip("sign_book.mkv"), tmp_path / "frames")
    assert all(0.15 < share < 0.28 for share in found.person_share.values)
    assert [item.t for item in found.masks.items] == pytest.approx([0, 1, 2, 3], abs=0.06)
    for item in found.masks.items:
        mask = decoded(item)
        rows, columns = np.nonzero(mask)
        assert mask.shape == (90, 120)
        assert mask.mean() == pytest.approx(item.share, abs=1e-3)
        assert (columns.mean() / 120, rows.mean() / 90) == pytest.approx((0.48, 0.63), abs=0.06)
    (behind,) = found.backgrounds.items
    red, green, blue = (int(behind.colour[place : place + 2], 16) for place in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 40
    assert behind.evidence == ()


def test_people_in_the_shots_of_a_reel(segmentation, tmp_path):
    """In the sample reel people fill most of the first shot and more of the last the closer it gets; none between.

    The caption in the first shot is no detail of the person under it, who wears plain cloth.
    """
    # the first shot is one frame longer than the reel's own truth says
    shots = [(0.0, 3.03), (3.03, 6.03), (6.03, 8.53), (8.53, 12.0)]
    cuts = result(
        "cut_analysis",
        shots=segments(
            *(LabelledSegment(id=f"s{n}", start=start, end=end, label="shot") for n, (start, end) in enumerate(shots))
        ),
    )
    caption = Caption(id="x1", start=0.5, end=2.5, text="MEET THE TEAM", box=(0.1, 0.87, 0.8, 0.06))
    texts = result("text_overlay", captions=segments(caption))
    found = run(segmentation, real_clip("reel.mp4"), tmp_path / "frames", cuts, texts)
    shares = np.array(found.person_share.values)
    assert shares[:12].min() > 0.5
    assert shares[13:34].max() == 0
    assert shares[35:44].min() > 0.25
    assert shares[43] > shares[35]
    behind = found.backgrounds.items
    assert [item.evidence[0][-2:] for item in behind] == ["s0", "s1", "s2", "s3"]
    assert [item.ratio_unknown for item in behind] == [
        "people_too_smooth",
        "no_people",
        "no_people",
        "people_too_smooth",
    ]
    assert all(item.colour for item in behind)


def test_bottles_are_no_people(segmentation, tmp_path):
    """With the bottles' boxes known, no second without a hand in the picture has anybody in it."""
    boxes = [(0.05, 0.28, 0.16, 0.6), (0.42, 0.28, 0.16, 0.6), (0.78, 0.28, 0.16, 0.6)]
    things = [
        TrackedObject(
            id=f"o{n}",
            label="bottle",
            start=0.0,
            end=40.0,
            boxes=tuple(TimedBox(t=float(t), box=box) for t in range(41)),
        )
        for n, box in enumerate(boxes)
    ]
    objects = result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=tuple(things)))
    found = run(segmentation, real_clip("bottles.mp4"), tmp_path / "frames", objects)
    hands = [(4, 7.5), (11, 14), (15.5, 18), (22, 25), (27.5, 29.5), (31, 32.5), (35, 37.5)]
    seen = [n / 4 for n, share in enumerate(found.person_share.values) if share]
    assert seen
    assert all(any(start <= t <= end for start, end in hands) for t in seen), seen


def test_slides_have_nobody(segmentation, tmp_path):
    """Forty seconds of slides have a share of 0 throughout."""
    assert set(run(segmentation, real_clip("slides_talk.mp4"), tmp_path / "frames").person_share.values) == {0.0}
