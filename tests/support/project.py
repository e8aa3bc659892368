"""The project as a folder: its root, its files, its configuration."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from tests.support.system import need_program

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "tasks", "services")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks, relative to the root, by git's path patterns."""
    git = need_program("git", "apt-get install git")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def pyproject() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
