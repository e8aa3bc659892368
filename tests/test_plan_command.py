"""`reelgraph plan`, as an operator runs it."""

import json

import pytest
from click.testing import CliRunner

from services.commands.plan import plan
from shared.errors import BadInput
from shared.groups import groups
from shared.settings import settings
from tasks.registry import analyzers
from tests.support.node import node


def planned(*arguments):
    done = CliRunner().invoke(plan, [*map(str, arguments)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_two_cards_of_24_gib():
    """Every gpu group is served by a worker on one of the cards, within its memory; every analyzer is accounted for."""
    layout = json.loads(planned("--gpu-memory", "24GiB", "--gpus", 2, "--json"))
    by_group = {worker["group"]: worker for worker in layout["workers"]}
    assert set(by_group) >= {one.group for one in analyzers().values()} - {"control"}
    assert {worker["gpu"] for worker in layout["workers"]} <= {0, 1, None}
    for gpu in (0, 1):
        assert sum(worker["vram_mib"] for worker in layout["workers"] if worker["gpu"] == gpu) <= 24 * 1024
    assert by_group["vlm"]["precisions"]["qwen2_vl_temporal"] in ("bf16", "nf4")


def test_the_table_says_what_is_not_known():
    """Latency and throughput stand under the table, and which analyzers are not in them."""
    said = planned("--gpu-memory", "80GB")
    assert "latency: " in said
    assert "throughput: " in said


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
    assert written["vlm"].worker["gpu"] == ["vlm"]
    assert written["vlm"].vram_mib > 0
    assert {group.worker["local"] == before[name].worker["local"] for name, group in written.items()} == {True}
    assert settings().groups_file is None


@pytest.mark.parametrize("amount", ["much", "24 TiB", "-3GiB", ""])
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
