"""Tests of `reelgraph render`: what is committed is what groups.toml says, and another groups.toml changes it."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from services.cli import cli
from services.deployment.rendering import COPIES, FILES, rendered, stale, write
from services.deployment.workers import PROBE_SECONDS, STARTUP_FAILURES, STOP_SECONDS, worker_specs
from shared.errors import BadInput
from shared.groups import groups, workers
from shared.settings import settings, use
from tasks.plan import GRACE_SECONDS
from tests.support.deploy import OVERLAYS, containers, filled_in, kustomized, pods_of, tool
from tests.support.project import ROOT


@pytest.fixture
def other_groups(tmp_path):
    """Use another groups.toml."""
    before = settings()

    def chosen(text):
        file = tmp_path / "groups.toml"
        file.write_text(text)
        use(before.model_copy(update={"groups_file": file}))
        groups.cache_clear()

    yield chosen
    use(before)
    groups.cache_clear()


def test_committed_files_are_fresh():
    """Nobody changed groups.toml or a template and forgot `reelgraph render`, or edited a rendered file by hand."""
    assert stale(ROOT) == []


def test_check_says_which_file_is_stale(tmp_path):
    """`render --check` exits with 1 and names what is missing or changed; `render` mends it."""
    for folder in ("k8s", "docker"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules", "secrets"))
    run = CliRunner()
    assert run.invoke(cli, ["render", "--check", "--root", str(tmp_path)], standalone_mode=False).return_value == 0
    (tmp_path / "docker" / "compose.yaml").unlink()
    workers_file = tmp_path / "k8s" / "workers" / "gpu" / "workers.yaml"
    workers_file.write_text(workers_file.read_text().replace("--groups", "--group"))
    checked = run.invoke(cli, ["render", "--check", "--root", str(tmp_path)], standalone_mode=False)
    assert checked.return_value == 1
    assert [line.split()[0] for line in checked.stderr.splitlines()] == [
        "docker/compose.yaml",
        "k8s/workers/gpu/workers.yaml",
    ]
    assert run.invoke(cli, ["render", "--root", str(tmp_path)], standalone_mode=False).return_value == 0
    assert stale(tmp_path) == []


def test_another_folder_is_refused(tmp_path):
    """Nothing is written where there is no clone."""
    refused = CliRunner().invoke(cli, ["render", "--root", str(tmp_path)], standalone_mode=False)
    assert isinstance(refused.exception, BadInput)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_every_worker_has_its_deployment(profile):
    """One Deployment and one disruption budget for each worker of a profile, with exactly its queues."""
    text = rendered()[f"k8s/workers/{profile}/workers.yaml"]
    deployed = [one for one in yaml.safe_load_all(text) if one and one["kind"] == "Deployment"]
    served = {}
    for one in deployed:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        arguments = container["args"]
        served[one["metadata"]["name"].removeprefix("worker-")] = tuple(
            arguments[arguments.index("--groups") + 1].split(",")
        )
    assert served == workers(profile)


def test_a_new_group_is_one_entry(other_groups):
    """A group that is added to groups.toml appears in compose, Kubernetes and scaling, with its needs."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    other_groups(
        text + '\n[depth]\npurpose = "how far away"\nworker = { local = ["sound"], gpu = ["depth"] }\ngpu = true\n'
        "memory_mib = 1000\nvram_mib = 15000\nload_seconds = { gpu = 50 }\nbatch = true\nmost_workers = 3\n"
    )
    (depth,) = (one for one in worker_specs("gpu") if one.name == "depth")
    assert (depth.least, depth.most, depth.mig_slice, depth.image) == (0, 3, "2g.20gb", "worker-gpu")
    for path in {*FILES, *COPIES} - {"k8s/components/groups/kustomization.yaml"}:
        assert "depth" in rendered()[path], path


@pytest.fixture
def own_tree(other_groups, tmp_path):
    """A tree that is rendered from a file of one's own, and that file's text."""
    text = (ROOT / "shared" / "groups.toml").read_text().replace("vram_mib = 26000", "vram_mib = 25000")
    other_groups(text)
    for folder in ("k8s", "docker"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules", "secrets"))
    assert {*COPIES, *FILES} - set(write(tmp_path)) == set()
    assert stale(tmp_path) == []
    return tmp_path, text


@pytest.mark.parametrize("character", ["\x80", "\x85", "\x9f", "\ufffe", "\uffff"])
def test_what_kubernetes_does_not_carry_is_refused(other_groups, character):
    """TOML takes it in a comment; kustomize would fail with the whole file as its message, or pods get another text."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    assert text.startswith("#")
    other_groups(f"# über 😀 \u2028\n#{character}{text}")
    said = rf"groups\.toml: line 2 holds U\+{ord(character):04X}, which Kubernetes' YAML does not carry"
    with pytest.raises(BadInput, match=said):
        rendered()
    other_groups(f"# über 😀 \u2028\n{text}")
    assert set(COPIES) < set(rendered())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_file_of_ones_own_reaches_every_pod(own_tree, overlay):
    """Each container that is given the settings has the file where they say it is; what is built is Kubernetes'."""
    tree, text = own_tree
    manifests = kustomized(tree / "k8s" / "overlays" / overlay)
    found = [*yaml.safe_load_all(manifests)]
    maps = {one["metadata"]["name"]: one for one in found if one["kind"] == "ConfigMap"}
    (carried,) = (name for name in maps if name.startswith("reelgraph-groups-"))
    assert maps[carried]["data"] == {"groups.toml": text}
    assert maps[carried]["metadata"]["labels"]["app.kubernetes.io/component"] == "settings"
    assert {values["data"].get("REELGRAPH_GROUPS_FILE") for name, values in maps.items() if "settings" in name} == {
        "/run/groups/groups.toml"
    }
    told = 0
    for name, _, spec in pods_of(found):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in (one for one in containers(spec) if one.get("envFrom")):
            told += 1
            assert volumes["groups"]["configMap"]["name"] == carried, name
            assert {"name": "groups", "mountPath": "/run/groups", "readOnly": True} in container["volumeMounts"], name
    assert told > 2 * len(worker_specs("local"))
    file = tree / "all.yaml"
    file.write_text(manifests)
    command = [tool("kubernetes-validate"), "--strict", "-k", "1.34", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_of_ones_own_reaches_every_service(own_tree):
    """Each service of compose that runs the program has the file where its settings say it is."""
    tree, text = own_tree
    whole = filled_in(rendered()["docker/compose.yaml"])
    assert whole["configs"] == {"groups": {"file": "./groups.toml"}}
    assert (tree / "docker" / "groups.toml").read_text() == text
    assert (tree / "docker" / "groups.toml").stat().st_mode & 0o444 == 0o444
    ours = {name: one for name, one in whole["services"].items() if "reelgraph/" in one["image"]}
    assert len(ours) > len(worker_specs("gpu")) + 3
    for name, service in ours.items():
        assert service["configs"] == [{"source": "groups", "target": "/run/groups/groups.toml"}], name
        assert service["environment"]["REELGRAPH_GROUPS_FILE"] == "/run/groups/groups.toml", name
    file = tree / "compose.json"
    file.write_text(json.dumps({name: part for name, part in whole.items() if not name.startswith("x-")}))
    reader = "import sys, compose_spec; compose_spec.PyCompose.from_json(open(sys.argv[1]).read())"
    done = subprocess.run([tool("python"), "-c", reader, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rendered_files_name_their_source(other_groups, tmp_path):
    """The first line names the file that was rendered; one that says what the packaged one says changes nothing."""
    other_groups(called("more"))
    assert {text.splitlines()[0].split("`")[0] for path, text in rendered().items() if path in FILES} == {
        "# Rendered from groups.toml by "
    }
    packaged = (ROOT / "shared" / "groups.toml").read_text()
    other_groups(packaged)
    assert not set(COPIES) & set(rendered())
    assert stale(ROOT) == []


@pytest.mark.parametrize("gpus", [1, 2, 4])
def test_what_plan_writes_can_be_rendered(other_groups, tmp_path, gpus):
    """What `reelgraph plan` writes for one, two or four GPUs is what compose and Kubernetes get: its workers, the GPU
    of each, and the local profile's workers as before.
    """
    before = [(one.name, one.queues, one.memory_mib) for one in worker_specs("local")]
    file = tmp_path / "planned.toml"
    arguments = ["plan", "--gpu-memory", "48GiB", "--gpus", str(gpus), "--write", str(file)]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.exception is None, done.exception
    other_groups(file.read_text())
    assert [(one.name, one.queues, one.memory_mib) for one in worker_specs("local")] == before
    assert {one.gpu_index for one in worker_specs("gpu") if one.gpu} == set(range(gpus))
    texts = plain(rendered())
    services = yaml.safe_load(texts["docker/compose.yaml"])["services"]
    for worker in worker_specs("gpu"):
        if worker.gpu:
            devices = services[f"worker-gpu-{worker.name}"]["deploy"]["resources"]["reservations"]["devices"]
            assert [device["device_ids"] for device in devices] == [[str(worker.gpu_index)]]
    deployed = [one["metadata"]["name"] for one in yaml.safe_load_all(texts["k8s/workers/gpu/workers.yaml"]) if one]
    assert {f"worker-{one.name}" for one in worker_specs("gpu")} == set(deployed)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in deployed)


def test_a_slice_has_room_for_cuda_itself(other_groups):
    """A share that fills a slice to the last but one MiB takes the next larger one: the context is beside the share."""
    other_groups((ROOT / "shared" / "groups.toml").read_text().replace("vram_mib = 12000", "vram_mib = 9727"))
    (caption,) = (one for one in worker_specs("gpu") if one.name == "caption")
    assert caption.mig_slice == "2g.20gb"


def test_what_fits_into_no_slice_keeps_a_whole_gpu(other_groups):
    """A share over the largest slice is not put into it: that worker's GPU stays a whole one, and the file says so."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    other_groups(text.replace("vram_mib = 26000", "vram_mib = 200000"))
    mig = rendered()["k8s/components/mig/kustomization.yaml"]
    sliced = {patch["target"]["name"] for patch in yaml.safe_load(mig)["patches"]}
    assert sliced == {f"worker-{one.name}" for one in worker_specs("gpu") if one.gpu} - {"worker-vlm"}
    assert "# worker-vlm fits into no slice" in mig
    other_groups(re.sub(r"vram_mib = \d+", "vram_mib = 200000", text))
    assert yaml.safe_load(rendered()["k8s/components/mig/kustomization.yaml"])["patches"] == []


@pytest.mark.parametrize(
    ("good", "bad", "why"),
    [
        ('gpu = ["control"]', 'gpu = ["control", "second"]', "of the profile gpu has control, second: exactly one"),
        ('local = ["control"]', "local = []", "of the profile local has no worker: exactly one"),
        ('gpu = ["light"]', 'gpu = ["control"]', "'control' of the profile gpu serves light as well as control"),
    ],
)
def test_control_is_one_worker_of_its_own(other_groups, good, bad, why):
    """Two clocks, none, or plans behind analysis, in a container too small for it, are refused in a sentence."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    assert good in text
    other_groups(text.replace(good, bad))
    with pytest.raises(BadInput, match=why):
        rendered()


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({'local = ["sound"]': 'local = ["gpu-detect"]'}, "worker-gpu-detect"),
        ({'["control"]': '["clock"]', '"vision"': '"control"'}, "worker-control"),
    ],
)
def test_two_workers_of_one_service_are_refused(other_groups, changes, service):
    """Compose would start the last of two services of one name, and say nothing of the first."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    for good, bad in changes.items():
        assert good in text
        text = text.replace(good, bad)
    other_groups(text)
    with pytest.raises(BadInput, match=f"cannot both be rendered: compose would call both {service}"):
        rendered()


def test_a_load_that_the_probe_would_not_wait_for_is_refused(other_groups):
    """A group that takes over half of the startup probe's time to load is an error of rendering, not of the night."""
    text = (ROOT / "shared" / "groups.toml").read_text()
    other_groups(text.replace("gpu = 40", f"gpu = {STARTUP_FAILURES * PROBE_SECONDS}"))
    with pytest.raises(BadInput, match="takes 960 s to load"):
        rendered()


def test_the_grace_period_is_over_the_hard_limit():
    """A worker that is told to go may work on until the hard limit of any task of a job with the default deadline."""
    assert settings().model_copy(update={"deadline_seconds": 1800}).deadline_seconds + GRACE_SECONDS < STOP_SECONDS


def plain(texts):
    """The YAML files with the defaults that compose would put in."""
    found = {path: text for path, text in texts.items() if path.endswith(".yaml")}
    return {path: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for path, text in found.items()}


def called(worker, group="extra"):
    """This version's groups with one more, and a worker for it."""
    more = f'[{json.dumps(group)}]\npurpose = "x"\nworker = {{ local = [], gpu = [{json.dumps(worker)}] }}\n'
    return f"{(ROOT / 'shared' / 'groups.toml').read_text()}\n{more}gpu = true\nmemory_mib = 1000\n"


NO_LABELS = ("GPU_A", "a.b", "über", "a b", "a'b", "a: b", "-a", "a-", "x" * 64, "1e3\n", "x,y", "{x}")


@pytest.mark.parametrize("name", NO_LABELS)
def test_names_that_kubernetes_does_not_take_are_refused(other_groups, name):
    """A worker's or a group's name that is no label, or too long beside what is put before it, is one sentence."""
    other_groups(called(name))
    with pytest.raises(BadInput, match="cannot be rendered: 1 to 47 small letters") as caught:
        rendered()
    assert repr(name) in caught.value.message
    other_groups(called("more", name))
    with pytest.raises(BadInput, match=r"the group .* cannot be rendered: 1 to 63 small letters"):
        rendered()


def test_a_key_of_the_brokers_client_is_no_group(other_groups):
    """A queue called as the hash of what is not acknowledged would be counted, and overwritten, as that."""
    other_groups(called("more", "unacked"))
    with pytest.raises(BadInput, match="the group 'unacked' cannot be rendered: the broker has a key"):
        rendered()


@pytest.mark.parametrize("name", ["no", "on", "1", "1e3", "0x10", "null", "x" * 47])
def test_names_that_yaml_reads_as_something_else_stay_names(other_groups, name):
    """What YAML takes for a number, a truth value or nothing is text wherever a worker or its group is named."""
    other_groups(called(name, name))
    for path, text in plain(rendered()).items():
        for one in yaml.safe_load_all(text):
            labels = one.get("metadata", {}).get("labels", {})
            assert all(isinstance(value, str) and len(value) <= 63 for value in labels.values()), path
    deployments = yaml.safe_load_all(rendered()["k8s/workers/gpu/workers.yaml"])
    (found,) = [
        one for one in deployments if one["kind"] == "Deployment" and one["metadata"]["name"] == f"worker-{name}"
    ]
    assert found["spec"]["selector"]["matchLabels"]["reelgraph/worker"] == name
    assert found["spec"]["template"]["spec"]["containers"][0]["args"][3] == name
