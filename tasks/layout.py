"""A layout: which worker serves which groups on which GPU, in which precisions, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.models import Demand, Number

Groups = tuple[str, ...]
"""The groups that one worker serves."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one analyzer asks for: its models, if they are for a GPU, and its work for a second of video."""

    analyzer: str
    group: str
    level: int
    seconds: float | Mapping[Number, float | None] | None
    """By precision of its first model where that makes a difference; None: nobody has measured it."""
    models: Mapping[str, Demand] = field(default_factory=dict)
    """What each entry that it uses asks of a GPU."""
    estimate: float = 0.0
    """Seconds of this analyzer with its own weights: for comparing layouts where nothing was measured, never shown."""
    after: tuple[str, ...] = ()
    """The analyzers that must have ended before it begins."""

    def measured(self, precisions: Mapping[str, Number]) -> float | None:
        """Seconds with its models in these precisions; None where nobody has measured that."""
        if not isinstance(self.seconds, Mapping):
            return self.seconds
        entry = next(iter(self.models), None)
        return self.seconds.get(precisions[entry]) if entry is not None else None

    def at_least(self, precisions: Mapping[str, Number]) -> float:
        """The same for comparing layouts: where it is not measured, what other precisions take, else the estimate."""
        known = self.measured(precisions)
        if known is not None:
            return known
        others = self.seconds.values() if isinstance(self.seconds, Mapping) else ()
        return max(filter(None, others), default=self.estimate)

    def is_lowered(self, precisions: Mapping[str, Number]) -> bool:
        """Whether one of its models is not in the best precision that it may have."""
        return any(precisions[entry] != demand.choices[0] for entry, demand in self.models.items())


@dataclass(frozen=True, slots=True)
class Placed:
    """A model of a worker."""

    entry: str
    analyzers: tuple[str, ...]
    precision: Number
    vram_mib: int | None
    """None: nobody has declared it."""
    is_derived: bool
    """Whether its memory was worked out, and not measured."""
    beside_torch: bool = False
    """Whether it takes its part of the worker's memory past torch, whose tensors may have the rest."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process of the layout."""

    name: str
    groups: Groups
    gpu: int | None
    vram_mib: int
    models: tuple[Placed, ...]
    seconds: float
    """Measured work for a second of video."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Workers, and what they bring: for a second of video, all workers warm and nothing queued.

    All figures are made of what each analyzer takes alone. The better ones hold if no worker hinders another and every
    analyzer begins when those that it reads have ended; the worse ones if workers of one GPU take turns, so that what
    an analyzer does on the CPU meanwhile blocks it, too, and levels wait for one another.
    """

    workers: tuple[Worker, ...]
    least_latency: float
    """Seconds until the last analyzer has ended, without what is unmeasured."""
    most_throughput: float
    """Seconds of video that go through in a second, without what is unmeasured."""
    most_latency: float | None
    """None where not all of it was measured."""
    least_throughput: float | None
    """None where not all of it was measured."""
    unmeasured: tuple[str, ...] = ()
    """Analyzers whose seconds, as their models are placed, nobody has measured."""
    undeclared: tuple[str, ...] = ()
    """Entries whose memory nobody has declared: they may not fit."""
