"""Tests of memory for media: processes that read videos end by their own bound, in every container."""

import re

import pytest

from services.deployment.workers import API_MIB, worker_specs
from shared.passes import AT_ONCE
from shared.settings import Settings
from tests.support import deploy
from tests.support.deploy import OVERLAYS, built, compose, objects, pods
from tests.support.project import ROOT

READ_NO_MEDIA = {"flower", "migrate", "models", "models-pull", "prune"}

MIB = 1 << 20


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return request.param


def api_processes():
    """How many processes the API's image starts."""
    (number,) = re.findall(r'"--workers", "(\d+)"', (ROOT / "docker" / "api.Dockerfile").read_text())
    return int(number)


def media_mib(name, profile, environment):
    """What the processes of a container hold that read media, all at once, and what its others do."""
    media = int(environment["REELGRAPH_MEDIA_MEMORY_BYTES"]) // MIB
    if name == "api":
        return media * api_processes() * int(environment["REELGRAPH_MEDIA_AT_ONCE"]), API_MIB
    (worker,) = (one for one in worker_specs(profile) if one.name == name.removeprefix("worker-").removeprefix("gpu-"))
    return media * AT_ONCE, worker.own_mib


def test_videos_fit_into_every_pod(overlay):
    """The memory limit of each pod has room for all media processes that it may run at once, beside the rest."""
    (settings_map,) = objects(overlay, "ConfigMap")
    read = set()
    for name, _, spec in pods(overlay):
        (container,) = spec["containers"]
        if name in READ_NO_MEDIA or not container["image"].startswith("reelgraph/"):
            continue
        environment = settings_map["data"] | {one["name"]: one["value"] for one in container["env"]}
        media, own = media_mib(name, environment["REELGRAPH_PROFILE"], environment)
        assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) >= media + own, name
        assert "--concurrency" not in container.get("args", ()), name
        read.add(name)
    assert {"api", "worker-control"} < read


def test_videos_fit_into_every_service():
    """The same with compose, where in the API's container what lies in /tmp counts as well."""
    read = set()
    for name, service in compose()["services"].items():
        if name in READ_NO_MEDIA or not service["image"].startswith("reelgraph/"):
            continue
        profile = "gpu" if name.startswith("worker-gpu-") else "local"
        media, own = media_mib(name, profile, service["environment"])
        assert int(service["mem_limit"].removesuffix("m")) >= media + own, name
        read.add(name)
    assert {"api", "worker-control", "worker-vision"} < read
    assert compose()["services"]["api"]["tmpfs"] == ["/tmp:mode=1777,size=256m"]


def test_an_8k_video_fits():
    """What one process may hold is enough for what was measured of the largest videos (docs/deploy.md)."""
    for name, service in compose()["services"].items():
        if name == "api" or (name.startswith("worker-") and name != "worker-control"):
            assert int(service["environment"]["REELGRAPH_MEDIA_MEMORY_BYTES"]) >= 2560 * MIB, name
    assert Settings.model_fields["media_memory_bytes"].default >= 3072 * MIB


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('value: "2684354560"', 'value: "4294967296"'),
        ("memory: 6144Mi", "memory: 1536Mi"),
        ("memory: 8192Mi", "memory: 2048Mi"),
        ("name: REELGRAPH_MEDIA_MEMORY_BYTES", "name: REELGRAPH_FRAME_STORE_BYTES"),
    ],
)
def test_pods_that_are_too_small_are_seen(good, bad, monkeypatch):
    """The rule about pods refuses a larger bound, a smaller limit, and no bound at all."""
    text = built("local")
    assert good in text
    monkeypatch.setattr(deploy, "built", lambda _: text.replace(good, bad))
    with pytest.raises((AssertionError, KeyError)):
        test_videos_fit_into_every_pod("local")
