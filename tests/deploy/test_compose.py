"""Tests of docker/compose.yaml and the Dockerfiles: what an operator starts with one command on one machine."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from botocore.session import get_session

from services.deployment.passwords import write_secrets
from services.deployment.workers import DEADLINE_SECONDS, STOP_SECONDS, worker_specs
from shared.settings import Settings
from shared.signing import read_secret
from tests.support.deploy import compose, tool
from tests.support.project import ROOT, tracked

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
ONCE = {"migrate", "models"}


@pytest.fixture(scope="module")
def services():
    return compose()["services"]


def test_compose_file_is_one(tmp_path):
    """The compose specification's parser takes the file: no unknown field, no wrong type, every image a proper name."""
    file = tmp_path / "compose.json"
    text = {name: part for name, part in compose().items() if not name.startswith("x-")}
    for probe in text["services"].values():
        probe.pop("x-none", None)
    file.write_text(json.dumps(text))
    reader = "import sys, compose_spec; compose_spec.PyCompose.from_json(open(sys.argv[1]).read())"
    done = subprocess.run([tool("python"), "-c", reader, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file.write_text(json.dumps({"services": {"a": {"image": "a", "memlimit": "1g"}}}))
    assert subprocess.run([tool("python"), "-c", reader, file], capture_output=True, check=False).returncode != 0


def test_everything_that_runs_on_is_watched_bounded_and_restarted(services):
    """A memory limit for every service; a restart policy and a health check (maybe its image's) where it stays."""
    checked = {file.name.removesuffix(".Dockerfile") for file in DOCKERFILES if "HEALTHCHECK" in file.read_text()}
    for name, service in services.items():
        assert "mem_limit" in service, name
        built = service.get("build", {}).get("dockerfile", "").removeprefix("docker/").removesuffix(".Dockerfile")
        if name in ONCE:
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped"
            assert "healthcheck" in service or built in checked, name


def test_what_is_referenced_is_there(services, tmp_path):
    """Every network, volume, secret and dependency is declared, every secret is made, nothing is in vain."""
    whole = compose()
    for kind in ("networks", "secrets"):
        used = {one for service in services.values() for one in service.get(kind, ())}
        assert used == set(whole[kind])
    mounted = {mount.partition(":")[0] for service in services.values() for mount in service.get("volumes", ())}
    assert {one for one in mounted if not one.startswith("./")} == set(whole["volumes"])
    assert all((ROOT / "docker" / one).exists() for one in mounted if one.startswith("./"))
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
    write_secrets(tmp_path)
    assert set(whole["secrets"]) <= {file.name for file in tmp_path.iterdir()}


def test_one_worker_for_each_of_both_profiles(services):
    """`--profile cpu` and `--profile gpu` start the workers of groups.toml; one control worker is in both."""
    for profile, word, prefix in (("local", "cpu", "worker-"), ("gpu", "gpu", "worker-gpu-")):
        expected = {f"{prefix}{one.name}": one for one in worker_specs(profile) if not one.controls}
        assert {name for name, one in services.items() if one.get("profiles") == [word]} == set(expected)
        for name, worker in expected.items():
            command = services[name]["command"]
            assert command[command.index("--groups") + 1] == ",".join(worker.queues)
            assert services[name]["environment"]["REELGRAPH_PROFILE"] == profile
            assert ("deploy" in services[name]) == worker.gpu
    assert "profiles" not in services["worker-control"]


def test_workers_may_end_their_tasks(services):
    """`docker compose stop` waits for the running task of a worker: longer than any task's hard limit."""
    for name, service in services.items():
        if name.startswith("worker-"):
            assert int(service["stop_grace_period"].removesuffix("s")) == STOP_SECONDS > DEADLINE_SECONDS


def test_tiers_are_apart(services):
    """Broker and ledger are on a network without a way out, with no port; workers that analyse are on it and on one to
    the bucket, which has no way out unless somebody says so.
    """
    assert compose()["networks"]["stores"] == compose()["networks"]["bucket"] == {"internal": True}
    assert compose(BUCKET_INTERNAL="false")["networks"]["bucket"] == {"internal": False}
    for name in ("redis", "postgres"):
        assert services[name]["networks"] == ["stores"]
        assert "ports" not in services[name]
    for name, service in services.items():
        if name.startswith("worker-") and name != "worker-control":
            assert service["networks"] == ["stores", "bucket"]
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]


def test_frames_are_no_memory_of_who_writes_them(services):
    """The store that workers share is on disk, so that filling it takes nothing of their memory limits; it is as large
    as where nothing says otherwise.
    """
    assert compose()["volumes"]["frames"] == {}
    for name, service in services.items():
        if name.startswith("worker-"):
            assert "frames:/frames" in service["volumes"], name
            size = int(service["environment"]["REELGRAPH_FRAME_STORE_BYTES"])
            assert size == Settings.model_fields["frame_store_bytes"].default
    assert not any(mount.startswith("/frames") for one in services.values() for mount in one.get("tmpfs", ()))


def overrides():
    """The overrides that docs/deploy.md shows, by the profile that each is for."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    found = re.findall(r"```yaml\n# docker/compose\.override\.yaml, for the profile (\w+)\n(.*?)```", text, re.DOTALL)
    return {profile: yaml.safe_load(override) for profile, override in found}


def test_mmdet_takes_the_place_of_one_worker(services):
    """The override of docs/deploy.md for mmdet is of a worker of its group, and says how its image is built."""
    ((name, changed),) = overrides()["gpu"]["services"].items()
    command = services[name]["command"]
    assert command[command.index("--groups") + 1] == "detect"
    assert (ROOT / changed["build"]["dockerfile"]) in DOCKERFILES
    assert changed["image"] == services[name]["image"].replace("worker-gpu", "mmdet")


def test_frames_in_memory_leave_room_for_work(services):
    """The override of docs/deploy.md that puts the store on a tmpfs raises the limit of each worker of its profile by
    the size of that tmpfs.
    """
    override = overrides()["cpu"]
    options = override["volumes"]["frames"]["driver_opts"]
    size = int(re.search(r"size=(\d+)g", options["o"])[1]) << 10
    assert options["type"] == "tmpfs"
    assert override["services"].keys() == {name for name, one in services.items() if one.get("profiles") == ["cpu"]}
    for name, changed in override["services"].items():
        before = int(services[name]["mem_limit"].removesuffix("m"))
        assert int(changed["mem_limit"].removesuffix("m")) >= before + size, name


def test_nothing_keeps_a_privilege(services):
    """No service keeps a capability or may gain one, and the stores run as numbered users."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert services["postgres"]["user"] == services["redis"]["user"] == "999:999"


def test_passwords_are_in_files_only(services):
    """No variable of any service holds a password; the application finds its own by the folder of secrets."""
    for name, service in services.items():
        for variable in service.get("environment", {}):
            assert not re.search(r"PASSWORD$|SECRET$|TOKEN$|_KEY$", variable), (name, variable)
    known = {f"REELGRAPH_{field.upper()}" for field in Settings.model_fields} | {"REELGRAPH_SECRETS_DIR"}
    named = {
        one for service in services.values() for one in service.get("environment", {}) if one.startswith("REELGRAPH")
    }
    assert named <= known


def test_credentials_of_a_bucket_reach_whoever_reads_it(services, tmp_path, monkeypatch):
    """The API and every worker are given the file; as it is made, or empty, botocore takes it for none."""
    for name, service in services.items():
        if name == "api" or name.startswith("worker-"):
            assert "aws_credentials" in service["secrets"], name
            assert service["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == "/run/secrets/aws_credentials"
    write_secrets(tmp_path)
    file = tmp_path / "aws_credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert get_session().get_credentials() is None
    file.write_text("")
    assert get_session().get_credentials() is None
    file.write_text("[default]\naws_access_key_id = one\naws_secret_access_key = two\n")
    assert get_session().get_credentials().access_key == "one"


def test_secrets_are_made_once_and_kept(tmp_path):
    """Passwords are random, agree with the addresses that hold them, can be used, and are never made anew."""
    folder, other = tmp_path / "one", tmp_path / "two"
    assert write_secrets(folder)
    first = {file.name: file.read_text() for file in folder.iterdir()}
    assert first["redis_password"] in first["reelgraph_broker_url"]
    assert first["postgres_password"] in first["reelgraph_ledger_url"]
    assert read_secret(first["reelgraph_webhook_secret"])
    assert folder.stat().st_mode & 0o077 == 0
    (folder / "reelgraph_broker_url").unlink()
    assert write_secrets(folder) == ["reelgraph_broker_url"]
    assert {file.name: file.read_text() for file in folder.iterdir()} == first
    write_secrets(other)
    assert (other / "redis_password").read_text() != first["redis_password"]


def test_secrets_are_not_committed():
    """Git and the build context leave the folder of secrets out."""
    assert tracked("docker/secrets/*") == []
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!docker/secrets" not in (ROOT / ".dockerignore").read_text()


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint_has_nothing_to_say(file):
    """The Dockerfiles pass the linter in its strictest mode; what is ignored is ignored on its line."""
    done = subprocess.run([tool("hadolint"), "--failure-threshold", "style", file], capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, "")


def test_hadolint_has_much_to_say_about_a_bad_one(tmp_path):
    """The linter of the test above does see errors."""
    file = tmp_path / "Dockerfile"
    file.write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n")
    done = subprocess.run([tool("hadolint"), "--failure-threshold", "style", file], capture_output=True, check=False)
    assert done.returncode != 0
    assert b"DL3007" in done.stdout


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_images_are_built_the_same_way(file):
    """Bases are arguments, wheels have hashes; the last stage has a numbered user, tini, labels, a health check."""
    text = file.read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    begun = {word for stage in stages for word in re.findall(r"\A\S+ AS (\S+)", stage)}
    assert all(
        re.match(r"\$\{(PYTHON|BUILD|CUDA|WORKER)_IMAGE\}", stage) or stage.split()[0] in begun for stage in stages
    )
    assert len(stages) > 1
    installed = re.findall(r"pip install[^\n]*--requirement", text) + re.findall(
        r"install --no-deps[^\n]*--requirement", text
    )
    assert all("--require-hashes" in line for line in installed)
    final = next(stage for stage in stages if "ENTRYPOINT" in stage)
    assert "USER 10001:10001" in final
    entry = ["tini", "--", *(["reelgraph-start"] if "reelgraph-alive" in final else [])]
    assert f"ENTRYPOINT {json.dumps(entry)}\n" in final
    assert "HEALTHCHECK" in final
    assert "org.opencontainers.image.revision" in final
    assert not re.search(r"gcc|build-essential|g\+\+|-dev\b", text)


def test_a_worker_that_was_killed_is_not_ready_when_it_starts_again(tmp_path):
    """A container that is restarted in place keeps its folder: the mark of before is gone when the program starts, and
    those of other containers that share the folder stay.
    """
    run = tmp_path / "run"
    run.mkdir()
    host = Path("/etc/hostname").read_text().strip()
    own, other = run / f"ready.vision=detect+light@{host}", run / f"ready.vision=detect+light@not-{host}"
    docker = ROOT / "docker"
    environment = {"PATH": os.environ["PATH"], "REELGRAPH_DATA_DIR": str(tmp_path)}

    def code(*command):
        return subprocess.run(command, env=environment, check=False).returncode

    assert code(docker / "reelgraph-alive") == 1
    own.touch()
    other.touch()
    assert code(docker / "reelgraph-alive") == 0
    assert code(docker / "reelgraph-start", docker / "reelgraph-alive") == 1
    assert [*run.iterdir()] == [other]
    assert code(docker / "reelgraph-start", "sh", "-c", "exit 7") == 7
    shared = (docker / "worker-cpu.Dockerfile", docker / "worker-gpu.Dockerfile")
    assert all(
        "COPY docker/reelgraph-alive docker/reelgraph-start /usr/local/bin/" in one.read_text() for one in shared
    )
    assert "!docker/reelgraph-start" in (ROOT / ".dockerignore").read_text().splitlines()


def test_dashboard_asks_for_metrics_that_are_there():
    """Every metric in the dashboard is one that the API shows."""
    board = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "reelgraph.json").read_text())
    shown = set(re.findall(r'"(reelgraph_[a-z_]+)"', (ROOT / "services" / "api" / "metrics.py").read_text()))
    asked = {
        name for panel in board["panels"] for name in re.findall(r"reelgraph_[a-z_]+", panel["targets"][0]["expr"])
    }
    assert asked
    assert {name.removesuffix("_total") for name in asked} <= shown


def test_dashboard_counts_a_deployment_once():
    """Every pod of the API shows the whole deployment's metrics: each is one of all pods' before anything is summed."""
    board = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "reelgraph.json").read_text())
    for panel in board["panels"]:
        expression = panel["targets"][0]["expr"]
        metrics = len(re.findall(r"reelgraph_[a-z_]+", expression))
        once = re.findall(r"\b(?:max|min)(?: by \([a-z, ]+\) )?\((?:rate\()?reelgraph_[a-z_]+", expression)
        assert len(once) == metrics > 0, expression
