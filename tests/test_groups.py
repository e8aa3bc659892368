"""Tests of groups.toml: every queue is served in every profile, control stands alone."""

import pytest

from shared.errors import BadInput
from shared.groups import CONTROL, groups, node_name, profiles, worker_of, workers
from tasks.celery import app
from tasks.registry import analyzers


def test_the_design_s_groups_are_there():
    """The eight groups of the design, each with its purpose and a bound on memory."""
    assert set(groups()) == {"control", "detect", "segment", "people", "speech", "vlm", "caption", "light"}
    assert all(group.purpose and 0 < group.memory_mib <= 1536 for group in groups().values())


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_every_analyzer_that_can_run_is_served(profile):
    """In each profile some worker serves the queue of every analyzer that has weights there or needs none."""
    served = {queue for queues in workers(profile).values() for queue in queues}
    able = [one for one in analyzers().values() if not one.weights or profile in one.weights]
    assert {one.name for one in able if one.group not in served} == set()


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_control_stands_alone(profile):
    """One worker serves the control queue and nothing else: planning never waits behind analysis."""
    assert [queues for queues in workers(profile).values() if CONTROL in queues] == [(CONTROL,)]


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_a_worker_serves_exactly_the_groups_that_name_it(profile):
    """Whichever groups name a worker in the profile, it serves those, in the file's order."""
    for worker, queues in workers(profile).items():
        assert queues == tuple(name for name, group in groups().items() if worker in group.worker[profile])


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_a_node_s_name_can_be_taken_apart_by_us_alone(profile):
    """The worker's own name comes out of it, and that at which kombu splits the broker's bindings is not in it."""
    for worker, queues in workers(profile).items():
        node = f"{node_name(worker, queues)}@host"
        assert worker_of(node) == worker
        assert app.conf.broker_transport_options["sep"] not in node
        assert {"/", "\0", ",", '"', "$"}.isdisjoint(node)  # file names, `-d A,B`, and quotes of templates


def test_an_unknown_profile_is_bad_input():
    """A misspelt profile is refused with the profiles that exist."""
    assert profiles() == ("local", "gpu")
    with pytest.raises(BadInput, match="unknown profile 'locl'; known are local, gpu"):
        workers("locl")
