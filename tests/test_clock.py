"""Tests of a clock that is set by an hour while the service runs: deadlines and beat go by time that passes."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import Celery

from shared import clock
from shared.tables import Job
from tasks.beat import Steady, SteadyScheduler
from tasks.celery import app
from tasks.reconcile import Watch

HOUR = 3600.0


def a_job(boot, ticks):
    now = time.time()
    return Job(id="one", submitted_at=now, deadline_at=now + 600, boot=boot, submitted_ticks=ticks)


@pytest.fixture(params=[HOUR, -HOUR], ids=["forward", "back"])
def step(request, monkeypatch):
    """The time of day is another one from now on."""

    def set_clock():
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + request.param)
        return request.param

    return set_clock


def test_a_step_moves_no_deadline_on_the_host_that_took_the_job(step):
    """Age and what is left of a job's time stay what they are, and the reconciler does not take it for overdue."""
    job = a_job(clock.boot_id(), clock.ticks())
    step()
    assert 0 <= job.age_seconds < 60
    assert 540 < job.remaining_seconds <= 600
    assert not Watch().is_overdue(job)


def test_a_deadline_passes_while_the_machine_sleeps(monkeypatch):
    """While a machine sleeps its monotonic clock stands still, its ticks go on: the job is overdue when it wakes."""
    watch, job = Watch(), a_job("this boot", clock.ticks())
    monkeypatch.setattr(clock, "boot_id", lambda: "this boot")
    monkeypatch.setattr("tasks.reconcile.boot_id", lambda: "this boot")
    assert not watch.is_overdue(job)
    awake = clock.ticks
    monkeypatch.setattr(clock, "ticks", lambda: awake() + HOUR)
    assert watch.is_overdue(job)


def test_another_host_goes_by_the_time_of_day(step):
    """Ticks of another kernel mean nothing here: its jobs, and those of older versions, are measured by the wall."""
    jobs = [a_job("another boot", clock.ticks()), a_job(None, None)]
    moved = step()
    assert [abs(job.remaining_seconds - 600 + moved) < 60 for job in jobs] == [True, True]


def test_ticks_go_on():
    """They grow by the seconds that pass, and every process of this host can name the kernel that counts them."""
    before = clock.ticks()
    time.sleep(0.05)
    assert 0.04 < clock.ticks() - before < 60
    if clock.BOOT_ID.exists():
        assert clock.boot_id()


class Sending(SteadyScheduler):
    """Notes what it would send; there is no broker."""

    producer = None

    def apply_entry(self, entry, producer=None):
        self.sent = [*getattr(self, "sent", ()), entry.name]


def test_beat_goes_on_after_a_step(tmp_path, monkeypatch):
    """Set back by an hour, beat sends what is due every tenth of a second as before; and so after a step forward."""
    other = Celery("other", set_as_current=False)
    other.conf.beat_schedule = {"often": {"task": "t", "schedule": Steady(timedelta(seconds=0.1))}}
    scheduler = Sending(other, schedule_filename=str(tmp_path / "beat"))
    real = other.now
    for moved in (0.0, -HOUR, HOUR):
        monkeypatch.setattr(type(other), "now", lambda _self, by=moved: real() + timedelta(seconds=by))
        sent, give_up = len(getattr(scheduler, "sent", ())), time.monotonic() + 30
        while len(getattr(scheduler, "sent", ())) < sent + 3 and time.monotonic() < give_up:
            assert scheduler.tick() <= 5
            time.sleep(0.01)
        assert len(scheduler.sent) >= sent + 3, moved
    scheduler.close()


def test_the_reconciler_is_sent_by_it():
    """What keeps jobs moving does not wait for the time of day."""
    assert isinstance(app.conf.beat_schedule["reconcile"]["schedule"], Steady)
    assert app.conf.beat_scheduler == f"{SteadyScheduler.__module__}:{SteadyScheduler.__name__}"


def test_what_is_queued_seems_old_once(monkeypatch):
    """With the broker's beginning an hour ahead, a run is queued again when that is first seen, not at every look."""
    from tasks import reconcile

    monkeypatch.setattr(reconcile, "watch", Watch())
    run = SimpleNamespace(job_id="one", analyzer="a", queued_at=time.time(), started_at=None, attempts=0)
    job = SimpleNamespace(priority=5, profile="local")
    ahead = time.time() + HOUR
    assert reconcile._is_lost(job, run, ahead, [])
    assert not reconcile._is_lost(job, run, ahead, [])
