"""One more model of a hub, of a kind that engines know: an entry in a pins file and a setting, in a real worker."""

from __future__ import annotations

import pytest

from tests.support.chosen import asked, describes_every_second, finds_objects, moving, on_hub, worker_of
from tests.support.jobs import report
from tests.support.tiny.descriptions import qwen3_vl
from tests.support.tiny.objects import rt_detr
from tests.support.tiny.store import need_torch, tiny_weights
from tests.support.web import Site, served
from tests.test_hub import reelgraph

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]
ENTRY = """
[entries.lab-detector]
summary = "a detector that this version has never heard of"
licence = "Apache-2.0"
kind = "objects"
engine = "transformers"
hub = "some-lab/rt-detr-tiny"
"""
"""All that there is to write for one more model of a kind."""
ADDED = {"qwen2_vl_temporal": "qwen3-vl-8b", "object_detection": "lab-detector"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    need_torch()
    return moving(tmp_path_factory.mktemp("video"))


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A worker with Qwen3-VL, and a detector that came from a hub by one entry of one's own and two commands."""
    need_torch()
    folder = tmp_path_factory.mktemp("added")
    weights = tiny_weights(folder, {"qwen3-vl-8b": qwen3_vl})
    pins = folder / "weights.toml"
    pins.write_text(pins.read_text(encoding="utf-8") + ENTRY, encoding="utf-8")
    (folder / "hub").mkdir()
    rt_detr(folder / "hub")
    with served(Site(on_hub("some-lab/rt-detr-tiny", folder / "hub"))) as site:
        for command in ("lock", "pull"):
            reelgraph(site, pins, weights.folder, command, "lab-detector")
    with worker_of(folder, weights, ADDED) as stack:
        yield stack


def test_a_model_of_a_hub_is_one_entry(added, video):
    """A detector of a known kind is locked, pulled and at work by one entry and one setting, and no line of code."""
    document = asked(video, object_detection="lab-detector")
    finds_objects(document)
    assert report(document, "object_detection")["receipt"]["weights_reviewed"] is True


def test_descriptions_by_qwen3(added, video):
    """Qwen3-VL, which reads the times of frames in its prompt, describes each second through the worker."""
    describes_every_second(asked(video, qwen2_vl_temporal="qwen3-vl-8b"))
