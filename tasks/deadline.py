"""A job whose deadline leaves no time for all: what is read at a lower rate, what is left out, and why.

Decided before anything is queued, from what the analyzers that have to run declare to take, never from this machine's
receipts: the same job with the same time left and the same cache is planned the same way. Frame rates come first, since
half of the pictures say more than none; then analyzers that nobody named, those first that are worth least for the
seconds they take.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.frames import Frames, Rendition
from shared.groups import CONTROL, workers
from shared.renditions import rate
from shared.schema import MediaInfo
from tasks.analyzer import ESSENTIAL
from tasks.registry import AnyAnalyzer, dependencies, levels

MARGIN = 2.0
"""A cold job on 2 shared cores ended 23.6 - 10.1 s after its workers had loaded (docs/performance.md, "Start"), where
its analyzers' costs forecast 7.8: 1.7 times as long, and a little more."""
RUN_SECONDS = 0.03
"""One analyzer more cost 26.5 ms beside its work, before that was halved (docs/performance.md, "Orchestration")."""
SLOWEST_FPS = 1.0
"""Pictures a second: a rate that is halved for the deadline's sake stays at this or above."""
SLOWEST_SHARE = 0.25
"""Of the rate that is asked for: below it nobody has looked at what trackers find."""


@dataclass(frozen=True, slots=True)
class Economy:
    """What a job does with the time that it has."""

    renditions: dict[Rendition, Rendition]
    """What is read, by what was asked for."""
    costs: dict[str, float]
    """Seconds per second of video of each analyzer that runs."""
    slower: dict[str, str]
    """Why an analyzer sees fewer pictures, by its name."""
    left_out: dict[str, str]
    """Why an analyzer does not run, by its name."""
    late: str = ""
    """That even what is left may be too much."""

    @property
    def notes(self) -> tuple[str, ...]:
        """All of it in sentences, for the document."""
        said = tuple(f"{name}: {sentence}" for name, sentence in sorted({**self.slower, **self.left_out}.items()))
        return (*said, self.late) if said and self.late else said

    def of(self, names: Iterable[str]) -> Economy:
        """The same, of these analyzers alone."""
        kept = set(names)
        return replace(
            self,
            costs={one: cost for one, cost in self.costs.items() if one in kept},
            slower={one: why for one, why in self.slower.items() if one in kept},
            left_out={one: why for one, why in self.left_out.items() if one in kept},
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to do, and by when."""

    chosen: tuple[AnyAnalyzer, ...]
    costs: Mapping[str, float]
    named: Collection[str]
    profile: str
    media: MediaInfo
    fitted: Mapping[Rendition, Rendition]

    def without(self, names: Collection[str]) -> Workload:
        """The same with fewer analyzers."""
        return replace(self, chosen=tuple(one for one in self.chosen if one.name not in names))

    def slowed(self, need: Frames) -> Workload | None:
        """The same with half of the pictures of one rendition; None when that is too few."""
        given = self.fitted[need]
        if need.fps is None or not isinstance(given, Frames):
            return None  # who asks for every frame looks for what lasts for one
        half = rate(given, self.media) / 2
        if half < max(SLOWEST_FPS, SLOWEST_SHARE * rate(need, self.media)):
            return None
        return replace(self, fitted={**self.fitted, need: replace(given, fps=half)})

    def share(self, analyzer: AnyAnalyzer) -> float:
        """The share of the pictures that it asks for which it gets; 1 for who looks at none."""
        pictures = [need for need in self.needs(analyzer) if isinstance(need, Frames)]
        return max((self._share(need) for need in pictures), default=1.0)

    def needs(self, analyzer: AnyAnalyzer) -> tuple[Rendition, ...]:
        """What it reads of what this video has."""
        return tuple(need for need in analyzer.reads(self.profile) if need in self.fitted)

    def cost(self, analyzer: AnyAnalyzer) -> float:
        """Seconds per second of video; they go with the number of pictures."""
        return self.costs[analyzer.name] * self.share(analyzer)

    def work(self) -> float:
        """Seconds of all analyzers together."""
        return sum(self._seconds(one) for one in self.chosen)

    def seconds(self) -> float:
        """When the last analyzer ends, with one worker of each kind and nothing else to do."""
        queues = {worker: served for worker, served in workers(self.profile).items() if CONTROL not in served}
        free, ended = dict.fromkeys(queues, 0.0), dict[str, float]()
        for analyzer in (one for level in levels(self.chosen, self._costs()) for one in level):
            ready = max((ended.get(name, 0.0) for name in dependencies(analyzer)), default=0.0)
            serving = [worker for worker, served in queues.items() if analyzer.group in served] or [analyzer.group]
            worker = min(serving, key=lambda name: (max(free.get(name, 0.0), ready), name))
            free[worker] = ended[analyzer.name] = max(free.get(worker, 0.0), ready) + self._seconds(analyzer)
        return max(ended.values(), default=0.0)

    def _costs(self) -> dict[str, float]:
        return {one.name: self.cost(one) for one in self.chosen}

    def _seconds(self, analyzer: AnyAnalyzer) -> float:
        return self.cost(analyzer) * self.media.duration_seconds + RUN_SECONDS

    def _share(self, need: Frames) -> float:
        given = self.fitted[need]
        return rate(given, self.media) / rate(need, self.media) if isinstance(given, Frames) else 1.0


def economise(load: Workload, remaining_seconds: float) -> Economy:
    """What of it fits the time: all of it, all of it at lower rates, or less of it at rates as high as can be."""
    time = remaining_seconds / MARGIN
    kept, lowest = load, _lowest(load)
    while lowest.seconds() > time:
        leaving = _worth_least(lowest, kept.named)
        if not leaving:
            return _economy(load, lowest, remaining_seconds)
        kept, lowest = kept.without(leaving), lowest.without(leaving)
    return _economy(load, _lowered(kept, time), remaining_seconds)


def _lowest(load: Workload) -> Workload:
    """The workload with every rate as low as it may be."""
    while slower := _slowed(load):
        load = next(iter(slower.values()))
    return load


def _lowered(load: Workload, time: float) -> Workload:
    """Halve the rate that saves most until it fits."""
    while load.seconds() > time and (slower := _slowed(load)):
        load = min(slower.items(), key=lambda named: (named[1].seconds(), named[1].work(), named[0]))[1]
    return load


def _slowed(load: Workload) -> dict[str, Workload]:
    """The workload with one rate halved, for each that may be."""
    pictures = dict.fromkeys(need for one in load.chosen for need in load.needs(one) if isinstance(need, Frames))
    return {need.key: slower for need in pictures if (slower := load.slowed(need)) is not None}


def _worth_least(planned: Workload, named: Collection[str]) -> set[str]:
    """The analyzers to leave out next: one with what requires it, of the lowest value for the time that it saves."""
    before, found = planned.seconds(), dict[tuple[float, float, str], set[str]]()
    for analyzer in planned.chosen:
        leaving = _with_dependents(analyzer.name, planned.chosen)
        if any(one.name in leaving and _stays(one, named) for one in planned.chosen):
            continue
        value = sum(one.value for one in planned.chosen if one.name in leaving)
        less = planned.without(leaving)
        saved, work = before - less.seconds(), planned.work() - less.work()
        found[value / max(saved, 1e-9), value / work, analyzer.name] = leaving
    return found[min(found)] if found else set()


def _stays(analyzer: AnyAnalyzer, named: Collection[str]) -> bool:
    return analyzer.value >= ESSENTIAL or analyzer.name in named


def _with_dependents(name: str, chosen: Sequence[AnyAnalyzer]) -> set[str]:
    leaving = {name}
    while more := {one.name for one in chosen if one.name not in leaving and leaving.intersection(one.requires)}:
        leaving |= more
    return leaving


def _economy(load: Workload, planned: Workload, remaining_seconds: float) -> Economy:
    left = max(0.0, remaining_seconds)
    full, expected = MARGIN * load.seconds(), MARGIN * planned.seconds()
    why = f"all that was asked for would take about {full:.0f} s, and {left:.0f} s are left until the job's deadline"
    fewer = [one for one in planned.chosen if _is_slower(load, planned, one)]
    slower = {one.name: f"{_rates(load, planned, one)}: {why}" for one in fewer}
    staying = {one.name for one in planned.chosen}
    left_out = {one.name: f"left out: {why}" for one in load.chosen if one.name not in staying}
    late = f"What is left would take about {expected:.0f} s, too: some of it may not end by the deadline."
    costs = {one.name: planned.cost(one) for one in planned.chosen}
    return Economy(dict(planned.fitted), costs, slower, left_out, late if expected > left else "")


def _is_slower(load: Workload, planned: Workload, analyzer: AnyAnalyzer) -> bool:
    return any(planned.fitted[need] != load.fitted[need] for need in load.needs(analyzer))


def _rates(load: Workload, planned: Workload, analyzer: AnyAnalyzer) -> str:
    pairs = ((load.fitted[need], planned.fitted[need]) for need in load.needs(analyzer))
    changed = [
        f"{rate(now, load.media):.3g} instead of {rate(asked, load.media):.3g} pictures a second"
        for asked, now in pairs
        if asked != now and isinstance(asked, Frames) and isinstance(now, Frames)
    ]
    return f"looked at {', '.join(dict.fromkeys(changed))}"
