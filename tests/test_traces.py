"""OpenTelemetry: one trace from a request to its job's last span, and nothing at all when it is off."""

import json
import os
import subprocess
import sys

import pytest

from shared import traces
from tests.support.api import serving
from tests.support.collector import attributes, collecting
from tests.support.jobs import running
from tests.support.moving import texture, write_video
from tests.support.processes import eventually
from tests.support.project import ROOT

CALLER = "0af7651916cd43dd8448eb211c80319c"


def python(script, **environment):
    """A script in a process of its own, without tracing unless asked for."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    argv = [sys.executable, "-c", script]
    return subprocess.run(
        argv, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def collector(monkeypatch):
    """A collector that everything started here sends to, at once."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield collector


@pytest.mark.slow
def test_a_job_is_one_trace(collector, tmp_path):
    """A caller's trace goes on through request, prepare, each analyzer and aggregate, in as many processes; each span
    of the job has its id, an analyzer's also its name, attempt and status, and a failed one is marked.
    """
    video = write_video(tmp_path / "clip.mp4", [texture(3, 64, 64)] * 30)
    options = json.dumps({"misbehaving": {"error": "on request"}})
    with running(tmp_path / "data", groups={"light"}, probe=True) as stack, serving(stack) as api:
        headers = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
        caller = type(api)(api.port, headers)
        job = caller.hand_in(video, analyzers="misbehaving,color_analysis", options=options).json["id"]
        api.wait(job)
        assert eventually(lambda: collector.named("aggregate"), 20)
        assert eventually(lambda: collector.named("analyze.color_analysis"), 20)
    of_job = [span for span in collector.spans if span.trace_id.hex() == CALLER]
    (request,) = [span for span in of_job if span.name == "request"]
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert attributes(request) == {"method": "POST", "path": "/v1/jobs", "http_status": 202, "job": job}
    rest = [span for span in of_job if span is not request]
    assert sorted(span.name for span in rest) == [
        "aggregate",
        "analyze.color_analysis",
        "analyze.misbehaving",
        "prepare",
    ]
    assert {span.parent_span_id for span in rest} == {request.span_id}
    assert {attributes(span)["job"] for span in rest} == {job}
    (good,), (bad,) = collector.named("analyze.color_analysis"), collector.named("analyze.misbehaving")
    assert attributes(good) == {"job": job, "analyzer": "color_analysis", "attempt": 1, "status": "ok"}
    assert attributes(bad)["status"] == "failed"
    assert (good.status.code, bad.status.code) == (0, 2)
    assert all(span.start_time_unix_nano < span.end_time_unix_nano for span in of_job)
    assert collector.services == {"reelgraph"}


def test_off_means_not_even_imported():
    """Without an endpoint, app and spans work where OpenTelemetry cannot be imported, and nothing is handed on."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from services.api import create_app; from shared import traces; create_app()\n"
        "with traces.span('x', job='1') as span: span.note(a=1); span.fail('x'); traces.current().note(b=2)\n"
        "print(traces.carrier()); traces.flush()"
    )
    done = python(script)
    assert done.stdout == "{}\n", done.stderr


def test_a_missing_extra_is_said_in_a_sentence():
    """With an endpoint and without the packages, the command ends with what to install."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from shared import traces; from shared.errors import BadInput\n"
        "try: traces.check()\nexcept BadInput as error: print(error.code, error)"
    )
    done = python(script, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert done.stdout.startswith("no_traces OTEL_EXPORTER_OTLP_ENDPOINT is set, but "), done.stderr
    assert "reelgraph[traces]" in done.stdout


def test_a_collector_that_is_away_does_not_hold_up_work(monkeypatch):
    """Spans that nobody takes are dropped; the block that they stand around runs as ever."""
    done = python(
        "import time; from shared import traces\nbegan = time.monotonic()\n"
        "for _ in range(100):\n  with traces.span('x'): pass\nprint(time.monotonic() - began < 20)\n"
        "import os, sys; sys.stdout.flush(); os._exit(0)",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )
    assert done.stdout == "True\n", done.stderr
    assert not traces.is_on()
