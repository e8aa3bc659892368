"""Tests of scaling: KEDA's own types refuse what it does not know, and the queues that are counted are kombu's."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from kombu.transport.redis import Channel

from services.deployment.workers import worker_specs
from shared.groups import groups
from tasks.celery import PRIORITIES, app
from tests.support.deploy import node_tool, objects
from tests.support.project import ROOT

TRIGGER_FIELDS = {"listName", "listLength", "databaseIndex"}
"""Of those that KEDA's Redis lists scaler reads; its types know metadata as text by name only."""


def complaints(found, folder):
    """What the TypeScript compiler says about objects as literals of KEDA's types."""
    lines = ['import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";']
    lines += [f"export const o{number}: keda.I{one['kind']} = {json.dumps(one)};" for number, one in enumerate(found)]
    (folder / "objects.ts").write_text("\n".join(lines))
    (folder / "node_modules").symlink_to(ROOT / "k8s" / "checks" / "node_modules")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"]
    compiler = [node_tool("tsc"), *options, "--preserveSymlinks", "objects.ts"]
    return subprocess.run(compiler, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout


def scaled():
    return objects("prod", "ScaledObject", "TriggerAuthentication")


def test_keda_knows_every_field(tmp_path):
    """The objects compile as KEDA's types: no unknown field, no wrong type, nothing missing."""
    assert complaints(scaled(), tmp_path) == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda spec: spec.update(cooldwnPeriod=1), "cooldwnPeriod"),
        (lambda spec: spec["advanced"]["scalingModifiers"].update(formular="x"), "formular"),
        (lambda spec: spec["fallback"].update(behavior="sometimes"), "sometimes"),
        (lambda spec: spec["triggers"][0].update(metadata={"listLength": 2}), "number"),
        (lambda spec: spec.pop("triggers"), "triggers"),
    ],
    ids=["unknown field", "unknown field below", "unknown word", "wrong type", "missing field"],
)
def test_keda_refuses_what_it_does_not_know(change, complaint, tmp_path):
    """The types of the test above do see errors."""
    one = next(one for one in scaled() if one["kind"] == "ScaledObject")
    change(one["spec"])
    assert complaint in complaints([one], tmp_path)


@pytest.fixture(scope="module")
def by_worker():
    found = {one["metadata"]["name"].removeprefix("worker-"): one["spec"] for one in objects("prod", "ScaledObject")}
    return {worker: found[worker.name] for worker in worker_specs("gpu") if not worker.controls}


def test_every_list_of_every_queue_is_counted(by_worker):
    """One trigger for each priority of each queue, named as kombu names its lists, all summed by the formula."""
    options = app.conf.broker_transport_options
    assert options["priority_steps"] == list(range(PRIORITIES))
    naming = SimpleNamespace(**options, priority=lambda number: number)
    for worker, spec in by_worker.items():
        lists = [one["metadata"]["listName"] for one in spec["triggers"]]
        expected = [
            Channel._q_for_pri(naming, queue, number) for queue in worker.queues for number in range(PRIORITIES)
        ]
        assert lists == [*expected, "unacked"]
        names = [one["name"] for one in spec["triggers"]]
        formula = spec["advanced"]["scalingModifiers"]["formula"]
        assert formula == " + ".join([*names[:-1], "min(held, 1)"])


def test_triggers_say_only_what_the_scaler_reads(by_worker):
    """A misspelt key of a trigger's metadata would be ignored; the address and password come from the secret."""
    for spec in by_worker.values():
        for trigger in spec["triggers"]:
            assert (trigger["type"], trigger["metadata"].keys()) == ("redis", TRIGGER_FIELDS)
            assert trigger["authenticationRef"] == {"name": "broker"}
    (authentication,) = objects("prod", "TriggerAuthentication")
    assert {one["parameter"] for one in authentication["spec"]["secretTargetRef"]} == {"address", "password"}


def test_interactive_groups_keep_a_worker(by_worker):
    """Batch groups may go to zero and no other; each scales a Deployment that is there."""
    there = {one["metadata"]["name"] for one in objects("prod", "Deployment")}
    for worker, spec in by_worker.items():
        assert spec["minReplicaCount"] == (0 if all(groups()[queue].batch for queue in worker.queues) else 1)
        assert spec["maxReplicaCount"] > spec["minReplicaCount"]
        assert spec["scaleTargetRef"]["name"] in there


def test_scaling_in_is_slow_and_a_lost_broker_changes_nothing(by_worker):
    """One pod in five minutes after a quarter of an hour; without metrics pods stay, and there is one at least."""
    for spec in by_worker.values():
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 900
        assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        assert spec["fallback"]["replicas"] >= 1
