"""Analyzers that do nothing, or sleep as one that waits for its GPU does: `noop_000` and so on, by the environment."""

from __future__ import annotations

import os
import time

from pydantic import Field

from shared.schema import Scalar, ScalarTrack, TrackSet
from tasks.analyzer import Analyzer, Media, Options


class Nothing(TrackSet):
    """One number."""

    number: ScalarTrack


class Wait(Options):
    """What to do."""

    seconds: float = Field(0, ge=0, description="sleep so long")


def noop(number: int) -> type[Analyzer[Wait, Nothing]]:
    """The analyzer of that number."""

    class Noop(Analyzer[Wait, Nothing]):
        name = f"noop_{number:03d}"
        version = 1
        group = "noop"
        summary = "does nothing"
        cost = 0.001

        def analyze(self, media: Media, options: Wait) -> Nothing:
            time.sleep(options.seconds)
            scalar = Scalar(id="number", name="number", value=number, unit="")
            return Nothing(number=ScalarTrack(method="measurement", items=(scalar,)))

    return Noop


globals().update({f"Noop{number}": noop(number) for number in range(int(os.environ["REELGRAPH_BENCH_NOOPS"]))})
