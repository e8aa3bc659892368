"""Tests of docs/deploy.md: whatever a reader is told to type names what is there."""

import re
from itertools import dropwhile, pairwise

import pytest
import yaml

from shared.settings import SECRETS_DIR, Settings
from tests.support.commands import check_reelgraph, typed
from tests.support.deploy import OVERLAYS, compose, objects
from tests.support.project import ROOT

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = [[*dropwhile(re.compile(r"[A-Z_]+=").match, words)] for words in typed(TEXT)]
ELSEWHERE = {"cd", "curl", "echo", "nvidia-cuda-mps-control", "openssl", "rm", "tr"}
"""Programs of others, whose words are not looked at here."""

SHORT = {"deploy": "Deployment", "deployment": "Deployment", "service": "Service", "statefulset": "StatefulSet"}


def commands(*program):
    """Those that begin with these words, without them."""
    size = len(program)
    return [pytest.param(words[size:], id=" ".join(words)) for words in COMMANDS if tuple(words[:size]) == program]


def after(words, *options):
    """What follows any of these options."""
    return [value for option, value in pairwise(words) if option in options]


@pytest.fixture(scope="module")
def there():
    """Kind and name of all that the overlays hold."""
    return {(one["kind"], one["metadata"]["name"]) for overlay in OVERLAYS for one in objects(overlay)}


def test_no_program_is_overlooked():
    """Each command is one that a test below looks at, or of a program that is not ours."""
    known = {"docker", "k8s/await-job", "kubectl", "kustomize", "make", "reelgraph"} | ELSEWHERE
    assert {words[0] for words in COMMANDS} == known


@pytest.mark.parametrize("words", commands("make"))
def test_targets_are_there(words):
    """The Makefile has the target."""
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(words) <= set(targets)


@pytest.mark.parametrize("words", commands("docker", "build"))
def test_images_can_be_built_so(words):
    """The Dockerfile is there and has the stage and the arguments; the image has the name that the manifests know."""
    (file,) = after(words, "-f")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert set(after(words, "--target")) <= set(re.findall(r"^FROM \S+ AS (\S+)", text, flags=re.MULTILINE))
    arguments = {one.partition("=")[0] for one in after(words, "--build-arg")}
    assert arguments <= set(re.findall(r"^ARG (\w+)", text, flags=re.MULTILINE))
    (image,) = after(words, "-t")
    assert re.fullmatch(r"REGISTRY/reelgraph/(api|flower|models|mmdet|worker-cpu|worker-gpu):[\d.]+", image)


@pytest.mark.parametrize("words", commands("docker", "compose"))
def test_compose_knows_files_profiles_and_services(words):
    """The compose file is named, has the profiles, and the service that something is run in."""
    services = compose()["services"]
    assert after(words, "-f") == ["docker/compose.yaml"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    assert set(after(words, "--profile")) <= profiles | {"gpu"}
    for verb in {"exec", "run"} & set(words):
        place, *_ = (word for word in words[words.index(verb) + 1 :] if not word.startswith("-"))
        assert place in services


@pytest.mark.parametrize("words", commands("kubectl"))
def test_kubectl_finds_what_it_is_asked_for(words, there):
    """Objects, jobs, containers and folders of overlays that are named are there, in the namespace of the manifests."""
    for word in words:
        kind, _, name = word.partition("/")
        if kind in SHORT and name:
            assert (SHORT[kind], name) in there, word
    for folder in after(words, "--kustomize"):
        assert (ROOT / folder / "kustomization.yaml").exists(), folder
    if "job" in words:
        named = [word for word in words[words.index("job") + 1 :] if not word.startswith("-")]
        assert {("Job", name) for name in named} <= there
    assert set(after(words, "--namespace")) <= {name for kind, name in there if kind == "Namespace"}


@pytest.mark.parametrize("words", commands("k8s/await-job"))
def test_jobs_that_are_awaited_are_there(words):
    """The job is one of every overlay's, and ends by itself before the wait is over."""
    for overlay in OVERLAYS:
        (job,) = (one for one in objects(overlay, "Job") if one["metadata"]["name"] == words[0])
        assert job["spec"]["activeDeadlineSeconds"] <= int(words[1])


@pytest.mark.parametrize("words", commands("kustomize"))
def test_overlays_have_the_images_that_are_named(words):
    """The image that is given another name is one of every overlay's."""
    assert words[:3] == ["edit", "set", "image"]
    for overlay in OVERLAYS:
        images = yaml.safe_load((ROOT / "k8s" / "overlays" / overlay / "kustomization.yaml").read_text())["images"]
        assert words[3].partition("=")[0] in {one["name"] for one in images}


def ours():
    """Commands of reelgraph, typed as they are or run in a container."""
    services = {*compose()["services"], "--", None}
    for words in COMMANDS:
        for before, (place, word) in zip([None, *words], enumerate(words), strict=False):
            if word == "reelgraph" and before in services:
                yield pytest.param(words[place + 1 :], id=" ".join(words[place:]))


@pytest.mark.parametrize("words", [*ours()])
def test_reelgraph_commands_exist(words):
    """The subcommand is there and has the options."""
    check_reelgraph(words)


def test_settings_exist():
    """Every variable that is named is a setting, an image's argument or one of the compose file."""
    known = {f"REELGRAPH_{name.upper()}" for name in Settings.model_fields} | {SECRETS_DIR, "HF_TOKEN"}
    for file in (*(ROOT / "docker").glob("*.Dockerfile"), ROOT / "docker" / "compose.yaml"):
        known |= set(re.findall(r"(?:ARG |\$\{)([A-Z_]+)", file.read_text(encoding="utf-8")))
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXT))
    assert named
    assert named <= known
