"""Tests of requirements/: what is installed is pinned, hashed, complete, and names no place."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.project import PACKAGES, ROOT, pyproject, tracked

FOLDER = ROOT / "requirements"
UNHASHED = FOLDER / "torch.txt"
"""Which build of torch is right differs by machine; the file says so."""
COMPILED = sorted(set(FOLDER.glob("*.txt")) - {UNHASHED})
ALONE = FOLDER / "checks.txt"
"""Tools in an environment of their own, whose versions meet nobody else's."""
APART = {"mmengine": "onedl-mmengine", "whisper": "openai-whisper"}
"""What brings a module, where its environment is not this one."""
PYTHONS = ("3.11.2", "3.12.1", "3.13.0")
PLACE = re.compile(r"://|file:|(?:^|\s)(?:/|~|\.\.?/)|--(?:extra-)?index|--find-links", re.MULTILINE)


def pins(path):
    """Requirements of a compiled file with their hashes."""
    text = re.sub(r"^\s*#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        requirement, *hashes = line.split(" --hash=")
        yield Requirement(requirement), [digest.strip() for digest in hashes]


def asked(path):
    """Requirements of an .in file, comments, constraints and other files left out."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def direct(name):
    """What the compiled file of that name must bring: its .in file, and for cpu the project's dependencies."""
    project = [Requirement(line) for line in pyproject()["project"]["dependencies"]] if name == "cpu" else []
    return asked(FOLDER / f"{name}.in") + project


def applies(requirement, environment):
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_each_image_has_its_pair():
    """Every .in file has its compiled .txt file, and every .txt file comes from one."""
    assert COMPILED
    assert [path.stem for path in COMPILED] == sorted(path.stem for path in FOLDER.glob("*.in"))


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_pin_is_exact_and_hashed(path):
    """pip can check every byte: each line names one version and at least one sha256."""
    for requirement, hashes in pins(path):
        assert [clause.operator for clause in requirement.specifier] == ["=="], requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_place_is_named(path):
    """No requirements file holds an address or a path: every site's own registry serves it."""
    assert PLACE.search(path.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize("text", ["a @ https://host/a.whl", "-e ./a", "a @ file:///a.whl", "--find-links x", "/a.whl"])
def test_a_place_is_seen(text):
    """The pattern of the test above sees addresses, paths and index options."""
    assert PLACE.search(text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_compiled_file_is_fresh(path, python):
    """Every direct requirement is pinned, within its bounds, on each Python: `make lock` was not forgotten."""
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    pinned = {canonicalize_name(pin.name): pin for pin, _ in pins(path) if applies(pin, environment)}
    for requirement in direct(path.stem):
        if applies(requirement, environment):
            pin = pinned[canonicalize_name(requirement.name)]
            (clause,) = pin.specifier
            assert requirement.specifier.contains(clause.version, prereleases=True), f"{requirement}: pinned {pin}"


def test_files_agree():
    """A package in two files has one version: installing dev.txt on top of cpu.txt changes nothing of it."""
    versions = {}
    for path in set(COMPILED) - {ALONE}:
        for pin, _ in pins(path):
            versions.setdefault(canonicalize_name(pin.name), {})[str(pin.marker)] = str(pin.specifier)
    assert {name: found for name, found in versions.items() if len(set(found.values())) > 1} == {}


def test_only_the_headless_opencv():
    """One OpenCV is installed, the one that needs no libGL: both at once overwrite each other's files."""
    names = {canonicalize_name(pin.name) for path in COMPILED for pin, _ in pins(path)}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}


def imported_by(paths):
    """Distributions, by canonical name, whose modules some Python files import, at the top or inside functions."""
    trees = [ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in paths]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    roots = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {*PACKAGES, "tests", "bench"}
    brings = packages_distributions()
    return {root: {canonicalize_name(name) for name in brings.get(root, [APART.get(root, root)])} for root in roots}


@pytest.mark.parametrize(
    ("folders", "files"),
    [(PACKAGES, ["cpu", "gpu", "mmdet"]), (["tests"], ["cpu", "gpu", "mmdet", "dev"])],
    ids=["product", "tests"],
)
def test_every_import_is_asked_for(folders, files):
    """What the code imports is a direct requirement, never one that another package happens to bring."""
    extras = [Requirement(line) for lines in pyproject()["project"]["optional-dependencies"].values() for line in lines]
    asked_for = [*extras, *(requirement for name in files for requirement in direct(name))]
    known = {canonicalize_name(requirement.name) for requirement in asked_for}
    imported = imported_by(path for path in tracked(*folders) if path.suffix == ".py")
    assert imported
    known |= {canonicalize_name(requirement.name) for requirement in asked(UNHASHED)}
    assert {root for root, names in imported.items() if not names & known} == set()
