"""`reelgraph eval`: its measures are right, its figures hold, and it can fail."""

import json
import os
import re
import signal
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commands.eval import eval_, measured, show
from services.evaluation.checks import CHECKS, UNJUDGED
from services.evaluation.figures import (
    Figure,
    at_least,
    at_most,
    edits,
    hits,
    letters_wrong,
    share_covered,
    word_error_rate,
)
from services.evaluation.films import FPS, edited, moving_shot
from services.evaluation.media import look
from services.evaluation.packaged import PINS, known, spoken, transcript
from services.evaluation.pictures import texture, write_video
from services.evaluation.reel_checks import _environment, _flow, judged_by, reels
from services.evaluation.truth import ReelTruth, truths
from shared.errors import BadInput, Unavailable
from shared.schema import LabelledSegment, Segment, SegmentTrack, TrackSet
from shared.weights import Weights
from tasks.analyzers.audio_environment import EnvironmentTracks
from tasks.analyzers.speech_flow import SpeechFlow
from tasks.registry import analyzers
from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.support.real import real_clip
from tests.support.system import missing

WORDS = st.lists(st.sampled_from(["ask", "not", "what", "you", "can"]), min_size=1, max_size=8)


@pytest.mark.parametrize("name", CHECKS)
def test_figures_hold(name):
    """One round of every check on made clips reaches every goal: what CI keeps from getting worse."""
    figures = list(measured(1, names=[name]))
    if figures[0].measure == "not judged":
        missing(figures[0].note)
    assert any(figure.holds for figure in figures)
    assert [figure for figure in figures if figure.holds is False] == []
    assert all(figure.value is not None or "not judged" in figure.measure for figure in figures)


def test_sample_reel_figures_hold(tmp_path):
    """On the real reel every figure reaches its goal; analyzers without weights say so instead of passing."""
    folder = real_clip("reel.mp4").parent
    figures = [figure for figure in reels(tmp_path, truths(folder)) if figure.on.startswith("reel.mp4")]
    assert {figure.holds for figure in figures if figure.value is not None} == {True}
    assert all(figure.note for figure in figures if figure.value is None)


def test_a_wrong_truth_is_missed(tmp_path):
    """A reel whose truth names a cut and a motion that are not there fails its goals: the figures can fail."""
    write_video(tmp_path / "still.mp4", [texture(1, 180, 320)] * 45)
    truth = {"cuts_seconds": [0.7], "camera": [{"motion": "pan_left", "start": 0, "end": 1.5}]}
    (tmp_path / "truth.json").write_text(json.dumps({"still.mp4": truth}))
    figures = list(reels(tmp_path / "store", truths(tmp_path)))
    assert {figure.analyzer: (figure.value, figure.holds) for figure in figures} == {
        "cut_analysis": (0.0, False),
        "camera_analysis": (0.0, False),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("{", "truth.json"),
        ('{"a.mp4": {"cuts": []}}', "truth.json"),
        ('{"a.mp4": {"cuts_seconds": [1]}}', "a.mp4"),
        ('{"cuts_seconds": [1]}', "the folder has 0"),
    ],
)
def test_bad_truth_is_one_sentence(tmp_path, content, words):
    """A missing, broken or unfitting truth.json is named in one sentence."""
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    with pytest.raises(BadInput, match=words):
        truths(tmp_path)


def test_truth_of_the_demo_is_understood(tmp_path):
    """A truth.json about the only video of its folder, as `demo --compose-only` writes it, needs no file name."""
    (tmp_path / "truth.json").write_text('{"cuts_seconds": [1.5]}')
    (tmp_path / "sample-reel.mp4").touch()
    ((video, truth),) = truths(tmp_path).items()
    assert (video.name, truth.cuts_seconds) == ("sample-reel.mp4", (1.5,))


def test_turns_that_overlap_are_one_span_of_speech():
    """Of an RTTM the turns of two speakers are joined where they overlap or touch; of an STM the words are read."""
    turns = ((1.0, 0.5, "a"), (3.0, 1.0, "a"), (3.5, 1.5, "b"), (5.0, 0.25, "a"))
    rttm = "".join(f"SPEAKER x 1 {start} {length} <NA> <NA> {who} <NA> <NA>\n" for start, length, who in turns)
    assert [(span.start, span.end) for span in spoken(rttm)] == [(1.0, 1.5), (3.0, 5.25)]
    assert transcript("x 1 a 1.0 1.5 Hello?\nx 1 b 3.0 5.0 Oh, hello.\n") == "Hello? Oh, hello."


def test_packaged_clips_have_their_truth(tmp_path):
    """Every pinned clip is known by its place, with something to judge."""
    entries = Weights(tmp_path, PINS).entries()
    pinned = {tmp_path / name / file.name for name, entry in entries.items() for file in entry.files}
    for path in pinned:
        path.parent.mkdir(exist_ok=True)
        path.write_text("SPEAKER x 1 1.0 0.5 <NA>\n" if path.suffix == ".rttm" else "x 1 a 1.0 1.5 Hello?\n")
    clips = known(lambda entry, file: tmp_path / entry / file)
    assert clips.keys() == {path for path in pinned if path.suffix not in {".rttm", ".stm"}}
    assert all(judged_by(truth) for truth in clips.values())


def test_time_of_speech_and_silences_are_counted():
    """Speech named for 3 of 4 true seconds and for 1 false one: 0.75 each; a pause in which somebody speaks is told."""
    truth = ReelTruth.model_validate({"spoken": [{"start": 1, "end": 3}, {"start": 4, "end": 6}]})
    spans = [LabelledSegment(id=f"e{n}", label="speech", start=a, end=b) for n, (a, b) in enumerate(((0, 3), (5, 6)))]
    tracks = EnvironmentTracks.model_construct(spans=SegmentTrack(method="model", items=tuple(spans)))
    assert [figure.value for figure in _environment(tracks, truth, "x")] == [0.75, 0.75]
    pause = LabelledSegment(id="p1", label="pause", start=1.5, end=2)
    flow = SpeechFlow.model_construct(pauses=SegmentTrack(method="measurement", items=(pause,)))
    assert [figure.value for figure in _flow(flow, truth, "x")] == [1, 1]


def test_look_runs_what_is_required(tmp_path):
    """Looking with camera_analysis runs cut_analysis first; an analyzer that has no weights here says why."""
    video = write_video(tmp_path / "v.mp4", [texture(1, 90, 160)] * 30)
    found = look(video, tmp_path / "store", ["camera_analysis", "blip2_caption"])
    assert sorted(found) == ["blip2_caption", "camera_analysis", "cut_analysis"]
    assert isinstance(found["camera_analysis"], TrackSet)
    assert "profile" in str(found["blip2_caption"])


def test_unknown_analyzer_is_refused():
    """An analyzer that there is not ends with one sentence, not with an empty table."""
    with pytest.raises(BadInput, match="there is no analyzer speech_rat;"):
        eval_.main(["--analyzers", "speech_rat"], standalone_mode=False)


def test_every_analyzer_is_judged_or_says_why_not():
    """Each analyzer of the registry is in one of both lists, and none is in two."""
    assert {*CHECKS, *UNJUDGED} == analyzers().keys()
    assert not CHECKS.keys() & UNJUDGED.keys()
    (row,) = measured(1, names=["body_pose"])
    assert (row.measure, row.value, row.note) == ("not judged", None, UNJUDGED["body_pose"])


def test_missing_weights_are_a_row(monkeypatch):
    """Without its weights an analyzer stands in the table with the reason; those after it are judged."""
    error = Unavailable("weights are missing: reelgraph models pull", code="weights_missing")
    monkeypatch.setattr("tasks.loading._ready", {"face_detection": error})
    first, *others = measured(1, names=["face_detection", "speech_rate"])
    assert (first.analyzer, first.measure, first.value, first.note) == (
        "face_detection",
        "not judged",
        None,
        error.message,
    )
    assert {figure.analyzer for figure in others} == {"speech_rate"}


def test_the_table_is_readable_in_80_columns(monkeypatch, capsys):
    """No analyzer's name is cut, no line is longer than 80, and every row has its value."""
    monkeypatch.setenv("COLUMNS", "80")
    long = "a measure with a name of many words"
    show(
        [
            Figure("cross_analyzer_intelligence", long, "a clip with a long name", 0.123, "cents", at_least(0.95)),
            Figure("cross_analyzer_intelligence", "not judged", "", None, note="nobody knows " * 10),
        ]
    )
    text = capsys.readouterr().out
    assert "cross_analyzer_intelligence" in text
    assert re.search(r"0\.123 cents +at least 0\.95 +NO", text)
    assert max(len(line) for line in text.splitlines()) <= 80


def test_persons_goods_ages_and_speech_of_a_reel_are_judged_by_its_truth():
    """What a truth says of persons, goods, faces and speech picks the analyzers that are judged by it."""
    truth = ReelTruth.model_validate(
        {
            "objects": [{"label": "person", "start": 0, "end": 1}, {"label": "bottle", "start": 0, "end": 1}],
            "faces": [{"start": 0, "end": 1, "age": 40, "emotion": "happy"}],
            "blinks_seconds": [0.5],
            "speech": {"start": 0, "end": 1},
        }
    )
    assert judged_by(truth) == [
        "age_estimation",
        "audio_environment",
        "background_segmentation",
        "body_pose",
        "eye_tracking",
        "face_detection",
        "face_emotion",
        "object_detection",
        "product_detection",
    ]


def test_films_are_what_they_say():
    """An edited film changes most where it says it is cut, and a moving shot has a truth for every frame."""
    edit = edited(5, shots=6)
    change = [float(np.abs(b.astype(int) - a).mean()) for a, b in zip(edit.frames, edit.frames[1:], strict=False)]
    assert np.median([change[cut - 1] for cut in edit.cuts]) > 5 * np.median(change)
    faded = edited(5, shots=6, joints=("fade",))
    assert all(faded.frames[first].max() == 0 for first in faded.fades_out)
    assert all(faded.frames[first - 1].max() == 0 < faded.frames[first].max() for first in faded.fades_in)
    pictures, truth = moving_shot(("static", "pan_left"), frames=FPS)
    assert len(pictures) == len(truth) == 2 * FPS
    assert np.array_equal(pictures[0], pictures[FPS - 1])
    assert not np.array_equal(pictures[FPS], pictures[-1])


# --- measures --------------------------------------------------------------------------------------------------


@given(WORDS, WORDS)
def test_word_error_rate_is_jiwers(said, truth):
    """The word error rate is the one that jiwer gives."""
    one, other = " ".join(said), " ".join(truth)
    assert word_error_rate(one, other) == pytest.approx(jiwer.wer(other, one))


@given(st.text("AB C", max_size=8), st.text("AB C", max_size=8))
def test_edit_distance_is_symmetric_and_zero_for_equals_only(one, other):
    """Edit distance is a metric's: symmetric, zero for equal texts only, at most the longer text."""
    assert edits(one, other) == edits(other, one)
    assert (edits(one, other) == 0) == (one == other)
    assert edits(one, other) <= max(len(one), len(other))


def test_letters_forgive_case_and_spaces():
    """`Link inbio` is LINK IN BIO; one letter off is one."""
    assert letters_wrong("Link inbio", "LINK IN BIO") == 0
    assert letters_wrong("LINK IN B1O", "LINK IN BIO") == 1
    assert letters_wrong("", "LINK") == 4


def test_hits_match_one_to_one():
    """Two findings at one true moment are one right and one wrong; F1 is the harmonic mean of precision and recall."""
    found = hits([1.0, 1.05, 5.0], [1.0, 3.0], 0.1)
    assert (found.right, found.wrong, found.missed) == (1, 2, 1)
    assert (found.precision, found.recall) == pytest.approx((1 / 3, 1 / 2))
    assert found.f1 == pytest.approx(2 / 5)
    assert (hits([], [], 0.1).f1, hits([], [], 0.1).precision, hits([], [], 0.1).recall) == (1, 1, 1)


def test_share_covered_counts_overlaps_once():
    """Overlapping segments cover their union, clipped to the span."""
    segments = [Segment(id="a", start=0, end=2), Segment(id="b", start=1, end=3)]
    assert share_covered(segments, 1, 5) == 0.5


def test_goals_hold_at_their_bound():
    """A goal is reached at its bound; without a goal or a value nothing is said."""
    assert Figure("a", "m", "x", 0.95, goal=at_least(0.95)).holds is True
    assert Figure("a", "m", "x", 2.1, goal=at_most(2)).holds is False
    assert Figure("a", "m", "x", 1.0).holds is None
    assert Figure("a", "m", "x", None, goal=at_most(2)).holds is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_command_leaves_no_films(tmp_path, number):
    """Told to stop while it judges, `eval` says that it was interrupted and removes the films it has made."""
    folder = tmp_path / "films"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "REELGRAPH_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "services.cli", "eval", "--analyzers", "visual_effects"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: any(path.suffix == ".mp4" for path in folder.rglob("*")), 60)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "interrupted")
    assert list(folder.iterdir()) == []
