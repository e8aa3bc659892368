"""Tests of groups.toml: every queue is served in every profile, control stands alone."""

import pytest

from shared.errors import BadInput
from shared.groups import CONTROL, SHIPPED, groups, node_name, planned_mib, profiles, worker_of, workers
from tasks.celery import app
from tasks.registry import analyzers
from tests.support.node import node


def test_the_design_s_groups_are_there():
    """The eight groups of the design, each with its purpose and a bound on memory."""
    assert set(groups()) == {"control", "detect", "segment", "people", "speech", "vlm", "caption", "light"}
    assert all(group.purpose and 0 < group.memory_mib <= 1536 for group in groups().values())


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_every_analyzer_that_can_run_is_served(profile):
    """In each profile some worker serves the queue of every analyzer that has weights there or needs none."""
    served = {queue for queues in workers(profile).values() for queue in queues}
    able = [one for one in analyzers().values() if not one.weights or profile in one.weights]
    assert {one.name for one in able if one.group not in served} == set()


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_control_stands_alone(profile):
    """One worker serves the control queue and nothing else: planning never waits behind analysis."""
    assert [queues for queues in workers(profile).values() if CONTROL in queues] == [(CONTROL,)]


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_a_worker_serves_exactly_the_groups_that_name_it(profile):
    """Whichever groups name a worker in the profile, it serves those, in the file's order."""
    for worker, queues in workers(profile).items():
        assert queues == tuple(name for name, group in groups().items() if worker in group.worker[profile])


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_a_node_s_name_can_be_taken_apart_by_us_alone(profile):
    """The worker's own name comes out of it, and that at which kombu splits the broker's bindings is not in it."""
    for worker, queues in workers(profile).items():
        node = f"{node_name(worker, queues)}@host"
        assert worker_of(node) == worker
        assert app.conf.broker_transport_options["sep"] not in node
        assert {"/", "\0", ",", '"', "$"}.isdisjoint(node)  # file names, `-d A,B`, and quotes of templates


@pytest.fixture
def written(tmp_path):
    """Call it with a text and what takes its place in the shipped file: the settings name the result."""
    file = tmp_path / "mine.toml"

    def write(text, instead):
        shipped = SHIPPED.read_text(encoding="utf-8")
        assert text in shipped
        file.write_text(shipped.replace(text, instead, 1), encoding="utf-8")
        groups.cache_clear()

    with node(tmp_path / "data", groups_file=file):
        yield write
    groups.cache_clear()


MIB = "a whole number of MiB above 0, or one for each worker such as { NAME = 8000 }, is expected, not "
VLM, WORKER = "vram_mib = 26000", 'worker = { local = [], gpu = ["vlm"] }'


@pytest.mark.parametrize(
    ("text", "instead", "said"),
    [
        (VLM, 'vram_mib = "a lot"', f'[vlm] vram_mib: {MIB}"a lot"'),
        (VLM, "vram_mib = 20000.5", f"[vlm] vram_mib: {MIB}20000.5"),
        (VLM, "vram_mib = {}", f"[vlm] vram_mib: {MIB}{{}}"),
        (VLM, 'vram_mib = { vlm = "23033" }', f'[vlm] vram_mib: {MIB}{{"vlm": "23033"}}'),
        (VLM, "vram_mib = -5", f"[vlm] vram_mib: {MIB}-5"),
        (VLM, "vram_mib = true", f"[vlm] vram_mib: {MIB}true"),
        (VLM, "gpu_index = 0", "[vlm] gpu_index: a table such as { NAME = … } is expected, not 0"),
        (VLM, "gpu_index = { vlm = -1 }", "[vlm] gpu_index.vlm: Input should be greater than or equal to 0, not -1"),
        (VLM, "memory = 7", "[vlm] memory: there is no such key; a group has purpose, worker, gpu, memory_mib, "),
        (VLM, 'name = "x"', "[vlm] name: the table's own name is the group's"),
        (WORKER, 'worker = ["x"]', '[vlm] worker: a table such as { NAME = … } is expected, not ["x"]'),
        (
            WORKER,
            'worker = { gpu = "vlm" }',
            '[vlm] worker.gpu: a list of names such as ["NAME"] is expected',
        ),
        (WORKER, "", "[vlm] worker: it is missing"),
        ("gpu = false", 'gpu = "no"', '[control] gpu: true or false is expected, not "no"'),
        ("memory_mib = 512", 'memory_mib = "x"', '[control] memory_mib: a whole number is expected, not "x"'),
        ("[control]", "x = 3\n[control]", "x = 3: a table [x] of a group is expected"),
        ("[vlm]", "[vlm", "Expected ']' at the end of a table declaration"),
    ],
)
def test_a_hand_edited_file_is_refused_in_one_sentence(written, text, instead, said):
    """Wrong types, bounds and keys are told with file, group and key, in words of TOML."""
    written(text, instead)
    with pytest.raises(BadInput) as caught:
        groups()
    assert f"mine.toml: {said}" in caught.value.message
    assert caught.value.code == "bad_groups"
    assert "pydantic" not in caught.value.message


@pytest.mark.parametrize(("group", "lost"), [("vlm", "qwen2_vl_temporal"), ("control", "planning")])
def test_a_renamed_group_is_refused_in_one_sentence(written, group, lost):
    """Without a group that an analyzer or the planning is in, nothing starts, and the group is named."""
    written(f"[{group}]", f"[{group}s]")
    analyzers.cache_clear()
    try:
        with pytest.raises(BadInput, match=rf"mine\.toml: there is no group \[{group}\], and {lost} is in it"):
            analyzers()
    finally:
        groups.cache_clear()
        analyzers.cache_clear()


def test_a_group_named_twice_is_counted_once():
    """A worker of `vlm,vlm` may use what one of `vlm` may."""
    assert planned_mib("any", ["vlm", "vlm"]) == planned_mib("any", ["vlm"]) == 26000
    assert planned_mib("any", ["vlm", "speech", "vlm"]) == 34000


def test_an_unknown_profile_is_bad_input():
    """A misspelt profile is refused with the profiles that exist."""
    assert profiles() == ("local", "gpu")
    with pytest.raises(BadInput, match="unknown profile 'locl'; known are local, gpu"):
        workers("locl")
