"""Analyzers of pictures on films made here: what they find against what was put in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.evaluation.figures import Figure, Hits, at_least, at_most, hits
from services.evaluation.films import FPS, Edit, Joint, crossed, edited, film, moving_shot, path, softened
from services.evaluation.media import ready, run
from services.evaluation.pictures import Picture, write_video
from shared.schema import CameraMotion, Event, EventTrack, LabelledSegment, SegmentTrack
from tasks.analyzers.camera_analysis import CameraAnalysis
from tasks.analyzers.color_analysis import ColorAnalysis
from tasks.analyzers.cut_analysis import CutAnalysis, CutTracks, Transition

NEAR_FRAMES = 2
PACES = (0.5, 1.0, 2.0)
"""How fast the camera moves, in multiples of `films.SPEEDS`."""
STRETCH_FRAMES = 75
SOFT = ((0.5, at_least(0.95)), (0.4, None))
"""Contrasts of films out of focus. The smaller one is measured to be known."""
COLOURS = ((200, 30, 30), (30, 180, 30), (20, 40, 180), (240, 240, 240), (120, 120, 120), (230, 200, 40))


def camera(folder: Path, rounds: int) -> Iterator[Figure]:
    """Motions told apart frame by frame, and what large things in front of the camera do to that."""
    right: list[bool] = []
    for seed in range(rounds):
        for pace in PACES:
            frames = round(STRETCH_FRAMES / max(1.0, pace))
            pictures, truth = moving_shot(seed=21 + 10 * seed, pace=pace, frames=frames)
            named = _motions(pictures, folder / f"camera-{seed}-{pace}")
            right += [one == other for one, other in zip(named, truth, strict=True)]
    kinds = f"{len(PACES) * rounds} films of 9 motions"
    yield Figure("camera_analysis", "frames named right", kinds, float(np.mean(right)), goal=at_least(0.95))
    for contrast, goal in SOFT:
        pictures, truth = moving_shot(seed=31, frames=STRETCH_FRAMES)
        named = _motions(softened(pictures, contrast), folder / f"soft-{contrast}")
        share = float(np.mean([one == other for one, other in zip(named, truth, strict=True)]))
        on = f"out of focus, {contrast:.0%} of the contrast, noise"
        yield Figure("camera_analysis", "frames named right", on, share, goal=goal)
    for share in (0.2, 0.33, 0.45):
        verdicts: list[bool | None] = []
        for motion in ("static", "pan_right", "tilt_up", "zoom_in"):
            pictures = crossed(film(path(motion, 60)), share, speed=4)
            found = _motions(pictures, folder / f"crossed-{share}-{motion}")
            verdicts += [None if name is None else name == motion for name in found]
        on = f"a thing over {share:.0%} of the picture"
        yield Figure("camera_analysis", "frames named right", on, verdicts.count(True) / len(verdicts))
        yield Figure("camera_analysis", "frames named wrongly", on, verdicts.count(False) / len(verdicts))


def _motions(pictures: Sequence[Picture], folder: Path) -> list[str | None]:
    """What the analyzer says about each frame of one shot."""
    end = len(pictures) / FPS
    shot = LabelledSegment(id="s1", start=0, end=end, label="shot")
    one_shot = CutTracks(
        cuts=EventTrack[Event](method="measurement"),
        shots=SegmentTrack[LabelledSegment](method="measurement", items=(shot,)),
        transitions=SegmentTrack[Transition](method="measurement"),
    )
    found = run(ready(CameraAnalysis), _written(pictures, folder), folder, ("cut_analysis", one_shot)).motion.items
    return [_motion_at(found, number / FPS) for number in range(len(pictures))]


def _motion_at(found: Sequence[CameraMotion], t: float) -> str | None:
    return next((item.motion for item in found if item.start <= t + 1e-3 < item.end), None)


def _written(pictures: Sequence[Picture], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_video(folder / "film.mp4", pictures, fps=FPS)


# --- cuts ------------------------------------------------------------------------------------------------------


def cuts(folder: Path, rounds: int) -> Iterator[Figure]:
    """Cuts, fades and dissolves in edited films."""
    plain, mixed = Hits(), Hits()
    faded: list[tuple[list[float], list[int]]] = []
    claimed = 0
    for seed in range(rounds):
        edit, found = _edit(seed, ("cut",), folder)
        plain += _cut_hits(edit, found)
        claimed += len(found.transitions.items)
        edit, found = _edit(seed, ("cut", "cut", "fade"), folder)
        mixed += _cut_hits(edit, found)
        claimed += len(found.transitions.items)
        faded += [(_frames(found, "fade_out"), edit.fades_out), (_frames(found, "fade_in"), edit.fades_in)]
    on = f"{rounds} films, motion and flashes between"
    yield Figure("cut_analysis", "F1 of cuts", on, plain.f1, goal=at_least(0.95))
    yield Figure("cut_analysis", "F1 of cuts", f"{rounds} films, fades between", mixed.f1, goal=at_least(0.95))
    near = sum((hits(found, true, NEAR_FRAMES) for found, true in faded), Hits())
    on = f"{near.right + near.missed} ends of fades"
    yield Figure("cut_analysis", f"F1 of fades within {NEAR_FRAMES} frames", on, near.f1, goal=at_least(0.95))
    on = f"{2 * rounds} films without one"
    yield Figure("cut_analysis", "dissolves claimed per film", on, claimed / (2 * rounds), goal=at_most(0.1))
    yield from _dissolves(folder, rounds)


def _dissolves(folder: Path, rounds: int) -> Iterator[Figure]:
    """Dissolves of 0.3 to 2 s with motion in both shots: how many are found, and how far off their ends are."""
    total, cut_total = Hits(), Hits()
    off: list[int] = []
    for seed in range(rounds):
        edit, found = _edit(seed, ("cut", "dissolve", "dissolve"), folder, shortest=1.2)
        cut_total += _cut_hits(edit, found)
        spans = [(round(one.start * FPS), round(one.end * FPS)) for one in found.transitions.items]
        pairs = [(one, true) for true in edit.dissolves for one in spans if _same(one, true)]
        total += Hits(len(pairs), len(spans) - len(pairs), len(edit.dissolves) - len(pairs))
        off += [abs(a - b) for one, true in pairs for a, b in zip(one, true, strict=True)]
    on = f"{total.right + total.missed} dissolves of 0.3 to 2 s"
    yield Figure("cut_analysis", "F1 of cuts", f"{on} between", cut_total.f1, goal=at_least(0.95))
    yield Figure("cut_analysis", "precision of dissolves", on, total.precision, goal=at_least(0.9))
    yield Figure("cut_analysis", "recall of dissolves", on, total.recall, goal=at_least(0.8))
    error = float(np.median(off)) if off else None
    note = "" if off else "none was found"
    yield Figure("cut_analysis", "median error of their ends", on, error, "frames", at_most(2), note)


def _same(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two spans share more than half of the longer one: then no span has two partners."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0.5 * max(one[1] - one[0], other[1] - other[0])


def _edit(seed: int, joints: Sequence[Joint], folder: Path, shortest: float = 0.4) -> tuple[Edit, CutTracks]:
    edit = edited(seed, shortest=shortest, joints=joints)
    folder = folder / f"cuts-{seed}-{joints[-1]}"
    return edit, run(ready(CutAnalysis), _written(edit.frames, folder), folder)


def _frames(found: CutTracks, kind: str) -> list[float]:
    return [round(event.t * FPS) for event in found.cuts.items if event.type == kind]


def _cut_hits(edit: Edit, found: CutTracks) -> Hits:
    return hits(_frames(found, "cut"), edit.cuts, NEAR_FRAMES)


# --- colour ----------------------------------------------------------------------------------------------------


def colours(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Flat colours, each with a known share of the picture."""
    worst = wrong_share = 0.0
    for number, colour in enumerate(COLOURS):
        other = COLOURS[(number + 1) % len(COLOURS)]
        picture = np.full((120, 160, 3), colour, np.uint8)
        picture[:, :40] = other
        where = folder / f"colour-{number}"
        (palette,) = run(ready(ColorAnalysis), _written([picture] * FPS, where), where).palette.items
        seen = [tuple(int(one.hex[i : i + 2], 16) for i in (1, 3, 5)) for one in palette.colours[:2]]
        off = np.abs(np.array(seen, float) - (colour, other))
        worst = max(worst, float(off.max()))
        wrong_share = max(wrong_share, abs(palette.colours[0].share - 0.75))
    on = f"{len(COLOURS)} pairs of flat colours"
    yield Figure("color_analysis", "largest error of a channel", on, worst, "of 255", at_most(8))
    yield Figure("color_analysis", "largest error of a share", on, wrong_share, goal=at_most(0.03))
