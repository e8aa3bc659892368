"""Counts real openings of media files over all processes that a test starts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Opening:
    """One call of `av.open`."""

    pid: int
    file: str
    callers: tuple[str, ...]


def counting_environment(log: Path) -> dict[str, str]:
    """The environment for a child whose openings shall be written to `log`."""
    paths = [str(Path(__file__).parent / "startup"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "REELGRAPH_OPENINGS_LOG": str(log),
    }


def decode_openings(log: Path) -> list[Opening]:
    """The openings that were no probe."""
    lines = log.read_text().splitlines() if log.exists() else []
    found = [json.loads(line) for line in lines]
    every = [Opening(one["pid"], one["file"], tuple(one["callers"])) for one in found]
    return [one for one in every if "probe" not in one.callers]
