"""Tests of the event streams on a real broker, and without one."""

import socket
import sys
import threading
import time

import pytest
import redis
import structlog

import shared.events
from services.broker import embedded_broker
from shared.events import KEEP_ENDED_SECONDS, Event, Events
from shared.schema import AnalyzerReport, ErrorInfo


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with embedded_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.url


@pytest.fixture
def events(url):
    redis.Redis.from_url(url).flushall()
    return Events(url)


def test_events_come_whole_and_in_order(events):
    """Every field of every kind of event arrives, in the order of publishing, job by job."""
    report = AnalyzerReport(
        name="a", version=1, status="failed", error=ErrorInfo(code="c", message="ü\n"), options={"x": ("1", "2")}
    )
    sent = [
        Event(type="planned", analyzers=("a", "b")),
        Event(type="started", analyzer="a"),
        Event(type="progress", analyzer="a", fraction=0.25),
        Event(type="finished", analyzer="a", report=report, items=3),
        Event(type="closed", state="completed_with_errors"),
    ]
    for event in sent:
        events.publish("job", event)
    events.publish("other", Event(type="started", analyzer="z"))
    assert [event for _, event in events.read("job")] == sent


def test_reading_resumes_after_an_event(events):
    """Who was cut off goes on after the last event it saw: none twice, none missed."""
    for number in range(10):
        events.publish("job", Event(type="progress", fraction=number / 10))
    seen = list(events.read("job"))
    for number, (event_id, _) in enumerate(seen):
        rest = [event for _, event in events.read("job", event_id, block_seconds=0.001)]
        assert rest == [event for _, event in seen[number + 1 :]]


def test_reading_waits_for_the_next_event(events):
    """A reader gets an event as soon as it is published, and nothing when none comes in time."""
    began = time.monotonic()
    assert list(events.read("job", block_seconds=0.2)) == []
    assert 0.15 < time.monotonic() - began < 10
    threading.Timer(0.2, events.publish, ["job", Event(type="started", analyzer="a")]).start()
    began = time.monotonic()
    assert [event.analyzer for _, event in events.read("job", block_seconds=60)] == ["a"]
    assert time.monotonic() - began < 30


def test_streams_end_by_themselves(events):
    """A stream is gone a day after it began, and soon after its job has ended, whatever comes late."""
    events.publish("job", Event(type="started", analyzer="a"))
    assert KEEP_ENDED_SECONDS < events.client.ttl(Events.key("job")) <= 24 * 3600
    events.publish("job", Event(type="closed", state="completed"))
    events.publish("job", Event(type="started", analyzer="a"))
    assert 0 < events.client.ttl(Events.key("job")) <= KEEP_ENDED_SECONDS


def test_a_cut_connection_loses_nothing(events, url):
    """When the server dropped the connection since, the next event still arrives."""
    events.publish("job", Event(type="started", analyzer="a"))
    redis.Redis.from_url(url).client_kill_filter(_type="normal", skipme=True)
    events.publish("job", Event(type="started", analyzer="b"))
    assert [event.analyzer for _, event in events.read("job")] == ["a", "b"]


def test_a_lost_broker_is_logged_and_not_raised(capsys, monkeypatch):
    """Publishing to nobody says so in the log and costs next to nothing."""
    # another test may have configured structlog, or bound the module's log to a stream of its own
    plain = structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout),
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    monkeypatch.setattr(shared.events, "log", plain)
    events = Events("redis://:s3cret@127.0.0.1:1/0")
    began = time.monotonic()
    for _ in range(100):
        events.publish("job", Event(type="started", analyzer="a"))
    assert time.monotonic() - began < 10
    output = "".join(capsys.readouterr())
    assert "event_lost" in output
    assert "s3cret" not in output


def test_a_silent_broker_costs_one_wait(monkeypatch):
    """A server that accepts and never answers is waited for once, not at every event; later it is asked again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        events = Events(f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        events.client.connection_pool.connection_kwargs["socket_timeout"] = 0.3
        began = time.monotonic()
        for _ in range(100):
            events.publish("job", Event(type="progress", fraction=0.5))
        assert 0.2 < time.monotonic() - began < 15


def test_events_flow_again_after_a_loss(url, monkeypatch):
    """A broker that comes back is told of what happens from then on."""
    monkeypatch.setattr(shared.events, "SILENT_SECONDS", 0.2)
    events = Events("redis://127.0.0.1:1/0")
    events.publish("back", Event(type="started", analyzer="a"))
    events.client = Events(url).client
    events.publish("back", Event(type="started", analyzer="b"))
    time.sleep(0.3)
    events.publish("back", Event(type="started", analyzer="c"))
    assert [event.analyzer for _, event in events.read("back")] == ["c"]
