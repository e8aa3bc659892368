"""Brings no-op analyzers into every Python that starts with this folder in PYTHONPATH; the product knows none of it."""

import os
from pathlib import Path

if "REELGRAPH_BENCH_NOOPS" in os.environ:
    import tasks.analyzers

    tasks.analyzers.__path__.append(str(Path(__file__).parent / "analyzers"))
