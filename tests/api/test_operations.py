"""Health, readiness, metrics, the OpenAPI document, problem documents, logs."""

import json
import logging
import os
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn
from jsonschema import Draft202012Validator

from services.api import wsgi_server
from shared.schema import JobState
from shared.tables import Job
from tasks.node import events, ledger
from tests.support.api import log_of, serving
from tests.support.processes import eventually


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def test_a_whole_service_is_ready(api):
    """With broker, ledger and storage there, the process is alive and ready."""
    assert api.get("/healthz").json == {"status": "alive"}
    answer = api.get("/readyz")
    assert (answer.status, answer.json) == (200, {"ready": True, "checks": dict.fromkeys(answer.json["checks"], "ok")})
    assert set(answer.json["checks"]) == {"broker", "ledger", "storage"}


def test_readiness_answers_within_two_seconds_whatever_hangs(stack, silent_port):
    """With a broker that takes connections and never answers, readiness says no within 2 s, time and again."""
    with serving(stack, broker_url=f"redis://127.0.0.1:{silent_port}/0") as client:
        for _ in range(4):
            began = time.monotonic()
            answer = client.get("/readyz")
            assert time.monotonic() - began < 20  # 2 s, and what a busy machine adds
            assert (answer.status, answer.json["ready"]) == (503, False)
            assert answer.json["checks"]["broker"] == "it does not answer in time"
            assert answer.json["checks"]["ledger"] == answer.json["checks"]["storage"] == "ok"
        assert client.get("/healthz").status == 200


def metrics(api):
    """Prometheus' metrics by name and values of labels, as its own parser reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(api.get("/metrics").body.decode())
        for sample in family.samples
    }


def test_metrics_count_what_there_is(api, video):
    """The metrics have queues by priority, jobs by every state, runs, seconds and cache hits; what is counted does not
    fall when a job is deleted.
    """
    jobs = [api.wait(api.hand_in(video, analyzers="misbehaving").json["id"])["id"] for _ in range(2)]
    values = metrics(api)
    assert values["reelgraph_up", "broker"] == values["reelgraph_up", "ledger"] == 1
    assert ("reelgraph_queue_length", "0", "light") in values
    assert ("reelgraph_queue_length", "9", "control") in values
    assert ("reelgraph_unacked_tasks",) in values
    assert values["reelgraph_jobs", "completed"] >= 2
    assert values["reelgraph_analyzer_runs_total", "misbehaving", "ok"] >= 1
    assert values["reelgraph_analyzer_seconds_total", "misbehaving"] > 0
    assert values["reelgraph_cache_hits_total", "misbehaving"] >= 1
    assert {name[1] for name in values if name[0] == "reelgraph_jobs"} == set(get_args(JobState))
    for job in jobs:
        assert api.call("DELETE", f"/v1/jobs/{job}").status == 204
    after = metrics(api)
    assert all(after[name] >= value for name, value in values.items() if name[0].endswith("_total"))
    assert after["reelgraph_jobs", "completed"] <= values["reelgraph_jobs", "completed"] - 2


def test_a_waiting_job_is_counted_in_its_queue(api, stack, video):
    """Tasks that wait are counted under their queue and priority, as kombu keeps them."""
    slow = json.dumps({"misbehaving": {"sleep": 60}})
    jobs = [api.hand_in(video, analyzers="misbehaving", options=slow, priority="7").json["id"] for _ in range(6)]
    waiting = re.compile(rb'^reelgraph_queue_length\{priority="7",queue="light"\} [1-9]', re.MULTILINE)
    try:
        assert eventually(lambda: bool(waiting.search(api.get("/metrics").body)), 60)
    finally:
        for job in jobs:
            api.call("POST", f"/v1/jobs/{job}/cancel")


def test_the_openapi_document_is_valid(api):
    """The document is OpenAPI 3.1 by its own checker, every schema in it is JSON Schema, every reference leads
    somewhere.
    """
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = api.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all("default" in operation["responses"] or "204" in operation["responses"] for operation in operations)


def test_answers_are_what_the_openapi_document_says(api, video):
    """Real answers of every kind of JSON validate against the schemas that the document gives for them."""
    document = api.get("/openapi.json").json
    job = api.wait(api.hand_in(video, analyzers="color_analysis").json["id"])["id"]
    for path, template, status in (
        ("/v1/jobs", "/v1/jobs", 200),
        (f"/v1/jobs/{job}", "/v1/jobs/{job_id}", 200),
        (f"/v1/jobs/{job}/result", "/v1/jobs/{job_id}/result", 200),
        (f"/v1/jobs/{job}/analyzers/color_analysis", "/v1/jobs/{job_id}/analyzers/{name}", 200),
        (f"/v1/jobs/{job}/at?t=1", "/v1/jobs/{job_id}/at", 200),
        ("/v1/analyzers", "/v1/analyzers", 200),
        ("/v1/groups", "/v1/groups", 200),
        ("/v1/session", "/v1/session", 200),
        ("/readyz", "/readyz", 200),
        (f"/v1/jobs/{job[:-12]}000000000000", "/v1/jobs/{job_id}", "default"),
    ):
        answer = api.get(path)
        (content,) = document["paths"][template]["get"]["responses"][str(status)]["content"].values()
        schema = {**content["schema"], "components": document["components"]}
        errors = list(Draft202012Validator(schema).iter_errors(answer.json))
        assert errors == [], (path, errors[:1])


def test_events_are_what_the_openapi_document_says(api, video):
    """Each event of a job, and the snapshot of an ended one whose stream is gone, has the documented fields, and data
    that is JSON of the documented model.
    """
    document = api.get("/openapi.json").json
    job = api.hand_in(video, analyzers="misbehaving").json["id"]
    told = list(api.follow(job))
    events().client.delete(events().key(job))
    told += list(api.follow(job))
    assert {"planned", "started", "finished", "closed", "snapshot"} <= {one["event"] for one in told}
    answer = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]
    schema = {**answer["content"]["text/event-stream"]["schema"], "components": document["components"]}
    for one in told:
        assert list(Draft202012Validator(schema).iter_errors(one)) == []
        kinds = document["components"]["schemas"]["ServerSentEvent"]["oneOf"]
        (kind,) = [kind for kind in kinds if one["event"] in kind["properties"]["event"]["enum"]]
        content = {**kind["properties"]["data"]["contentSchema"], "components": document["components"]}
        assert list(Draft202012Validator(content).iter_errors(json.loads(one["data"]))) == []
    assert list(Draft202012Validator(schema).iter_errors({"event": "other", "data": "{}"}))


def test_what_is_broken_here_is_not_the_callers_fault(api, stack, video):
    """A job whose stored facts are not what they must be is answered 500 with a code, and logged under the request's
    id; a request that does not fit stays 422.
    """
    job = api.wait(api.hand_in(video, analyzers="misbehaving").json["id"])["id"]
    with ledger().session() as session:
        stored = session.get_one(Job, job)
        media = stored.media
        stored.media = {**media, "width": "wide"}
    try:
        answer = api.get(f"/v1/jobs/{job}", X_Request_ID="broken-1")
        assert answer.refusal == (500, "internal_error")
        assert re.search(r"request_broke.*broken-1", log_of(stack, api))
        assert api.hand_in(video, priority="x").refusal == (422, "invalid_request")
        assert api.post_json("/v1/jobs", {"priority": "x", "url": "http://a.example/"}).refusal[0] == 422
    finally:
        with ledger().session() as session:
            session.get_one(Job, job).media = media


def test_every_error_is_a_problem_document(api):
    """Unknown routes, wrong methods and bad bodies are problem documents with a code and the request's id."""
    for method, path, refusal in (
        ("GET", "/nothing", (404, "no_such_route")),
        ("PUT", "/v1/jobs", (405, "method_not_allowed")),
        ("GET", "/assets/../../../etc/passwd", (404, "no_such_route")),
        ("GET", "/assets/%2e%2e/%2e%2e/app.py", (404, "no_such_route")),
    ):
        answer = api.call(method, path, X_Request_ID="my-request-1")
        assert answer.refusal == refusal, path
        assert answer.json["request_id"] == answer.headers["x-request-id"] == "my-request-1"
        assert answer.json["type"] == "about:blank"
    assert "GET" in api.call("PUT", "/v1/jobs").headers["allow"]
    assert api.get("/v1/jobs?limit=1&limit=2").refusal == (422, "invalid_request")
    assert api.get("/healthz", X_Request_ID="bad id\t").headers["x-request-id"] != "bad id\t"


def raw(api, request):
    """Status and problem of what is answered to bytes that need not be HTTP; a body may come apart from its head."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)["code"]


def test_what_does_not_reach_the_app_is_a_problem_document_too(api, stack):
    """A request line or header that is too long, what is no HTTP, and broken chunks have codes of their own."""
    assert api.get("/v1/" + 9000 * "a").refusal == (414, "uri_too_long")
    long = api.get("/healthz", X_Long=9000 * "a")
    assert long.refusal == (431, "headers_too_large")
    assert long.json["request_id"] == long.headers["x-request-id"]
    assert long.json["request_id"] in log_of(stack, api)
    assert raw(api, b"nonsense\r\n\r\n") == (400, "bad_request")
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nSCRIPT_NAME: /x\r\nConnection: close\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"  # a header from this machine moves no path
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    assert raw(api, head + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n") == (400, "bad_request")


def test_logs_of_a_container_are_json_with_ids(stack, video):
    """With JSON logs on, every line is an object, gunicorn's own too; those of a request have its id and the job's."""
    with serving(stack, log_json=True) as client:
        job = client.hand_in(video, analyzers="misbehaving").json["id"]
        client.get(f"/v1/jobs/{job}", X_Request_ID="find-me")
        client.wait(job)
        for _ in range(10):
            client.get(f"/v1/jobs/{job}")
            assert raw(client, b"nonsense\r\n\r\n") == (400, "bad_request")
        client.get("/v1/jobs/no-id-of-a-job", X_Request_ID="no-job")
        lines = log_of(stack, client).splitlines()
    records = [json.loads(line) for line in lines]
    assert any("Listening at" in one["event"] for one in records)
    (found,) = [one for one in records if one.get("request") == "find-me"]
    assert (found["event"], found["status"], found["job"]) == ("request", 200, job)
    assert [one["job"] for one in records if one["event"] == "request" and one["status"] == 202] == [job]
    unreadable = [one for one in records if one["event"] == "request_unreadable"]
    assert len(unreadable) == 10
    assert not [one for one in records if "job" in one and (one in unreadable or one.get("request") == "no-job")]


def test_headers_that_trickle_in_are_ended(monkeypatch):
    """A request whose headers do not come to their end gives its thread back when their time is over."""
    monkeypatch.setattr(wsgi_server, "HEAD_SECONDS", 0.2)
    config = Config()
    worker = wsgi_server.Worker(1, os.getpid(), [], None, 30, config, logging.getLogger(__name__))
    near, far = socket.socketpair()
    with near, far, ThreadPoolExecutor(1) as pool:
        far.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        served = pool.submit(worker.handle, TConn(config, near, ("127.0.0.1", 1), ("127.0.0.1", 2)))
        assert eventually(lambda: worker.murder_pending() or served.done(), 30)
        assert served.result() is False


def test_pages_ask_no_other_host(api):
    """The plain page and the documentation are there, and name no other host to load from."""
    for path in ("/", "/docs/swagger"):
        answer = api.get(path)
        assert answer.status == 200
        assert not re.search(rb"(src|href)=[\"']?(https?:)?//", answer.body), path
    assert api.get("/docs").headers["location"] == "/docs/swagger"
    assert api.get("/docs/static/swagger/js/swagger-ui-bundle.js").status in (200, 404)
