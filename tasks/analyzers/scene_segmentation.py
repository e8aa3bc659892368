"""Scenes: neighbouring shots that look alike, joined by overlapping links.

Two shots are linked when their palettes are close; a scene ends at a cut that no link spans (Hanjalic, Lagendijk and
Biemond, IEEE CSVT 9, 1999), so that a dialogue cut to and fro stays one scene. Sound helps: a sentence that runs on
over a cut joins; a jump in loudness there, or shots that sound an octave brighter or duller, part.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Event, LabelledSegment, SegmentTrack, SeriesTrack, SpeechSegment, TrackSet
from tasks.analyzer import Analyzer, Media, Options

LOOK = Frames(fps=2, short_side=90)
SHOTS = "cut_analysis/shots"
CUTS = "cut_analysis/cuts"
SPEECH = "speech_transcription/segments"
LOUDNESS = "audio_analysis/loudness"
CENTROID = "audio_analysis/centroid"

BOUNDS = (16, 64, 144)
"""Where the four levels of a colour channel part, of 255: even steps of the square root, nearly as the eye has them.
Even steps of the value put all dark scenes of a film into one of the 64 colours."""
LEVELS = len(BOUNDS) + 1
BLACK = 16
"""A frame is left out as black when 98 % of its values are at most this: all shots that fade would look alike."""
REACH_SHOTS = 3
REACH_SECONDS = 20.0
"""A link spans at most this many shots and this much time, or a returning logo would join a whole film."""
SOUND_WEIGHT = 0.1
LOUDNESS_JUMP_LU = 10.0
"""Twice as loud to the ear."""
LOUDNESS_SECONDS = 2.0
TIMBRE_OCTAVES = 1.0
"""Shots whose median spectral centroids lie this far apart do not sound alike."""

Palette = NDArray[np.float64]


class SceneOptions(Options):
    """How alike the shots of a scene are."""

    max_distance: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="largest Hellinger distance (0..1) between the palettes of two shots of one scene",
    )


class Scenes(TrackSet):
    """`scenes`: spans labelled "scene" that tile the shots; evidence: the shots and the speech over their cuts."""

    scenes: SegmentTrack[LabelledSegment]


class SceneSegmentation(Analyzer[SceneOptions, Scenes]):
    """Groups shots by palette, by the sound at their cuts, and by their timbre."""

    name = "scene_segmentation"
    version = 2
    group = "light"
    summary = "scenes: neighbouring shots grouped by palette and by sound"
    needs = (LOOK,)
    requires = ("cut_analysis",)
    uses = ("audio_analysis", "speech_transcription")
    cost = 0.01

    def analyze(self, media: Media, options: SceneOptions) -> Scenes:
        """Compare each shot with the next three."""
        shots = media.items(SHOTS, LabelledSegment)
        palettes = _palettes(media, shots)
        speech = media.items(SPEECH, SpeechSegment)
        carried = [[said for said in speech if said.start < shot.start < said.end] for shot in shots[1:]]
        jumps = [_jump(media.series(LOUDNESS), shot.start) for shot in shots[1:]]
        limits = [
            options.max_distance + SOUND_WEIGHT * (bool(said) - (jump >= LOUDNESS_JUMP_LU or octaves >= TIMBRE_OCTAVES))
            for said, jump, octaves in zip(carried, jumps, _timbre_steps(media.series(CENTROID), shots), strict=True)
        ]
        fades = {event.t for event in media.items(CUTS, Event) if event.type == "fade_in"}
        joined = _joined(shots, palettes, limits, options.max_distance, fades)
        bounds = [0, *(cut for cut, linked in enumerate(joined, 1) if not linked), len(shots)]
        scenes = (
            LabelledSegment(
                id=f"sc{number}",
                label="scene",
                start=shots[first].start,
                end=shots[stop - 1].end,
                evidence=(
                    *(f"{SHOTS}/{shot.id}" for shot in shots[first:stop]),
                    *dict.fromkeys(f"{SPEECH}/{said.id}" for over in carried[first : stop - 1] for said in over),
                ),
            )
            for number, (first, stop) in enumerate(pairwise(bounds), 1)
            if stop > first
        )
        return Scenes(scenes=SegmentTrack(method="heuristic", items=tuple(scenes)))


def _palettes(media: Media, shots: tuple[LabelledSegment, ...]) -> list[Palette | None]:
    """Mean colour histogram of each shot, summing to 1, of its frames that are not black.

    A shot without one (black, or too short for this rate) belongs to the one before and takes its palette; where there
    is none before, None.
    """
    starts = np.array([shot.start for shot in shots])
    sums = np.zeros((len(shots), LEVELS**3))
    if len(shots):
        for batch in media.frames(LOOK):
            owners = np.maximum(np.searchsorted(starts, batch.times + 1e-3, side="right") - 1, 0)
            seen = np.percentile(batch.frames.reshape(len(batch.frames), -1), 98, axis=1) > BLACK
            np.add.at(sums, owners[seen], _histograms(batch.frames[seen]))
    palettes: list[Palette | None] = []
    for row, total in zip(sums, sums.sum(axis=1), strict=True):
        before = palettes[-1] if palettes else None
        palettes.append(row / total if total else before)
    return palettes


def _histograms(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms `(n, LEVELS**3)` of frames `(n, height, width, 3)`, each summing to 1."""
    levels = np.searchsorted(BOUNDS, np.arange(256), side="right").astype(np.int32)[frames]
    colours = levels[..., 0] * LEVELS**2 + levels[..., 1] * LEVELS + levels[..., 2]
    counts = [np.bincount(colour.ravel(), minlength=LEVELS**3) / colour.size for colour in colours]
    return np.array(counts).reshape(-1, LEVELS**3)


def _distance(one: Palette | None, other: Palette | None) -> float:
    """Hellinger distance, 0..1; a shot without a palette cannot be told from its neighbour."""
    if one is None or other is None:
        return 0.0
    return float(np.sqrt(max(0.0, 1 - np.sqrt(one * other).sum())))


def _joined(
    shots: tuple[LabelledSegment, ...],
    palettes: list[Palette | None],
    limits: Iterable[float],
    limit: float,
    fades: set[float],
) -> list[bool]:
    """Whether some link spans the cut before each shot but the first.

    Only neighbours are linked over a fade from black: it tells that time passes, so what looks alike further on is
    another scene.
    """
    joined = [
        _distance(one, other) <= allowed for (one, other), allowed in zip(pairwise(palettes), limits, strict=True)
    ]
    for first in range(len(shots)):
        for last in range(first + 2, min(first + REACH_SHOTS + 1, len(shots))):
            known = palettes[first] is not None and palettes[last] is not None
            near = shots[last].start - shots[first].end <= REACH_SECONDS
            faded = any(shot.start in fades for shot in shots[first + 1 : last + 1])
            if known and near and not faded and _distance(palettes[first], palettes[last]) <= limit:
                joined[first:last] = [True] * (last - first)
    return joined


def _jump(loudness: SeriesTrack | None, cut: float) -> float:
    """How much the mean loudness differs between the two seconds before and after a cut, LU; 0 if not known."""
    if loudness is None:
        return 0.0
    times = loudness.t0 + loudness.dt * np.arange(len(loudness.values))
    values = np.array([np.nan if value is None else value for value in loudness.values], dtype=np.float64)
    before = values[(times >= cut - LOUDNESS_SECONDS) & (times < cut) & ~np.isnan(values)]
    after = values[(times >= cut) & (times < cut + LOUDNESS_SECONDS) & ~np.isnan(values)]
    return float(abs(before.mean() - after.mean())) if len(before) and len(after) else 0.0


def _timbre_steps(centroid: SeriesTrack | None, shots: tuple[LabelledSegment, ...]) -> list[float]:
    """How many octaves the median spectral centroids of neighbouring shots lie apart; 0 where one is not known."""
    if centroid is None:
        return [0.0] * max(0, len(shots) - 1)
    times = centroid.t0 + centroid.dt * np.arange(len(centroid.values))
    hertz = np.array([np.nan if value is None else value for value in centroid.values], dtype=np.float64)
    inside = (hertz[(times >= shot.start) & (times < shot.end) & (hertz > 0)] for shot in shots)
    heights = [float(np.log2(np.median(values))) if len(values) else None for values in inside]
    return [0.0 if one is None or other is None else abs(one - other) for one, other in pairwise(heights)]
