"""`reelgraph plan`, as an operator runs it."""

import errno
import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.commands.plan import KEPT, loads, plan
from shared.errors import BadInput, Infrastructure
from shared.groups import groups, workers
from shared.pins import load_pins
from shared.schema import AnalyzerReport, Receipt
from shared.settings import settings
from shared.tables import Job, Run, new_id
from shared.weights import PINS
from tasks.devices import CONTEXT_MIB
from tasks.loading import budget_mib
from tasks.models import ladder
from tasks.node import ledger, weights
from tasks.registry import analyzers
from tests.support.node import node
from tests.support.web import pinned, write_pins


def planned(*arguments):
    done = CliRunner().invoke(plan, [*map(str, arguments)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_contexts_and_the_driver_have_their_place():
    """On the measured H100, 81,559 MiB of which 1,103 were in use, workers fit with what CUDA takes itself."""
    workers = json.loads(planned("--gpu-memory", "80GiB", "--json"))["workers"]
    on_gpu = [worker["vram_mib"] for worker in workers if worker["gpu"] is not None]
    assert sum(mib + CONTEXT_MIB for mib in on_gpu) <= 81_559 - 1_103
    said = planned("--gpu-memory", "80GiB")
    assert "planned with 79462 of 81920 MiB a GPU" in said
    assert f"every worker holds {CONTEXT_MIB} for CUDA itself" in said


def test_the_shipped_shares_fit_an_h100():
    """The shares of groups.toml leave room for their workers' contexts on the measured H100."""
    shares = [group.vram_mib for group in groups().values() if group.gpu]
    assert sum(mib + CONTEXT_MIB for mib in shares) <= 81_559 - 1_103


def test_two_cards_of_24_gib():
    """Every gpu group is served by a worker on one of the cards, within its memory; every analyzer is accounted for."""
    layout = json.loads(planned("--gpu-memory", "24GiB", "--gpus", 2, "--json"))
    by_group = {group: worker for worker in layout["workers"] for group in worker["groups"]}
    assert set(by_group) >= {one.group for one in analyzers().values()} - {"control"}
    assert {worker["gpu"] for worker in layout["workers"]} <= {0, 1, None}
    for gpu in (0, 1):
        assert sum(worker["vram_mib"] for worker in layout["workers"] if worker["gpu"] == gpu) <= 24 * 1024
    (vlm,) = (model for model in by_group["vlm"]["models"] if "qwen2_vl_temporal" in model["analyzers"])
    assert (vlm["entry"], vlm["analyzers"], vlm["precision"]) == ("qwen2-vl-7b", ["qwen2_vl_temporal"], "bf16")
    assert vlm["is_derived"] is False


def models_of(layout):
    return {model["entry"]: model for worker in layout["workers"] for model in worker["models"]}


@pytest.mark.parametrize("memory", ["27GiB", "34GiB", "40GiB"])
def test_one_card_that_needs_smaller_precisions(memory):
    """Cards on which bf16 has no room have a layout all the same, within their memory: groups share workers."""
    layout = json.loads(planned("--gpu-memory", memory, "--json"))
    assert sum(worker["vram_mib"] for worker in layout["workers"]) <= int(memory[:2]) * 1024
    assert "nf4" in {model["precision"] for model in models_of(layout).values()}


def test_extras_have_their_place():
    """What analyzers load when it is there is planned for: TransNetV2, OWLv2 and the aesthetic head."""
    models = models_of(json.loads(planned("--gpu-memory", "80GiB", "--json")))
    assert {"transnetv2", "owlv2-base", "aesthetics-v2-l14"} <= set(models)


def test_what_nobody_measured_is_not_a_figure():
    """On a small card Qwen2-VL is held as nf4, whose seconds nobody has measured: no latency is claimed."""
    layout = json.loads(planned("--gpu-memory", "36GiB", "--json"))
    assert models_of(layout)["qwen2-vl-7b"]["precision"] == "nf4"
    assert "qwen2_vl_temporal" in layout["unmeasured"]
    assert (layout["most_latency"], layout["least_throughput"]) == (None, None)
    said = planned("--gpu-memory", "36GiB")
    assert f"latency: at least {layout['least_latency']:.2f} s" in said
    assert f"throughput: at most {layout['most_throughput']:.2f} s" in said
    assert "nothing is counted for what nobody has measured with these models in these precisions: qwen2_vl" in said
    assert "qwen2-vl-7b nf4, 10200 MiB derived (qwen2_vl_temporal)" in said
    assert "rtdetr-v2-r50 bf16, 4300 MiB measured (object_detection)" in said


def test_other_weights_are_not_those_that_were_measured(tmp_path):
    """Seconds declared for an analyzer are those of its own weights; of another entry they are not known."""
    with node(tmp_path, models={"qwen2_vl_temporal": "qwen3-vl-8b"}):
        layout = json.loads(planned("--gpu-memory", "80GiB", "--json"))
    assert models_of(layout)["qwen3-vl-8b"]["is_derived"] is True
    assert "qwen2_vl_temporal" in layout["unmeasured"]


def test_what_allocates_past_torch_keeps_its_place(tmp_path):
    """faster-whisper's memory is counted in its worker's, and both forms of the layout say that torch gets the rest."""
    arguments = ("--gpu-memory", "24GiB", "--gpus", 2)
    with node(tmp_path, models={"speech_transcription": "whisper-large-v3"}):
        layout, said = json.loads(planned(*arguments, "--json")), planned(*arguments)
    (worker,) = (one for one in layout["workers"] if "speech" in one["groups"])
    models = {model["entry"]: model for model in worker["models"]}
    assert models["whisper-large-v3"]["beside_torch"] is True
    assert {name for name, one in models_of(layout).items() if one["beside_torch"]} == {"whisper-large-v3"}
    assert worker["vram_mib"] > models["whisper-large-v3"]["vram_mib"]
    assert "whisper-large-v3 bf16, 4500 MiB derived beside torch's part (speech_transcription)" in said
    assert "torch's part of a worker's MiB is what the models beside it leave" in said
    assert "beside torch" not in planned(*arguments)


def own_pins(folder, more):
    """A pins file with one entry, `see`, for the vlm group."""
    files = [pinned(b"x", name="model.bin", artifact="a")]
    artifacts = {"a": pinned(b"x", source="file", path="/x")}
    return write_pins(folder / "pins.toml", artifacts, {"see": files}, see=f'engine = "qwen-vl"\n{more}')


def ended_job(digest, precision, seconds, slower=(), device="cuda:0"):
    """A job in the ledger whose receipt says so many seconds for a second of video, at lower rates for some."""
    receipt = Receipt(realtime_factor=seconds, precision=precision, device=device)
    report = AnalyzerReport(name="qwen2_vl_temporal", version=1, status="ok", weights=digest, receipt=receipt)
    job = Job(
        id=new_id(),
        state="completed",
        deployment="default",
        profile="gpu",
        video_sha256="0" * 64,
        media={},
        requested=[],
        options={},
        priority=5,
        submitted_at=0.0,
        deadline_at=1.0,
        plan={"slower": dict.fromkeys(slower, "short of time")},
    )
    run = Run(
        job_id=job.id, analyzer=report.name, level=0, status="ok", attempts=1, report=report.model_dump(mode="json")
    )
    with ledger().session() as session:
        session.add(job)
        session.flush()
        session.add(run)
        session.commit()


def test_receipts_measure_a_precision_of_these_weights(tmp_path):
    """With --receipts, seconds of nf4 come from receipts that say nf4 and these weights, at full rates on a GPU."""
    pins = own_pins(tmp_path, "vram_mib = { nf4 = 8000 }")
    with node(tmp_path, models={"qwen2_vl_temporal": "see"}, pins_file=pins):
        ended_job(weights().digest("see"), "nf4", 0.5)
        ended_job("of others", "nf4", 9.0)
        ended_job(weights().digest("see"), "nf4", 0.1, slower=["qwen2_vl_temporal"])
        ended_job(weights().digest("see"), "int8", 7.0)
        ended_job(weights().digest("see"), "nf4", 60.0, device="cpu")
        layout = json.loads(planned("--gpu-memory", "80GiB", "--receipts", "--json"))
    (worker,) = (one for one in layout["workers"] if one["groups"] == ["vlm"])
    assert worker["seconds"] == pytest.approx(0.5)
    assert "qwen2_vl_temporal" not in layout["unmeasured"]


def test_a_layout_with_unknown_memory_is_not_written(tmp_path):
    """Nobody can say whether it would load: nothing is written, and the entry is named."""
    file = tmp_path / "groups.toml"
    with (
        node(tmp_path, models={"qwen2_vl_temporal": "see"}, pins_file=own_pins(tmp_path, "")),
        pytest.raises(BadInput, match="nobody has declared the GPU memory of see"),
    ):
        planned("--gpu-memory", "80GiB", "--write", file)
    assert not file.exists()


def test_every_model_declares_its_memory():
    """No shipped entry that an engine loads is left out: a start that cannot fit is refused for each of them."""
    known = load_pins(PINS).entries
    assert [name for name, entry in known.items() if entry.engine and not entry.memory_mib] == []


def test_the_shipped_groups_have_room_for_their_models():
    """The memory that groups.toml gives a worker is enough for all its models in their best precisions."""
    for group in groups().values():
        models = {
            name: demand for load in loads({}) if load.group == group.name for name, demand in load.models.items()
        }
        if models:
            assert ladder(models)[0].vram_mib <= group.vram_mib, group.name


def test_where_everything_was_measured_the_layout_has_its_figures():
    """With the shipped models in bf16 latency and throughput have both bounds, and what they rest on is said."""
    layout = json.loads(planned("--gpu-memory", "80GiB", "--json"))
    assert layout["unmeasured"] == []
    said = planned("--gpu-memory", "80GiB")
    assert f"latency: {layout['least_latency']:.2f} to {layout['most_latency']:.2f} s for a second of video" in said
    assert f"throughput: {layout['least_throughput']:.2f} to {layout['most_throughput']:.2f} s of video a" in said
    assert "bounds, from what each analyzer takes alone" in said


@pytest.mark.parametrize(
    "name",
    [
        "age_estimation",
        "camera_analysis",
        "eye_tracking",
        "face_detection",
        "gesture_recognition",
        "speech_emotion",
        "visual_effects",
    ],
)
def test_declared_seconds_are_those_of_the_record(name):
    """An analyzer declares a tenth of what it took for the bench's ten seconds of video (docs/performance.md)."""
    record = (Path(__file__).parents[1] / "docs/performance.md").read_text().partition("## The goals, in one pair")[2]
    (seconds,) = re.findall(rf"\b{name}(?: and \w+)? (\d\.\d+)", record)
    assert analyzers()[name].cost_in["gpu"] == pytest.approx(float(seconds) / 10)


def test_what_an_h100_was_measured_to_bring_lies_between_the_bounds():
    """2.54 s for a clip of ten seconds, 1731 clips an hour with 16 in flight, 1573 with 64 (docs/performance.md)."""
    layout = json.loads(planned("--gpu-memory", "80GiB", "--json"))
    assert layout["least_latency"] < 0.254 < layout["most_latency"]
    assert layout["least_throughput"] < 10 * 1573 / 3600 < 10 * 1731 / 3600 < layout["most_throughput"]


def test_the_model_with_less_work_gives_way_whatever_its_weights(tmp_path):
    """With Qwen2.5-VL, whose seconds nobody has measured, it is the captioner that goes to nf4, as with Qwen2-VL."""
    for chosen in ("qwen2-vl-7b", "qwen2.5-vl-7b"):
        with node(tmp_path / chosen, models={"qwen2_vl_temporal": chosen}):
            models = models_of(json.loads(planned("--gpu-memory", "39GiB", "--json")))
        assert (models[chosen]["precision"], models["blip2-opt-2.7b"]["precision"]) == ("bf16", "nf4")


def test_a_written_layout_is_a_groups_file(tmp_path):
    """What is written can be used as it is: same queues, the workers of the layout, their GPUs and memory."""
    file = tmp_path / "groups.toml"
    before = groups()
    planned("--gpu-memory", "24GiB", "--gpus", 2, "--write", file)
    with node(tmp_path, groups_file=file):
        groups.cache_clear()
        try:
            written = groups()
        finally:
            groups.cache_clear()
    assert list(written) == list(before)
    with node(tmp_path, groups_file=file, profile="gpu"):
        groups.cache_clear()
        try:
            together = {name: budget_mib(name, queues) for name, queues in workers("gpu").items() if name != "control"}
        finally:
            groups.cache_clear()
    layout = json.loads(planned("--gpu-memory", "24GiB", "--gpus", 2, "--json"))
    assert together == {worker["name"]: worker["vram_mib"] for worker in layout["workers"]}
    assert written["vlm"].worker["gpu"] == [worker["name"] for worker in layout["workers"] if "vlm" in worker["groups"]]
    assert any(len(worker["groups"]) > 1 for worker in layout["workers"])
    assert {group.worker["local"] == before[name].worker["local"] for name, group in written.items()} == {True}
    assert settings().groups_file is None


def test_a_layout_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """A full disk leaves the file that was there, names the path, and leaves no half beside it; a device is no file."""
    with pytest.raises(Infrastructure, match=r"^cannot write /dev/full: No space left on device$"):
        planned("--gpu-memory", "80GiB", "--write", "/dev/full")
    assert Path("/dev/full").is_char_device()
    file = tmp_path / "groups.toml"
    file.write_text("before")

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("shared.replacement.os.fsync", full)
        with pytest.raises(Infrastructure, match=rf"^cannot write {file}: No space left"):
            planned("--gpu-memory", "80GiB", "--write", file)
    assert ([*tmp_path.iterdir()], file.read_text()) == ([file], "before")
    planned("--gpu-memory", "80GiB", "--write", file)
    assert file.read_text().startswith("# written by")
    assert [*tmp_path.iterdir()] == [file]


def test_copies_have_their_own_shares(tmp_path):
    """The workers of one group on several GPUs are written with what each GPU has left for them."""
    file = tmp_path / "groups.toml"
    planned("--gpu-memory", "80GiB", "--gpus", 9, "--write", file)
    layout = json.loads(planned("--gpu-memory", "80GiB", "--gpus", 9, "--json"))
    shares = {worker["name"]: worker["vram_mib"] for worker in layout["workers"] if "vlm" in worker["groups"]}
    assert len(shares) > 1
    assert tomllib.loads(file.read_text())["vlm"]["vram_mib"] == shares


def test_a_precision_that_an_engine_lacks_is_not_planned(tmp_path):
    """Whatever profile the command runs in, what no worker could load is refused in a sentence."""
    with (
        node(tmp_path, precision={"background_segmentation": "nf4"}),
        pytest.raises(BadInput, match="background_segmentation comes in fp32 and bf16, not in nf4"),
    ):
        planned("--gpu-memory", "80GiB")


@pytest.mark.parametrize("amount", ["24", " 24576 "])
def test_an_amount_without_a_unit(amount):
    """A bare number is refused: 24 would be 24 MiB, which nobody means; the sentence shows how to write it."""
    with pytest.raises(BadInput, match=rf"has no unit: write {amount.strip()}GiB or {amount.strip()}MiB"):
        planned("--gpu-memory", amount)


@pytest.mark.parametrize("amount", ["0GiB", "1000000000GiB", "512MiB", "9" * 15 + "G", "24 TiB", "1.2TB"])
def test_an_amount_that_no_gpu_has(amount):
    """Sizes beyond any GPU are refused with the bounds."""
    with pytest.raises(BadInput, match="no GPU's memory: give that of one GPU, from 1GiB to 1024GiB"):
        planned("--gpu-memory", amount)


@pytest.mark.parametrize(("amount", "mib"), [("0.25TiB", 262_144), ("0.25T", 262_144), ("0.3 tb", 286_102)])
def test_terabytes(amount, mib):
    """Eight GPUs' worth of memory is written in TiB or TB by some; what is planned with is said."""
    assert f"planned with {int(mib * KEPT)} of {mib} MiB a GPU" in planned("--gpu-memory", amount)


@pytest.mark.parametrize("amount", ["much", "24 PiB", "-3GiB", "", "9" * 400 + "G"])
def test_no_amount_of_memory(amount):
    """What cannot be read as memory is bad input that shows an example."""
    with pytest.raises(BadInput, match="is no amount of memory such as 24GiB"):
        planned("--gpu-memory", amount)


def test_a_groups_file_that_cannot_be_used(tmp_path):
    """A missing or damaged file is one sentence with its name."""
    for content in (None, "[vlm", "[vlm]\npurpose = 3\ncolour = 4"):
        file = tmp_path / "groups.toml"
        if content:
            file.write_text(content)
        with node(tmp_path, groups_file=file):
            groups.cache_clear()
            try:
                with pytest.raises(BadInput, match=r"groups\.toml"):
                    groups()
            finally:
                groups.cache_clear()
