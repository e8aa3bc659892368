"""Videos by their address, and webhooks."""

import http.server
import json
import threading
import time
from contextlib import ExitStack
from functools import partial

import pytest
from flask import Flask
from structlog.testing import CapturingLogger

from services.api.fetching import AT_ONCE, AT_ONCE_OF_ONE, place
from services.api.problems import register, status_of
from shared.errors import Full, Infrastructure, QuotaExceeded, ReelgraphError
from shared.webhooks import Webhooks
from tasks.node import ledger, storage
from tests.support.api import serving


@pytest.fixture
def shop(video):
    """A web server with the video at /reel.mp4 that keeps what is sent to /hook."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = video.read_bytes() if self.path == "/reel.mp4" else b"<html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()


def test_addresses_inside_are_refused(api, shop):
    """Loopback, private, link-local and metadata addresses, other schemes and nothing at all are refused, and the
    refusal is a sentence with a code.
    """
    address, _ = shop
    for url in (f"{address}/reel.mp4", "http://169.254.169.254/latest", "http://10.0.0.1/x.mp4", "http://[::1]/x.mp4"):
        assert api.post_json("/v1/jobs", {"url": url}).refusal == (422, "address_refused"), url
    for url in ("file:///etc/passwd", "ftp://example.com/x", "x", "http://a\r\nb/", "http://a/\tb"):
        assert api.post_json("/v1/jobs", {"url": url}).refusal == (422, "bad_url"), url
    assert api.post_json("/v1/jobs", {}).refusal == (422, "invalid_request")
    assert api.post_json("/v1/jobs", {"url": "http://example.com", "upload": "0" * 32}).status == 422


def test_a_bad_webhook_is_refused_before_the_video_is_kept(api, video):
    """A webhook address that is none, or that of a machine inside, is refused with the request, not after the job."""
    for none in ("file:///etc/passwd", "http://exa\tmple.com/"):
        assert api.hand_in(video, webhook_url=none).refusal == (422, "bad_url"), none
    for inside in ("http://10.0.0.1/hook", "http://[::ffff:127.0.0.1]:8000/", "http://2130706433/", "https://127.1/x"):
        assert api.hand_in(video, webhook_url=inside).refusal == (422, "address_refused"), inside
    assert list(storage().incoming().glob("*.part")) == []


def test_nobody_keeps_others_from_fetching():
    """One key has half of the places for downloads at most, all keys together have all of them; each comes back."""
    with ExitStack() as held:
        for _ in range(AT_ONCE_OF_ONE):
            held.enter_context(place("one"))
        with pytest.raises(QuotaExceeded) as own, place("one"):
            pass
        for number in range(AT_ONCE - AT_ONCE_OF_ONE):
            held.enter_context(place(f"other {number}"))
        with pytest.raises(Infrastructure) as all_of_them, place("two"):
            pass
    assert [status_of(caught.value) for caught in (own, all_of_them)] == [429, 503]
    assert {caught.value.code for caught in (own, all_of_them)} == {"too_many_fetches"}
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(place(None))


def test_a_full_house_is_no_error_in_the_log(monkeypatch):
    """All places taken is one warning and 503, for nothing is broken; what is broken is an error."""
    said = CapturingLogger()
    monkeypatch.setattr("services.api.problems.log", said)
    app = Flask(__name__)
    register(app)
    app.add_url_rule(
        "/full", "full", view_func=partial(refuse, Full("too many connections", code="too_many_followers"))
    )
    app.add_url_rule("/broken", "broken", view_func=partial(refuse, Infrastructure("the ledger does not answer")))
    client = app.test_client()
    assert [client.get(path).status_code for path in ("/full", "/broken")] == [503, 503]
    assert [(call.method_name, *call.args) for call in said.calls] == [
        ("warning", "request_put_off"),
        ("error", "request_failed"),
    ]


def refuse(error: ReelgraphError) -> None:
    """A view that cannot answer."""
    raise error


def test_a_video_by_its_address_becomes_a_job(stack, shop):
    """Where a deployment allows the network, a video is fetched, named after its address, and the webhook is noted."""
    address, _ = shop
    with serving(stack, reachable_networks="127.0.0.0/8") as api:
        wish = {"url": f"{address}/reel.mp4", "analyzers": ["misbehaving"], "webhook_url": f"{address}/hook"}
        answer = api.post_json("/v1/jobs", wish, Idempotency_Key="fetch")
        assert (answer.status, answer.json["source_name"]) == (202, "reel.mp4"), answer.body
        assert api.post_json("/v1/jobs", wish, Idempotency_Key="fetch").json["id"] == answer.json["id"]
        assert api.wait(answer.json["id"])["state"] == "completed"
        (hook,) = Webhooks(ledger()).of(answer.json["id"])
        assert hook.url == f"{address}/hook"
        began = time.monotonic()
        assert api.post_json("/v1/jobs", {"url": f"{address}/page"}).status in (415, 422)
        assert api.post_json("/v1/jobs", {"url": "http://127.0.0.1:1/x.mp4"}).refusal == (502, "unreachable")
        assert time.monotonic() - began < 20
    assert [path for path in storage().incoming().iterdir() if path.is_file() and path.name != ".videos.lock"] == []
