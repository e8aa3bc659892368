"""People against their background: how much of the picture they fill, masks of them, and what is behind them.

The local model is MediaPipe's selfie segmentation, which knows near people and nothing else; on a GPU one of ADE20K's
150 classes also names what is behind them. Patches of people that are too small for the model to be sure are left out,
and so are patches that object detection, where it looked, has boxed as other things than persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from shared.schema import (
    Box,
    Caption,
    Event,
    EventTrack,
    Frozen,
    LabelledSegment,
    Segment,
    SegmentTrack,
    SeriesTrack,
    TrackedObject,
    TrackSet,
    Unit,
)
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.backdrop import Mask, RatioUnknown, blur, detail_ratio, dominant
from tasks.bars import WHOLE, between, found_bars
from tasks.boxes import Floats, Picture, answered, pictures
from tasks.engines.segmentation import SEGMENTERS, Segmenter
from tasks.shots import shown_until
from tasks.tracking import there

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640, colour="rgb")
OTHER_THING = 0.6
"""Share of a patch inside the boxes of other objects, and outside of persons', from which on it is one of them."""
LEAST_CLASS = 0.02
"""Classes that fill less of the picture are not named."""
MASK_SECONDS = 1.0
EDGE = 0.03
"""Pixels nearer to a person's outline than this share of the short side belong to neither side when detail is measured:
the outline is not exact, and it is itself an edge."""


class BackgroundOptions(Options):
    """Options of background segmentation."""

    mask_seconds: float = Field(MASK_SECONDS, ge=0.25, description="Seconds from one mask to the next")


class PersonMask(Event):
    """Where people are at one moment, as COCO's uncompressed run lengths.

    `size`: height and width of the mask, which covers the whole picture. `counts`: lengths of runs, column after column
    from the top left, the first of background (0 when the mask begins with a person), then of persons, in turns.
    `share` of the picture, 0..1.
    """

    type: Literal["person"] = "person"
    size: tuple[int, int]
    counts: tuple[int, ...]
    share: Unit


class Background(Segment):
    """What is behind the people of one shot, or all of it where nobody is; `evidence` is the shot.

    Medians over the frames looked at, captions left out where text_overlay looked. `colour`: the dominant one,
    `#rrggbb`; `colour_share`: the share of the background that is about that colour; both null without background.
    `blur`: 0 sharp to 1 blurred, the measure of Crete et al. 2007; null with `blur_unknown` saying why: no frame of the
    shot was looked at, people and captions fill the picture, or there is nothing in the background to be sharp.
    `detail_ratio`: variance of the Laplacian in the background divided by that in the people: below 1 the background
    has less fine detail than the people: out of focus, or plain, like a wall. Null, with `ratio_unknown` saying why,
    where it could not be measured in half of the frames with people.
    `person_share`: mean share of the picture that is people, null where no frame was looked at.
    """

    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] | None
    colour_share: Unit | None
    blur: Unit | None
    blur_unknown: Literal["no_frame", "no_background", "plain"] | None
    detail_ratio: float | None
    ratio_unknown: RatioUnknown | Literal["no_frame"] | None
    person_share: Unit | None


class ClassShare(Frozen):
    """A class of things, and the share of the picture that it fills."""

    label: str
    share: Unit


class Surroundings(Segment):
    """What is in the picture of one shot besides people; `evidence` is the shot.

    `classes`: means over the frames looked at in the shot, the largest first, of at least a fiftieth of the picture.
    """

    classes: tuple[ClassShare, ...]


class BackgroundTracks(TrackSet):
    """`person_share`: share of the picture that is people, 0 where none are; `masks`: only where people are.

    `backgrounds`: one for each shot; without cut_analysis the whole video is one shot.
    `surroundings`: one for each shot, where the model names things (gpu profile); else empty.
    """

    person_share: SeriesTrack
    masks: EventTrack[PersonMask]
    backgrounds: SegmentTrack[Background]
    surroundings: SegmentTrack[Surroundings]


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame shows: the share of people, the background's colour and blur, and its detail against theirs.

    `ratio`: a number, or why there is none. `blur` None: the background is plain.
    """

    t: float
    share: float
    colour: tuple[int, int, int] | None = None
    colour_share: float = 0.0
    blur: float | None = None
    ratio: float | RatioUnknown = "no_people"


Shown = tuple[Picture, Mask, Sequence[Floats], Box]
"""What a look is at, as `look` takes it."""


class BackgroundSegmentation(Analyzer[BackgroundOptions, BackgroundTracks]):
    """Segments every sampled frame; the background is measured around the masks."""

    name = "background_segmentation"
    version = 5
    group = "segment"
    summary = "Share of people, masks, background colour and blur (MediaPipe), and on a GPU its classes (ADE20K)"
    needs = (FRAMES,)
    uses = ("object_detection", "cut_analysis", "text_overlay", "visual_effects")
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-selfie", "gpu": "segformer-b4"}
    cost = 0.1
    cost_in = {"gpu": 0.07}
    value = 1

    def load(self, model: ModelContext) -> None:
        """Load the segmenter that the weights are for."""
        self._segmenter: Segmenter = model.engine(SEGMENTERS)

    def analyze(self, media: Media, options: BackgroundOptions) -> BackgroundTracks:
        """Look at every sampled frame."""
        objects = media.items("object_detection/objects", TrackedObject)
        captions = media.items("text_overlay/captions", Caption)
        bars = found_bars(media)
        looks: list[Look] = []
        shares: list[Floats] = []
        masks: list[PersonMask] = []
        due = 0.0
        before: Shown | None = None
        person = self._segmenter.labels.index("person")
        for t, frame, classes in answered(pictures(media, FRAMES), self._segmenter.maps):
            boxes = there(objects, t)
            persons, others = ([box for one, box in boxes if (one.label == "person") is it] for it in (True, False))
            filmed = between(bars, t)
            shares.append(np.bincount(classes.ravel(), minlength=len(self._segmenter.labels)) / classes.size)
            mask = without_noise(classes == person, persons, others, self._segmenter.least_share)
            mask &= covered(mask.shape, [corners(filmed)])
            texts = [corners(one.box) for one in captions if one.start <= t < one.end]
            shown = frame, mask, texts, filmed
            if before is not None and unchanged(before, shown):
                looks.append(replace(looks[-1], t=t))
            else:
                looks.append(look(t, *shown))
            before = shown
            # times of frames are not exact multiples of the sampling interval
            if t >= due - 0.5 / SAMPLES_PER_SECOND:
                masks += [as_item(len(masks) + 1, looks[-1], mask)] if mask.any() else []
                due += options.mask_seconds
        shots = media.items("cut_analysis/shots", LabelledSegment)
        if not media.has("cut_analysis"):
            shots = (LabelledSegment(id="", start=0.0, end=shown_until(media, FRAMES), label="shot"),)
        return BackgroundTracks(
            person_share=as_series(looks),
            masks=EventTrack(method="model", items=tuple(masks)),
            backgrounds=SegmentTrack(method="measurement", items=backgrounds(shots, looks)),
            surroundings=SegmentTrack(method="model", items=self._surroundings(shots, looks, shares)),
        )

    def _surroundings(
        self, shots: Sequence[LabelledSegment], looks: Sequence[Look], shares: Sequence[Floats]
    ) -> tuple[Surroundings, ...]:
        """What is in each shot besides people; `shares` `(classes,)` of each frame looked at."""
        if not self._segmenter.names_things:
            return ()
        items: list[Surroundings] = []
        for shot in shots:
            within = [each for one, each in zip(looks, shares, strict=True) if in_shot(one, shot)]
            if not within:
                continue
            named = sorted(zip(np.mean(within, axis=0).tolist(), self._segmenter.labels, strict=True), reverse=True)
            classes = [ClassShare(label=label, share=share) for share, label in named if share >= LEAST_CLASS]
            items.append(
                Surroundings(
                    id=f"u{len(items) + 1}",
                    evidence=(f"cut_analysis/shots/{shot.id}",) if shot.id else (),
                    start=shot.start,
                    end=shot.end,
                    classes=tuple(one for one in classes if one.label != "person"),
                )
            )
        return tuple(items)


def without_noise(mask: Mask, persons: Sequence[Floats], others: Sequence[Floats], least_share: float) -> Mask:
    """Keep the patches that are large enough and not another object; boxes `(4,)`: left, top, right, bottom, 0..1."""
    import cv2

    count, patches = cv2.connectedComponents(mask.astype(np.uint8))
    things = covered(mask.shape, others) & ~covered(mask.shape, persons)
    sizes = np.bincount(patches.ravel(), minlength=count)
    within = np.bincount(patches[things], minlength=count)
    kept = (sizes / mask.size >= least_share) & (within < OTHER_THING * sizes)
    kept[0] = False  # what is in no patch
    return np.asarray(kept[patches], np.bool_)


def covered(shape: tuple[int, ...], boxes: Sequence[Floats]) -> Mask:
    """Pixels `(height, width)` in any of the boxes."""
    pixels = np.zeros(shape[:2], np.bool_)
    for box in boxes:
        pixels[places(shape, box)] = True
    return pixels


def unchanged(before: Shown, now: Shown) -> bool:
    """Whether the same picture is looked at, with the same mask, captions and bars."""
    (picture, mask, texts, filmed), (picture_now, mask_now, texts_now, filmed_now) = before, now
    same_boxes = np.array_equal(np.array(texts), np.array(texts_now)) and filmed == filmed_now
    return picture is picture_now and same_boxes and np.array_equal(mask, mask_now)


def clear(shape: tuple[int, ...], boxes: Sequence[Floats], filmed: Floats, edge: int) -> Mask:
    """Pixels `(height, width)` in the filmed part further than `edge` from any box and from what is not filmed.

    Beyond the picture what is filmed goes on.
    """
    (rows, columns), free = places(shape, filmed), np.zeros(shape[:2], np.bool_)
    if rows.start < rows.stop and columns.start < columns.stop:
        top, left = (side.start + edge if side.start else 0 for side in (rows, columns))
        below, right = (
            side.stop - edge if side.stop < size else size for side, size in zip((rows, columns), shape, strict=False)
        )
        free[top : max(below, 0), left : max(right, 0)] = True
    for rows, columns in (places(shape, box) for box in boxes):
        if rows.start < rows.stop and columns.start < columns.stop:
            free[max(rows.start - edge, 0) : rows.stop + edge, max(columns.start - edge, 0) : columns.stop + edge] = (
                False
            )
    return free


def places(shape: tuple[int, ...], box: Floats) -> tuple[slice, slice]:
    """Rows and columns of a box."""
    left, top, right, bottom = (round(float(edge)) for edge in box * np.tile([shape[1], shape[0]], 2))
    return slice(top, bottom), slice(left, right)


def corners(box: Box) -> Floats:
    """Left, top, right, bottom `(4,)` of a document's box."""
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])


def look(t: float, frame: Picture, mask: Mask, captions: Sequence[Floats] = (), filmed: Box = WHOLE) -> Look:
    """Measure one rgb frame `(height, width, 3)` with its mask of people, which may be smaller; boxes as above.

    `filmed`: the picture between bars. The share is that of the whole picture.
    """
    import cv2

    edge = max(1, round(EDGE * min(frame.shape[:2])))
    around = np.ones((2 * edge + 1, 2 * edge + 1), np.uint8)
    inside, outside = np.zeros(frame.shape[:2], np.bool_), np.ones(frame.shape[:2], np.bool_)
    # beyond the picture people go on, and so does the background
    if mask.any():
        people = cv2.resize(mask.view(np.uint8), frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        inside, outside = cv2.erode(people, around).view(np.bool_), cv2.dilate(people, around) == 0
    if captions or filmed != WHOLE:
        free = clear(frame.shape, captions, corners(filmed), edge)
        inside, outside = inside & free, outside & free
    # a quarter of the pixels has the same colours
    quarter, behind = fourth(frame), np.ascontiguousarray(outside[::2, ::2])
    if not behind.any():
        return Look(t, float(mask.mean()), ratio="no_background")
    gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
    ratio = detail_ratio(gray, inside, outside) if mask.any() else "no_people"
    colour, colour_share = dominant(quarter, behind)
    return Look(t, float(mask.mean()), colour, colour_share, blur(gray, outside), ratio)


def fourth(frame: Picture) -> Picture:
    """Every second pixel of every second row `(h, w, 3)`; pixels are copied whole, which is four times as fast."""
    pixels = np.ascontiguousarray(frame).view(np.dtype((np.void, 3)))[..., 0]
    picked: Picture = np.ascontiguousarray(pixels[::2, ::2]).view(np.uint8)
    return picked.reshape(*pixels[::2, ::2].shape, 3)


def in_shot(one: Look, shot: LabelledSegment) -> bool:
    """Whether a frame is of a shot; times of shots are rounded to a millisecond, those of frames are not."""
    return shot.start - 1e-3 <= one.t < shot.end - 1e-3


def backgrounds(shots: Sequence[LabelledSegment], looks: Sequence[Look]) -> tuple[Background, ...]:
    """What is behind the people of each shot, or all of it."""
    items: list[Background] = []
    for number, shot in enumerate(shots, 1):
        within = [one for one in looks if in_shot(one, shot)]
        behind = [(one.colour, one.colour_share) for one in within if one.colour is not None]
        blurs = [one.blur for one in within if one.colour is not None and one.blur is not None]
        ratio = _ratio(within)
        some = 2 * len(blurs) >= len(behind) > 0
        items.append(
            Background(
                id=f"b{number}",
                evidence=(f"cut_analysis/shots/{shot.id}",) if shot.id else (),
                start=shot.start,
                end=shot.end,
                colour=_hex([colour for colour, _ in behind]) if behind else None,
                colour_share=float(np.median([share for _, share in behind])) if behind else None,
                blur=round(float(np.median(blurs)), 4) if some else None,
                blur_unknown=None if some else "plain" if behind else "no_background" if within else "no_frame",
                detail_ratio=round(ratio, 4) if isinstance(ratio, float) else None,
                ratio_unknown=None if isinstance(ratio, float) else ratio,
                person_share=float(np.mean([one.share for one in within])) if within else None,
            )
        )
    return tuple(items)


def _ratio(looks: Sequence[Look]) -> float | RatioUnknown | Literal["no_frame"]:
    """Median of the ratios of the frames with people, or what kept most of them from having one."""
    if not looks:
        return "no_frame"
    ratios = [one.ratio for one in looks if one.share > 0]
    known = [one for one in ratios if isinstance(one, float)]
    if ratios and 2 * len(known) >= len(ratios):
        return float(np.median(known))
    unknown = [one for one in (ratios or [look.ratio for look in looks]) if not isinstance(one, float)]
    return max(unknown, key=unknown.count)


def _hex(colours: Sequence[tuple[int, int, int]]) -> str:
    """The median of each channel, `#rrggbb`."""
    red, green, blue = (round(float(part)) for part in np.median(colours, axis=0))
    return f"#{red:02x}{green:02x}{blue:02x}"


def as_series(looks: Sequence[Look]) -> SeriesTrack:
    """Shares at the sampling interval; null where the video has no frame."""
    slots: dict[int, float] = {}
    for one in looks:
        slots.setdefault(round(one.t * SAMPLES_PER_SECOND), round(one.share, 4))
    values = tuple(slots.get(slot) for slot in range(max(slots, default=-1) + 1))
    return SeriesTrack(method="model", unit="share", t0=0.0, dt=1 / SAMPLES_PER_SECOND, values=values)


def as_item(number: int, seen: Look, mask: Mask) -> PersonMask:
    """Write a mask `(height, width)` as a document item."""
    height, width = mask.shape
    return PersonMask(id=f"k{number}", t=seen.t, size=(height, width), counts=run_lengths(mask), share=seen.share)


def run_lengths(mask: Mask) -> tuple[int, ...]:
    """Lengths of a mask's runs `(height, width)`, column by column, the first of zeros: COCO's uncompressed RLE."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return (0, *runs.tolist()) if flat[0] else tuple(runs.tolist())
