"""Analyzers that do nothing, or sleep as one that waits for its GPU does: `noop_000` and so on, by the environment.

`step_000` and so on do as little, each after the one before: a chain, of which each is a level.
"""

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


def noop(kind: str, number: int, after: tuple[str, ...] = ()) -> type[Analyzer[Wait, Nothing]]:
    """The analyzer of that kind and number."""

    class Noop(Analyzer[Wait, Nothing]):
        name = f"{kind}_{number:03d}"
        version = 1
        requires = after
        group = "noop"
        summary = "does nothing"
        cost = 0.001

        def analyze(self, media: Media, options: Wait) -> Nothing:
            time.sleep(options.seconds)
            scalar = Scalar(id="number", name="number", value=number, unit="")
            return Nothing(number=ScalarTrack(method="measurement", items=(scalar,)))

    return Noop


NUMBERS = range(int(os.environ["REELGRAPH_BENCH_NOOPS"]))
STEPS = 5
globals().update({f"Noop{number}": noop("noop", number) for number in NUMBERS})
globals().update(
    {f"Step{number}": noop("step", number, (f"step_{number - 1:03d}",) if number else ()) for number in range(STEPS)}
)
