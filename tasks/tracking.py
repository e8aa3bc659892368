"""Linking what a detector finds frame by frame into objects followed over time.

Boxes are matched by overlap and the Hungarian method (SORT, Bewley et al., 2016), in two rounds: what the detector is
sure of first, then what it half sees, which may only carry on an object and never start one (ByteTrack, Zhang et al.,
2022). Nothing is added: no box stands where the detector gave none.

A class in a place is little to know an object by once the picture has changed: over a cut it is one object only where
the picture or what is in its box still looks the same, as after a jump cut or in an inset over changing slides.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.schema import TrackedObject
from tasks.appearance import Looks, alike
from tasks.boxes import Floats, overlaps
from tasks.standing import ROUNDING, Standing

NEAR_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was found in one frame, in 0..1 of the picture: boxes `(n, 4)`, scores `(n,)`, class numbers `(n,)`.

    `looks` are those of the frame and the boxes, if there are any; without them nothing goes on over a cut.
    """

    t: float
    boxes: Floats
    scores: Floats
    labels: NDArray[np.intp]
    looks: Looks | None = None

    def __post_init__(self) -> None:
        if not len(self.boxes) == len(self.scores) == len(self.labels):
            raise ValueError(f"{len(self.boxes)} boxes, {len(self.scores)} scores, {len(self.labels)} labels")


@dataclass(frozen=True, slots=True)
class LinkRules:
    """When two boxes are one object.

    `start_score` is what an object needs once; all weaker boxes may only carry it on. Overlaps are ByteTrack's: 0.2
    for sure boxes, 0.5 for weak ones. An object ends when it is missing for more than `max_gap_seconds`. Objects of
    fewer than `min_boxes` boxes are flickers and dropped, unless no more frames of their shot were looked at, or one of
    these was held for more than `max_gap_seconds`: a photograph in a slide show, but not a frame of a film at 1 fps.
    """

    start_score: float
    min_overlap: float = 0.2
    min_overlap_weak: float = 0.5
    max_gap_seconds: float = 1.0
    min_boxes: int = 2


@dataclass(frozen=True, slots=True)
class Step:
    """Where a box of an object comes from: row `row` of sighting `frame`."""

    frame: int
    row: int


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One object followed over time: class number, `[start, end)` in seconds, and its `n` boxes in time order.

    `boxes`: `(n, 4)` in 0..1. `times` and `scores`: `(n,)`. `steps` say where each box comes from.
    """

    label: int
    start: float
    end: float
    times: tuple[float, ...]
    boxes: Floats
    scores: Floats
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _Now:
    """The frame that is being linked: its number, the number of its shot, and what was found in it."""

    index: int
    shot: int
    sighting: Sighting


@dataclass(slots=True)
class _Path:
    label: int
    last: _Now
    shots: set[int] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, now: _Now, row: int) -> None:
        self.last = now
        self.shots.add(now.shot)
        self.steps.append(Step(now.index, row))
        self.times.append(now.sighting.t)
        self.boxes.append(now.sighting.boxes[row])
        self.scores.append(float(now.sighting.scores[row]))

    def heading(self, t: float) -> Floats:
        """Where the object would be at `t` if it kept its last velocity and size."""
        if len(self.boxes) == 1:
            return self.boxes[-1]
        (before, last), (t0, t1) = self.boxes[-2:], self.times[-2:]
        moved = (last[:2] + last[2:] - before[:2] - before[2:]) / 2
        return last + np.tile(moved * (t - t1) / (t1 - t0), 2)


def link(
    sightings: Sequence[Sighting],
    rules: LinkRules,
    standing: Standing,
    *,
    cuts: Sequence[float] = (),
) -> list[Tracklet]:
    """Objects ordered by their first box. Times of sightings and of `cuts`, where a new shot begins, must rise.

    An object ends with the picture of its last box, as `standing` says of each sighting, or with its shot.
    """
    shots = [bisect_right(cuts, sighting.t + ROUNDING) for sighting in sightings]
    frames = Counter(shots)
    held = [
        stands and until - sighting.t > rules.max_gap_seconds + ROUNDING
        for sighting, until, stands in zip(sightings, standing.until, standing.held, strict=True)
    ]
    tracklets = []
    for path in _paths(sightings, shots, rules, standing):
        enough = min(rules.min_boxes, sum(frames[shot] for shot in path.shots))
        if len(path.steps) >= enough or any(held[step.frame] for step in path.steps):
            last = path.steps[-1].frame
            end = min([standing.until[last], *cuts[shots[last] : shots[last] + 1]])
            boxes, scores = np.stack(path.boxes), np.array(path.scores)
            tracklets.append(
                Tracklet(path.label, path.times[0], end, tuple(path.times), boxes, scores, tuple(path.steps))
            )
    return tracklets


def there(objects: Sequence[TrackedObject], t: float) -> list[tuple[TrackedObject, Floats]]:
    """Objects of the document that are there at `t` seconds, each with its nearest box `(4,)`, the largest first.

    Boxes are left, top, right, bottom in 0..1. A box more than `NEAR_SECONDS` away says nothing about `t`.
    """
    found = []
    for one in objects:
        # times in the document are rounded to a millisecond
        if not one.start - 1e-3 <= t < one.end:
            continue
        nearest = min(one.boxes, key=lambda seen: abs(seen.t - t))
        if abs(nearest.t - t) <= NEAR_SECONDS:
            x, y, width, height = nearest.box
            found.append((one, np.array([x, y, x + width, y + height])))
    return sorted(found, key=lambda pair: -float((pair[1][2:] - pair[1][:2]).prod()))


def _paths(sightings: Sequence[Sighting], shots: Sequence[int], rules: LinkRules, standing: Standing) -> list[_Path]:
    paths: list[_Path] = []
    alive: list[_Path] = []
    for index, (sighting, shot) in enumerate(zip(sightings, shots, strict=True)):
        alive = [path for path in alive if _may_go_on(path, index, sighting.t, rules, standing)]
        now = _Now(index, shot, sighting)
        sure = np.flatnonzero(sighting.scores >= rules.start_score)
        weak = np.flatnonzero(sighting.scores < rules.start_score)
        waiting, unmatched = _match(alive, now, sure, rules.min_overlap)
        _match(waiting, now, weak, rules.min_overlap_weak)
        for row in unmatched:
            path = _Path(int(sighting.labels[row]), now)
            path.add(now, row)
            paths.append(path)
            alive.append(path)
    return paths


def _may_go_on(path: _Path, index: int, t: float, rules: LinkRules, standing: Standing) -> bool:
    last = path.steps[-1].frame
    # it was there as long as the picture it was seen in, which may have been held
    gone = standing.until[last] if standing.held[last] else path.times[-1]
    # frames of a slow video are further apart than the bound, and still nothing was missed between two of them
    return last == index - 1 or t - gone <= rules.max_gap_seconds + ROUNDING


def _match(paths: list[_Path], now: _Now, rows: NDArray[np.intp], min_overlap: float) -> tuple[list[_Path], list[int]]:
    """Give rows to paths where they fit; the paths and rows left over."""
    from scipy.optimize import linear_sum_assignment

    if not paths or not len(rows):
        return paths, [int(row) for row in rows]
    fits = _fits(paths, now, rows)
    fits[fits < min_overlap] = 0.0
    pairs = [(int(p), int(r)) for p, r in zip(*linear_sum_assignment(fits, maximize=True), strict=True) if fits[p, r]]
    for p, r in pairs:
        paths[p].add(now, int(rows[r]))
    matched_paths, matched_rows = {p for p, _ in pairs}, {r for _, r in pairs}
    return (
        [path for p, path in enumerate(paths) if p not in matched_paths],
        [int(row) for r, row in enumerate(rows) if r not in matched_rows],
    )


def _fits(paths: Sequence[_Path], now: _Now, rows: NDArray[np.intp]) -> Floats:
    """Overlap of every path with every row `(paths, rows)`; 0 where they cannot be one object."""
    sighting = now.sighting
    boxes = sighting.boxes[rows]
    stayed = overlaps(np.stack([path.boxes[-1] for path in paths]), boxes)
    moved = overlaps(np.stack([path.heading(sighting.t) for path in paths]), boxes)
    same_label = np.array([path.label for path in paths])[:, None] == sighting.labels[rows][None, :]
    fits: Floats = np.where(same_label, np.maximum(stayed, moved), 0.0)
    beyond = [p for p, path in enumerate(paths) if path.last.shot != now.shot]
    fits[beyond] *= _still_shown([paths[p] for p in beyond], sighting.looks, rows)
    return fits


def _still_shown(paths: Sequence[_Path], looks: Looks | None, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether rows may be paths of other shots `(paths, rows)`: the pictures look alike, or what is in the boxes."""
    shown = np.zeros((len(paths), len(rows)), np.bool_)
    before = [(p, path.last.sighting.looks, path.steps[-1].row) for p, path in enumerate(paths)]
    known = [(p, then, row) for p, then, row in before if then is not None]
    if looks is None or not known:
        return shown
    pictures = alike(np.stack([then.picture for _, then, _ in known]), looks.picture[None])
    things = alike(np.stack([then.things[row] for _, then, row in known]), looks.things[rows])
    shown[[p for p, _, _ in known]] = pictures | things
    return shown
