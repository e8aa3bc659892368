"""What an outcome is made with: an analyzer's weights and renditions, as loaded or planned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared.errors import WeightsMissing
from shared.renditions import Rendition
from shared.settings import Precision, settings
from tasks.node import weights
from tasks.plan import Plan
from tasks.registry import AnyAnalyzer, extra_entry, weights_entry


@dataclass(frozen=True, slots=True)
class Used:
    """The weights that an outcome is made with, and the precision that the settings ask for."""

    digest: str | None = None
    """None without weights and for unlocked ones."""
    reviewed: bool | None = None
    """False: taken unlocked. None without weights."""
    precision: Precision = "auto"


NOTHING = Used()
"""Of what has loaded no model."""


def used(analyzer: AnyAnalyzer, entries: Sequence[str]) -> Used:
    """What stands for these entries by the pins that this process has read, against which it checks what it loads."""
    digests = []
    for name in entries:
        with suppress(WeightsMissing):
            digests.append(weights().digest(name))
    reviewed = all(map(weights().is_reviewed, entries)) if entries else None
    return Used("+".join(digests) or None, reviewed, settings().precision.get(analyzer.name, "auto"))


def expected(analyzer: AnyAnalyzer, profile: str) -> Used:
    """What a worker that started now would use in the profile: an extra counts if its files are here."""
    entry, extra = weights_entry(analyzer, profile), extra_entry(analyzer, profile)
    has_extra = extra is not None and weights().on_disk(extra) == "complete"
    return used(analyzer, [name for name in (entry, extra if has_extra else None) if name])


def fitted_renditions(analyzer: AnyAnalyzer, profile: str, plan: Plan) -> tuple[str, ...]:
    """Keys of the renditions that the analyzer really reads."""
    given: dict[str, Rendition] = {**plan.frames, **plan.audio}
    return tuple(given[need.key].key for need in analyzer.reads(profile) if need.key in given)
