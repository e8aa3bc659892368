"""People against their background: how much of the picture they fill, masks of them, and what is behind them.

The networks are MediaPipe's two of selfie segmentation, square (256x256) and landscape (144x256). Each alone takes
bottles for people, but seldom the same ones: in 20 frames of a clip with bottles and hands the square one marked 2 % of
the picture or more in 11, the landscape one in 9, and where no hand was in it both together 1.9 % at most. So a pixel
counts as a person's only where both say so. They know near people, and no distant ones: patches of less than a fiftieth
of the picture are noise and left out, and so are patches that object detection, where it looked, has boxed as other
things than persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.schema import (
    Box,
    Caption,
    Event,
    EventTrack,
    LabelledSegment,
    Segment,
    SegmentTrack,
    SeriesTrack,
    TrackedObject,
    TrackSet,
    Unit,
)
from tasks.analyzer import Analyzer, Frames, Media, ModelContext, Options
from tasks.bars import WHOLE, between, found_bars
from tasks.boxes import Floats, Picture, pictures
from tasks.landmarks import Network
from tasks.tracking import there

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640, colour="rgb")
SURE = 0.5
"""MediaPipe's own threshold of a person's pixel."""
LEAST_SHARE = 0.02
"""Patches of less of the picture are noise; see the module's docstring."""
OTHER_THING = 0.6
"""Share of a patch inside the boxes of other objects, and outside of persons', from which on it is one of them."""
SHORT_SIDE = 90
"""Of the masks, in pixels."""
MASK_SECONDS = 1.0
EDGE = 0.03
"""Pixels nearer to a person's outline than this share of the short side belong to neither side when detail is measured:
the outline is not exact, and it is itself an edge."""
LEAST_PIXELS = 1000
"""With fewer of them on either side, detail is not measured."""
LEAST_DETAIL = 10.0
"""A person with less variance of the Laplacian (grey levels 0..255) is no measure for the background: black or soft
clothes had 0.3 to 2, people in focus 20 to 400."""
COLOURS = 4
"""Levels of each of red, green and blue: the dominant colour is the mean of the fullest of 64 bins."""

Mask = NDArray[np.bool_]


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
    """What is behind the people of one shot; `evidence` is the shot. Medians over its frames with people.

    `colour`: the dominant one, `#rrggbb`; `colour_share`: the share of the background that is about that colour.
    `detail_ratio`: variance of the Laplacian in the background divided by that in the people; null where it could not
    be measured in half of these frames. Below 1 the background has less fine detail than the people: out of focus, or
    plain, like a wall. Captions belong to neither side where text_overlay looked.
    `person_share`: mean share of the picture that is people, over all frames looked at in the shot.
    """

    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
    colour_share: Unit
    detail_ratio: float | None
    person_share: Unit


class BackgroundTracks(TrackSet):
    """`person_share`: share of the picture that is people, 0 where none are; `masks`: only where people are.

    `backgrounds`: one for each shot that has people; without cut_analysis the whole video is one shot.
    """

    person_share: SeriesTrack
    masks: EventTrack[PersonMask]
    backgrounds: SegmentTrack[Background]


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame shows: the share of people, and, where people are, the background's colour and detail ratio."""

    t: float
    share: float
    colour: tuple[int, int, int] | None = None
    colour_share: float = 0.0
    detail_ratio: float | None = None


class BackgroundSegmentation(Analyzer[BackgroundOptions, BackgroundTracks]):
    """Segments every sampled frame; the background is measured around the masks."""

    name = "background_segmentation"
    version = 2
    group = "segment"
    summary = "Share of people in the picture, masks, background colour and blur (MediaPipe selfie segmentation)"
    needs = (FRAMES,)
    uses = ("object_detection", "cut_analysis", "text_overlay", "visual_effects")
    weights: ClassVar[dict[str, str]] = {"local": "mediapipe-selfie", "gpu": "mediapipe-selfie"}
    cost = 0.1

    def load(self, model: ModelContext) -> None:
        """Load both networks and run them once: the first run allocates their memory."""
        self.square = Network(model.tflite("selfie_segmentation.tflite"))
        self.landscape = Network(model.tflite("selfie_segmentation_landscape.tflite"))
        self.people(np.zeros((256, 256, 3), np.uint8))

    def analyze(self, media: Media, options: BackgroundOptions) -> BackgroundTracks:
        """Look at every sampled frame."""
        objects = media.items("object_detection/objects", TrackedObject)
        captions = media.items("text_overlay/captions", Caption)
        bars = found_bars(media)
        looks: list[Look] = []
        masks: list[PersonMask] = []
        due = 0.0
        for t, frame in pictures(media, FRAMES):
            boxes = there(objects, t)
            persons, others = ([box for one, box in boxes if (one.label == "person") is it] for it in (True, False))
            filmed = between(bars, t)
            mask = without_noise(self.people(frame), persons, others)
            mask &= covered(mask.shape, [corners(filmed)])
            texts = [corners(one.box) for one in captions if one.start <= t < one.end]
            looks.append(look(t, frame, mask, texts, filmed))
            # times of frames are not exact multiples of the sampling interval
            if t >= due - 0.5 / SAMPLES_PER_SECOND:
                masks += [as_item(len(masks) + 1, looks[-1], mask)] if mask.any() else []
                due += options.mask_seconds
        shots = media.items("cut_analysis/shots", LabelledSegment)
        if not media.has("cut_analysis"):
            shots = (LabelledSegment(id="", start=0.0, end=media.info.duration_seconds, label="shot"),)
        return BackgroundTracks(
            person_share=as_series(looks),
            masks=EventTrack(method="model", items=tuple(masks)),
            backgrounds=SegmentTrack(method="measurement", items=backgrounds(shots, looks)),
        )

    def people(self, frame: Picture) -> Mask:
        """Pixels of people in an rgb frame: `(height, width)` with a short side of `SHORT_SIDE`."""
        import cv2

        height, width = frame.shape[:2]
        scale = SHORT_SIDE / min(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        both = []
        for network, shape in ((self.square, (256, 256)), (self.landscape, (256, 144))):
            picture = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
            both.append(cv2.resize(network.run(picture)[0][..., 0], size, interpolation=cv2.INTER_LINEAR))
        return np.asarray(np.minimum(*both) > SURE)


def without_noise(mask: Mask, persons: Sequence[Floats], others: Sequence[Floats]) -> Mask:
    """Keep the patches that are large enough and not another object; boxes `(4,)`: left, top, right, bottom, 0..1."""
    import cv2

    count, patches = cv2.connectedComponents(mask.astype(np.uint8))
    things = covered(mask.shape, others) & ~covered(mask.shape, persons)
    kept = np.zeros(mask.shape, np.bool_)
    for number in range(1, count):
        patch = patches == number
        if patch.mean() >= LEAST_SHARE and things[patch].mean() < OTHER_THING:
            kept |= patch
    return kept


def covered(shape: tuple[int, ...], boxes: Sequence[Floats]) -> Mask:
    """Pixels `(height, width)` in any of the boxes."""
    pixels = np.zeros(shape[:2], np.bool_)
    for box in boxes:
        left, top, right, bottom = (round(float(edge)) for edge in box * np.tile([shape[1], shape[0]], 2))
        pixels[top:bottom, left:right] = True
    return pixels


def corners(box: Box) -> Floats:
    """Left, top, right, bottom `(4,)` of a document's box."""
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])


def look(t: float, frame: Picture, mask: Mask, captions: Sequence[Floats] = (), filmed: Box = WHOLE) -> Look:
    """Measure one rgb frame `(height, width, 3)` with its mask of people, which may be smaller; boxes as above.

    `filmed`: the picture between bars. The share is that of the whole picture.
    """
    import cv2

    if not mask.any():
        return Look(t, 0.0)
    height, width = frame.shape[:2]
    people = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    edge = max(1, round(EDGE * min(height, width)))
    around = np.ones((2 * edge + 1, 2 * edge + 1), np.uint8)
    # beyond the picture people go on, and so does the background
    unfilmed = covered(frame.shape, captions) | ~covered(frame.shape, [corners(filmed)])
    free = cv2.dilate(unfilmed.astype(np.uint8), around) == 0
    inside = (cv2.erode(people, around) == 1) & free
    outside = (cv2.dilate(people, around) == 0) & free
    if not outside.any():
        return Look(t, float(mask.mean()))
    colour, colour_share = dominant(frame[outside])
    return Look(t, float(mask.mean()), colour, colour_share, detail_ratio(frame, inside, outside))


def dominant(pixels: NDArray[np.uint8]) -> tuple[tuple[int, int, int], float]:
    """The mean colour of the fullest of 64 bins of rgb pixels `(n, 3)`, and the share of the pixels in it."""
    levels = pixels.astype(np.intp) * COLOURS // 256
    bins = (levels[:, 0] * COLOURS + levels[:, 1]) * COLOURS + levels[:, 2]
    sizes = np.bincount(bins, minlength=COLOURS**3)
    red, green, blue = (round(float(value)) for value in pixels[bins == sizes.argmax()].mean(axis=0))
    return (red, green, blue), float(sizes.max() / len(pixels))


def detail_ratio(frame: Picture, inside: Mask, outside: Mask) -> float | None:
    """Variance of the Laplacian outside divided by that inside; None where either side is too small or too smooth.

    The measure of focus is Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """
    import cv2

    if min(inside.sum(), outside.sum()) < LEAST_PIXELS:
        return None
    laplacian = cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    people, background = float(laplacian[inside].var()), float(laplacian[outside].var())
    return background / people if people >= LEAST_DETAIL else None


def backgrounds(shots: Sequence[LabelledSegment], looks: Sequence[Look]) -> tuple[Background, ...]:
    """What is behind the people of each shot that has some."""
    items: list[Background] = []
    for shot in shots:
        # times of shots are rounded to a millisecond, those of frames are not
        within = [one for one in looks if shot.start - 1e-3 <= one.t < shot.end - 1e-3]
        colours = [one.colour for one in within if one.colour is not None]
        if not colours:
            continue
        red, green, blue = (round(float(part)) for part in np.median(colours, axis=0))
        ratios = [one.detail_ratio for one in within if one.detail_ratio is not None]
        items.append(
            Background(
                id=f"b{len(items) + 1}",
                evidence=(f"cut_analysis/shots/{shot.id}",) if shot.id else (),
                start=shot.start,
                end=shot.end,
                colour=f"#{red:02x}{green:02x}{blue:02x}",
                colour_share=float(np.median([one.colour_share for one in within if one.colour is not None])),
                detail_ratio=round(float(np.median(ratios)), 4) if 2 * len(ratios) >= len(colours) else None,
                person_share=float(np.mean([one.share for one in within])),
            )
        )
    return tuple(items)


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
