"""What an outcome is made with: an analyzer's weights and renditions, as they are on this machine and in this plan."""

from __future__ import annotations

from contextlib import suppress

from shared.errors import WeightsMissing
from shared.renditions import Rendition
from tasks.node import weights
from tasks.plan import Plan
from tasks.registry import AnyAnalyzer, extra_entry, weights_entry


def weights_digest(analyzer: AnyAnalyzer, profile: str) -> str | None:
    """What stands for the weights that the analyzer uses in the profile, those of its extra included if they are here.

    None without weights and for unlocked ones.
    """
    digests = []
    for name in weights_used(analyzer, profile):
        with suppress(WeightsMissing):
            digests.append(weights().digest(name))
    return "+".join(digests) or None


def weights_used(analyzer: AnyAnalyzer, profile: str) -> tuple[str, ...]:
    """The entries that the analyzer works with in the profile: its weights', and that of its extra if it is here."""
    entry, extra = weights_entry(analyzer, profile), extra_entry(analyzer, profile)
    has_extra = extra is not None and weights().on_disk(extra) == "complete"
    return tuple(name for name in (entry, extra if has_extra else None) if name)


def fitted_renditions(analyzer: AnyAnalyzer, profile: str, plan: Plan) -> tuple[str, ...]:
    """Keys of the renditions that the analyzer really reads."""
    given: dict[str, Rendition] = {**plan.frames, **plan.audio}
    return tuple(given[need.key].key for need in analyzer.reads(profile) if need.key in given)
