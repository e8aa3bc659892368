"""Which GPU a worker uses: as it is named, as its groups are planned, or as the settings say."""

import json
import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from services.commands.worker import worker
from shared.errors import BadInput
from shared.groups import groups
from tasks.child import QUEUES, START, not_loaded, ready_mark, run_folder
from tasks.loading import EXPORTED, VISIBLE, budget_mib, devices_shown, show_devices
from tasks.registry import analyzers
from tasks.worker import _say_ready
from tests.support.node import node

PLANNED = """
[detect]
purpose = "p"
worker = { gpu = ["detect"] }
gpu = true
memory_mib = 1
gpu_index = { detect = 0 }

[vlm]
purpose = "p"
worker = { gpu = ["vlm"] }
gpu = true
memory_mib = 1
gpu_index = { vlm = 1 }

[caption]
purpose = "p"
worker = { gpu = ["caption", "caption-1"] }
gpu = true
memory_mib = 1
gpu_index = { caption = 2, "caption-1" = 3 }

[control]
purpose = "p"
worker = { gpu = ["control"] }
gpu = false
memory_mib = 1

[light]
purpose = "p"
worker = { gpu = ["light"] }
gpu = true
memory_mib = 1
"""


@pytest.fixture
def planned_as(tmp_path, monkeypatch):
    """Call it with a groups file and more settings: the node of the gpu profile has them from then on."""
    file = tmp_path / "groups.toml"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with ExitStack() as stack:

        def use(text, **more):
            file.write_text(text)
            groups.cache_clear()
            stack.enter_context(node(tmp_path / f"data{len(more)}", profile="gpu", groups_file=file, **more))

        yield use
    groups.cache_clear()


@pytest.fixture
def planned(planned_as):
    """A node whose groups file puts groups on GPUs."""
    planned_as(PLANNED)


@pytest.mark.parametrize(
    ("name", "queues", "device"),
    [
        ("vlm@host", ["vlm"], "1"),
        ("vlm-pid4711@host", ["vlm"], "1"),  # as `reelgraph worker` names it
        ("caption-1@host", ["caption"], "3"),
        ("mine@host", ["light"], "0"),  # nothing is planned
        ("mine@host", ["light", "vlm"], "1"),
        ("mine@host", ["control"], ""),
        ("caption", ["caption", "vlm"], "2"),
    ],
)
def test_a_worker_uses_the_gpu_that_its_group_was_given(planned, name, queues, device):
    """By its name, else by its queues where they share one GPU; a worker of CPU groups sees none."""
    assert devices_shown(name, queues) == device


@pytest.mark.parametrize("queues", [["caption"], ["detect", "vlm"]])
def test_a_worker_that_could_be_meant_for_several_gpus_is_refused(planned, queues):
    """One sentence with the names that there are, in place of GPU 0 by chance."""
    with pytest.raises(
        BadInput, match=rf"planned on several GPUs: {queues[0]} \(GPU \d\), .*start each under its name"
    ):
        devices_shown("mine@host", queues)


@pytest.mark.parametrize(
    ("name", "exported", "device"),
    [
        ("vlm@host", "4,7", "7"),
        ("detect@host", "GPU-1a,GPU-2b", "GPU-1a"),
        ("light@host", "3,4", "3,4"),
        ("x@h", "5", "5"),
    ],
)
def test_exported_gpus_are_those_that_there_are(planned, monkeypatch, name, exported, device):
    """The planned GPU is counted among CUDA_VISIBLE_DEVICES; where none is planned that stays as it is."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", exported)
    assert devices_shown(name, [name.partition("@")[0]] if name[0] != "x" else ["light"]) == device


@pytest.mark.parametrize(("exported", "device"), [(None, "1"), ("4,7", "7")])
def test_a_worker_that_starts_again_counts_as_before(planned, monkeypatch, exported, device):
    """At SIGHUP Celery executes the worker again with the environment that it has set: it gets the same GPU."""
    for name in (VISIBLE, EXPORTED):
        monkeypatch.setenv(name, exported or "")
    monkeypatch.delenv(EXPORTED)
    if exported is None:
        monkeypatch.delenv(VISIBLE)
    for _ in range(2):
        show_devices("vlm@host", ["vlm"])
        assert os.environ[VISIBLE] == device


def test_an_exported_list_that_hides_the_planned_gpu_is_refused(planned, monkeypatch):
    """The worker does not land on another group's GPU in silence."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(BadInput, match=r"to use GPU 1, and CUDA_VISIBLE_DEVICES=0 shows 1 .0 is the first.: unset it"):
        devices_shown("vlm@host", ["vlm"])


def test_a_setting_chooses_for_one_worker(planned, tmp_path):
    """REELGRAPH_GPU counts more than the plan: a container that is given one GPU sees it as the first."""
    with node(tmp_path / "other", gpu=0):
        assert devices_shown("vlm@host", ["vlm"]) == "0"
        assert devices_shown("mine@host", ["caption"]) == "0"


def test_a_worker_whose_analyzers_all_failed_is_ready_for_nothing(tmp_path, monkeypatch):
    """It answers their tasks, so that no job waits for ever, and never calls itself ready: all names, one reason."""
    why = {
        name: ("weights_missing", "its file is missing") for name, one in analyzers().items() if one.group == "caption"
    }
    monkeypatch.setenv(QUEUES, "caption")
    monkeypatch.setenv(START, "this-start")
    said = []
    log = SimpleNamespace(
        info=lambda event, **more: said.append({"event": event, **more}),
        error=lambda event, **more: said.append({"event": event, **more}),
    )
    monkeypatch.setattr("tasks.worker.log", log)
    with node(tmp_path):
        run_folder().mkdir(parents=True)
        (run_folder() / "loaded.this-start.1").write_text(json.dumps(why))
        _say_ready(SimpleNamespace(hostname="caption@here"))
        marked = not_loaded(ready_mark("caption@here"))
        (run_folder() / "loaded.this-start.1").write_text("{}")
        _say_ready(SimpleNamespace(hostname="caption@here"))
        assert not_loaded(ready_mark("caption@here")) == {}
    assert marked == why
    assert [one["event"] for one in said] == ["ready_for_nothing", "ready"]
    assert "with the reason alone; blip2_caption. blip2_caption: its file is missing" in said[0]["reason"]
    assert (said[1]["analyzers"], said[1]["unavailable"]) == (["blip2_caption"], [])


SHARING = """
[detect]
purpose = "p"
worker = { gpu = ["detect-light"] }
gpu = true
memory_mib = 1
vram_mib = { detect-light = 9000 }

[light]
purpose = "p"
worker = { gpu = ["detect-light"] }
gpu = true
memory_mib = 1
vram_mib = { detect-light = 9000 }

[vlm]
purpose = "p"
worker = { gpu = ["vlm", "vlm-1"] }
gpu = true
memory_mib = 1
vram_mib = { vlm = 24000, vlm-1 = 78000 }

[people]
purpose = "p"
worker = { gpu = ["people"] }
gpu = true
memory_mib = 1
vram_mib = 4000

[control]
purpose = "p"
worker = { gpu = ["control"] }
gpu = false
memory_mib = 1
"""


@pytest.mark.parametrize(
    ("name", "queues", "mib"),
    [
        ("detect-light@host", ["detect", "light"], 9000),
        ("light-detect-pid4711@host", ["light", "detect"], 9000),
        ("vlm@host", ["vlm"], 24000),
        ("vlm-1=vlm@host", ["vlm"], 78000),
        ("vlm-pid4711@host", ["vlm"], 24000),
        ("mine@host", ["vlm", "people", "control"], 28000),
        ("control@host", ["control"], None),
    ],
)
def test_a_worker_has_the_share_that_was_planned_for_it(planned_as, name, queues, mib):
    """By its name, copies of a worker each their own; under no planned name the least of them; groups add up."""
    planned_as(SHARING)
    assert budget_mib(name, queues) == mib


def test_a_part_of_a_planned_worker_is_refused_or_told_its_share(planned_as, monkeypatch):
    """Memory is planned for both groups together: one alone starts when it is said what it may use, and the sentence
    says both ways out, in the command, too.
    """
    planned_as(SHARING, broker_url="redis://localhost:1/0")
    both = (
        r"detect, light are planned as one worker .*: serve light, too \(`--groups detect,light --name detect-light@%h`"
    )
    with pytest.raises(BadInput, match=both + r".*REELGRAPH_GPU_MEMORY_MIB"):
        budget_mib("mine@host", ["detect"])
    monkeypatch.setattr("services.commands.worker.os.execv", lambda *argv: pytest.fail(f"started {argv}"))
    done = CliRunner().invoke(worker, ["--groups", "detect"], standalone_mode=False)
    assert isinstance(done.exception, BadInput)
    planned_as(SHARING, gpu_memory_mib=7000)
    assert budget_mib("mine@host", ["detect"]) == 7000


def test_the_command_refuses_before_celery_starts(planned, monkeypatch):
    """`reelgraph worker --groups caption` says which names there are, and starts nothing: not even as process 1, whose
    name is not that of the planned copy caption-1.
    """
    monkeypatch.setattr("services.commands.worker.os.getpid", lambda: 1)
    monkeypatch.setattr("services.commands.worker.os.execv", lambda *argv: pytest.fail(f"started {argv}"))
    done = CliRunner().invoke(worker, ["--groups", "caption"], standalone_mode=False)
    assert isinstance(done.exception, BadInput)
    assert "caption (GPU 2), caption-1 (GPU 3)" in str(done.exception)
