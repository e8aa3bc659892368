"""Tests of bench/: what is printed can be trusted and compared; the simulation obeys queueing theory."""

import json
from importlib import import_module

import pytest
from click.testing import CliRunner
from PIL import Image

from bench import compare, scaling, timeline
from bench.__main__ import FAMILIES
from bench.clips import drawn, repeated
from bench.decode import bare_pass, everything
from bench.rows import Row
from shared.digests import sha256_of
from shared.frames import Frames, FrameStore
from shared.media import probe


def test_a_row_judges_its_goal():
    """A value at its goal holds, one beyond it does not, and without value or goal nothing is claimed."""
    assert Row(row="x", value=1.1, goal=1.1, unit="ratio").holds is True
    assert Row(row="x", value=1.2, goal=1.1, unit="ratio").holds is False
    assert Row(row="x", value=4.1, goal=4.0, better="higher", unit="x").holds is True
    assert Row(row="x", value=1.0, unit="s").holds is None
    assert json.loads(Row(row="x", value=None, unit="s", goal=1.0, reason="no clip").line("c"))["holds"] is None


def test_a_row_without_a_value_says_why():
    """What could not be measured cannot be printed without a reason."""
    with pytest.raises(ValueError, match="does not say why"):
        Row(row="x", value=None, unit="s")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_the_common_options(family):
    """Each family is a module with a command that takes --short and --clip, as `make bench` gives them."""
    known = {option for one in import_module(f"bench.{family}").main.params for option in one.opts}
    assert {"--short", "--clip"} <= known


def test_two_files_are_compared(tmp_path):
    """A change of a tenth or more is called by its direction, a lost goal is named, and a row that is gone stays."""
    before, after = tmp_path / "a", tmp_path / "b"
    before.write_text(
        "\n".join(
            Row(row=name, value=value, goal=goal, unit="s").line("c")
            for name, value, goal in (("slow", 1.0, 1.5), ("same", 1.0, None), ("gone", 1.0, None))
        )
    )
    after.write_text(
        "\n".join(
            Row(row=name, value=value, goal=goal, unit="s").line("c")
            for name, value, goal in (("slow", 2.0, 1.5), ("same", 1.05, None))
        )
    )
    table = CliRunner().invoke(compare.main, [str(before), str(after)]).output.splitlines()
    assert table[2:] == [
        "| slow | 1 s | 2 s | 2.00 | worse, goal missed |",
        "| same | 1 s | 1.05 s | 1.05 |  |",
        "| gone | 1 s | - |  | gone |",
    ]


def test_what_is_no_result_file_is_refused(tmp_path):
    """A file that the bench did not write is refused with the line that is wrong."""
    (tmp_path / "a").write_text("not a row\n")
    result = CliRunner().invoke(compare.main, [str(tmp_path / "a"), str(tmp_path / "a")])
    assert result.exit_code == 1
    assert "line 1" in result.output


def test_the_simulation_waits_as_queueing_theory_says():
    """One worker, jobs at random, constant work: the mean wait is that of an M/D/1 queue (Pollaczek-Khinchine)."""
    seconds, busy = 1.0, 0.6
    cluster = scaling.Cluster({"g": 1}, begin_seconds=0.0)
    cluster.run((scaling.Piece("one", "g", seconds),), scaling.poisson(busy / seconds, 20_000))
    waited = sum(took - seconds for _, took in cluster.latencies) / len(cluster.latencies)
    assert waited == pytest.approx(busy * seconds / (2 * (1 - busy)), rel=0.1)


def test_a_piece_waits_for_what_it_reads_alone():
    """Alone on enough workers, a job takes its longest chain of pieces and the steps before each of them."""
    first, read = scaling.Piece("first", "a", 2.0), scaling.Piece("read", "b", 1.0)
    cluster = scaling.Cluster({"a": 1, "b": 1}, begin_seconds=0.25)
    cluster.run((first, read, scaling.Piece("reads", "b", 1.5, after=("read",))), [0.0])
    assert cluster.latencies == [(0.0, 3.0)]


def test_the_bare_loop_makes_the_frames_that_the_pass_writes(tmp_path):
    """Decoding is compared at equal work: PyAV's loop converts exactly as many frames as the frame store holds."""
    video = repeated(drawn(tmp_path / "a.mp4", width=160, height=90, fps=10, seconds=2), tmp_path / "b.mp4", 2)
    info = probe(video, sha256=sha256_of(video))
    assert info.duration_seconds == pytest.approx(4, abs=0.2)
    needs = everything(info)
    with FrameStore(tmp_path / "frames", budget_bytes=1 << 30).open(video, info, needs) as reader:
        held = [len(batch.times) for need in needs if isinstance(need, Frames) for batch in reader.frames(need)]
    assert bare_pass(video, info, needs) == sum(held)


def test_a_timeline_is_drawn_to_scale(tmp_path):
    """A run's bar spans its seconds in its worker's lane, its reading part pale; a row that is not there is refused."""
    lines = [["cut_analysis", "detect", 1.0, 3.0, 0.0, 1.0, 1.0], ["blip2_caption", "caption", 0.0, 1.0, 0.0, 0.0, 1.0]]
    columns = ["analyzer", "worker", "start", "end", "wait", "read", "infer"]
    results, picture = tmp_path / "results.jsonl", tmp_path / "timeline.png"
    results.write_text(json.dumps({"row": "one.timeline", "detail": {"columns": columns, "lines": lines}}) + "\n")
    said = CliRunner().invoke(timeline.main, [str(results), "one.timeline", str(picture), "--end", "4"])
    assert said.exit_code == 0, said.output
    scale = (timeline.WIDTH - timeline.LEFT - 20) / 4
    lane = [Image.open(picture).getpixel((timeline.LEFT + scale * t, timeline.TOP + 8)) for t in (0.6, 1.7, 2.6, 3.6)]
    full, white = timeline.colours(["blip2_caption", "cut_analysis"])["cut_analysis"], (255, 255, 255)
    pale = timeline.thinned(full)
    assert lane == [white, pale, full, white]
    refused = CliRunner().invoke(timeline.main, [str(results), "two.timeline", str(picture)])
    assert (refused.exit_code, "has no row two.timeline" in refused.output) == (1, True)
