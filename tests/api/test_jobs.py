"""Jobs over HTTP: handing in, idempotency, lists, cancelling, running again, deleting."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.api.jobs import Wishes
from services.api.problems import CODE_OF_STATUS, STATUS_OF_CODE
from services.api.wsgi_server import REFUSALS
from shared.storage import cache_key, document_key, job_key, video_key
from tasks.node import ledger, storage
from tests.support.api import BOUNDARY
from tests.support.project import ROOT

SLOW = json.dumps({"misbehaving": {"sleep": 60}})


def begun(api, job_id):
    """Wait until the job's analyzer runs."""
    give_up = time.monotonic() + 90
    while all(one["status"] != "running" for one in api.get(f"/v1/jobs/{job_id}").json["analyzers"]):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_video_becomes_a_document(api, video):
    """A handed-in video is answered 202 with its place, runs to its end, and its document has all outcomes."""
    answer = api.hand_in(video, analyzers="dependent")
    assert answer.status == 202
    job = answer.json
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["source_name"], job["media"]["width"]) == ("queued", "clip.mp4", 160)
    ended = api.wait(job["id"])
    assert (ended["state"], ended["progress"], ended["queue_position"], ended["eta_seconds"]) == (
        "completed",
        1.0,
        None,
        None,
    )
    assert {one["name"]: one["status"] for one in ended["analyzers"]} == {"dependent": "ok", "misbehaving": "ok"}
    document = api.get(f"/v1/jobs/{job['id']}/result")
    assert document.json["job"]["id"] == job["id"]
    assert api.get(f"/v1/jobs/{job['id']}/result", If_None_Match=document.headers["etag"]).status == 304
    outcome = api.get(f"/v1/jobs/{job['id']}/analyzers/misbehaving").json
    assert outcome["report"]["status"] == "ok"
    assert outcome["tracks"][0]["items"][0]["value"] == 4


def test_the_same_key_is_the_same_job(api, video, tmp_path):
    """A repeated request with its Idempotency-Key gets the first job; another request under that key is refused."""
    first = api.hand_in(video, key="k1", analyzers="misbehaving")
    again = api.hand_in(video, key="k1", analyzers="misbehaving")
    assert (again.status, again.json["id"]) == (202, first.json["id"])
    assert api.hand_in(video, key="k1", analyzers="dependent").refusal == (422, "idempotency_mismatch")
    assert api.hand_in(video, key="k" * 256).refusal == (422, "bad_idempotency_key")


def test_two_requests_at_once_with_one_key_are_one_job(api, video):
    """Two processes that get the same request at the same time make one job of it."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.hand_in(video, key="race", analyzers="misbehaving"), range(8)))
    assert {one.status for one in answers} == {202}
    assert len({one.json["id"] for one in answers}) == 1


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"analyzers": "no_such"}, (422, "unknown_analyzer")),
        ({"options": '{"misbehaving": {"no_such": 1}}'}, (422, "unknown_option")),
        ({"options": "{"}, (422, "invalid_request")),
        ({"priority": "10"}, (422, "invalid_request")),
        ({"deadline_seconds": "nan"}, (422, "invalid_request")),
        ({"no_such": "1"}, (422, "invalid_request")),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(api, video, fields, refusal):
    """A field that is unknown or does not fit is refused with a code, and nothing is left of the video."""
    answer = api.hand_in(video, **fields)
    status, code = answer.refusal
    assert (status, code) == refusal or (refusal[1] == "unknown_option" and code == "bad_option")
    assert answer.json["detail"]
    assert [path.name for path in storage().incoming().iterdir() if path.suffix == ".part"] == []


def test_a_name_said_often_is_stored_once():
    """A megabyte of names is no longer list than the names in it, as a form's field and as JSON."""
    assert Wishes(analyzers="a,b,a" + ",a" * 100_000).analyzers == ("a", "b")
    assert Wishes(analyzers=["b", "a", "b"]).analyzers == ("b", "a")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty_file"), (b"no video" * 99, "not_a_video"), (b"\xff\xd8\xff" * 99, "still_picture")],
)
def test_what_is_no_video_is_refused_by_its_own_name(api, content, code):
    """An unreadable file is refused at once with a sentence that calls it as its sender does, not by a path of ours."""
    answer = api.hand_in(content, name="../../etc/mine.mov")
    assert answer.refusal == (422, code)
    assert answer.json["detail"].startswith("mine.mov: ")
    assert "incoming" not in answer.json["detail"]


def test_requests_without_a_video_are_refused(api):
    """A form without the file, another content type, broken JSON and an unknown upload are each told apart."""
    no_file = api.call(
        "POST", "/v1/jobs", f"--{BOUNDARY}--\r\n".encode(), Content_Type=f"multipart/form-data; boundary={BOUNDARY}"
    )
    assert no_file.refusal == (422, "no_file")
    assert api.call("POST", "/v1/jobs", b"x", Content_Type="video/mp4").refusal == (415, "unsupported_media_type")
    said = set()
    for path in ("", f"/{'0' * 8}-0000-0000-0000-{'0' * 12}/rerun"):
        broken = api.call("POST", f"/v1/jobs{path}", b"{", Content_Type="application/json")
        assert broken.refusal == (400, "bad_request")
        said.add(broken.json["detail"])
    assert len(said) == 1
    assert "the body is no JSON" in said.pop()
    for name in ("priority", "deadline_seconds"):
        wrong = api.post_json("/v1/jobs", {"upload": "0" * 32, name: True})
        assert wrong.refusal == (422, "invalid_request")
        assert wrong.json["errors"][0]["field"] == name
    assert api.post_json("/v1/jobs", {"upload": "0" * 32}).refusal == (404, "unknown_upload")
    assert api.post_json("/v1/jobs", {"upload": "../../x"}).refusal == (422, "invalid_request")


def test_pages_stay_in_order_while_jobs_come_in(api, video):
    """Walking the list page by page shows every job once, newest first, although others are handed in meanwhile."""
    mine = [api.hand_in(video, analyzers="misbehaving").json["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = api.get(f"/v1/jobs?limit=2{cursor}").json
        seen += [job["id"] for job in page["jobs"]]
        api.hand_in(video, analyzers="misbehaving")
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == sorted(set(seen), reverse=True)
    assert [job for job in seen if job in mine] == mine[::-1]
    for bad in ("cursor=%00", "cursor=*", "cursor=", "cursor=AAAA", "limit=0", "limit=x", "state=none", "other=1"):
        assert api.get(f"/v1/jobs?{bad}").status == 422, bad


def test_states_filter_the_list(api, video):
    """`state` shows jobs in that state only, `open` and `ended` those of several."""
    done = api.hand_in(video, analyzers="misbehaving").json["id"]
    api.wait(done)
    assert done in [job["id"] for job in api.get("/v1/jobs?state=completed&limit=200").json["jobs"]]
    assert done in [job["id"] for job in api.get("/v1/jobs?state=ended&limit=200").json["jobs"]]
    assert done not in [job["id"] for job in api.get("/v1/jobs?state=open&limit=200").json["jobs"]]


def test_cancelling_ends_a_job_within_two_seconds(api, video):
    """A cancelled job is closed at once, its result is there, and cancelling it again changes nothing."""
    job_id = api.hand_in(video, analyzers="dependent", options=SLOW).json["id"]
    begun(api, job_id)
    assert api.get(f"/v1/jobs/{job_id}/result").refusal == (409, "job_open")
    assert api.get(f"/v1/jobs/{job_id}/analyzers/misbehaving").refusal == (409, "analyzer_open")
    assert api.call("DELETE", f"/v1/jobs/{job_id}").refusal == (409, "job_open")
    before = time.monotonic()
    answer = api.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert time.monotonic() - before < 10
    assert (answer.status, answer.json["state"], answer.json["progress"]) == (200, "cancelled", 0.0)
    assert api.call("POST", f"/v1/jobs/{job_id}/cancel").json["state"] == "cancelled"
    assert api.get(f"/v1/jobs/{job_id}/result").json["job"]["state"] == "cancelled"


def test_a_cancel_is_kept_where_the_job_cannot_be_closed_at_once(api, video):
    """With the document's place taken, cancelling is answered 200; the job is closed as soon as it can be."""
    job_id = api.hand_in(video, analyzers="misbehaving", options=SLOW).json["id"]
    begun(api, job_id)
    place = storage().path(document_key(job_id))
    place.mkdir(parents=True)
    answer = api.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert (answer.status, answer.json["state"], answer.json["cancel_requested"]) == (200, "running", True)
    place.rmdir()
    assert api.wait(job_id)["state"] == "cancelled"


def test_a_cancelled_analyzer_makes_room_within_two_seconds(api, video):
    """After a cancel the worker that ran the analyzer takes the next job: it did not run on to its end."""
    slow = [api.hand_in(video, analyzers="misbehaving", options=SLOW).json["id"] for _ in range(2)]
    for job_id in slow:
        begun(api, job_id)
    for job_id in slow:
        api.call("POST", f"/v1/jobs/{job_id}/cancel")
    before = time.monotonic()
    job = api.hand_in(video, analyzers="misbehaving").json["id"]
    begun_at = None
    while begun_at is None:
        state = api.get(f"/v1/jobs/{job}").json["analyzers"][0]["status"]
        begun_at = time.monotonic() if state in ("running", "ok") else None
        assert time.monotonic() - before < 20
    assert begun_at - before < 15


def test_running_again_runs_only_what_depends_on_it(api, video):
    """A rerun of one analyzer is a new job in which it and its dependants run, and all else comes from the cache."""
    first = api.wait(api.hand_in(video, analyzers="dependent,color_analysis").json["id"])
    answer = api.post_json(f"/v1/jobs/{first['id']}/rerun", {"analyzers": ["misbehaving"]})
    assert (answer.status, answer.json["rerun_of"]) == (202, first["id"])
    again = api.wait(answer.json["id"])
    assert again["id"] != first["id"]
    hits = {one["name"]: one["cache_hit"] for one in again["analyzers"]}
    assert hits == {"color_analysis": True, "dependent": False, "misbehaving": False}
    only = api.wait(api.post_json(f"/v1/jobs/{first['id']}/rerun", {"analyzers": ["dependent"]}).json["id"])
    hits = {one["name"]: one["cache_hit"] for one in only["analyzers"]}
    assert hits == {"color_analysis": True, "dependent": False, "misbehaving": True}
    assert api.post_json(f"/v1/jobs/{first['id']}/rerun", {"analyzers": []}).refusal == (422, "invalid_request")
    assert api.post_json(f"/v1/jobs/{first['id']}/rerun", {"analyzers": ["x"]}).refusal == (422, "unknown_analyzer")


def test_deleting_keeps_what_another_job_needs(api, video):
    """With one of two jobs deleted, the other still has video and result; with both, nothing of the video is left."""
    one = api.wait(api.hand_in(video, analyzers="misbehaving").json["id"])
    two = api.wait(api.hand_in(video, analyzers="misbehaving").json["id"])
    sha256 = one["media"]["sha256"]
    mark = ledger().runs(one["id"])["misbehaving"].fingerprint
    assert api.call("DELETE", f"/v1/jobs/{one['id']}").status == 204
    for path in ("", "/result", "/video", "/events", "/at?t=1", "/analyzers/misbehaving"):
        assert api.get(f"/v1/jobs/{one['id']}{path}").refusal == (404, "unknown_job"), path
    assert api.get(f"/v1/jobs/{two['id']}/video").body == video.read_bytes()
    assert storage().exists(cache_key(mark))
    assert api.call("DELETE", f"/v1/jobs/{two['id']}").status == 204
    assert not storage().exists(video_key(sha256))
    assert not storage().exists(cache_key(mark))
    assert not storage().path(job_key(two["id"])).exists()
    assert not (storage().folder.parent / "frames" / sha256).exists()


def test_a_video_handed_in_while_its_last_job_is_deleted_is_kept(api, video):
    """Handing in and deleting the same video at once, again and again: every accepted job keeps its video."""
    for _ in range(5):
        old = api.wait(api.hand_in(video, analyzers="misbehaving").json["id"])
        with ThreadPoolExecutor(2) as pool:
            gone = pool.submit(api.call, "DELETE", f"/v1/jobs/{old['id']}")
            new = pool.submit(api.hand_in, video, analyzers="misbehaving")
        assert (gone.result().status, new.result().status) == (204, 202)
        job_id = new.result().json["id"]
        assert api.get(f"/v1/jobs/{job_id}/video").status == 200
        assert api.wait(job_id)["state"] == "completed"


@pytest.mark.parametrize("name", ["..", "%2e%2e", "%2fetc%2fpasswd", "A" * 36, "00000000-0000-0000-0000-00000000000g"])
def test_ids_that_are_none_lead_nowhere(api, name):
    """An id that is no id is refused before it is used for anything."""
    for path in (f"/v1/jobs/{name}", f"/v1/jobs/{name}/video", f"/v1/jobs/{name}/analyzers/x"):
        assert api.get(path).status in (404, 422), path
    existing = "00000000-0000-7000-8000-000000000000"
    assert api.get(f"/v1/jobs/{existing}/analyzers/{name}").status in (404, 422)


def test_memory_stays_flat_while_a_large_form_comes_in(api, stack):
    """A form of 96 MB is written to disk as it comes: no process of the server grows by half of that."""
    import psutil

    size = 96 << 20
    content = os.urandom(1 << 20) * 96

    def peak():
        return max(
            process.memory_info().rss
            for process in psutil.process_iter(["cmdline"])
            if any("services.api:create_app" in part for part in process.info["cmdline"] or ())
        )

    before = peak()
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(api.hand_in, content)
        highest = before
        while not sent.done():
            highest = max(highest, peak())
            time.sleep(0.01)
    assert sent.result().refusal == (422, "not_a_video")
    assert highest - before < size / 2


def test_fifty_lists_at_once_have_no_error(api):
    """Fifty requests for the list at the same time are all answered."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: api.get("/v1/jobs").status, range(50)))
    assert answers == [200] * 50


def test_a_state_that_is_none_is_told_with_all_that_are(api):
    """The refusal names the field as it is asked for, and every state, `open` and `ended` too."""
    refused = api.get("/v1/jobs?state=weird")
    assert refused.refusal == (422, "invalid_request")
    (error,) = refused.json["errors"]
    assert error["field"] == "state"
    for state in ("queued", "completed_with_errors", "open", "ended"):
        assert f"'{state}'" in error["message"]


def test_every_code_of_the_api_is_in_its_table():
    """What `services/api` raises by name stands in the table of errors in docs/api.md."""
    table = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Errors")[2].partition("\n## ")[0]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "services" / "api").glob("*.py"))
    codes = {*re.findall(r'code="(\w+)"', sources), *STATUS_OF_CODE, *CODE_OF_STATUS.values()}
    codes |= {code for _, _, code in REFUSALS}
    assert len(codes) > 30
    assert sorted(code for code in codes if f"`{code}`" not in table) == []
