"""Tests of what every file owes its reader: documented tests, tested analyzers, honest names."""

import ast
import re

import pytest

from tasks.registry import analyzers
from tests.support.project import ROOT, tracked

VAGUE = {"common", "helper", "helpers", "manager", "util", "utils"}


def functions(path):
    """Test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node for node in found if node.name.startswith("test_")]


def test_every_test_says_what_it_proves():
    """Each test function has a docstring."""
    tests = [(path, test) for path in tracked(":(glob)tests/**/test_*.py") for test in functions(path)]
    assert tests
    assert [f"{path}::{test.name}" for path, test in tests if not ast.get_docstring(test)] == []


def test_every_analyzer_has_a_test_file():
    """An analyzer is one file in tasks/analyzers/ and one test file."""
    names = {path.stem for path in tracked("tasks/analyzers/*.py")} - {"__init__"}
    tested = {path.stem.removeprefix("test_") for path in tracked(":(glob)tests/**/test_*.py")}
    assert names - tested == set()


@pytest.mark.parametrize("name", analyzers())
def test_no_analyzer_is_older_than_the_changelog_says(name):
    """The changelog tells of a new version as `NAME N`: what was cached before is not taken for one of it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    told = [int(number) for number in re.findall(rf"\b{name}`?\s\(?(?:version\s)?(\d+)", text)]
    assert analyzers()[name].version >= max(told, default=1)


def test_modules_have_honest_names():
    """No module is called utils, helpers, common or manager: its name says what it holds."""
    assert [str(path) for path in tracked("*.py") if VAGUE & set(path.stem.split("_"))] == []


def test_docker_is_no_package():
    """docker/ has no __init__.py, which would shadow the docker SDK."""
    assert tracked(":(glob)docker/**/__init__.py") == []
