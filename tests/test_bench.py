"""Tests of bench/: what is printed can be trusted and compared; the simulation obeys queueing theory."""

import json
import math
import subprocess
import sys
import time
from importlib import import_module
from itertools import combinations, islice, pairwise
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from bench import clips, cluster, compare, job, scalers, stores, talk, timeline
from bench.__main__ import FAMILIES, SHORT_FAMILIES, SHORT_TOTAL_SECONDS, TOTAL_SECONDS, allowed, lines_of
from bench.clips import drawn, repeated
from bench.cpu import tree_cpu
from bench.decode import bare_pass, everything
from bench.growth import Spent
from bench.rates import agreement, changed_share
from bench.rows import Row
from bench.talk import HEIGHT, SLIDES, WIDTH, shown
from services.commands.demo import SAMPLE
from shared.digests import sha256_of
from shared.frames import Frames, FrameStore
from shared.media import probe
from shared.settings import settings
from shared.tables import Run
from tests.support.clips import click, make_clip


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


def test_a_row_that_was_zero_is_compared(tmp_path):
    """What was 0 has no ratio, but that it grew, and that a goal is missed now, is said."""
    before, after = tmp_path / "a", tmp_path / "b"
    for file, failed in ((before, 0.0), (after, 3.0)):
        rows = (Row(row="failed", value=failed, goal=0, unit="runs"), Row(row="loads", value=0, goal=0, unit="loads"))
        file.write_text("\n".join(row.line("c") for row in rows))
    table = CliRunner().invoke(compare.main, [str(before), str(after)]).output.splitlines()
    assert table[2:] == [
        "| failed | 0 runs | 3 runs |  | worse, goal missed (no ratio: it was 0) |",
        "| loads | 0 loads | 0 loads |  |  |",
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
    simulated = cluster.Cluster({"g": 1}, begin_seconds=0.0)
    simulated.run((cluster.Piece("one", "g", seconds),), cluster.poisson(busy / seconds, 20_000))
    waited = sum(took - seconds for _, took in simulated.latencies) / len(simulated.latencies)
    assert waited == pytest.approx(busy * seconds / (2 * (1 - busy)), rel=0.1)


def test_a_piece_waits_for_what_it_reads_alone():
    """Alone on enough workers, a job takes its longest chain of pieces and the steps before each of them."""
    first, read = cluster.Piece("first", "a", 2.0), cluster.Piece("read", "b", 1.0)
    simulated = cluster.Cluster({"a": 1, "b": 1}, begin_seconds=0.25)
    simulated.run((first, read, cluster.Piece("reads", "b", 1.5, after=("read",))), [0.0])
    assert simulated.latencies == [(0.0, 3.0)]


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
    full, white = timeline.COLOURS[0], (255, 255, 255)
    pale = timeline.thinned(full)
    assert lane == [white, pale, full, white]
    refused = CliRunner().invoke(timeline.main, [str(results), "two.timeline", str(picture)])
    assert (refused.exit_code, "has no row two.timeline" in refused.output) == (1, True)


def test_analyzers_of_a_lane_have_colours_of_their_own():
    """No two of the twelve analyzers that one worker may run look alike, pale or full."""
    names = [f"analyzer_{number:02d}" for number in range(12)]
    full = list(timeline.colours({"light": names}).values())
    for tints in (full, [timeline.thinned(one) for one in full]):
        apart = [max(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in combinations(tints, 2)]
        assert min(apart) >= 15, tints


def test_the_families_together_never_take_longer_than_was_promised():
    """The shares add up to 15 and 3 minutes, and whatever earlier families took, what is allowed ends by then."""
    assert sum(FAMILIES.values()) == TOTAL_SECONDS == 15 * 60
    assert sum(SHORT_FAMILIES.values()) == SHORT_TOTAL_SECONDS == 3 * 60
    assert list(SHORT_FAMILIES) == list(FAMILIES)
    families = tuple(FAMILIES)
    assert allowed(families[0], families, 0.0, short=False) == FAMILIES[families[0]]
    assert allowed(families[1], families, 10.0, short=False) == sum(FAMILIES[one] for one in families[:2]) - 10
    assert allowed("whole", ("whole",), 5.0, short=True) == SHORT_TOTAL_SECONDS - 5
    assert allowed("whole", families, 2000.0, short=False) == 0


def test_a_family_that_is_cut_off_takes_its_children_along():
    """A child that holds the output open neither outlives a family whose time is over nor keeps the bench waiting."""
    child = "import time; time.sleep(600)"
    start = f"one = subprocess.Popen([sys.executable, '-c', {child!r}])"
    parent = f"import subprocess, sys; {start}; print(one.pid, flush=True); one.wait()"
    began = time.monotonic()
    first, last = lines_of("slow", [sys.executable, "-c", parent], 3.0)
    assert time.monotonic() - began < 300
    assert json.loads(last)["reason"] == "not done in 3 s"
    psutil.wait_procs([psutil.Process(int(first))] if psutil.pid_exists(int(first)) else [], timeout=30)
    assert not psutil.pid_exists(int(first)) or psutil.Process(int(first)).status() == psutil.STATUS_ZOMBIE


def test_a_round_of_growth_is_taken_apart():
    """Seconds before the first analyzer, from its begin to the last one's end, and after it, add up to the round."""
    runs = [Run(started_at=start, finished_at=end) for start, end in ((12.0, 13.0), (11.0, 12.0), (13.0, 16.5))]
    assert Spent.of(10.0, 17.0, runs) == Spent(7.0, 1.0, 5.5, 0.5)


def test_cpu_of_a_process_counts_its_ended_children():
    """CPU seconds that a child used up are its parent's once it has ended, so that no work of a service is lost."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    before = tree_cpu(psutil.Process())
    subprocess.run([sys.executable, "-c", burn], check=True, timeout=60)
    assert tree_cpu(psutil.Process()) - before >= 0.25


def test_slides_of_the_talk_change_rarely():
    """On the drawn talk only the speaker's corner changes between two pictures of a slide, and much at a new slide."""
    pictures = list(islice(shown(Image.new("RGB", (90, 160), "green")), 0, 6 * 25 + 1, 25))
    changed = [np.nonzero((a != b).any(axis=2)) for a, b in pairwise(pictures)]
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert len(SLIDES) > 1
    assert all(len(rows) and rows.min() > HEIGHT / 2 and columns.min() > WIDTH / 2 for rows, columns in changed[:5])
    assert changed[5][0].min() < HEIGHT / 4


def test_the_scaler_that_is_shipped_starts_one_worker_at_a_time_up_to_its_most():
    """A backlog brings one worker of the full group each half minute after its delay, never more than its most."""
    work, arrivals = (cluster.Piece("one", "g", 10.0),), [0.0] * 40
    ended = {}
    for most in (1, 3):
        found = scalers.as_shipped(work, arrivals, {"g": most}, delay=5.0)
        ended[most] = max(took for _, took in found.latencies)
        assert found.workers == {"g": most}
    # workers from 35 s and 65 s on, in the middle of whose tasks the others are
    assert ended == {1: pytest.approx(400, abs=1), 3: pytest.approx((400 + 35 + 65) / 3, abs=10)}


def test_the_scaler_that_knows_all_orders_for_all_that_waits():
    """What waits brings as many workers as end it within the time planned, beside those that the rate needs."""
    jobs, seconds = 40, 3.0
    found = scalers.autoscaled((cluster.Piece("one", "g", seconds),), [0.0] * jobs, first=1, most=20, delay=5.0)
    for_rate = jobs / scalers.SCALE_STEP_SECONDS * seconds / scalers.UTILISATION
    left = (jobs - scalers.SCALE_STEP_SECONDS / seconds) * seconds
    assert found.workers == {"g": math.ceil(for_rate + left / scalers.BACKLOG_SECONDS)} == {"g": 15}


def test_what_carries_a_rate_is_the_group_that_is_full_first():
    """Jobs a second are bounded by the group whose workers have the least room for its work."""
    work = (cluster.Piece("a", "slow", 2.0), cluster.Piece("b", "fast", 0.5))
    assert scalers.carried(work, {"slow": 2, "fast": 4}) == ("slow", 1.0)


def test_agreement_is_the_share_of_claimed_time():
    """Two results that claim the same for half of the time that either claims agree on a half; nothing agrees fully."""
    one, other = frozenset({("a", 1), ("a", 2), ("b", 2)}), frozenset({("a", 1), ("a", 2), ("b", 3)})
    assert agreement(one, other) == 0.5
    assert agreement(frozenset(), frozenset()) == 1.0


def test_the_changed_part_of_a_picture_is_found_in_tiles():
    """Nothing new is no part, one new edge is its tile, and a picture that was not seen before is new as a whole."""
    before, now = np.zeros((640, 360), np.bool_), np.zeros((640, 360), np.bool_)
    assert changed_share(before, now) == 0
    now[330, 100] = True
    assert changed_share(before, now) == pytest.approx(20 * 64 / now.size)
    assert changed_share(None, now) == 1


def test_servers_logs_are_counted_by_their_words():
    """Statements of PostgreSQL's log and requests of moto's are counted by their kinds, and other lines are not."""
    log = "x LOG:  statement: BEGIN\nx LOG:  execute <unnamed>: select 1\nx LOG:  connection received\n"
    assert stores.statements(log) == {"BEGIN": 1, "SELECT": 1}
    assert stores.requests('127.0.0.1 - - [d] "PUT /reels/a HTTP/1.1" 200 -\n * Running on http://h\n') == {"PUT": 1}


def test_without_a_clip_the_reel_and_a_talk_are_measured(tmp_path, monkeypatch):
    """The talk is made of the reel's picture and sound, has all slides, and is made once, in its own folder."""
    monkeypatch.setattr(talk, "SLIDE_SECONDS", 1)
    reel = tmp_path / "demo" / "reel" / SAMPLE
    reel.parent.mkdir(parents=True)
    make_clip(reel, frames=10, sound=click(1.0, [0.5]))
    monkeypatch.setattr(clips, "settings", lambda: settings().model_copy(update={"data_dir": tmp_path}))
    monkeypatch.delenv(clips.MEDIA, raising=False)
    first = clips.clips_or_sample(())
    assert (first[0], [one.name for one in reel.parent.iterdir()]) == (reel, [SAMPLE])
    info, made = probe(first[1]), first[1].stat().st_mtime_ns
    assert info.duration_seconds == pytest.approx(len(SLIDES), abs=0.1)
    assert {one.kind for one in info.streams} == {"video", "audio"}
    assert clips.clips_or_sample(()) == first
    assert first[1].stat().st_mtime_ns == made


def test_real_clips_are_measured_where_both_are_there(tmp_path, monkeypatch):
    """The folder of real videos is taken when it has reel and talk, and named clips go before it."""
    monkeypatch.setattr(clips, "settings", lambda: settings().model_copy(update={"data_dir": tmp_path}))
    monkeypatch.setattr(clips, "compose", lambda _: tmp_path / "sample.mp4")
    monkeypatch.setattr(clips, "compose_talk", lambda *_: tmp_path / "talk.mp4")
    monkeypatch.setenv(clips.MEDIA, str(tmp_path))
    reel, slides = (tmp_path / name for name in ("reel.mp4", "slides_talk.mp4"))
    reel.touch()
    assert clips.clips_or_sample(()) == (tmp_path / "sample.mp4", tmp_path / "talk.mp4")
    slides.touch()
    assert clips.clips_or_sample(()) == (reel, slides)
    assert clips.clips_or_sample((slides,)) == (slides,)


def test_who_waits_for_a_job_seldom_asks(tmp_path, monkeypatch):
    """A job that takes 0.5 s is asked about a few times: asking takes a core from the service that is measured."""
    asked = []

    def found(name):
        asked.append(time.monotonic())
        return SimpleNamespace(state="running" if asked[-1] - asked[0] < 0.5 else "completed")

    monkeypatch.setattr(job, "settings", lambda: settings().model_copy(update={"data_dir": tmp_path}))
    monkeypatch.setattr(job, "accept", lambda video: SimpleNamespace(id=video.stem))
    monkeypatch.setattr(job, "ledger", lambda: SimpleNamespace(job=found))
    monkeypatch.setattr(job, "storage", lambda: SimpleNamespace(read=str))
    monkeypatch.setattr(job, "parse_document", lambda content: content)
    assert "reel" in job.run(tmp_path / "reel.mp4")
    assert len(asked) <= 7
