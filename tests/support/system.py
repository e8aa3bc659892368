"""What a test needs from the machine beside Python packages."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = "REELGRAPH_REQUIRE_ALL"


def need_program(name: str, how: str) -> str:
    """Path of a program; `how` gets it: `need_program("npm", "apt-get install npm")`.

    Without it the test is skipped with a sentence that says so, and fails when REELGRAPH_REQUIRE_ALL=1, as in CI.
    """
    return shutil.which(name) or missing(f"{name} is not installed; get it with: {how}")


def missing(sentence: str) -> NoReturn:
    """End a test that lacks something of the machine: skip it, or fail it when REELGRAPH_REQUIRE_ALL=1."""
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{sentence} (fails because {REQUIRE_ALL}=1)", pytrace=False)
    pytest.skip(sentence)
