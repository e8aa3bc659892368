"""What analyzers say where there is nothing: every one of the registry, so that a new one is held to it unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from services.evaluation.media import look
from shared.errors import ReelgraphError, Skipped
from shared.frames import Audio
from shared.schema import BaseTrack, SeriesTrack, TrackSet
from tasks.registry import analyzers, dependencies
from tests.support.clips import Sound, make_clip, plain
from tests.support.sounds import noise
from tests.support.system import missing

pytestmark = [pytest.mark.weights, pytest.mark.slow]

LOCAL = {name: one for name, one in analyzers().items() if not one.weights or "local" in one.weights}
COUNTS = {"id", "evidence", "frames", "looked_for"}
"""Fields that say how an item came about, not what is in the video."""
RATE = 48_000
GRAINY = {"preset": "veryfast", "crf": "23"}
"""What keeps a little of the grain, and makes it stand still for a while."""

Claims = dict[str, list[object]]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of one grey level, its sound (None: no audio stream), and all that may be said about it, by track."""

    seconds: int
    level: int
    sound: Callable[[int], np.ndarray] | None
    true: Claims | set[str]
    grain: float = 0.0
    """Standard deviation of normal noise on it, in levels."""

    def picture(self, number: int, width: int, height: int) -> np.ndarray:
        """The frame of a number."""
        if not self.grain:
            return plain(self.level)(number, width, height)
        levels = np.random.default_rng(number).normal(self.level, self.grain, (height, width, 1))
        return np.repeat(np.clip(np.round(levels), 0, 255).astype(np.uint8), 3, axis=2)


def silence(seconds: int) -> np.ndarray:
    """Digital zeros."""
    return np.zeros(seconds * RATE)


def hiss(seconds: int) -> np.ndarray:
    """Even white noise."""
    return noise(seconds, amplitude=0.05, sample_rate=RATE)


def black(seconds: int) -> Claims:
    """What is true of black pictures of that length: one shot, one scene, no light, no detail, a beginning."""
    whole = {"end": float(seconds)}
    return {
        "cut_analysis/shots": [whole | {"label": "shot"}],
        "scene_segmentation/scenes": [whole | {"label": "scene"}],
        "color_analysis/palette": [whole | {"colours": [{"hex": "#000000", "share": 1.0}]}],
        "background_segmentation/backgrounds": [
            whole | {"colour": "#000000", "colour_share": 1.0, "blur_unknown": "plain", "ratio_unknown": "no_people"}
        ],
        "content_quality/shots": [whole | {"clipped_dark": 1.0}],
        "content_quality/overall": [{"name": "clipped_dark", "value": 1.0, "unit": "share"}],
        "composition_analysis/shots": [whole | {"subject": "none", "negative_space": 1.0}],
        "temporal_flow/phases": [
            {"end": min(3.0, seconds), "label": "hook"},
            *([{"start": 3.0, "end": float(seconds), "label": "body"}] if seconds > 3 else []),
        ],
    }


def silent(seconds: int) -> Claims:
    """What is true of silence of that length."""
    return {
        "audio_analysis/silence": [{"end": float(seconds), "label": "silence"}],
        "audio_analysis/scalars": [{"name": "silence_share", "value": 1.0, "unit": "1"}],
    }


CLIPS = {
    "black, no sound": Clip(4, 0, None, black(4)),
    "black, silent": Clip(4, 0, silence, black(4) | silent(4)),
    "one second, black, silent": Clip(1, 0, silence, black(1) | silent(1)),
    # measures of light alone: the grain is no motion, nobody, no text, no cut
    "black with grain": Clip(
        4,
        2,
        None,
        {
            "background_segmentation/backgrounds",
            "color_analysis/brightness",
            "color_analysis/contrast",
            "color_analysis/palette",
            "composition_analysis/shots",
            "content_quality/overall",
            "content_quality/shots",
            "cut_analysis/shots",
            "scene_segmentation/scenes",
            "temporal_flow/phases",
        },
        grain=3,
    ),
    # measures of light and of noise; no tempo, no pitch, no range, no words, nothing seen and nothing that moves
    "one second, grey, hiss": Clip(
        1,
        128,
        hiss,
        {
            "audio_analysis/centroid",
            "audio_analysis/flatness",
            "audio_analysis/loudness",
            "audio_analysis/scalars",
            "audio_environment/scalars",
            "audio_environment/spans",
            "background_segmentation/backgrounds",
            "color_analysis/brightness",
            "color_analysis/palette",
            "color_analysis/warmth",  # 0.016 of 100: how OpenCV rounds the white point
            "composition_analysis/shots",
            "content_quality/overall",
            "content_quality/shots",
            "cut_analysis/shots",
            "scene_segmentation/scenes",
            "temporal_flow/activity",
            "temporal_flow/phases",
            "temporal_flow/signals",
        },
    ),
}


def claims(track: BaseTrack) -> Iterator[object]:
    """What a track says beyond "nothing", "none" and "not measured": values, or items without their empty fields."""
    if isinstance(track, SeriesTrack):
        yield from (value for value in track.values if value)
        return
    for item in track.model_dump(mode="json").get("items", ()):
        said = {name: value for name, value in item.items() if value and name not in COUNTS}
        if "value" not in item or item["value"]:
            yield said


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, TrackSet | ReelgraphError]]:
    """Every local analyzer's result on a clip, all of them run once in their order."""

    @cache
    def run(name: str) -> dict[str, TrackSet | ReelgraphError]:
        clip, folder = CLIPS[name], tmp_path_factory.mktemp("clip")
        sound = clip.sound and Sound(clip.sound(clip.seconds)[None].astype(np.float32), RATE, codec="flac")
        video = make_clip(
            folder / "clip.mkv",
            frames=20 * clip.seconds,
            fps=20,
            size=(320, 240),
            picture=clip.picture,
            encoder=GRAINY if clip.grain else None,
            sound=sound,
        )
        return look(Path(video), folder / "frames", tuple(LOCAL))

    return run


@pytest.mark.parametrize("analyzer", LOCAL)
@pytest.mark.parametrize("clip", CLIPS)
def test_nothing_is_made_up(clip, analyzer, found):
    """Of a clip with nothing in it an analyzer says what is true of it, by value where it is black, and no more."""
    results, true = found(clip), CLIPS[clip].true
    for name in (analyzer, *dependencies(LOCAL[analyzer])):
        if isinstance(error := results[name], ReelgraphError) and not isinstance(error, Skipped):
            missing(error.message)
    result = results[analyzer]
    if isinstance(result, Skipped):
        assert (CLIPS[clip].sound, result.code) == (None, "no_audio")
        assert any(isinstance(need, Audio) for need in LOCAL[analyzer].needs)
        return
    assert isinstance(result, TrackSet)
    tracks = result.tracks(analyzer)
    said = {track.id: list(claims(track)) for track in tracks}
    if isinstance(true, set):
        assert {track for track, claim in said.items() if claim} == {track.id for track in tracks} & true
    else:
        assert said == {track.id: true.get(track.id, []) for track in tracks}
