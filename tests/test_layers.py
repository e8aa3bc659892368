"""Tests of the architecture: the contracts in pyproject.toml hold, and each of them can break."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PACKAGES, ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(folder):
    """Run import-linter on the packages in a folder."""
    command = [LINT_IMPORTS, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path):
    """A copy of the three packages and their contracts, to break."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold():
    """services > tasks > shared, the layers inside tasks, and what analyzers and shared may know: all kept."""
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("shared/careless.py", "import tasks.analyzer"),
        ("shared/careless.py", "def load():\n    import cv2"),
        ("tasks/careless.py", "import shared.errors"),
        ("tasks/models.py", "import tasks.registry"),
        ("tasks/analyzers/careless.py", "import celery"),
        ("tasks/analyzers/careless.py", "import tasks.analyzers.other"),
        ("tasks/worker.py", "import services"),
    ],
)
def test_a_breach_is_seen(copy, module, line):
    """Each contract breaks when one line goes against it: upward, sideways, unplaced, or to a forbidden library."""
    (copy / "tasks/analyzers/other.py").touch()
    path = copy / module
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "careless" in result.stdout or path.stem in result.stdout
