"""What it costs to read a video's facts in a process of its own: `python -m bench.probe VIDEO [--runs N]`."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from shared import isolated, media


def median_ms(read: Callable[[], object], runs: int) -> float:
    """Median wall time of a call in milliseconds."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Print the medians, and how long the first probe waits for the media server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--runs", type=int, default=50)
    asked = parser.parse_args()
    first = median_ms(lambda: isolated.probe(asked.video, sha256="0"), 1)
    apart = median_ms(lambda: isolated.probe(asked.video, sha256="0"), asked.runs)
    here = median_ms(lambda: media.probe(asked.video, sha256="0"), asked.runs)
    print(f"in a process of its own {apart:.1f} ms, in this one {here:.1f} ms; the first one {first:.0f} ms")


if __name__ == "__main__":
    main()
