"""Tests of planning against a deadline: rates first, then what nobody named, and all of it is said."""

import itertools

import pytest

from shared.frames import Frames
from shared.renditions import rate
from shared.schema import MediaInfo, StreamInfo
from tasks.analyzer import ESSENTIAL
from tasks.deadline import MARGIN, SLOWEST_FPS, SLOWEST_SHARE, Workload, economise
from tasks.plan import measured, wanted
from tasks.registry import analyzers, select

STREAMS = (
    StreamInfo(index=0, kind="video", chosen=True, width=1920, height=1080),
    StreamInfo(index=1, kind="audio", chosen=True),
)
NOT_LOCAL = {"blip2_caption", "qwen2_vl_temporal", "speech_emotion"}


def workload(*names, seconds=60.0, named=None, profile="local"):
    media = MediaInfo(
        sha256="0" * 64, size_bytes=1, container="mp4", duration_seconds=seconds, fps="30/1", streams=STREAMS
    )
    chosen = [one for one in select(names or None) if profile == "gpu" or one.name not in NOT_LOCAL]
    fitted = {one: one for one in wanted(chosen, profile, media)}
    return Workload(
        tuple(chosen), measured(chosen, profile, {}), names if named is None else named, profile, media, fitted
    )


def unchanged(all_of_it, made):
    return made.renditions == dict(all_of_it.fitted) and not made.left_out


@pytest.mark.parametrize("profile", ["local", "gpu"])
@pytest.mark.parametrize("seconds", [1.0, 60.0, 7200.0])
def test_the_default_deadline_changes_nothing(profile, seconds):
    """With 600 s and 20 s a second of video every analyzer looks at all that it asks for; nothing is said."""
    all_of_it = workload(seconds=seconds, profile=profile)
    made = economise(all_of_it, 600 + 20 * seconds)
    assert unchanged(all_of_it, made)
    assert (made.slower, made.notes) == ({}, ())
    assert made.costs == pytest.approx(dict(all_of_it.costs))


@pytest.mark.parametrize("profile", ["local", "gpu"])
def test_less_time_is_first_fewer_pictures_then_fewer_analyzers(profile):
    """As time gets less: nothing, then rates alone, then analyzers; and what is planned fits."""
    all_of_it = workload(profile=profile)
    full = MARGIN * all_of_it.seconds()
    stages = []
    for share in (1.01, 0.9, 0.7, 0.5, 0.3, 0.15):
        made = economise(all_of_it, share * full)
        rates = any(made.renditions[need] != need for need in all_of_it.fitted)
        stages.append(2 if made.left_out else int(rates))
        again = Workload(
            tuple(one for one in all_of_it.chosen if one.name not in made.left_out),
            all_of_it.costs,
            (),
            profile,
            all_of_it.media,
            made.renditions,
        )
        assert MARGIN * again.seconds() <= share * full or "may not end by the deadline" in made.notes[-1]
        assert set(made.costs) == {one.name for one in again.chosen}
    assert stages == sorted(stages)
    assert set(stages) == {0, 1, 2}


def test_rates_keep_what_they_are_for():
    """Who asks for every frame gets it; no rate falls below a quarter of what was asked for, nor below 1 a second."""
    all_of_it = workload()
    made = economise(all_of_it, 0.1)
    for need, given in made.renditions.items():
        if isinstance(need, Frames) and need.fps is None:
            assert given == need
        elif isinstance(need, Frames):
            least = max(SLOWEST_FPS, SLOWEST_SHARE * rate(need, all_of_it.media))
            assert least <= rate(given, all_of_it.media) <= rate(need, all_of_it.media)


def test_what_is_named_and_what_others_stand_on_stays():
    """Without any time left, named analyzers, what they require and the essential ones are planned, the rest not."""
    assert economise(workload("eye_tracking", "speech_rate"), -5.0).left_out == {}
    made = economise(workload(named=("eye_tracking",)), -5.0)
    kept = set(analyzers()) - NOT_LOCAL - set(made.left_out)
    essential = {name for name, one in analyzers().items() if one.value >= ESSENTIAL}
    assert kept == essential | {"eye_tracking"}


def test_what_requires_a_thing_leaves_with_it():
    """No analyzer is planned without what it requires, however little time there is."""
    for remaining in (60.0, 30.0, 20.0, 10.0, 5.0, 0.0):
        made = economise(workload(), remaining)
        for name in made.costs:
            assert not set(analyzers()[name].requires) & set(made.left_out), (remaining, name)


def test_the_cheapest_loss_comes_first():
    """What leaves first is of low value, for the time that it saves; nothing essential leaves with it."""
    all_of_it = workload()
    for tenths in range(200, 0, -1):
        made = economise(all_of_it, all_of_it.seconds() * MARGIN * tenths / 200)
        if made.left_out:
            break
    first = {name: analyzers()[name] for name in made.left_out}
    assert max(one.value for one in first.values()) <= 2
    assert all(one.value < ESSENTIAL for one in first.values())


def test_it_says_which_and_why():
    """Every analyzer that sees less or does not run has a sentence with its reason, and so has the document."""
    made = economise(workload(), 25.0)
    assert made.left_out
    assert made.slower
    for sentence in itertools.chain(made.left_out.values(), made.slower.values()):
        assert "s are left until the job's deadline" in sentence
    said = "\n".join(made.notes)
    for name in (*made.left_out, *made.slower):
        assert f"{name}: " in said


def test_the_same_job_is_planned_the_same_way():
    """However the analyzers are ordered, the same ones are left out and the same rates are chosen."""
    one, other = workload(), workload()
    turned = Workload(other.chosen[::-1], other.costs, (), "local", other.media, dict(reversed(other.fitted.items())))
    for remaining in (50.0, 30.0, 10.0):
        first, second = economise(one, remaining), economise(turned, remaining)
        assert (first.renditions, set(first.left_out)) == (second.renditions, set(second.left_out))
