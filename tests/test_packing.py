"""Packing groups onto GPUs: what fits where, in which precision, and what is expected of it."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.devices import CONTEXT_MIB, NoDevice
from tasks.layout import Load
from tasks.models import Demand
from tasks.packing import pack

LARGE, SMALL = {"bf16": 20_000, "nf4": 8_000}, {"bf16": 2_000}


def load(name, group, seconds, sizes=None, *, level=0, entry=None, **more):
    return Load(name, group, level, seconds, {} if sizes is None else {entry or name: Demand("auto", sizes, **more)})


def precisions(layout):
    return {model.entry: model.precision for worker in layout.workers for model in worker.models}


def test_groups_share_a_gpu_that_has_room():
    """Each group is a worker; what is left of the memory is shared out, and nothing is promised twice."""
    layout = pack([load("see", "vlm", 0.3, LARGE), load("find", "detect", 0.1, SMALL)], gpus=1, gpu_memory_mib=30_000)
    assert [(worker.name, worker.gpu) for worker in layout.workers] == [("vlm", 0), ("detect", 0)]
    assert precisions(layout) == {"see": "bf16", "find": "bf16"}
    assert layout.workers[0].vram_mib >= 20_000
    assert sum(worker.vram_mib + CONTEXT_MIB for worker in layout.workers) <= 30_000


def test_a_model_that_does_not_fit_goes_to_the_next_precision():
    """Not the small one that fits: only the group that finds no room gives way."""
    layout = pack([load("see", "vlm", 0.3, LARGE), load("find", "detect", 0.1, SMALL)], gpus=1, gpu_memory_mib=12_000)
    assert precisions(layout) == {"see": "nf4", "find": "bf16"}


def test_a_group_that_is_placed_still_gives_way():
    """The first group's bf16 leaves no room for the second: what a greedy packer refuses has a layout in nf4."""
    loads = [load("see", "vlm", 0.3, LARGE), load("find", "detect", 0.1, {"bf16": 6_000})]
    layout = pack(loads, gpus=1, gpu_memory_mib=24_000)
    assert precisions(layout) == {"see": "nf4", "find": "bf16"}


def test_no_precision_is_given_up_needlessly():
    """Spreading by work alone would leave the large model too little room; packed closer, everything stays bf16."""
    loads = [
        load("say", "speech", 0.4, {"bf16": 8_000}),
        load("find", "detect", 0.3, {"bf16": 8_000}),
        load("see", "vlm", 0.2, LARGE),
    ]
    layout = pack(loads, gpus=2, gpu_memory_mib=22_000)
    assert precisions(layout) == {"see": "bf16", "say": "bf16", "find": "bf16"}
    assert {worker.name: worker.gpu for worker in layout.workers} == {"speech": 0, "detect": 0, "vlm": 1}


def test_the_model_with_less_work_gives_way():
    """Of two models of which one must go to nf4, it is the one that works less."""
    loads = [load("see", "vlm", 0.3, LARGE), load("say", "caption", 0.1, LARGE)]
    assert precisions(pack(loads, gpus=1, gpu_memory_mib=30_000)) == {"see": "bf16", "say": "nf4"}


def test_what_fits_nowhere_is_refused():
    """One sentence: which group, how much it takes at least, how much there is."""
    with pytest.raises(
        NoDevice, match=rf"models of vlm take {8_000 + CONTEXT_MIB} MiB .* and 6000 MiB of a GPU can be"
    ):
        pack([load("see", "vlm", 0.3, LARGE)], gpus=2, gpu_memory_mib=6_000)


def test_what_fits_one_by_one_and_not_together_is_refused():
    """The sentence names every group's least need, since no single one is too large."""
    loads = [load("see", "vlm", 0.3, LARGE), load("say", "caption", 0.3, LARGE)]
    with pytest.raises(
        NoDevice,
        match=rf"no layout on 1 GPU of which 12000 MiB can be used.*: caption {8_000 + CONTEXT_MIB}, "
        rf"vlm {8_000 + CONTEXT_MIB}; all of .* {16_000 + CONTEXT_MIB}",
    ):
        pack(loads, gpus=1, gpu_memory_mib=12_000)


def test_groups_share_a_worker_where_that_makes_them_fit():
    """One context and one work space for both: what has no room as two processes has it as one, in fewer bytes."""
    loads = [load(name, name, 0.1, {"bf16": 5_000}, work_mib=4_000) for name in ("detect", "light")]
    (worker,) = pack(loads, gpus=1, gpu_memory_mib=6_000 + CONTEXT_MIB).workers
    assert (worker.name, worker.groups, worker.vram_mib) == ("detect-light", ("detect", "light"), 6_000)
    apart = pack(loads, gpus=1, gpu_memory_mib=10_000 + 2 * CONTEXT_MIB)
    assert [worker.groups for worker in apart.workers] == [("detect",), ("light",)]
    with pytest.raises(NoDevice, match=rf"light {5_000 + CONTEXT_MIB}; all of .* in one worker {6_000 + CONTEXT_MIB}"):
        pack(loads, gpus=1, gpu_memory_mib=5_999 + CONTEXT_MIB)


def test_groups_share_a_worker_before_a_precision_is_given_up():
    """Where two processes would leave only nf4, one has room for bf16."""
    loads = [
        load("see", "vlm", 0.3, LARGE, work_mib=4_000),
        load("find", "detect", 0.1, {"bf16": 5_000}, work_mib=4_000),
    ]
    layout = pack(loads, gpus=1, gpu_memory_mib=22_000)
    assert precisions(layout) == {"see": "bf16", "find": "bf16"}
    assert [worker.groups for worker in layout.workers] == [("vlm", "detect")]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 4, 2, 3, 1), (4, 2, 0, 3, 1)])
def test_of_equally_many_workers_those_that_let_most_through(order):
    """Which groups share is weighed by their work, that of their CPUs, too, whatever order the groups come in."""
    loads = [load(name, name, 0.01, {"bf16": 1_000}) for name in "abc"]
    loads += [load(f"{name} on a CPU", name, 1.0) for name in "ab"]
    layout = pack([loads[number] for number in order], gpus=1, gpu_memory_mib=3_100 + 2 * CONTEXT_MIB)
    assert sorted(len(worker.groups) for worker in layout.workers) == [1, 2]
    assert layout.least_throughput == pytest.approx(1 / 1.02)  # not 1 / 2.02: a and b do not wait for one another


def test_cpu_work_of_workers_on_one_gpu_goes_on_side_by_side():
    """Latency counts a worker's own CPU work, and of a GPU only the work that is done on it."""
    loads = [load(name, name, 0.1, {"bf16": 1_000}) for name in "ab"]
    loads += [load(f"{name} on a CPU", name, 1.0) for name in "ab"]
    assert pack(loads, gpus=1, gpu_memory_mib=8_000).most_latency == pytest.approx(1.1)


def test_no_more_groups_share_than_have_to():
    """Of three groups of which two must share, the third keeps a worker of its own."""
    loads = [load(name, name, 0.1, {"bf16": 5_000}, work_mib=4_000) for name in "abc"]
    layout = pack(loads, gpus=1, gpu_memory_mib=11_000 + 2 * CONTEXT_MIB)
    assert sorted(len(worker.groups) for worker in layout.workers) == [1, 2]


def test_what_nobody_measured_is_not_taken_for_no_work():
    """Qwen2.5-VL's seconds are unknown: what its analyzer takes with its own weights says which model gives way."""
    loads = [replace(load("see", "vlm", {}, LARGE), estimate=0.17), load("say", "caption", {"bf16": 0.03}, LARGE)]
    layout = pack(loads, gpus=1, gpu_memory_mib=30_000)
    assert precisions(layout) == {"see": "bf16", "say": "nf4"}
    assert (layout.most_latency, layout.least_latency, layout.unmeasured) == (None, 0, ("say", "see"))


def test_analyzers_of_one_model_load_it_once():
    """Two analyzers of a group with the same entry take its memory once."""
    loads = [load("a", "light", 0.1, SMALL, entry="ast"), load("b", "light", 0.1, SMALL, entry="ast")]
    (worker,) = pack(loads, gpus=1, gpu_memory_mib=2_000 + CONTEXT_MIB).workers
    (model,) = worker.models
    assert (model.entry, model.analyzers, model.precision) == ("ast", ("a", "b"), "bf16")


def test_models_of_a_worker_take_turns():
    """What models take only while they work is there once, for the one that takes most."""
    loads = [load(name, "detect", 0.1, {"bf16": 5_000}, work_mib=4_000) for name in ("a", "b")]
    (worker,) = pack(loads, gpus=1, gpu_memory_mib=6_000 + CONTEXT_MIB).workers
    assert worker.vram_mib == 6_000
    with pytest.raises(NoDevice):
        pack(loads, gpus=1, gpu_memory_mib=5_999 + CONTEXT_MIB)


def test_work_is_spread_over_the_gpus():
    """The busiest group has a GPU of its own; the others share the other one."""
    loads = [load("see", "vlm", 0.5, SMALL), load("say", "speech", 0.2, SMALL), load("find", "detect", 0.2, SMALL)]
    layout = pack(loads, gpus=2, gpu_memory_mib=20_000)
    assert {worker.name: worker.gpu for worker in layout.workers} == {"vlm": 0, "speech": 1, "detect": 1}
    assert layout.most_latency == pytest.approx(0.5)
    assert layout.least_throughput == pytest.approx(2.0)


def test_more_gpus_than_groups_serve_the_busiest_twice():
    """An idle GPU gets a second worker of the busiest group: throughput doubles, latency stays."""
    one = pack([load("see", "vlm", 0.5, SMALL)], gpus=1, gpu_memory_mib=20_000)
    two = pack([load("see", "vlm", 0.5, SMALL)], gpus=2, gpu_memory_mib=20_000)
    assert [worker.name for worker in two.workers] == ["vlm", "vlm-1"]
    assert (two.most_latency, two.least_throughput) == (one.most_latency, pytest.approx(2 * one.least_throughput))


def test_workers_of_one_gpu_take_turns():
    """Latency counts what lies on a GPU together, level after level; CPU groups run beside it."""
    loads = [
        load("see", "vlm", 0.3, SMALL),
        load("find", "detect", 0.2, SMALL),
        load("cut", "light", 0.1),
        load("join", "light", 0.2, level=1),
    ]
    layout = pack(loads, gpus=1, gpu_memory_mib=20_000)
    assert layout.most_latency == pytest.approx(0.5 + 0.2)
    assert layout.least_throughput == pytest.approx(1 / 0.5)


def test_figures_are_bounds():
    """At best workers of a GPU do not hinder one another and analyzers wait for their inputs alone; at worst workers
    take turns and a level waits for all of the one before.
    """
    loads = [
        load("see", "vlm", 0.3, SMALL),
        load("find", "detect", 0.2, SMALL),
        replace(load("join", "light", 0.2, SMALL, level=1), after=("find",)),
    ]
    layout = pack(loads, gpus=1, gpu_memory_mib=20_000)
    assert (layout.least_latency, layout.most_latency) == pytest.approx((0.4, 0.7))
    assert (layout.least_throughput, layout.most_throughput) == pytest.approx((1 / 0.7, 1 / 0.3))


def test_a_precision_that_nobody_measured_has_no_seconds():
    """Seconds were measured in bf16: as nf4 the layout claims neither latency nor throughput, and says for whom."""
    loads = [load("see", "vlm", {"bf16": 0.3}, LARGE), load("cut", "light", 0.1)]
    layout = pack(loads, gpus=1, gpu_memory_mib=12_000)
    assert precisions(layout) == {"see": "nf4"}
    assert (layout.most_latency, layout.least_throughput, layout.unmeasured) == (None, None, ("see",))
    assert layout.least_latency == pytest.approx(0.1)
    in_bf16 = pack(loads, gpus=1, gpu_memory_mib=30_000)
    assert (in_bf16.most_latency, in_bf16.unmeasured) == (pytest.approx(0.3), ())
    measured = [replace(loads[0], seconds={"bf16": 0.3, "nf4": 0.9}), loads[1]]
    assert pack(measured, gpus=1, gpu_memory_mib=12_000).most_latency == pytest.approx(0.9)


def test_unknown_memory_is_named():
    """A model whose memory nobody has declared counts as nothing, and is said to."""
    layout = pack([load("new", "vlm", None, {}), load("old", "light", 0.1)], gpus=1, gpu_memory_mib=20_000)
    assert (layout.undeclared, layout.unmeasured) == (("new",), ("new",))


def test_an_undeclared_precision_takes_no_more_than_a_declared_one():
    """fp32 on request is counted as twice bf16, as derived: a start does not pass because nobody declared it."""
    asked = replace(load("see", "vlm", 0.3), models={"see": Demand("fp32", {"bf16": 2_000})})
    (worker,) = pack([asked], gpus=1, gpu_memory_mib=4_000 + CONTEXT_MIB).workers
    (model,) = worker.models
    assert (model.precision, model.vram_mib, model.is_derived) == ("fp32", 4_000, True)


def test_without_any_gpu_model_there_is_no_gpu_worker():
    """A profile of CPU groups alone is a layout, too."""
    (worker,) = pack([load("cut", "light", 0.1)], gpus=1, gpu_memory_mib=20_000).workers
    assert (worker.groups, worker.gpu, worker.vram_mib) == (("light",), None, 0)


def test_many_gpus_are_planned_as_well():
    """Hundreds of GPUs for the groups of the product: every one has a worker."""
    loads = [load(name, name, seconds, LARGE) for name, seconds in zip("abcdefg", itertools.count(1), strict=False)]
    layout = pack(loads, gpus=300, gpu_memory_mib=80_000)
    assert {worker.gpu for worker in layout.workers} == set(range(300))


# --- against all layouts there are -----------------------------------------------------------------------------------

SIZES = st.integers(1, 8).map(lambda number: 1000 * number)
MODELS = st.one_of(
    st.builds(lambda bf16: {"bf16": bf16}, SIZES),
    st.builds(lambda nf4, more: {"bf16": nf4 + more, "nf4": nf4}, SIZES, SIZES),
)
WORK = st.sampled_from("abcd"), st.integers(0, 2), st.integers(1, 5)
ON_GPUS = st.lists(st.tuples(*WORK, MODELS, st.sampled_from((0, 500, 1500))), min_size=1, max_size=4).map(
    lambda found: [
        load(f"model{number}", group, seconds / 10, sizes, level=level, work_mib=work)
        for number, (group, level, seconds, sizes, work) in enumerate(found)
    ]
)
ON_CPUS = st.lists(st.tuples(*WORK), max_size=3).map(
    lambda found: [
        load(f"cpu{number}", group, seconds / 5, level=level) for number, (group, level, seconds) in enumerate(found)
    ]
)
LOADS = st.tuples(ON_GPUS, ON_CPUS).flatmap(lambda both: st.permutations(both[0] + both[1]))
GPUS, MEMORY = st.integers(1, 3), st.integers(2, 30).map(lambda number: 1000 * number)


def together(loads, chosen):
    """MiB of a worker with these precisions."""
    sizes = [(one.models[one.analyzer], chosen[one.analyzer]) for one in loads if one.models]
    work = [min(asked.work_mib, asked.vram_mib[precision]) for asked, precision in sizes]
    return sum(asked.vram_mib[precision] for asked, precision in sizes) - sum(work) + max(work) + CONTEXT_MIB


def all_layouts(loads, gpus, memory):
    """Steps, workers too few, the busiest place without more workers, and latency of every layout that fits."""
    models = [one for one in loads if one.models]
    groups = sorted({one.group for one in models})
    beside = [[one for one in loads if one.group == group] for group in {one.group for one in loads} - set(groups)]
    for way in itertools.product(*(one.models[one.analyzer].choices for one in models)):
        chosen = {one.analyzer: precision for one, precision in zip(models, way, strict=True)}
        steps = sum(precision == "nf4" for precision in way)
        for worker in itertools.product(range(len(groups)), repeat=len(groups)):
            of = dict(zip(groups, worker, strict=True))
            members = {number: [one for one in loads if of.get(one.group) == number] for number in set(worker)}
            need = {number: together(served, chosen) for number, served in members.items()}
            for place in itertools.product(range(gpus), repeat=len(members)):
                on = dict(zip(members, place, strict=True))
                if all(sum(need[one] for one in members if on[one] == gpu) <= memory for gpu in set(place)):
                    cards = [[one for one in models if on[of[one.group]] == gpu] for gpu in set(place)]
                    places = [*members.values(), *beside, *cards]
                    yield steps, len(groups) - len(members), max(map(work, places)), latency(places)


def work(loads):
    return sum(one.seconds for one in loads)


def latency(places):
    """Seconds of the busiest place, level after level."""
    return sum(max(work(one for one in loads if one.level == level) for loads in places) for level in range(3))


def steps(layout):
    return sum(model.precision == "nf4" for worker in first(layout) for model in worker.models)


def first(layout):
    """The workers that the layout has at least, without those that GPUs to spare are used for."""
    return [worker for worker in layout.workers if not worker.name[-1].isdigit()]


def shared(layout):
    return sum(len(worker.groups) - 1 for worker in first(layout))


def planned(loads, gpus, memory):
    try:
        return pack(loads, gpus=gpus, gpu_memory_mib=memory)
    except NoDevice:
        return None


@settings(max_examples=200, deadline=None)
@given(LOADS, GPUS, st.one_of(MEMORY, st.integers(-3, -1)))
def test_the_planner_finds_the_best_of_all_layouts(loads, gpus, memory):
    """Whatever trying every layout finds, the planner finds: a layout where there is one, no more steps down than it
    takes, and where nothing is lowered no fewer workers than that takes, nor a busier place than in the best of those
    (more workers make it less busy). With one GPU there are no more, and figures are those of the best layout.

    A negative memory stands for one GPU with room for all groups if so many contexts are saved.
    """
    if memory < 0:
        models = [one for one in loads if one.models]
        contexts = max(1, len({one.group for one in models}) + memory)
        gpus, memory = 1, sum(one.models[one.analyzer].vram_mib["bf16"] for one in models) + contexts * CONTEXT_MIB
    layouts = list(all_layouts(loads, gpus, memory))
    layout = planned(loads, gpus, memory)
    assert (layout is None) == (not layouts)
    if layout is not None:
        least, sharing, busy, waits = min((*one[:2], round(one[2], 9), one[3]) for one in layouts)
        assert steps(layout) == least
        if least == 0:
            assert shared(layout) == sharing
            assert 1 / layout.least_throughput <= busy + 1e-6
        if least == 0 and gpus == 1:
            assert (1 / layout.least_throughput, layout.most_latency) == pytest.approx((busy, waits))


@settings(max_examples=120, deadline=None)
@given(LOADS, GPUS, MEMORY)
def test_every_layout_fits(loads, gpus, memory):
    """On no GPU do the workers take more than it has, and each may use what its models take; bounds are in order."""
    layout = planned(loads, gpus, memory)
    assert layout is None or layout.least_latency <= layout.most_latency + 1e-9
    assert layout is None or layout.least_throughput <= layout.most_throughput + 1e-9
    for gpu in range(gpus) if layout else ():
        here = [worker for worker in layout.workers if worker.gpu == gpu]
        assert sum(worker.vram_mib + CONTEXT_MIB for worker in here) <= memory
        for worker in here:
            chosen = {model.entry: model.precision for model in worker.models}
            assert worker.vram_mib + CONTEXT_MIB >= together(
                [one for one in loads if one.group in worker.groups], chosen
            )


@settings(max_examples=120, deadline=None)
@given(LOADS, GPUS, MEMORY, st.integers(0, 8).map(lambda number: 500 * number), st.integers(0, 2))
def test_more_is_never_worse(loads, gpus, memory, more_memory, more_gpus):
    """With more memory or more GPUs there is a layout still, of no fewer steps up, and of equal steps one no slower."""
    before, after = planned(loads, gpus, memory), planned(loads, gpus + more_gpus, memory + more_memory)
    if before is not None:
        assert after is not None
        assert steps(after) <= steps(before)
        if steps(before) == 0 and shared(after) == shared(before):
            assert after.least_throughput >= before.least_throughput - 1e-9


@settings(max_examples=60, deadline=None)
@given(LOADS, GPUS, MEMORY, st.randoms(use_true_random=False))
def test_the_same_question_has_the_same_answer(loads, gpus, memory, chance):
    """Asked twice, the planner gives one layout, and asked in another order one that is worth the same."""
    layout = planned(loads, gpus, memory)
    assert planned(list(loads), gpus, memory) == layout
    other = planned(chance.sample(loads, len(loads)), gpus, memory)
    assert worth(other) == worth(layout)


def worth(layout):
    """What layouts are compared by, where all models are in their best precision."""
    if layout is None or steps(layout):
        return layout and steps(layout)
    return shared(layout), round(layout.least_throughput, 6), round(layout.most_latency, 6)
