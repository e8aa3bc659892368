from __future__ import annotations

from pathlib import Path

import pytest

from shared.schema import Event, EventTrack, LabelledSegment, SeriesTrack
from tasks.analyzers.scene_segmentation import SceneSegmentation
from tests.support.drawings import blank
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.tracks import result, segments, spoken

RED, GREEN, BLUE, DARK = (200, 30, 30), (30, 180, 30), (30, 30, 220), (20, 20, 20)


def write_shots(path: Path, *plain: tuple[float, tuple[int, int, int]]) -> Path:
    """Plain shots `(seconds, rgb)` one after another; a darker corner keeps them from being one flat colour."""
    frames = []
    for seconds, colour in plain:
        picture = blank(160, 96, colour)
        picture[:24, :40] //= 2
        frames += [picture] * round(seconds * 20)
    return write_video(path, frames, fps=20)


def shots(*lengths: float):
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    items = (
        LabelledSegment(id=f"h{i}", start=start, end=start + length, label="shot")
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True), 1)
    )
    return result("cut_analysis", shots=segments(*items))


@pytest.fixture
def scenes(tmp_path):
    def found(*pictures, others=()):
        video = write_shots(tmp_path / "v.mp4", *pictures)
        lengths = [seconds for seconds, _ in pictures]
        track = run(SceneSegmentation(), video, tmp_path / "store", shots(*lengths), *others).scenes
        assert track.method == "heuristic"
        return [(scene.start, scene.end, scene.evidence) for scene in track.items]

    return found


def test_a_dialogue_cut_to_and_fro_is_one_scene(scenes):
    """Shots red, green, red, green belong together although neighbours differ; blue after them does not."""
    found = scenes((2, RED), (2, GREEN), (2, RED), (2, GREEN), (2, BLUE))
    assert found == [
        (0, 8, ("cut_analysis/shots/h1", "cut_analysis/shots/h2", "cut_analysis/shots/h3", "cut_analysis/shots/h4")),
        (8, 10, ("cut_analysis/shots/h5",)),
    ]


def test_a_look_that_returns_late_joins_nothing(scenes):
    """Red comes back after four other shots: too far for one scene."""
    found = scenes((1, RED), (1, GREEN), (1, BLUE), (1, DARK), (1, (220, 220, 30)), (1, RED))
    assert len(found) == 6


def test_a_shot_too_short_for_a_frame_stays_with_its_neighbour(scenes):
    """A flash of 0.2 s between sampled frames has no palette and starts no scene."""
    assert [found[:2] for found in scenes((2.1, RED), (0.2, BLUE), (1.7, RED))] == [(0, 4)]


def test_a_sentence_over_the_cut_joins_what_is_nearly_alike(tmp_path):
    """Two shots just too different to be one scene are joined by a sentence that runs on, and it is cited."""
    pictures = ((2, RED), (2, GREEN))
    video = write_shots(tmp_path / "v.mp4", *pictures)
    said = spoken(("and so we go on", 1.5, 2.5))
    # the flat halves share nothing, the dark corners little: a distance just under 1
    options = {"max_distance": 0.92}
    apart = run(SceneSegmentation(), video, tmp_path / "a", shots(2, 2), **options).scenes.items
    joined = run(SceneSegmentation(), video, tmp_path / "b", shots(2, 2), said, **options).scenes.items
    assert len(apart) == 2
    assert [scene.evidence[-1] for scene in joined] == ["speech_transcription/segments/s1"]


def test_a_jump_in_loudness_parts_what_looks_alike(tmp_path):
    """The same look goes on as one scene, unless the sound jumps by 20 LU at the cut and the look differs a little."""
    video = write_shots(tmp_path / "v.mp4", (2, RED), (2, RED))

    def loudness(before: float, after: float):
        values = (before,) * 20 + (after,) * 20
        return result(
            "audio_analysis", loudness=SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=values)
        )

    options = {"max_distance": 0.05}
    even = run(SceneSegmentation(), video, tmp_path / "a", shots(2, 2), loudness(-20, -21), **options).scenes.items
    jump = run(SceneSegmentation(), video, tmp_path / "b", shots(2, 2), loudness(-40, -20), **options).scenes.items
    assert (len(even), len(jump)) == (1, 2)


def test_without_shots_there_are_no_scenes(tmp_path):
    """An empty shot list gives an empty track, and no frame is read."""
    video = write_shots(tmp_path / "v.mp4", (1, RED))
    assert run(SceneSegmentation(), video, tmp_path / "a", shots()).scenes.items == ()


def test_an_octave_in_timbre_parts_what_looks_nearly_alike(tmp_path):
    """The same look under a hum and under a hiss two octaves brighter is two scenes when looks are judged narrowly."""
    video = write_video_of_reds(tmp_path)

    def timbre(before: float, after: float):
        values = (before,) * 40 + (after,) * 40
        return result(
            "audio_analysis", centroid=SeriesTrack(method="measurement", unit="Hz", t0=0, dt=0.05, values=values)
        )

    options = {"max_distance": 0.05}
    even = run(SceneSegmentation(), video, tmp_path / "a", shots(2, 2), timbre(900, 1100), **options).scenes.items
    step = run(SceneSegmentation(), video, tmp_path / "b", shots(2, 2), timbre(500, 2000), **options).scenes.items
    assert (len(even), len(step)) == (1, 2)


def write_video_of_reds(folder):
    return write_shots(folder / "v.mp4", (2, RED), (2, RED))


def test_black_between_shots_joins_nothing(scenes):
    """A black shot belongs to the shot before it; the scenes before and after it do not become one through it."""
    found = scenes((2, RED), (1, (0, 0, 0)), (2, GREEN), (1, (0, 0, 0)), (2, GREEN))
    assert [span[:2] for span in found] == [(0, 3), (3, 8)]


def test_dark_scenes_are_told_apart(scenes):
    """Two dark places of other colours are two scenes: night is not one colour."""
    assert len(scenes((2, (40, 24, 20)), (2, (10, 24, 50)))) == 2


def test_a_fade_ends_links_over_several_shots(tmp_path):
    """Red, green, red cut hard is one scene; with a fade from black before the second red it is three."""
    video = write_shots(tmp_path / "v.mp4", (2, RED), (2, GREEN), (2, RED))
    name, cut = shots(2, 2, 2)
    fade = EventTrack[Event](method="measurement", items=(Event(id="c1", t=4, type="fade_in"),))
    faded = result("cut_analysis", shots=cut.tracks_by_name["shots"], cuts=fade)
    for given, count in (((name, cut), 1), (faded, 3)):
        assert len(run(SceneSegmentation(), video, tmp_path / str(count), given).scenes.items) == count
