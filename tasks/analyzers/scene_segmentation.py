"""Scenes: neighbouring shots that look alike, joined by overlapping links.

Two shots are linked when their palettes are close; a scene ends at a cut that no link spans (Hanjalic, Lagendijk and
Biemond, IEEE CSVT 9, 1999), so that a dialogue cut to and fro stays one scene. Sound helps at the cut itself: a
sentence that runs on joins, a jump in loudness parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import LabelledSegment, SegmentTrack, SeriesTrack, SpeechSegment, TrackSet
from tasks.analyzer import Analyzer, Media, Options

LOOK = Frames(fps=2, short_side=90)
SHOTS = "cut_analysis/shots"
SPEECH = "speech_transcription/segments"
LOUDNESS = "audio_analysis/loudness"

LEVELS = 4
"""Levels of each colour channel: a palette has 64 colours."""
REACH_SHOTS = 3
REACH_SECONDS = 20.0
"""A link spans at most this many shots and this much time, or a returning logo would join a whole film."""
SOUND_WEIGHT = 0.1
LOUDNESS_JUMP_LU = 10.0
"""Twice as loud to the ear."""
LOUDNESS_SECONDS = 2.0

Palette = NDArray[np.float64]


class SceneOptions(Options):
    """How alike the shots of a scene are."""

    max_distance: float = Field(
        0.35,
        gt=0,
        lt=1,
        description="largest Hellinger distance (0..1) between the palettes of two shots of one scene",
    )


class Scenes(TrackSet):
    """`scenes`: spans labelled "scene" that tile the shots; evidence: the shots and the speech over their cuts."""

    scenes: SegmentTrack[LabelledSegment]


class SceneSegmentation(Analyzer[SceneOptions, Scenes]):
    """Groups shots by palette and by the sound at their cuts."""

    name = "scene_segmentation"
    version = 1
    group = "light"
    summary = "scenes: neighbouring shots grouped by palette and by the sound at their cuts"
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
            options.max_distance + SOUND_WEIGHT * (bool(said) - (jump >= LOUDNESS_JUMP_LU))
            for said, jump in zip(carried, jumps, strict=True)
        ]
        joined = _joined(shots, palettes, limits, options.max_distance)
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
    """Mean colour histogram of each shot, summing to 1; None for a shot too short to have a frame at this rate."""
    starts = np.array([shot.start for shot in shots])
    sums = np.zeros((len(shots), LEVELS**3))
    if len(shots):
        for batch in media.frames(LOOK):
            owners = np.maximum(np.searchsorted(starts, batch.times + 1e-3, side="right") - 1, 0)
            np.add.at(sums, owners, _histograms(batch.frames))
    totals = sums.sum(axis=1)
    return [row / total if total else None for row, total in zip(sums, totals, strict=True)]


def _histograms(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms `(n, LEVELS**3)` of frames `(n, height, width, 3)`, each summing to 1."""
    levels = (frames >> 6).astype(np.int32)
    colours = levels[..., 0] * LEVELS**2 + levels[..., 1] * LEVELS + levels[..., 2]
    return np.stack([np.bincount(colour.ravel(), minlength=LEVELS**3) / colour.size for colour in colours])


def _distance(one: Palette | None, other: Palette | None) -> float:
    """Hellinger distance, 0..1; a shot without a palette cannot be told from its neighbour."""
    if one is None or other is None:
        return 0.0
    return float(np.sqrt(max(0.0, 1 - np.sqrt(one * other).sum())))


def _joined(
    shots: tuple[LabelledSegment, ...], palettes: list[Palette | None], limits: Iterable[float], limit: float
) -> list[bool]:
    """Whether some link spans the cut before each shot but the first."""
    joined = [
        _distance(one, other) <= allowed for (one, other), allowed in zip(pairwise(palettes), limits, strict=True)
    ]
    for first in range(len(shots)):
        for last in range(first + 2, min(first + REACH_SHOTS + 1, len(shots))):
            known = palettes[first] is not None and palettes[last] is not None
            near = shots[last].start - shots[first].end <= REACH_SECONDS
            if known and near and _distance(palettes[first], palettes[last]) <= limit:
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
