"""The benchmark of the gpu profile: the device's minutes are few, so what can be wrong without one is tested here."""

import json
import os
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from bench import fresh, gpu, parts
from bench.bare import Reel
from bench.checkpoints import MAKERS
from bench.loads import KINDS, PAGE, WARM_SECONDS, dropped, resident
from bench.nvml import Nvml, Watch
from bench.parts import part
from bench.receipts import engines_at_work, memory_is_back
from bench.rows import Row, say
from shared.frames import Frames
from shared.schema import AnalyzerReport, Coverage, Document, JobInfo, MediaInfo, Receipt
from shared.settings import settings
from shared.weights import Weights
from tasks import shots
from tasks.analyzers import qwen2_vl_temporal
from tasks.registry import analyzers, extra_entry, weights_entry


def used():
    """Entries of the gpu profile, with and without a hub."""
    known = Weights(settings().weights_dir).entries()
    names = {entry(one, "gpu") for one in analyzers().values() for entry in (weights_entry, extra_entry)}
    return {name: known[name] for name in names if name}


def test_every_hub_model_of_the_profile_can_be_made():
    """No analyzer of the gpu profile is measured without its model, for want of one of its true size."""
    assert {name for name, entry in used().items() if entry.hub} <= set(MAKERS)


def test_every_engine_of_the_profile_is_loaded():
    """Loading is measured for each entry that an engine reads."""
    assert {name for name, entry in used().items() if entry.engine} <= set(KINDS)


@pytest.fixture
def printed(capsys, monkeypatch):
    """The rows that were printed since, and what failed is forgotten afterwards."""
    monkeypatch.setattr(parts, "FAILED", [])
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_part_that_fails_is_a_row(printed):
    """Its error is printed, the rows before it were printed, and the next part begins."""
    with part("one"):
        say(Row(row="one.figure", value=1, unit="x"))
        raise ValueError("no such layer")
    with part("two"):
        say(Row(row="two.figure", value=2, unit="x"))
    rows = printed()
    assert [one["row"] for one in rows] == ["one.figure", "one", "two.figure"]
    assert rows[1]["reason"] == "ValueError: no such layer"
    assert parts.FAILED == ["one"]


def test_the_video_in_memory_is_what_analyzers_ask_for():
    """The two that write find every segment and every frame of it, up to its end."""
    reel = Reel(3, qwen2_vl_temporal.FPS, 36, 64)
    options = qwen2_vl_temporal.TemporalOptions()
    shown = list(qwen2_vl_temporal.clips_of(reel, options.segment_seconds, options.frames))
    assert len(shown) == 3 / options.segment_seconds
    assert all(clip for _, clip in shown)
    assert shots.shown_until(Reel(3, 1, 36, 64), Frames(short_side=36, fps=1)) == 3


def job(**receipts):
    """A document in which these analyzers ran, with these receipts."""
    info = JobInfo(
        id="j",
        state="completed",
        profile="gpu",
        submitted_at="now",
        decode_passes=1,
        wall_seconds=1,
        realtime_factor=0.1,
    )
    media = MediaInfo(sha256="0" * 64, size_bytes=1, container="mp4", duration_seconds=10)
    ran = (AnalyzerReport(name=name, version=1, status="ok", receipt=one) for name, one in receipts.items())
    return Document(job=info, media=media, coverage=Coverage(), analyzers=tuple(ran), tracks=())


def test_a_model_without_work_fails_the_bench(printed):
    """An engine that one of its analyzers never asked, or that nobody had, is named, and the exit code will be 1."""
    document = job(
        audio_environment=Receipt(batches={"ast-audioset": 2}),
        sound_effects=Receipt(batches={"ast-audioset": 0}),
        cut_analysis=Receipt(batches={"transnetv2": 1}),
    )
    engines_at_work(document, "all", {"transnetv2"})
    assert parts.FAILED == []
    engines_at_work(document, "some", {"ast-audioset", "transnetv2", "owlv2-base"})
    assert parts.FAILED == ["some.engines_at_work"]
    assert [(one["value"], one["goal"], one["detail"]["idle"]) for one in printed()] == [
        (1, 1, []),
        (1, 3, ["ast-audioset", "owlv2-base"]),
    ]


def test_memory_is_compared_with_that_of_a_warm_worker(printed):
    """The worker that is farthest from its warm level, up or down, after any job, is the figure."""
    documents = [
        job(blip2_caption=Receipt(held_gpu_mib=mib, worker="caption@host"), people=Receipt(worker="people@host"))
        for mib in (1000.0, 1030.0, 1005.0)
    ]
    memory_is_back(documents, {"caption": 1000.0, "people": 0.0}, "after_3_jobs")
    (row,) = printed()
    assert (row["row"], row["value"], row["holds"]) == ("held_over_warm.after_3_jobs", 0.03, False)


def test_without_a_gpu_the_bench_is_one_sentence(tmp_path, monkeypatch):
    """No checkpoint is made and no row printed: exit code 2 and what is missing."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(gpu.main, ["models", str(tmp_path / "store")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "bench.gpu: torch is not installed; it measures the gpu profile on one GPU.\n"
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise")
def test_what_is_called_cold_says_how_cold_it_is(tmp_path):
    """Of a file just written every page is cached; after dropping, the share that stayed is told, not assumed."""
    (tmp_path / "weights").write_bytes(b"w" * (3 * PAGE + 1))
    before = resident(tmp_path / "weights")
    assert [page & 1 for page in before] == [1, 1, 1, 1]
    stayed = dropped(tmp_path)
    after = resident(tmp_path / "weights")
    assert stayed == sum(page & 1 for page in after) / 4


def test_without_a_gpu_the_figures_are_missing_with_a_reason():
    """Where NVML sees no GPU its figures are null and the reason stands beside them."""
    gpu = Nvml()
    if gpu.missing is None:
        pytest.skip("this machine has an NVIDIA GPU")
    with Watch(gpu, {"self": os.getpid()}) as watch:
        pass
    found = watch.figures()
    assert (found.used_mib, found.busy_percent) == (None, None)
    assert found.missing == gpu.missing


WORKER_LOG = """\
2026-11-22T22:00:03.500000Z [info ] imported  seconds=2.4
2026-11-22T22:00:03.600000Z [info ] loading   analyzer=blip2_caption number=1 of=1
2026-11-22T22:00:05.900000Z [info ] loaded    analyzer=blip2_caption seconds=1.7 warm_up_seconds=0.6
2026-11-22T22:00:06.000000Z [info ] ready     analyzers=['blip2_caption']
"""


def test_a_worker_s_start_is_told_by_its_log():
    """Loading, and what went before and after it, are the times of the log's own lines; a log without them says so."""
    began = datetime(2026, 11, 22, 22, 0, 0, tzinfo=UTC).timestamp()
    load, ready = fresh.rows("blip2-opt-2.7b", WORKER_LOG, began, {})
    assert (load.value, load.goal, load.holds, ready.value) == (1.7, 3.0, True, 6.0)
    assert load.detail == {"start_to_loading": 3.6, "imports": 2.4, "load": 1.7, "warm_up": 0.6}
    (missing,) = fresh.rows("blip2-opt-2.7b", "not_preloaded reason=no room", began, {})
    assert missing.value is None
    assert missing.reason.endswith("no room")
    assert {fresh.group_of(entry) for entry in WARM_SECONDS} == {"vlm", "caption"}
