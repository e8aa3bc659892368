"""Tests of what Kubernetes gets: schemas of two versions, a security scanner, and rules of our own."""

import json
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml

from services.deployment.passwords import write_secrets
from services.deployment.workers import DEADLINE_SECONDS, PRELOAD_SECONDS, worker_specs
from shared.groups import groups
from shared.guard import networks
from shared.settings import Settings
from tasks.plan import GRACE_SECONDS
from tests.support import deploy
from tests.support.deploy import OVERLAYS, built, containers, kustomized, objects, pods, tool
from tests.support.project import ROOT

VERSIONS = ("1.34", "1.37")
CUSTOM = ("ScaledObject", "TriggerAuthentication", "ServiceMonitor")
"""Kinds that Kubernetes itself does not know; KEDA's are looked at in test_scaling.py."""

ACCEPTED = {
    "CKV_K8S_15": "tags are versions: pulling them at every start brings the same bytes and fails without the registry",
    "CKV_K8S_40": "the images of Redis and PostgreSQL know one user, 999; all of ours run as 10001",
    "CKV_K8S_43": "digests are put in by who builds the images (docs/deploy.md); no image of this project is published",
}
"""checkov's complaints that are not mended, each with its reason."""

WORKLOADS = ("Deployment", "StatefulSet")


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return request.param


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(overlay, version, tmp_path):
    """Strict schemas of two versions of Kubernetes: no unknown field, no wrong type, no kind that is not there."""
    file = tmp_path / "all.yaml"
    file.write_text(built(overlay))
    done = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "-k", version, file], capture_output=True, text=True, check=False
    )
    unknown = {line for line in (done.stdout + done.stderr).splitlines() if "find schema" in line}
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(any(f"kind {kind} " in line for kind in CUSTOM) for line in unknown), unknown


def test_kubernetes_refuses_a_misspelt_field(tmp_path):
    """The schemas of the test above do see an error."""
    file = tmp_path / "all.yaml"
    file.write_text(built("local").replace("terminationGracePeriodSeconds", "terminationGracePeriod", 1))
    done = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "-k", VERSIONS[0], file], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_checkov_has_nothing_unexplained(tmp_path):
    """The scanner's complaints about all overlays are those explained above, and every exception is still one. It does
    complain: of a pod that is privileged, above all.
    """
    for name in OVERLAYS:
        (tmp_path / f"{name}.yaml").write_text(built(name))
    (tmp_path / "bad.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: bad, namespace: bad}\n"
        "spec: {containers: [{name: bad, image: bad, securityContext: {privileged: true}}]}\n"
    )
    command = [tool("checkov"), "--directory", tmp_path, "--framework", "kubernetes", "--output", "json", "--compact"]
    done = subprocess.run([*command, "--quiet", "--skip-download"], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["results"]["failed_checks"]
    bad = {one["check_id"] for one in found if one["resource"] == "Pod.bad.bad"}
    assert "CKV_K8S_16" in bad
    found = [one for one in found if one["resource"] != "Pod.bad.bad"]
    unexplained = [
        (one["check_id"], one["check_name"], one["resource"]) for one in found if one["check_id"] not in ACCEPTED
    ]
    assert unexplained == []
    assert {one["check_id"] for one in found} == set(ACCEPTED)


def test_every_image_has_a_version(overlay):
    """No image is `latest`, by name or by silence, and none names a registry: that is the operator's."""
    images = {container["image"] for _, _, spec in pods(overlay) for container in containers(spec)}
    assert images
    for image in images:
        assert re.fullmatch(r"(reelgraph/)?[a-z-]+:\d[\w.-]*", image), image


def test_every_container_has_limits(overlay):
    """CPU, memory and disk are bounded for every container, and what is asked for fits below the limit of its kind."""
    for name, _, spec in pods(overlay):
        for container in containers(spec):
            for side in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"][side].keys(), (name, side)


def test_every_service_has_probes(overlay):
    """What runs on has a startup, a readiness and a liveness probe, each with a deadline."""
    for one in objects(overlay, *WORKLOADS):
        for container in one["spec"]["template"]["spec"]["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["timeoutSeconds"] > 1, (one["metadata"]["name"], probe)


def test_pods_are_restricted(overlay):
    """Numbered user, no privileges, read-only root, default seccomp, no token; and the namespace enforces it."""
    for name, _, spec in pods(overlay):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
    (namespace,) = objects(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert all(one["automountServiceAccountToken"] is False for one in objects(overlay, "ServiceAccount"))


def test_accounts_exist(overlay):
    """Every pod names a service account of its own kind that is there."""
    there = {one["metadata"]["name"] for one in objects(overlay, "ServiceAccount")}
    assert {spec["serviceAccountName"] for _, _, spec in pods(overlay)} <= there


def _referenced(node):
    """Names and keys of secrets below a node."""
    if isinstance(node, dict):
        if "secretName" in node and "items" in node:
            yield from ((node["secretName"], item["key"], node.get("optional", False)) for item in node["items"])
        if "secretKeyRef" in node:
            yield node["secretKeyRef"]["name"], node["secretKeyRef"]["key"], False
        for one in node.get("secretTargetRef", ()):
            yield one["name"], one["key"], False
        if "authorization" in node:
            yield node["authorization"]["credentials"]["name"], node["authorization"]["credentials"]["key"], False
        for value in node.values():
            yield from _referenced(value)
    elif isinstance(node, list):
        for value in node:
            yield from _referenced(value)


def test_every_secret_is_one_that_is_made(overlay, tmp_path):
    """Each secret that a manifest takes is made by `reelgraph render --secrets`, or is an Ingress' certificate, which a
    command of docs/deploy.md makes; none is mounted as a whole.
    """
    write_secrets(tmp_path)
    made = {file.name for file in tmp_path.iterdir()}
    found = set(_referenced(objects(overlay)))
    assert found
    assert {(name, key) for name, key, optional in found if not optional} <= {("reelgraph", key) for key in made}
    assert {key for _, key, optional in found if optional} <= {"aws_credentials"}
    for _, _, spec in pods(overlay):
        for volume in spec["volumes"]:
            assert "secret" not in volume or "items" in volume["secret"]
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for certificate in (one for ingress in objects(overlay, "Ingress") for one in ingress["spec"].get("tls", ())):
        assert f"create secret tls {certificate['secretName']} --cert" in document


def test_volumes_and_settings_are_there(overlay):
    """Each claim and config map that a pod names is part of the overlay, and each mount has its volume."""
    claims = {one["metadata"]["name"] for one in objects(overlay, "PersistentVolumeClaim")}
    maps = {one["metadata"]["name"] for one in objects(overlay, "ConfigMap")}
    own = {
        template["metadata"]["name"]
        for one in objects(overlay, "StatefulSet")
        for template in one["spec"]["volumeClaimTemplates"]
    }
    for name, _, spec in pods(overlay):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}, name
        for container in containers(spec):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys() | own, name
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", ())} <= maps, name


def test_settings_are_settings(overlay):
    """Every REELGRAPH_ variable is a field of the settings: a misspelt one would be ignored in silence."""
    known = {f"REELGRAPH_{name.upper()}" for name in Settings.model_fields} | {"REELGRAPH_SECRETS_DIR"}
    (settings_map,) = objects(overlay, "ConfigMap")
    named = {name for name in settings_map["data"] if name.startswith("REELGRAPH_")}
    for _, _, spec in pods(overlay):
        for container in containers(spec):
            named |= {one["name"] for one in container.get("env", ()) if one["name"].startswith("REELGRAPH_")}
    assert named <= known
    assert settings_map["data"]["REELGRAPH_DEADLINE_SECONDS"] == str(DEADLINE_SECONDS)
    assert settings_map["data"]["REELGRAPH_PRELOAD_SECONDS"] == str(PRELOAD_SECONDS)


@pytest.mark.parametrize(("overlay", "profile"), [("local", "local"), ("gpu", "gpu"), ("prod", "gpu")])
def test_workers_serve_the_groups(overlay, profile):
    """The queues of all workers together are those of the profile's groups, and the control queue has one worker."""
    served = [spec["containers"][0]["args"] for name, _, spec in pods(overlay) if name.startswith("worker-")]
    queues = {queue for arguments in served for queue in arguments[arguments.index("--groups") + 1].split(",")}
    assert queues == {name for name, group in groups().items() if group.worker[profile]}
    (control,) = (one for one in objects(overlay, "Deployment") if one["metadata"]["name"] == "worker-control")
    assert (control["spec"]["replicas"], control["spec"]["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(("overlay", "profile"), [("local", "local"), ("gpu", "gpu"), ("prod", "gpu")])
def test_workers_have_time_to_load_and_to_end(overlay, profile):
    """Startup probes wait twice the measured load, longer than the worker; stopping outlasts the hard limit; a rollout
    has time for both.
    """
    found = {name.removeprefix("worker-"): spec for name, _, spec in pods(overlay) if name.startswith("worker-")}
    patience = {
        one["metadata"]["name"].removeprefix("worker-"): one["spec"].get("progressDeadlineSeconds")
        for one in objects(overlay, "Deployment")
    }
    for worker in worker_specs(profile):
        spec = found[worker.name]
        probe = spec["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= max(2 * worker.load_seconds, PRELOAD_SECONDS + 1)
        assert spec["terminationGracePeriodSeconds"] > DEADLINE_SECONDS + GRACE_SECONDS
        startup = probe["periodSeconds"] * probe["failureThreshold"]
        pull = spec["initContainers"][0]["args"][-1] if "initContainers" in spec else 0
        assert patience[worker.name] > int(pull) + spec["terminationGracePeriodSeconds"] + startup
        assert spec["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", 0) == int(worker.gpu)


def test_migrations_wait_for_the_database(overlay):
    """The job that migrates waits for longer than a new PostgreSQL's startup probe does, and less than it may take."""
    (job,) = (one["spec"] for one in objects(overlay, "Job") if one["metadata"]["name"] == "migrate")
    arguments = job["template"]["spec"]["containers"][0]["args"]
    waits = int(arguments[arguments.index("--wait") + 1])
    for store in objects(overlay, "StatefulSet"):
        probe = store["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] < waits
    assert 300 < waits < job["activeDeadlineSeconds"]


def test_weights_are_read_only(overlay):
    """Only the job that pulls them can write model files."""
    writers = {
        name
        for name, _, spec in pods(overlay)
        for container in containers(spec)
        for mount in container["volumeMounts"]
        if mount["name"] == "weights" and not mount.get("readOnly")
    }
    assert writers == {"models-pull"}


def test_workers_start_when_their_weights_are_there(overlay):
    """Every worker that analyses waits for the weights of all its groups, with its own image and profile, and for as
    long as the job that pulls them may take.
    """
    (pull,) = (one["spec"] for one in objects(overlay, "Job") if one["metadata"]["name"] == "models-pull")
    for name, _, spec in pods(overlay):
        if not name.startswith("worker-") or name == "worker-control":
            continue
        (waiting,), (worker,) = spec["initContainers"], spec["containers"]
        assert waiting["image"] == worker["image"]
        groups_of = [one["args"][one["args"].index("--groups") + 1] for one in (waiting, worker)]
        assert waiting["args"][:3] == ["reelgraph", "models", "wait"]
        assert groups_of[0] == groups_of[1]
        assert int(waiting["args"][-1]) >= pull["activeDeadlineSeconds"]
        profiles = [{one["name"]: one["value"] for one in each["env"]} for each in (waiting, worker)]
        assert profiles[0]["REELGRAPH_PROFILE"] == profiles[1]["REELGRAPH_PROFILE"]


def test_hub_models_are_those_that_were_locked(overlay):
    """Who pulls, awaits or loads weights has the lock of the hub's models where the settings look, if there is one."""
    (settings_map,) = objects(overlay, "ConfigMap")
    folder = str(Path(settings_map["data"]["REELGRAPH_HUB_LOCK"]).parent)
    for name, _, spec in pods(overlay):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in containers(spec):
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            if "/weights" in mounts:
                lock = volumes[mounts[folder]]["configMap"]
                assert lock == {"name": "reelgraph-hub-lock", "optional": True}, name


def test_copies_of_the_bucket_fit_their_volume():
    """Where media are in a bucket, the volume of each pod has room for its copies and for four of the largest uploads,
    and the pod's limit of disk for all of its volumes.
    """
    (settings_map,) = objects("prod", "ConfigMap")
    needed = int(settings_map["data"]["REELGRAPH_STORAGE_COPIES_BYTES"])
    needed += 4 * int(Settings.model_fields["max_upload_bytes"].default)
    for name, labels, spec in pods("prod"):
        if labels.get("reelgraph/storage") != "true" or name == "prune":  # which removes videos and brings none
            continue
        sizes = {
            volume["name"]: int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30
            for volume in spec["volumes"]
            if "emptyDir" in volume
        }
        assert sizes["media"] >= needed, name
        limit = spec["containers"][0]["resources"]["limits"]["ephemeral-storage"]
        assert int(limit.removesuffix("Gi")) << 30 >= sum(sizes.values()), name


def test_an_upgrade_can_apply_its_jobs_first(overlay):
    """What `docs/deploy.md` selects before all else is both jobs and the settings that they are given."""
    selector = re.search(r"component in \((settings,[\w,]+)\)", (ROOT / "docs" / "deploy.md").read_text())
    assert selector
    chosen = {
        (one["kind"], one["metadata"]["name"].partition("-")[0])
        for one in objects(overlay)
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") in selector[1].split(",")
    }
    assert chosen == {("ConfigMap", "reelgraph"), ("Job", "migrate"), ("Job", "models")}


def test_nothing_may_connect_by_default(overlay):
    """One policy denies everything for all pods; only the API, the control worker and models-pull reach the outside."""
    policies = {one["metadata"]["name"]: one["spec"] for one in objects(overlay, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside = {name for name, labels, _ in pods(overlay) if labels.get("reelgraph/outside") == "true"}
    assert outside == {"api", "worker-control", "models-pull"}
    for rule in policies["to-outside"]["egress"]:
        assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]
        assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


def test_workloads_survive_a_drained_node(overlay):
    """Every worker and the API have a disruption budget, and no budget forbids every eviction."""
    budgets = {one["metadata"]["name"]: one["spec"] for one in objects(overlay, "PodDisruptionBudget")}
    replicas = {one["metadata"]["name"]: one["spec"].get("replicas", 1) for one in objects(overlay, "Deployment")}
    assert budgets.keys() == replicas.keys() - {"flower"}
    for name, spec in budgets.items():
        assert spec.get("maxUnavailable", 0) >= 1 or spec["minAvailable"] < replicas[name]


def test_production_has_no_store_of_its_own():
    """The overlay prod stands on Redis, PostgreSQL and a bucket outside: no StatefulSet, and no volume of media."""
    assert objects("prod", "StatefulSet") == []
    assert [one["metadata"]["name"] for one in objects("prod", "PersistentVolumeClaim")] == ["weights"]
    for name, labels, spec in pods("prod"):
        media = [volume for volume in spec["volumes"] if volume["name"] == "media"]
        assert all("emptyDir" in volume and "persistentVolumeClaim" not in volume for volume in media)
        assert bool(media) == (labels.get("reelgraph/storage") == "true"), name


def test_who_asks_for_no_gpu_is_given_none(overlay):
    """The GPU image says that it wants all, which NVIDIA's runtime heeds where it is the default: a container of it
    that asks for no GPU says `void`; one that asks leaves that to the device plug-in.
    """
    said = {True: set(), False: set()}
    for _, _, spec in pods(overlay):
        for container in containers(spec):
            if container["image"].startswith("reelgraph/worker-gpu"):
                values = {one["name"]: one["value"] for one in container["env"]}
                asks = "nvidia.com/gpu" in container["resources"]["limits"]
                said[asks].add(values.get("NVIDIA_VISIBLE_DEVICES"))
    assert said == ({True: set(), False: set()} if overlay == "local" else {True: {None}, False: {"void"}})


@pytest.fixture
def with_components(tmp_path):
    """An overlay's manifests with more components, as an operator adds them."""

    def build(overlay, *components):
        (tmp_path / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: reelgraph\n"
            f"resources: [k8s/overlays/{overlay}]\n"
            f"components: [{', '.join(f'k8s/components/{name}' for name in components)}]\n"
        )
        if not (tmp_path / "k8s").exists():
            (tmp_path / "k8s").symlink_to(ROOT / "k8s")
        return kustomized(tmp_path)

    return build


def patched(with_components, folder, overlay):
    """An overlay's objects with the patches of docs/deploy.md."""
    (text,) = re.findall(r"```yaml\n(patches:\n.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    with_components(overlay)
    with (folder / "kustomization.yaml").open("a") as file:
        file.write(text)
    return [*yaml.safe_load_all(kustomized(folder))]


@pytest.mark.parametrize(
    ("overlay", "claimed", "stores"),
    [
        ("local", {"media", "weights"}, {"redis", "postgres"}),
        ("gpu", {"media", "weights"}, {"redis", "postgres"}),
        ("prod", {"weights"}, set()),
    ],
)
def test_patches_of_the_document_give_every_volume_a_class(with_components, tmp_path, overlay, claimed, stores):
    """What docs/deploy.md puts under an overlay's `patches` gives every claim its class, those that a store makes for
    itself as well, and Kubernetes knows it.
    """
    found = patched(with_components, tmp_path, overlay)
    claims = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "PersistentVolumeClaim"}
    assert {name: spec["storageClassName"] for name, spec in claims.items()} == dict.fromkeys(claimed, "CLASS")
    made = {
        one["metadata"]["name"]: [
            template["spec"]["storageClassName"] for template in one["spec"]["volumeClaimTemplates"]
        ]
        for one in found
        if one["kind"] == "StatefulSet"
    }
    assert made == {name: ["DISK-CLASS"] for name in stores}
    file = tmp_path / "all.json"
    file.write_text("\n---\n".join(map(json.dumps, found)))
    command = [tool("kubernetes-validate"), "--strict", "-k", VERSIONS[-1], file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_patches_of_the_document_can_be_built(with_components, tmp_path):
    """What docs/deploy.md puts under an overlay's `patches` gives every account the registry's secret, and all of one
    worker's containers another image.
    """
    found = patched(with_components, tmp_path, "gpu")
    accounts = [one for one in found if one["kind"] == "ServiceAccount"]
    assert accounts
    assert all(one["imagePullSecrets"] == [{"name": "registry"}] for one in accounts)
    (detect,) = (one for one in found if (one["kind"], one["metadata"]["name"]) == ("Deployment", "worker-detect"))
    images = [container["image"] for container in containers(detect["spec"]["template"]["spec"])]
    assert images == ["REGISTRY/reelgraph/mmdet:0.1.0"] * 2


@pytest.mark.parametrize("version", VERSIONS)
def test_ways_out_that_are_offered_can_be_taken(with_components, version, tmp_path):
    """The role's agent, a collector and webhook receivers are components that kustomize takes and Kubernetes knows;
    each opens one port, to the pods that need it.
    """
    text = with_components("prod", "bucket-role", "collector", "receivers")
    file = tmp_path / "all.yaml"
    file.write_text(text)
    done = subprocess.run(
        [tool("kubernetes-validate"), "--strict", "-k", version, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [one for one in yaml.safe_load_all(text) if one["metadata"].get("namespace") == "reelgraph"]
    policies = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "NetworkPolicy"}
    new = policies.keys() - {one["metadata"]["name"] for one in objects("prod", "NetworkPolicy")}
    opened = {name: [port["port"] for rule in policies[name]["egress"] for port in rule["ports"]] for name in new}
    assert opened == {"to-credentials": [80], "to-collector": [4318], "to-receivers": [8080]}
    (values,) = (one["data"] for one in found if one["kind"] == "ConfigMap")
    assert values["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    assert networks(values["REELGRAPH_REACHABLE_NETWORKS"])


def test_policies_are_about_pods_that_are_there(overlay):
    """No policy selects pods that the overlay does not have, as one for a Redis in the cluster where it is outside."""
    labels = [labels for _, labels, _ in pods(overlay)]
    for policy in objects(overlay, "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= one.items() for one in labels), policy["metadata"]["name"]


def test_slices_of_gpus_take_the_place_of_whole_ones(with_components):
    """The MIG component changes every GPU worker of the overlay gpu, and its slice has room for the group's models."""
    manifests = with_components("gpu", "mig")
    slices = re.findall(r"nvidia\.com/(mig-\S+): 1", manifests)
    assert len(slices) == sum(worker.gpu for worker in worker_specs("gpu"))
    assert "nvidia.com/gpu: 1" not in manifests


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (test_every_image_has_a_version, "reelgraph/api:0.1.0", "reelgraph/api:latest"),
        (test_every_container_has_limits, "            memory: 6144Mi\n", ""),
        (test_every_service_has_probes, "readinessProbe", "readynessProbe"),
        (test_pods_are_restricted, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        (test_pods_are_restricted, "enforce: restricted", "enforce: baseline"),
        (test_accounts_exist, "serviceAccountName: api", "serviceAccountName: apis"),
        (test_volumes_and_settings_are_there, "claimName: media", "claimName: medium"),
        (test_settings_are_settings, "REELGRAPH_PROFILE:", "REELGRAPH_PROFIL:"),
        (partial(test_workers_serve_the_groups, profile="local"), "detect,speech,segment,people,light", "detect,light"),
        (
            test_weights_are_read_only,
            "name: weights\n          readOnly: true",
            "name: weights\n          readOnly: false",
        ),
        (test_workers_start_when_their_weights_are_there, "- wait\n", "- verify\n"),
        (test_hub_models_are_those_that_were_locked, "mountPath: /run/hub-lock", "mountPath: /run/hub"),
        (test_migrations_wait_for_the_database, '"600"', '"60"'),
        (
            partial(test_workers_have_time_to_load_and_to_end, profile="local"),
            "progressDeadlineSeconds: 17520",
            "progressDeadlineSeconds: 3120",
        ),
        (test_nothing_may_connect_by_default, "name: default-deny", "name: deny"),
        (test_workloads_survive_a_drained_node, "maxUnavailable: 1", "maxUnavailable: 0"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (value if isinstance(value, str) else "queues"),
)
def test_the_rules_above_see_errors(rule, good, bad, monkeypatch):
    """Each rule of our own refuses manifests that break it."""
    text = built("local")
    assert good in text
    monkeypatch.setattr(deploy, "built", lambda _: text.replace(good, bad))
    with pytest.raises((AssertionError, KeyError)):
        rule(overlay="local")


def test_a_secret_that_nobody_makes_is_seen(monkeypatch, tmp_path):
    """The rule about secrets refuses a key that `reelgraph render --secrets` does not write."""
    for overlay, good in (("local", "key: reelgraph_broker_url"), ("prod", "secretName: reelgraph-tls")):
        text = built(overlay)
        assert good in text
        monkeypatch.setattr(deploy, "built", {overlay: text.replace(good, f"{good}s", 1)}.__getitem__)
        with pytest.raises(AssertionError):
            test_every_secret_is_one_that_is_made(overlay, tmp_path)
        monkeypatch.undo()
