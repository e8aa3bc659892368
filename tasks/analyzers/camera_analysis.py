"""How the camera moves: pans, tilts, zooms, shake, or none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import CameraMotion, LabelledSegment, SegmentTrack, SeriesTrack, Span, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options

PICTURES = Frames(fps=10, short_side=240, colour="gray")

Motion = Literal["static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "shake", "mixed"]
Points = NDArray[np.float32]
Picture = NDArray[np.uint8]
Matrix = NDArray[np.float64]
IDENTITY: Matrix = np.eye(2, 3)
STILL = (0.0, 0.0, 0.0, 0.0)
NAMES: tuple[tuple[Motion, Motion], ...] = (
    ("pan_right", "pan_left"),
    ("tilt_down", "tilt_up"),
    ("zoom_out", "zoom_in"),
)
"""Names of a motion of the content along x, y and zoom: when negative, when positive."""
TURN = 3

CHAIN, CHAIN_SECONDS = 5, 0.75
"""Steps over which points are followed before new ones are chosen: half a second. In slow films a step that comes to
more than this is the last one."""
HELD_SECONDS = 1.0
"""A picture that stands for longer is no part of a film: nothing moves while it stands, and what lies between it and
the next one nobody saw."""
GRID, PER_CELL = 8, 5
"""Points are spread over 8 x 8 cells, 5 in each at most, so that captions and people count by their area."""
CORNER_STRENGTH, CORNER_DISTANCE, WINDOW = 5e-6, 5, 15
"""Least corner strength (smaller eigenvalue of the gradient matrix: Shi and Tomasi, Good Features to Track, 1994; below
white noise of 2 levels, 2e-5: what noise makes is not found again), side in pixels of the patch in which a corner is
the strongest, and of the one tracked."""
BLACK, GRAIN = 32, 5
"""A picture that is nowhere brighter, in levels of 0..255 and with grain averaged out over squares of so many pixels,
is black, as bars are: nothing in it could move. What a codec makes of grain there stands still for seconds."""
RETURN_PIXELS = 0.5
"""A point counts when tracking it forth and back ends where it began (Kalal et al., Forward-Backward Error, 2010)."""
INLIER_PIXELS, CHAIN_PIXELS = 0.7, 1.5
"""How far a point may lie from where the motion found takes it, in one step and over a chain: bodies sway slowly and
bend, scenes do not."""
LEAST_POINTS, LEAST_SHARE, LEAST_CELLS, LEAST_SPREAD = 12, 0.4, 6, 3
"""With fewer points, a smaller share that agrees, or agreement in fewer of the 64 cells or 3 rows and columns of them
(a caption is one or two rows), it cannot be told how the camera moves. Shares are of the cells that have points."""
STILL_PIXELS, STILL_SHARE = 0.5, 0.35
"""With this share of the cells never off their place by more than this in a chain, the camera stands and things move.
At the slowest zoom that counts, about 15 % of them (those in the middle) stand still."""
SMOOTH = 5
"""Steps of the running median that separates intended motion from jitter."""
JITTER = 7
"""Steps over which the strength of jitter is measured."""
DOMINANT = 2.0
"""A motion gives the segment its name when it is this many times as large as each other; else it is mixed."""
SLOW_TURN = 0.1
"""A turn slower than this, in short sides a second, is how heads and bodies sway before a plain wall, not how cameras
are moved: it is not told which of them it was."""
SLOT = 0.1
"""Seconds from one value of a series to the next."""
SHORTEST_SECONDS = 0.35
"""Shorter runs of a label, or of not knowing, are given to the longer neighbour."""


TOUCH = 0.001
"""Seconds: times of shots, and so of segments, are rounded to a millisecond, those of frames are not."""


class CameraOptions(Options):
    """When motion counts. All in shares of the short side per second, meant over the picture."""

    moving: float = Field(0.02, gt=0, description="Least speed of a pan, tilt or zoom")
    shaking: float = Field(0.1, gt=0, description="Least root mean square speed of jitter")


class CameraTracks(TrackSet):
    """`motion`: how the camera moved; spans in which it could not be told are missing. `analysed` covers every span in
    which there is a segment or a value of a series.

    Directions are the camera's: `pan_right` turns it right (the picture's content moves left), `tilt_up` turns it up
    (content moves down), `zoom_in` makes content larger. `confidence` is the mean share of the picture's textured
    part that agrees with the motion found, a measurement. `speed`: of the camera; `movement`: of all that is in the
    picture, camera and things, the mean over its textured part. Both in percent of the short side per second, every
    tenth of a second; null where they cannot be told and across cuts. A picture that stands for more
    than a second, a photograph or a call that stalls, is `static`; black is not.
    """

    motion: SegmentTrack[CameraMotion]
    speed: SeriesTrack
    movement: SeriesTrack


@dataclass(frozen=True, slots=True)
class Step:
    """Motion of the picture's content between two frames, in short sides per second; None where it cannot be told.

    `x` to the right, `y` down, `zoom` and `turn` as root mean square speed over the picture (enlarging and clockwise
    are positive). `agreement`: share of the textured cells that follow it. `movement`: mean speed of the textured
    cells, whatever moves in them.
    """

    start: float
    end: float
    velocity: tuple[float, float, float, float] | None
    agreement: float = 0.0
    movement: float | None = None

    @property
    def speed(self) -> float | None:
        """How fast the camera moves, in short sides per second."""
        return None if self.velocity is None else float(np.linalg.norm(self.velocity))


class CameraAnalysis(Analyzer[CameraOptions, CameraTracks]):
    """Corners tracked from frame to frame (Lucas-Kanade), a similarity fitted by RANSAC, its four parts named.

    Ten frames a second. A running median of half a second is the intended motion, the rest is jitter. No step crosses
    a cut.
    """

    name: ClassVar[str] = "camera_analysis"
    version: ClassVar[int] = 8
    group: ClassVar[str] = "segment"
    summary: ClassVar[str] = "Camera motion (optical flow, similarity by RANSAC, thresholds)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    requires: ClassVar[tuple[str, ...]] = ("cut_analysis",)
    cost: ClassVar[float] = 0.05
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.039}
    """On the 16 cores beside an H100: 0.39 s for ten seconds of video (docs/performance.md)."""

    def load(self, model: ModelContext) -> None:
        """Import OpenCV."""
        import cv2  # noqa: F401

    def analyze(self, media: Media, options: CameraOptions) -> CameraTracks:
        """Measure shot by shot."""
        shots = media.items("cut_analysis/shots", LabelledSegment)
        items: list[CameraMotion] = []
        pairs = list(measured(media, shots))
        lost = [(before[1], after[0]) for before, after in pairwise(media.shown(PICTURES))]
        pairs = [(shot, Step(step.start, step.end, None) if crosses(step, lost) else step) for shot, step in pairs]
        for index, group in groupby(pairs, key=lambda pair: pair[0]):
            shot, steps = shots[index], [step for _, step in group]
            for label, first, last in runs(steps, labels(steps, options)):
                start = shot.start if first == 0 else steps[first].start
                end = shot.end if last == len(steps) - 1 else steps[last].end
                if label is None or not is_lasting(start, end):
                    continue
                items.append(
                    CameraMotion(
                        id=f"m{len(items) + 1}",
                        start=start,
                        end=end,
                        motion=label,
                        confidence=agreement(steps[first : last + 1]),
                    )
                )
        everything = [step for _, step in pairs]
        return CameraTracks(
            analysed=seen(items, everything),
            motion=SegmentTrack[CameraMotion](method="measurement", items=tuple(items)),
            speed=series(everything, [step.speed for step in everything]),
            movement=series(everything, [step.movement for step in everything]),
        )


def series(steps: Sequence[Step], speeds: Sequence[float | None]) -> SeriesTrack:
    """Speeds of steps, in short sides per second and ordered by time, as percent of it every `SLOT` seconds.

    Each value is that of the step around the middle of its slot.
    """
    count = int(np.ceil(steps[-1].end / SLOT - 0.5)) if steps else 0
    middles = (np.arange(count) + 0.5) * SLOT
    around = np.searchsorted([step.start for step in steps], middles, side="right") - 1
    found = [
        speeds[index] if index >= 0 and middle < steps[index].end else None
        for index, middle in zip(around.tolist(), middles.tolist(), strict=True)
    ]
    values = tuple(None if speed is None else round(100 * speed, 2) for speed in found)
    return SeriesTrack(method="measurement", unit="%/s", t0=0.0, dt=SLOT, values=values)


def is_lasting(start: float, end: float) -> bool:
    """Whether something is left of a span in the document, whose times are rounded to a millisecond."""
    return round(start, 3) < round(end, 3)


def crosses(step: Step, lost: Sequence[Span]) -> bool:
    """Whether pictures between its two frames are lost."""
    return any(start < step.end and step.start < end for start, end in lost)


def measured(media: Media, shots: Sequence[LabelledSegment]) -> Iterator[tuple[int, Step]]:
    """Yield the steps of all shots in order, each with its shot's index."""
    chain: list[tuple[float, Picture]] = []
    shot = 0
    for batch in media.frames(PICTURES, batch=32):
        for t, until, frame in zip(batch.times, batch.until, batch.frames, strict=True):
            ended = shot
            # Times of shots are rounded to a millisecond, those of frames are not.
            while shot < len(shots) - 1 and t >= shots[shot].end - 0.001:
                shot += 1
            if shot != ended or is_whole(chain):
                yield from ((ended, step) for step in follow(chain))
                chain = chain[-1:] if shot == ended else []
            chain.append((float(t), frame))
            if until - t > HELD_SECONDS + TOUCH:
                yield from ((shot, step) for step in (*follow(chain), still(float(t), float(until), frame)))
                chain = []
        media.progress(min(1.0, float(batch.times[-1]) / max(media.info.duration_seconds, 1e-3)))
    yield from ((shot, step) for step in follow(chain))


def is_whole(chain: Sequence[tuple[float, Picture]]) -> bool:
    """Whether points are followed no further than to its last frame."""
    return len(chain) > CHAIN or (len(chain) > 1 and chain[-1][0] - chain[0][0] > CHAIN_SECONDS)


def still(start: float, end: float, picture: Picture) -> Step:
    """What a picture that stands for so long says: nothing moves, unless there is nothing in it that could."""
    if not len(corners(picture)):
        return Step(start, end, None)
    return Step(start, end, STILL, agreement=1.0, movement=0.0)


def follow(chain: Sequence[tuple[float, Picture]]) -> list[Step]:
    """Motion between the consecutive frames, `(seconds, uint8 (height, width))`, of one chain."""
    if len(chain) < 2:
        return []
    shape = chain[0][1].shape
    origin = points = corners(chain[0][1])
    predicted = origin.astype(np.float64)
    tracked = np.ones(len(points), np.bool_)
    strayed = np.zeros(len(points), np.float32)
    steps = []
    for (start, a), (end, b) in pairwise(chain):
        moved, found = flow(a, b, points)
        tracked &= found
        strayed = np.maximum(strayed, np.linalg.norm(moved - origin, axis=1))
        step, matrix = fitted(start, end, points[tracked], moved[tracked], shape)
        predicted = predicted @ matrix[:, :2].T + matrix[:, 2]
        pace = mean_shift(points[found], moved[found], shape)
        movement = None if pace is None else pace / (min(shape) * (end - start))
        steps.append(replace(step, movement=movement))
        points = moved
    still = tracked & (strayed < STILL_PIXELS)
    rigid = tracked & (np.linalg.norm(points - predicted, axis=1) < CHAIN_PIXELS)
    standing = area(origin[tracked], still[tracked], shape)
    if standing >= STILL_SHARE and spread(origin[still], shape):
        return [replace(step, velocity=STILL, agreement=standing) for step in steps]
    if area(origin[tracked], rigid[tracked], shape) < LEAST_SHARE:
        return [replace(step, velocity=None, agreement=0.0) for step in steps]
    return steps


def corners(picture: Picture) -> Points:
    """Corners worth tracking, float32 `(n, 2)` x and y in pixels, the strongest of each cell; none of black."""
    import cv2

    if cv2.blur(picture, (GRAIN, GRAIN)).max() <= BLACK:
        return np.zeros((0, 2), np.float32)
    strength = cv2.cornerMinEigenVal(picture, 3)
    strongest = cv2.dilate(strength, np.ones((CORNER_DISTANCE, CORNER_DISTANCE), np.uint8))
    rows, columns = np.nonzero((strength == strongest) & (strength > CORNER_STRENGTH))
    order = np.argsort(-strength[rows, columns], kind="stable")
    points = np.stack([columns[order], rows[order]], axis=1).astype(np.float32)
    numbers = cells(points, picture.shape)
    by_cell = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers, minlength=GRID * GRID)
    place = np.arange(len(points)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return points[np.sort(by_cell[place < PER_CELL])]


def flow(a: Picture, b: Picture, points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Where the points of `a` are in `b`, and for which of them that is certain."""
    import cv2

    if len(points) == 0:
        return points, np.zeros(0, np.bool_)
    size = (WINDOW, WINDOW)
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, points, np.empty_like(points), winSize=size)
    certain: NDArray[np.bool_] = found.ravel() == 1
    if certain.any():
        kept = there[certain]
        back, returned, _ = cv2.calcOpticalFlowPyrLK(b, a, kept, np.empty_like(kept), winSize=size)
        close = np.linalg.norm(back - points[certain], axis=1) < RETURN_PIXELS
        certain[certain] = close & (returned.ravel() == 1)
    return np.asarray(there, np.float32), certain


def fitted(start: float, end: float, before: Points, after: Points, shape: tuple[int, ...]) -> tuple[Step, Matrix]:
    """Fit a similarity `(2, 3)` to points that moved between two times; unknown when too little of the picture agrees.

    Two motions are looked for, as of a thing before a ground. The camera's is that which reaches more of the picture's
    edge: a ground surrounds what moves before it, however many corners that has.
    """
    found = similarity(before, after)
    if found is None:
        return Step(start, end, None), IDENTITY
    matrix, agrees = found
    reached, rest = at_edge(before[agrees], shape), ~agrees
    if at_edge(before[rest], shape) > reached:  # else no motion of the others can
        other = similarity(before[rest], after[rest])
        if other is not None and at_edge(before[rest][other[1]], shape) > reached:
            rest[rest] = other[1]
            matrix, agrees = other[0], rest
    share = area(before, agrees, shape)
    if share < LEAST_SHARE or not spread(before[agrees], shape):
        return Step(start, end, None), matrix
    height, width = shape
    centre = np.array([width / 2, height / 2])
    x, y = matrix[:, :2] @ centre + matrix[:, 2] - centre
    # Root mean square distance of a rectangle's points from its centre.
    radius = float(np.hypot(width, height) / np.sqrt(12))
    zoom = float(np.log(np.hypot(matrix[0, 0], matrix[1, 0]))) * radius
    turn = float(np.arctan2(matrix[1, 0], matrix[0, 0])) * radius
    unit = min(height, width) * (end - start)
    return Step(start, end, (float(x) / unit, float(y) / unit, zoom / unit, turn / unit), share), matrix


def similarity(before: Points, after: Points) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """A similarity by RANSAC, and which points follow it; None when there are too few of them or none is found."""
    import cv2

    if len(before) < LEAST_POINTS:
        return None
    # OpenCV's type stubs do not know that the matrix may be None.
    estimate: Any = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=INLIER_PIXELS)
    matrix, chosen = estimate
    return None if matrix is None else (np.asarray(matrix, np.float64), chosen.ravel() == 1)


def at_edge(points: Points, shape: tuple[int, ...]) -> int:
    """How many of the grid's 28 outer cells have one of the points."""
    held = held_cells(points, shape)
    return int(held.sum() - held[1:-1, 1:-1].sum())


def area(points: Points, chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> float:
    """Share of the cells with points that the chosen points hold, 0..1; a cell is shared out among its points."""
    if not len(points):
        return 0.0
    weights = shares(points, shape)
    return float(weights[chosen].sum() / weights.sum())


def mean_shift(before: Points, after: Points, shape: tuple[int, ...]) -> float | None:
    """Mean distance in pixels that cells with points have moved; None when the points do not stand for the picture."""
    if len(before) < LEAST_POINTS or not spread(before, shape):
        return None
    return float(np.average(np.linalg.norm(after - before, axis=1), weights=shares(before, shape)))


def shares(points: Points, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Share of its cell that each point holds."""
    numbers = cells(points, shape)
    weights: NDArray[np.float64] = 1 / np.bincount(numbers, minlength=GRID * GRID)[numbers]
    return weights


def cells(points: Points, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Find the number of the grid's cell that each point lies in, row by row."""
    scale = np.array([GRID / shape[1], GRID / shape[0]])
    column, row = np.clip((points * scale).astype(np.intp), 0, GRID - 1).T
    numbers: NDArray[np.intp] = row * GRID + column
    return numbers


def held_cells(points: Points, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of the grid's cells have a point, `(GRID, GRID)`."""
    held: NDArray[np.bool_] = np.bincount(cells(points, shape), minlength=GRID * GRID).reshape(GRID, GRID) > 0
    return held


def spread(points: Points, shape: tuple[int, ...]) -> bool:
    """Whether points cover enough of the picture to speak for the camera."""
    held = held_cells(points, shape)
    return bool(held.sum() >= LEAST_CELLS and min(held.any(0).sum(), held.any(1).sum()) >= LEAST_SPREAD)


def labels(steps: Sequence[Step], options: CameraOptions) -> list[Motion | None]:
    """Name each step's motion after smoothing; None where it is unknown. What stands is smoothed with nothing."""
    stands = [step.end - step.start > HELD_SECONDS + TOUCH for step in steps]
    velocity = np.array(
        [(np.nan,) * 4 if held else step.velocity or (np.nan,) * 4 for step, held in zip(steps, stands, strict=True)]
    )
    smooth = np.array([around(velocity, i, SMOOTH, np.median) for i in range(len(steps))])
    rough = np.square(velocity[:, :2] - smooth[:, :2]).sum(1, keepdims=True)
    jitter = np.sqrt([around(rough, i, JITTER, np.mean)[0] for i in range(len(steps))])
    return [
        None if step.velocity is None else "static" if stands[i] else name(smooth[i], float(jitter[i]), options)
        for i, step in enumerate(steps)
    ]


def around(values: NDArray[np.float64], index: int, width: int, of: Callable[..., Any]) -> Any:
    """Apply `of` to the known rows at most `width // 2` away; NaN when there is none. Unknown ones begin with NaN."""
    near = values[max(0, index - width // 2) : index + width // 2 + 1]
    known = near[~np.isnan(near[:, 0])]
    return of(known, axis=0) if len(known) else np.full(values.shape[1:], np.nan)


def name(velocity: NDArray[np.float64], jitter: float, options: CameraOptions) -> Motion | None:
    """Name one smoothed motion `(x, y, zoom, turn)` of the content; None when it is more likely a body's."""
    speed = float(np.linalg.norm(velocity))
    if jitter >= options.shaking and jitter > speed:
        return "shake"
    if speed < options.moving:
        return "static"
    strength = np.abs(velocity)
    part = int(strength.argmax())
    others = np.delete(strength, part)
    if part != TURN and strength[part] >= DOMINANT * others.max():
        return NAMES[part][int(velocity[part] > 0)]
    swaying = speed < SLOW_TURN and DOMINANT * strength[TURN] >= strength[part]
    return None if swaying else "mixed"


def runs(steps: Sequence[Step], names: Sequence[Motion | None]) -> list[tuple[Motion | None, int, int]]:
    """Collect the runs of equal labels as (label, first step, last step), none too short unless it is the only one."""
    found = [(label, [i for i, _ in group]) for label, group in groupby(enumerate(names), key=lambda pair: pair[1])]
    while len(found) > 1:
        seconds = [steps[run[-1]].end - steps[run[0]].start for _, run in found]
        short = int(np.argmin(seconds))
        if seconds[short] >= SHORTEST_SECONDS:
            break
        neighbours = [i for i in (short - 1, short + 1) if 0 <= i < len(found)]
        heir = max(neighbours, key=lambda i: seconds[i])
        names = [found[heir][0] if i in found[short][1] else label for i, label in enumerate(names)]
        found = [(label, [i for i, _ in group]) for label, group in groupby(enumerate(names), key=lambda p: p[1])]
    return [(label, run[0], run[-1]) for label, run in found]


def agreement(steps: Sequence[Step]) -> float:
    """Mean share of the picture that follows the motion, over the steps in which it is known."""
    return float(np.mean([step.agreement for step in steps if step.velocity is not None]))


def seen(items: Sequence[CameraMotion], steps: Sequence[Step]) -> tuple[Span, ...]:
    """The spans of the segments and of the steps with a value in a series, joined where they touch, ordered by time."""
    told = [(step.start, step.end) for step in steps if step.velocity is not None or step.movement is not None]
    spans: list[Span] = []
    for start, end in sorted([*told, *((item.start, item.end) for item in items)]):
        if spans and start <= spans[-1][1] + TOUCH:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return tuple(span for span in spans if is_lasting(*span))
