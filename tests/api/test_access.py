"""Who may ask, how often, and what one key sees of another's."""

import http.client
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from services.server import PROCESSES
from shared.keys import Keys
from tasks.node import ledger
from tests.support.api import serving
from tests.support.moving import texture, write_video


def token(*scopes, **limits):
    return Keys(ledger()).create("test", scopes or ["read", "write"], **limits).token


@pytest.fixture(scope="module")
def locked(stack):
    """A server that asks for keys."""
    with serving(stack, require_keys=True, api_followers=2) as client:
        yield client


def test_without_a_key_nothing_is_told(locked):
    """No key, a wrong one, a revoked one and another scheme are refused with 401 and the way to do it right."""
    refused = locked.get("/v1/jobs")
    assert refused.refusal == (401, "no_key")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert locked.with_key("rg_000000000000_x").get("/v1/jobs").refusal == (401, "bad_key")
    made = Keys(ledger()).create("gone", ["read"])
    Keys(ledger()).revoke(made.key.prefix)
    assert locked.with_key(made.token).get("/v1/jobs").refusal == (401, "revoked_key")
    assert locked.get("/v1/jobs", Authorization="Basic eDp5").refusal == (401, "bad_key")
    for path in ("/healthz", "/readyz", "/openapi.json", "/"):
        assert locked.get(path).status == 200, path
    assert locked.get("/metrics").refusal == (401, "no_key")


def test_a_key_may_do_what_its_scopes_say(locked, video):
    """Reading takes `read`, changing takes `write`, metrics take `admin`; nothing is done without."""
    reader, writer, admin = (locked.with_key(token(scope)) for scope in ("read", "write", "admin"))
    assert reader.get("/v1/jobs").status == 200
    assert reader.hand_in(video).refusal == (403, "missing_scope")
    assert writer.get("/v1/jobs").refusal == (403, "missing_scope")
    assert reader.get("/metrics").refusal == (403, "missing_scope")
    assert admin.get("/metrics").status == 200
    assert admin.get("/flower/").refusal == (404, "no_flower")
    assert writer.hand_in(video, analyzers="misbehaving").status == 202


def test_jobs_of_one_key_do_not_exist_for_another(locked, video):
    """Every path of another key's job is 404 as for one that never was, in the list it is missing, and keys of
    idempotency are its own.
    """
    one, two = locked.with_key(token()), locked.with_key(token())
    job = one.hand_in(video, key="mine", analyzers="misbehaving").json["id"]
    assert one.get(f"/v1/jobs/{job}").status == 200
    for path in (
        "",
        "/result",
        "/events",
        "/video",
        "/frames/1.jpg",
        "/at?t=1",
        "/analyzers/misbehaving",
        "/export/srt",
    ):
        assert two.get(f"/v1/jobs/{job}{path}").refusal == (404, "unknown_job"), path
    assert two.call("DELETE", f"/v1/jobs/{job}").refusal == (404, "unknown_job")
    assert two.call("POST", f"/v1/jobs/{job}/cancel").refusal == (404, "unknown_job")
    assert two.post_json(f"/v1/jobs/{job}/rerun", {"analyzers": ["misbehaving"]}).refusal == (404, "unknown_job")
    assert two.get("/v1/jobs").json["jobs"] == []
    assert two.hand_in(video, key="mine", analyzers="misbehaving").json["id"] != job


def test_an_admin_reaches_what_was_handed_in_without_a_key(api, locked, video):
    """A job of before there were keys is there for a key of the scope admin, in the list too, and for no other."""
    job = api.hand_in(video, analyzers="misbehaving").json["id"]
    admin, other = locked.with_key(token("admin")), locked.with_key(token())
    assert admin.get(f"/v1/jobs/{job}").status == 200
    assert job in [one["id"] for one in admin.get("/v1/jobs?limit=200").json["jobs"]]
    assert other.get(f"/v1/jobs/{job}").refusal == (404, "unknown_job")
    assert other.get("/v1/jobs").json["jobs"] == []
    mine = other.hand_in(video, analyzers="misbehaving").json["id"]
    assert admin.get(f"/v1/jobs/{mine}").refusal == (404, "unknown_job")


def test_a_key_asks_as_often_as_it_may(locked):
    """After as many requests as its limit the key is told to wait with 429, and another key is not."""
    limited = locked.with_key(token(requests_per_minute=5))
    answers = [limited.get("/v1/jobs") for _ in range(7)]
    assert [one.status for one in answers] == [200] * 5 + [429] * 2
    assert answers[-1].refusal == (429, "rate_limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json["retryable"] is True
    assert answers[-1].json["detail"] == "this key has asked as often as it may, 5 per 1 minute"
    assert locked.with_key(token()).get("/v1/jobs").status == 200
    assert [limited.get(path).status for path in ("/healthz", "/readyz", "/openapi.json")] == [200] * 3


def test_a_key_has_as_many_open_jobs_as_it_may(locked, video):
    """With its quota of open jobs used up, a key is refused with 429 and may go on once one has ended."""
    limited = locked.with_key(token(concurrent_jobs=1))
    slow = json.dumps({"misbehaving": {"sleep": 60}})
    job = limited.hand_in(video, analyzers="misbehaving", options=slow).json["id"]
    assert limited.hand_in(video, analyzers="misbehaving").refusal == (429, "quota_exceeded")
    limited.call("POST", f"/v1/jobs/{job}/cancel")
    assert limited.hand_in(video, analyzers="misbehaving").status == 202


def test_followers_of_one_key_leave_room_for_another(locked, video):
    """Of two places for followers in each process, one key has one; the next is 429, and another key still follows."""
    job_ids = {}
    options = json.dumps({"misbehaving": {"sleep": 30}})
    for name in ("one", "two"):
        client = locked.with_key(token())
        job_ids[name] = (client, client.hand_in(video, analyzers="misbehaving", options=options).json["id"])
    with ExitStack() as open_:

        def followed(name):
            client, job_id = job_ids[name]
            connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
            open_.enter_context(closing(connection))
            connection.request("GET", f"/v1/jobs/{job_id}/events", headers=dict(client.headers))
            return open_.enter_context(closing(connection.getresponse()))

        answers = [followed("one") for _ in range(PROCESSES + 1)]
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        for answer in refused:
            assert (answer.status, json.loads(answer.read())["code"]) == (429, "too_many_followers")
            assert int(answer.getheader("Retry-After")) > 0
        assert followed("two").status == 200
    for client, job_id in job_ids.values():
        assert client.call("POST", f"/v1/jobs/{job_id}/cancel").status == 200


def test_pictures_for_one_key_leave_threads_for_others(locked, tmp_path):
    """Sixty different pictures asked for at once: some are made, the others refused with 429, and the rest goes on."""
    clip = write_video(tmp_path / "clip.mp4", [texture(7, 360, 640)] * 70)
    one = locked.with_key(token())
    job_id = one.hand_in(clip, analyzers="misbehaving").json["id"]
    with ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(one.get, f"/v1/jobs/{job_id}/frames/{n / 30:.3f}.jpg?width=1920") for n in range(60)]
        assert locked.get("/healthz").status == 200
        answers = [each.result() for each in asked]
    refused = [answer for answer in answers if answer.status != 200]
    assert 0 < len(refused) < len(answers), Counter(answer.status for answer in answers)
    for answer in refused:
        assert answer.refusal == (429, "too_many_pictures")
        assert int(answer.headers["retry-after"]) > 0


def test_a_browser_keeps_its_key_in_a_cookie(locked):
    """Signing in gives a cookie that scripts and other sites cannot use, and that opens what the key opens."""
    key = token("read")
    answer = locked.with_key(key).call("POST", "/v1/session")
    assert (answer.status, answer.json) == (200, {"name": "test", "scopes": ["read"]})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert locked.get("/v1/jobs", Cookie=cookie.partition(";")[0]).status == 200


def test_a_cookie_that_is_no_key_any_more_locks_nobody_out(locked, api):
    """The page, its way out and signing in anew work with it, jobs do not; where no key is needed it is nothing."""
    stale = {"Cookie": "reelgraph_key=rg_00000000_none"}
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert locked.get(path, **stale).status == 200
    assert locked.get("/v1/jobs", **stale).status == 401
    assert locked.call("DELETE", "/v1/session", **stale).status == 204
    assert api.get("/v1/jobs", **stale).status == 200
    assert api.get("/v1/jobs", Authorization="Bearer rg_00000000_none").status == 401


def test_pages_of_others_cannot_use_a_loopback_server(api):
    """Without keys, a name that is not this machine's (DNS rebinding) and pages of other origins are refused."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.0.2.1"):
        assert api.get("/v1/jobs", Host=host).refusal == (421, "foreign_host"), host
    for host in ("localhost", f"localhost:{api.port}", "127.0.0.1", "[::1]:80"):
        assert api.get("/v1/jobs", Host=host).status == 200, host
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{api.port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert api.post_json("/v1/jobs", {}, **headers).refusal == (403, "foreign_origin"), headers
    same = api.post_json("/v1/jobs", {}, Origin=f"http://127.0.0.1:{api.port}", Sec_Fetch_Site="same-origin")
    assert same.refusal == (422, "invalid_request")
    assert "access-control-allow-origin" not in api.get("/v1/jobs", Origin="http://evil.example").headers


def test_counting_goes_on_without_the_broker(stack):
    """With a broker that does not answer, requests are still answered in time and a limited key is still limited."""
    limited = token(requests_per_minute=3)
    with serving(stack, require_keys=True, broker_url="redis://127.0.0.1:1/0") as client:
        began = time.monotonic()
        statuses = [client.with_key(limited).get("/v1/jobs").status for _ in range(12)]
        assert time.monotonic() - began < 10
    assert statuses[:3] == [200] * 3
    assert statuses.count(200) <= 3 * PROCESSES  # each process counts for itself
