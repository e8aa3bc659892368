"""Analyzers of how pictures look, on pictures whose blur, noise, place of things and colours were put in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from services.evaluation.damage import blurred, natural, noisy, squeezed
from services.evaluation.figures import Figure, Hits, at_least, at_most, hits
from services.evaluation.media import ready, run
from services.evaluation.pictures import Picture, texture, write_video
from services.evaluation.tracks import objects, result, shot_list, thing
from tasks.analyzers.background_segmentation import BackgroundSegmentation
from tasks.analyzers.composition_analysis import CompositionAnalysis
from tasks.analyzers.content_quality import ContentQualityAnalysis
from tasks.analyzers.scene_segmentation import SceneSegmentation

FPS = 10
NOISES = (2.0, 5.0, 10.0)


def quality(_folder: Path, rounds: int) -> Iterator[Figure]:
    """Each measure on pictures that were made worse on purpose."""
    analyzer = ready(ContentQualityAnalysis)
    ordered: list[bool] = []
    ranked: list[bool] = []
    for seed in range(1, rounds + 1):
        picture = natural(seed)
        sharp = [analyzer.measure(blurred(picture, sigma)).sharpness or 0.0 for sigma in (0.3, 1, 2, 4)]
        ordered += [a > b for a, b in pairwise(sharp)]
        damages = ((blurred, 1.5, 3), (noisy, 10, 30), (lambda one, q: squeezed(one, round(q)), 30, 5))
        best = analyzer.measure(picture).brisque or 0.0
        for damage, mild, strong in damages:
            worse = [analyzer.measure(damage(picture, by)).brisque or 0.0 for by in (mild, strong)]
            ranked += [best < worse[0], worse[0] < worse[1]]
    on = f"{rounds} pictures"
    yield Figure("content_quality", "steps of blur in order", on, float(np.mean(ordered)), goal=at_least(1))
    yield Figure(
        "content_quality", "steps of damage that BRISQUE orders", on, float(np.mean(ranked)), goal=at_least(0.9)
    )
    plane = np.add.outer(np.linspace(60, 120, 480), np.linspace(0, 60, 640))
    off = [abs((analyzer.measure(noisy(plane, sigma)).noise or 0.0) / sigma - 1) for sigma in NOISES]
    yield Figure("content_quality", "largest error of noise", "2, 5 and 10 levels", max(off), goal=at_most(0.1))
    half = natural(1)
    half[:120], half[240:] = 0, 255
    seen = analyzer.measure(half)
    wrong = max(abs(seen.clipped_dark - 0.25), abs(seen.clipped_light - 0.5))
    yield Figure("content_quality", "largest error of clipped shares", "1 picture", wrong, goal=at_most(0.02))


def composition(folder: Path, rounds: int) -> Iterator[Figure]:
    """The subject's place, symmetry, and empty space."""
    analyzer, off = ready(CompositionAnalysis), []
    times = [i / 4 for i in range(12)]
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        x, y, w, h = (float(v) for v in rng.uniform((0.1, 0.1, 0.1, 0.1), (0.5, 0.4, 0.3, 0.4)))
        person = thing("o1", "person", (x, y, w, h), times)
        handed = shot_list(0, 3), result("object_detection", objects=objects(person))
        video = _still(texture(seed, 240, 320), folder / f"composed-{seed}", 3.0)
        (shot,) = run(analyzer, video, folder / f"composed-{seed}", *handed).shots.items
        place = shot.subject_place or (9.0, 9.0)
        off.append(max(abs(place[0] - x - w / 2), abs(place[1] - y - h / 2), abs((shot.subject_size or 9.0) - w * h)))
    on = f"{rounds} written persons"
    yield Figure("composition_analysis", "largest error of place and size", on, max(off), goal=at_most(0.01))
    half = texture(2, 240, 160)
    mirrored = np.hstack([half, half[:, ::-1]])
    empty = np.full((240, 320, 3), 120, np.uint8)
    empty[:, 240:] = np.random.default_rng(4).integers(0, 255, (240, 80, 1), np.uint8)
    both = [
        run(analyzer, _still(picture, folder / name, 1.0), folder / name).shots.items[0]
        for name, picture in (("mirrored", mirrored), ("empty", empty))
    ]
    symmetric = abs((both[0].symmetry or 0.0) - 1)
    yield Figure("composition_analysis", "error of symmetry", "a mirrored picture", symmetric, goal=at_most(0.05))
    space = abs(both[1].negative_space - 0.75)
    yield Figure("composition_analysis", "error of empty space", "three quarters empty", space, goal=at_most(0.06))


def _still(picture: Picture, folder: Path, seconds: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_video(folder / "still.mp4", [picture] * round(seconds * FPS), fps=FPS)


PLACES = ((200, 30, 30), (30, 180, 30), (30, 30, 220), (200, 190, 40), (120, 40, 160))


def scenes(folder: Path, rounds: int) -> Iterator[Figure]:
    """Dialogues in places of different colours: shots of one place are a scene, also cut to and fro."""
    total = Hits()
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        frames: list[Picture] = []
        bounds, truth, t = [0.0], [], 0.0
        for place in rng.permutation(len(PLACES))[:4]:
            truth += [t] if t else []
            for _ in range(int(rng.integers(2, 4))):
                length = float(rng.integers(15, 30)) / FPS
                picture = (np.full((96, 160, 3), PLACES[place]) * rng.uniform(0.95, 1.05)).clip(0, 255).astype(np.uint8)
                picture[:24, : int(rng.integers(20, 60))] //= 2
                frames += [picture] * round(length * FPS)
                t += length
                bounds.append(t)
        video = write_video(folder / f"scenes-{seed}.mp4", frames, fps=FPS)
        found = run(ready(SceneSegmentation), video, folder, shot_list(*bounds)).scenes.items
        total += hits([one.start for one in found if one.start > 0], truth, 0.1)
    on = f"{rounds} films of four plain places"
    yield Figure("scene_segmentation", "F1 of scene bounds", on, total.f1, goal=at_least(0.9))


def background(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Colour and blur where nobody is; masks of people only where --media has some."""
    analyzer, off = ready(BackgroundSegmentation), []
    for number, colour in enumerate(PLACES):
        where = folder / f"wall-{number}"
        (behind,) = run(analyzer, _still(np.full((240, 320, 3), colour, np.uint8), where, 1.0), where).backgrounds.items
        seen = [int((behind.colour or "#000000")[i : i + 2], 16) for i in (1, 3, 5)]
        off.append(float(np.abs(np.array(seen, float) - colour).max()))
    on = f"{len(PLACES)} plain walls"
    yield Figure("background_segmentation", "largest error of a channel", on, max(off), "of 255", at_most(8))
    blurs, picture = [], np.repeat(natural(1)[..., None], 3, 2)
    for sigma in (0.3, 1, 2, 4):
        where = folder / f"blur-{sigma}"
        (behind,) = run(analyzer, _still(blurred(picture, sigma), where, 1.0), where).backgrounds.items
        blurs.append(behind.blur or 0.0)
    ordered = float(np.mean([a < b for a, b in pairwise(blurs)]))
    yield Figure("background_segmentation", "steps of blur in order", "1 picture", ordered, goal=at_least(1))


CHECKS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    "background_segmentation": background,
    "composition_analysis": composition,
    "content_quality": quality,
    "scene_segmentation": scenes,
}
