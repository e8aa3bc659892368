"""visual_effects on films with one effect each, and on films that only look as if they had one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from services.evaluation.effects import FPS, WITH, WITHOUT, Film, Known
from services.evaluation.figures import Figure, at_least, at_most
from services.evaluation.media import ready, run
from services.evaluation.pictures import write_video
from shared.schema import Box
from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.analyzers.visual_effects import VisualEffectsAnalysis

NEAR_FRAMES = 3
LATE_FRAMES = {"black_and_white": 8}
"""The codec leaves traces of the shot before in the first frames of a grey one."""
NEAR_BOX = 0.035
"""Three of the 90 rows that the analyzer looks at."""
UNBOUND = {"fade_out_to_white", "fade_in_from_white"}
"""Measured to be known: cut_analysis takes the end of some for a cut, and then there is no fade to report."""
SEEDS = (11, 40, 70, 95)
"""Of the first four rounds, beyond that any; `effects.split` is upright for odd ones."""

Found = tuple[str, float, float, Box | None]


def effects(folder: Path, rounds: int) -> Iterator[Figure]:
    """Every effect with its span and place, and what is claimed beyond what was put in."""
    right: dict[str, list[bool]] = defaultdict(list)
    wrong: Counter[str] = Counter()
    films = 0
    for number in range(rounds):
        seed = SEEDS[number] if number < len(SEEDS) else 100 + 7 * number
        for make in (*WITH, *WITHOUT):
            film = make(seed)
            found = _look(film, folder / f"{make.__name__}-{seed}")
            films += 1
            for known in film.effects:
                match = next((one for one in found if _same(one, known)), None)
                right[known.label].append(match is not None)
                if match is not None:
                    found.remove(match)
            wrong.update(label for label, *_ in found)
    for label, hits in right.items():
        on = f"{len(hits)} in made films"
        goal = None if label in UNBOUND else at_least(0.9)
        yield Figure("visual_effects", f"share of {label} found", on, sum(hits) / len(hits), goal=goal)
    note = ", ".join(sorted(wrong))
    yield Figure(
        "visual_effects",
        f"false claims per film{f' ({note})' if note else ''}",
        f"{films} made films",
        wrong.total() / films,
        goal=at_most(0.05),
    )


def _look(film: Film, folder: Path) -> list[Found]:
    folder.mkdir(parents=True, exist_ok=True)
    video = write_video(folder / "film.mp4", film.frames, fps=FPS)
    cuts = run(ready(CutAnalysis), video, folder)
    found = run(ready(VisualEffectsAnalysis), video, folder, ("cut_analysis", cuts))
    spans: list[Found] = [(one.label, one.start, one.end, one.box) for one in found.effects.items]
    return spans + [(one.type, one.t, one.t, None) for one in found.moments.items]


def _same(found: Found, known: Known) -> bool:
    """Whether that is the effect that was put in, within a few frames and rows."""
    label, start, end, box = found
    first, stop = known.span
    near = max(abs(start * FPS - first), abs(end * FPS - stop)) <= LATE_FRAMES.get(label, NEAR_FRAMES) + 0.01
    placed = known.box is None or (
        box is not None and all(abs(a - b) <= NEAR_BOX for a, b in zip(box, known.box, strict=True))
    )
    return label == known.label and near and placed
