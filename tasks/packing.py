"""Packing: which worker serves which group on which GPU, in which precision, and what to expect of it.

Memory is declared by the weights' entries, seconds by the analyzers, or measured by receipts of earlier jobs. Where
nobody has measured the seconds of a model in a precision, the layout says so and gives bounds instead of figures.

The search is exact. Its objective, in this order: every group has a worker on a GPU with room for it; the models are as
few steps as possible from their best precisions, all together; the least work is done by models that are not in theirs;
there are as many worker processes as possible (groups that share one need less memory, since one context and one work
space serve all, and wait for one another); the most video goes through; a clip waits least. Of layouts that are equally
good the first one found counts, and the order of the search is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tasks.devices import CONTEXT_MIB, NoDevice
from tasks.layout import Groups, Layout, Load, Placed, Worker
from tasks.models import Number, Rung, ladder

MOST_SHARING = 8
"""Of more groups than that none share a worker: there are 4,140 ways for 8 to share, and 21,147 for 9."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A worker's groups with their models in some precisions."""

    groups: Groups
    rung: Rung
    need_mib: int
    lowered: float
    """Seconds of the work of models that are not in their best precision."""
    by_level: Mapping[int, tuple[float, float]]
    """Level to seconds of all its work, and of the part that is done on the GPU; comparable, see `Load.at_least`."""

    @property
    def busy(self) -> float:
        return sum(seconds for seconds, _ in self.by_level.values())

    @property
    def busy_on_gpu(self) -> float:
        return sum(seconds for _, seconds in self.by_level.values())


Card = tuple[_Way, ...]
"""The groups on one GPU. All GPUs are alike, so only the first empty one is ever tried."""
Score = tuple[int, float, float, float]
"""Steps from the best precisions, work in lower ones, seconds of the busiest place, latency. Less is better."""


def pack(loads: Sequence[Load], *, gpus: int, gpu_memory_mib: int) -> Layout:
    """The best layout for so many equal GPUs, see the module.

    GPUs that no group needs get one more worker each of the then busiest groups.

    Raises:
        NoDevice: there is no layout in which every group has a place, in any precisions its models may have.
    """
    by_group: dict[str, list[Load]] = {}
    for load in loads:
        by_group.setdefault(load.group, []).append(load)
    on_gpu = {group: members for group, members in by_group.items() if any(load.models for load in members)}
    beside = [_way((group,), Rung({}, 0, 0), members) for group, members in by_group.items() if group not in on_gpu]
    cards = _best_cards(on_gpu, beside, gpus, gpu_memory_mib)
    cards.sort(key=lambda card: (-sum(way.busy_on_gpu for way in card), card[0].groups))
    workers = list(_workers(cards, _copies(cards, gpus), by_group, gpu_memory_mib))
    workers += [Worker(way.groups[0], way.groups, None, 0, (), _measured(_of(by_group, way.groups))) for way in beside]
    order = {group: number for number, group in enumerate(by_group)}
    workers.sort(key=lambda worker: (worker.gpu is None, worker.gpu or 0, order[worker.groups[0]]))
    return _described(workers, by_group)


def _best_cards(on_gpu: Mapping[str, Sequence[Load]], beside: Sequence[_Way], gpus: int, memory_mib: int) -> list[Card]:
    """The GPUs that are used, in the best of all layouts: each group alone, or some in one worker."""
    known: dict[Groups, list[_Way]] = {}
    best: list[Card] | None = None
    score: Score | None = None
    workers = 0
    for sharing in _sharings(tuple(on_gpu)):
        better_than = score
        if score is not None and len(sharing) < workers:
            if score[0] == 0:
                break  # all models are in their best precisions: fewer workers bring nothing more
            better_than = (*score[:2], -1.0, -1.0)  # no seconds are below 0: only steps or lowered work can win
        for groups in sharing:
            if groups not in known:
                members = _of(on_gpu, groups)
                known[groups] = [_way(groups, rung, members) for rung in _rungs(members)]
        search = _Search([known[groups] for groups in sharing], beside, gpus, memory_mib, better_than=better_than)
        if (found := search.best()) is not None:
            best, score, workers = found, search.score, len(sharing)
    if best is None:
        raise _refusal(on_gpu, gpus, memory_mib)
    return best


def _sharings(groups: Groups) -> list[tuple[Groups, ...]]:
    """All ways to serve groups by workers, first each alone, at last all by one; each group in one worker."""
    if len(groups) > MOST_SHARING:
        return [tuple((group,) for group in groups)]
    found: list[tuple[Groups, ...]] = [()]
    for group in groups:
        found = [
            (*sharing[:place], (*(sharing[place] if place < len(sharing) else ()), group), *sharing[place + 1 :])
            for sharing in found
            for place in range(len(sharing) + 1)
        ]
    return sorted(found, key=lambda sharing: -len(sharing))


def _of(by_group: Mapping[str, Sequence[Load]], groups: Groups) -> list[Load]:
    return [load for group in groups for load in by_group[group]]


def _rungs(members: Sequence[Load]) -> tuple[Rung, ...]:
    # analyzers of a worker that use one entry share its model
    return ladder({entry: demand for load in members for entry, demand in load.models.items()})


def _way(groups: Groups, rung: Rung, members: Sequence[Load]) -> _Way:
    by_level: dict[int, tuple[float, float]] = {}
    for load in members:
        seconds = load.at_least(rung.precisions)
        all_work, gpu_work = by_level.get(load.level, (0.0, 0.0))
        by_level[load.level] = all_work + seconds, gpu_work + (seconds if load.models else 0.0)
    lowered = sum(load.at_least(rung.precisions) for load in members if load.is_lowered(rung.precisions))
    return _Way(groups, rung, rung.vram_mib + CONTEXT_MIB, lowered, by_level)


def _refusal(on_gpu: Mapping[str, Sequence[Load]], gpus: int, memory_mib: int) -> NoDevice:
    least = {group: _rungs(members)[-1].vram_mib + CONTEXT_MIB for group, members in on_gpu.items()}
    least = dict(sorted(least.items(), key=lambda one: (-one[1], one[0])))
    for group, need_mib in least.items():
        if need_mib > memory_mib:
            what = f"the models of {group} take {need_mib} MiB of GPU memory at least"
            return NoDevice(f"{what}, and {memory_mib} MiB of a GPU can be used")
    sizes = ", ".join(f"{group} {need_mib}" for group, need_mib in least.items())
    together = _rungs(_of(on_gpu, tuple(on_gpu)))[-1].vram_mib + CONTEXT_MIB
    each = f"{gpus} GPU{'s' if gpus > 1 else ''} of which {memory_mib} MiB can be used"
    message = f"there is no layout on {each}, for the groups take at least, in MiB: {sizes}"
    return NoDevice(f"{message}; all of them in one worker {together}")


class _Search:
    """Branch and bound: workers one after another, the largest first, each in every way on every GPU with room for it.

    What is placed already gives a bound that the rest can only raise, so a branch that cannot win is left.
    """

    def __init__(
        self,
        ways: Iterable[Sequence[_Way]],
        beside: Sequence[_Way],
        gpus: int,
        memory_mib: int,
        *,
        better_than: Score | None = None,
    ) -> None:
        self._ways = sorted(ways, key=lambda each: (-each[-1].need_mib, each[0].groups))
        self._beside = beside
        self._gpus, self._memory_mib = gpus, memory_mib
        least = [min(each, key=lambda way: way.busy_on_gpu) for each in self._ways]
        self._average = sum(way.busy_on_gpu for way in least) / gpus
        self._known_copies: dict[tuple[object, ...], dict[Groups, int]] = {}
        self.score = better_than
        """Of what was found."""
        self._cards: list[Card] | None = None

    def best(self) -> list[Card] | None:
        """The GPUs that are used; None when not all groups can have a place, or it is not better than was asked."""
        if sum(each[-1].need_mib for each in self._ways) <= self._gpus * self._memory_mib:
            self._place(0, [])
        return self._cards

    def _place(self, number: int, cards: list[Card]) -> None:
        if self.score is not None and self._bound(cards) >= self.score:
            return
        if number == len(self._ways):
            score = self._bound(cards)
            if self.score is None or score < self.score:
                self.score, self._cards = score, list(cards)
            return
        for way in self._ways[number]:
            for place in range(min(len(cards) + 1, self._gpus)):
                card = cards[place] if place < len(cards) else ()
                if way.need_mib + sum(one.need_mib for one in card) <= self._memory_mib:
                    self._place(number + 1, [*cards[:place], (*card, way), *cards[place + 1 :]])

    def _bound(self, cards: Sequence[Card]) -> Score:
        """The score of a whole layout; of a part of one what it must at least become.

        A later group can take a GPU that is now left for one more worker, so a part counts on all of them.
        """
        ways = [way for card in cards for way in card]
        steps, lowered = sum(way.rung.steps for way in ways), sum(way.lowered for way in ways)
        if len(ways) < len(self._ways):
            copies = {way.groups: 1 + self._gpus - len(cards) for way in ways}
        else:
            copies = self._copies(cards)
        busiest = max(self._average, _busiest(cards, copies, self._beside))
        # rounded: in which order the work of groups is added up shall make no difference
        return steps, round(lowered, 9), round(busiest, 9), round(_latency(cards, self._beside), 9)

    def _copies(self, cards: Sequence[Card]) -> dict[Groups, int]:
        """Kept, since which groups share a GPU makes no difference to it."""
        key = (len(cards), *sorted((way.groups, way.rung.steps) for card in cards for way in card))
        if key not in self._known_copies:
            self._known_copies[key] = _copies(cards, self._gpus)
        return self._known_copies[key]


def _copies(cards: Sequence[Card], gpus: int) -> dict[Groups, int]:
    """How many workers groups have when every GPU that is left goes to those whose workers are the busiest."""
    ways = [way for card in cards for way in card]
    copies = {way.groups: 1 for way in ways}
    for _ in range(gpus - len(cards) if ways else 0):
        busiest = max(ways, key=lambda way: (round(way.busy / copies[way.groups], 9), sorted(way.groups)))
        copies[busiest.groups] += 1
    return copies


def _busiest(cards: Sequence[Card], copies: Mapping[Groups, int], beside: Sequence[_Way]) -> float:
    """Seconds that the busiest worker or GPU works for a second of video, each group's work shared by its workers."""
    workers = [way.busy / copies[way.groups] for card in cards for way in card] + [way.busy for way in beside]
    shared = [sum(way.busy_on_gpu / copies[way.groups] for way in card) for card in cards]
    return max([*workers, *shared], default=0.0)


def _latency(cards: Sequence[Card], beside: Sequence[_Way]) -> float:
    """Level by level: the busiest worker, or the busiest GPU, as if its workers took turns on it."""
    levels = {level for way in (*beside, *(way for card in cards for way in card)) for level in way.by_level}
    total = 0.0
    for level in levels:
        busy = [way.by_level.get(level, (0.0, 0.0))[0] for way in beside]
        for card in cards:
            here = [way.by_level.get(level, (0.0, 0.0)) for way in card]
            busy += [seconds for seconds, _ in here]
            busy.append(sum(seconds for _, seconds in here))
        total += max(busy, default=0.0)
    return total


def _workers(
    cards: Sequence[Card], copies: Mapping[Groups, int], loads: Mapping[str, Sequence[Load]], memory_mib: int
) -> Iterator[Worker]:
    """The workers of each GPU, with what is left of its memory shared out among them for larger batches."""
    placed = {way.groups: way for card in cards for way in card}
    more = [(groups, number) for groups, count in copies.items() for number in range(1, count)]
    alone: list[tuple[Card, int]] = [((placed[groups],), number) for groups, number in more]
    for gpu, (card, number) in enumerate([*((card, 0) for card in cards), *alone]):
        spare = (memory_mib - sum(way.need_mib for way in card)) // len(card)
        for way in card:
            members = _of(loads, way.groups)
            yield Worker(
                name="-".join((*way.groups, str(number)) if number else way.groups),
                groups=way.groups,
                gpu=gpu,
                vram_mib=way.rung.vram_mib + spare,
                models=tuple(_models(members, way.rung)),
                seconds=_measured(members, way.rung.precisions),
            )


def _models(members: Sequence[Load], rung: Rung) -> Iterator[Placed]:
    for entry, precision in rung.precisions.items():
        users = [load for load in members if entry in load.models]
        asked = users[0].models[entry]
        names = tuple(load.analyzer for load in users)
        size = asked.takes(precision), asked.is_derived(precision)
        yield Placed(entry, names, precision, *size, beside_torch=asked.beside_torch)


def _measured(members: Sequence[Load], precisions: Mapping[str, Number] = MappingProxyType({})) -> float:
    return sum(load.measured(precisions) or 0.0 for load in members)


def _described(workers: Sequence[Worker], loads: Mapping[str, Sequence[Load]]) -> Layout:
    """The layout with what it brings, by measured seconds alone."""
    first = {worker.groups: worker for worker in reversed(workers)}
    cards: dict[int, Card] = {}
    beside: list[_Way] = []
    unmeasured: list[str] = []
    all_known: list[Load] = []
    for groups, worker in first.items():
        members = _of(loads, groups)
        precisions = {model.entry: model.precision for model in worker.models}
        unmeasured += [load.analyzer for load in members if load.measured(precisions) is None]
        known = [replace(load, seconds=load.measured(precisions), estimate=0.0) for load in members]
        all_known += known
        way = _way(groups, Rung(precisions, 0, 0), known)
        if worker.gpu is None:
            beside.append(way)
        else:
            cards[worker.gpu] = (*cards.get(worker.gpu, ()), way)
    copies = {groups: sum(worker.groups == groups for worker in workers) for groups in first}
    busiest = _busiest(list(cards.values()), copies, beside)
    unhindered = max(
        way.busy / copies[way.groups] for way in (*beside, *(way for card in cards.values() for way in card))
    )
    return Layout(
        workers=tuple(workers),
        least_latency=max(unhindered, _longest_chain(all_known)),
        most_throughput=1 / unhindered if unhindered else 0.0,
        most_latency=None if unmeasured else _latency(list(cards.values()), beside),
        least_throughput=None if unmeasured or not busiest else 1 / busiest,
        unmeasured=tuple(sorted(unmeasured)),
        undeclared=tuple(sorted({m.entry for worker in workers for m in worker.models if m.vram_mib is None})),
    )


def _longest_chain(known: Sequence[Load]) -> float:
    """Seconds of the analyzers that wait for one another longest."""
    ended: dict[str, float] = {}
    for load in sorted(known, key=lambda load: load.level):
        ended[load.analyzer] = max((ended[name] for name in load.after), default=0.0) + load.at_least({})
    return max(ended.values(), default=0.0)
