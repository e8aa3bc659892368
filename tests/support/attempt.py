"""One attempt at one analyzer by the code that a worker's child runs, in a process that a test may stop."""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.analyze import run
from tests.support.jobs import PROBE
from tests.support.node import node
from tests.support.plugged import plugged

ANALYZERS = PROBE / "analyzers"


def main(data: Path, job_id: str, name: str, worker: str) -> None:
    """Write the status that the attempt ended in."""
    with plugged(ANALYZERS), node(data):
        sys.stdout.write(f"{run(name, job_id, worker)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
