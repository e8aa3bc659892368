"""Tests of scaling: KEDA's own types refuse what it does not know, and the queues that are counted are kombu's."""

import json
import subprocess
import traceback
from types import SimpleNamespace

import pytest
from kombu.transport.redis import Channel
from sqlalchemy import make_url

from services.deployment.passwords import told_to_keda, write_secrets
from services.deployment.workers import DEADLINE_SECONDS, worker_specs
from shared.errors import BadInput
from shared.groups import groups
from tasks.celery import PRIORITIES, app
from tasks.plan import GRACE_SECONDS
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
        waiting = [one["name"] for one in spec["triggers"] if one["name"] != "held"]
        held = len(lists) > len(waiting)
        assert lists == [*expected, *["unacked"] * held]
        formula = spec["advanced"]["scalingModifiers"]["formula"]
        assert formula == " + ".join([*waiting, *["min(held, 1)"] * held])


def test_batch_workers_are_started_by_their_own_lists_alone(by_worker):
    """The hash of unacknowledged tasks, one for all queues, wakes no worker from zero; a task that a worker took from
    its lists has reached its hard limit before that worker may go back to zero.
    """
    sleepers = [spec for spec in by_worker.values() if spec["minReplicaCount"] == 0]
    assert sleepers
    for spec in sleepers:
        assert "unacked" not in {one["metadata"]["listName"] for one in spec["triggers"]}
        assert "held" not in spec["advanced"]["scalingModifiers"]["formula"]
        assert spec["advanced"]["scalingModifiers"]["activationTarget"] == "0"
        assert spec["cooldownPeriod"] > DEADLINE_SECONDS + GRACE_SECONDS + spec["pollingInterval"]


def test_triggers_say_only_what_the_scaler_reads(by_worker):
    """A misspelt key of a trigger's metadata would be ignored; the address and password come from the secret."""
    for spec in by_worker.values():
        for trigger in spec["triggers"]:
            assert (trigger["type"], trigger["metadata"].keys()) == ("redis", TRIGGER_FIELDS)
            assert trigger["authenticationRef"] == {"name": "broker"}
    (authentication,) = objects("prod", "TriggerAuthentication")
    given = {one["parameter"]: one["key"] for one in authentication["spec"]["secretTargetRef"]}
    assert given == {one: f"keda_{one}" for one in ("address", "username", "password", "tls")}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:own@redis:6379/0", ("redis.reelgraph.svc:6379", "", "own", "disable")),
        ("rediss://me:a%2Fb@cache.example:6380/0", ("cache.example:6380", "me", "a/b", "enable")),
        ("rediss://:own@cache.example", ("cache.example:6379", "", "own", "enable")),
        ("redis://[2001:db8::7]:6379/", ("[2001:db8::7]:6379", "", "", "disable")),
    ],
)
def test_keda_is_told_of_the_broker_that_workers_use(url, told, tmp_path):
    """Address, user, password and TLS that KEDA gets are those of the broker's address, also where that was changed."""
    write_secrets(tmp_path)
    (tmp_path / "reelgraph_broker_url").write_text(url + "\n")
    write_secrets(tmp_path)
    found = tuple((tmp_path / f"keda_{part}").read_text() for part in ("address", "username", "password", "tls"))
    assert found == told
    assert write_secrets(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "amqp://:s3cret@broker/",
        "redis://:s3cret@redis:6379/3",
        "redis:///0",
        "redis://me:s3#cret@redis:6379/0",
        "redis://me:s3cret@redis:99999/0",
    ],
)
def test_a_broker_that_keda_cannot_count_in_is_refused(url):
    """Another kind of broker, another database, no host or an address that cannot be read is refused, and no password
    shown: a service that never scales says nothing.
    """
    with pytest.raises(BadInput, match="reelgraph_broker_url") as caught:
        told_to_keda(url)
    assert "s3" not in caught.value.message


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


def test_passwords_of_ones_own_are_written_into_addresses_as_addresses_have_them(tmp_path):
    """Signs that mean something else in an address are encoded; KEDA and PostgreSQL are told the password itself."""
    (tmp_path / "redis_password").write_text("x@y/z#w")
    (tmp_path / "postgres_password").write_text("a/b#c@d")
    write_secrets(tmp_path)
    assert (tmp_path / "reelgraph_broker_url").read_text() == "redis://:x%40y%2Fz%23w@redis:6379/0"
    assert (tmp_path / "keda_password").read_text() == "x@y/z#w"
    url = make_url((tmp_path / "reelgraph_ledger_url").read_text())
    assert (url.password, url.host) == ("a/b#c@d", "postgres")


@pytest.mark.parametrize("name", ["redis_password", "postgres_password", "grafana_password", "reelgraph_broker_url"])
@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "it is empty"), (b" \n", "it is empty"), (b"s3cr\xffet", "it is not UTF-8"), (None, "Is a ")],
)
def test_a_secret_that_is_none_is_refused_in_one_sentence(name, content, why, tmp_path):
    """An empty password would close nothing; that, other bytes than UTF-8, and the folder that Docker makes where
    a file is missing are said with the file's name, and nothing is written.
    """
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"^docker/secrets/{name}: {why}") as caught:
        write_secrets(tmp_path)
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))
    assert [*tmp_path.iterdir()] == [tmp_path / name]


def test_what_keda_is_told_replaces_what_cannot_be_read(tmp_path):
    """A file of KEDA's that is not UTF-8 is only out of date."""
    write_secrets(tmp_path)
    (tmp_path / "keda_tls").write_bytes(b"\xff")
    assert write_secrets(tmp_path) == ["keda_tls"]
