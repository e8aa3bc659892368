"""Moments, spans, media and exports of a job."""

import io
import json
import logging
import shutil
import socket
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus

import numpy as np
import pytest
from PIL import Image

from services.api import create_app, media
from services.api.pace import CountedSocket, sending
from services.exports.registry import formats
from services.submit import Order, accept_arrived
from shared.digests import sha256_of
from shared.settings import settings, use
from shared.storage import document_key, outcome_key
from tasks.node import storage
from tests.support.clips import make_clip, number_of
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def job(api, tmp_path_factory):
    """An ended job on a clip of 2 s whose frames carry their numbers, ten a second."""
    clip = make_clip(tmp_path_factory.mktemp("clips") / "numbered.mp4", frames=20, fps=10, size=(192, 128))
    names = "misbehaving,color_analysis,camera_analysis,scene_segmentation"
    found = api.wait(api.hand_in(clip, analyzers=names).json["id"])
    return found | {"bytes": clip.read_bytes()}


@pytest.fixture
def app():
    """The API in this process, on the same data, without keys."""
    before, handlers = settings(), logging.getLogger().handlers[:]
    use(before.model_copy(update={"require_keys": False}))
    yield create_app()
    use(before)
    logging.getLogger().handlers[:] = handlers


def said(api, job, question):
    answer = api.get(f"/v1/jobs/{job['id']}/at?{question}")
    assert answer.status == 200, answer.body
    return {one["analyzer"]: one for one in answer.json["analyzers"]}


def test_a_moment_is_what_the_document_says_then(api, job):
    """Every segment at a moment is one that holds then, none that holds is missing, and series give the value then."""
    document = api.get(f"/v1/jobs/{job['id']}/result").json
    for t in (0.0, 0.55, 1.0, 1.99):
        found = said(api, job, f"t={t}")
        ids = {
            (track["id"], item["id"]) for one in found.values() for track in one["tracks"] for item in track["items"]
        }
        expected = set()
        for track in document["tracks"]:
            if track["kind"] in ("segment", "object"):
                expected |= {(track["id"], item["id"]) for item in track["items"] if item["start"] <= t < item["end"]}
            elif track["kind"] == "event":
                expected |= {(track["id"], item["id"]) for item in track["items"] if abs(item["t"] - t) <= 0.5}
        assert ids == expected
        for one in found.values():
            for track in one["tracks"]:
                if track["kind"] != "series":
                    continue
                whole = next(other for other in document["tracks"] if other["id"] == track["id"])
                position = int((t - whole["t0"]) / whole["dt"] + 1e-9)
                assert track["series"]["values"] == whole["values"][position : position + 1]
                assert track["series"]["t0"] <= t + 1e-6 < track["series"]["t0"] + whole["dt"] + 1e-3


def test_looked_and_found_nothing_is_not_did_not_look(api, job):
    """Each analyzer says whether it analysed the moment, also when it has nothing to say there."""
    found = said(api, job, "t=0.5")
    assert found["misbehaving"]["looked"]
    assert found["misbehaving"]["tracks"] == []
    scalars = said(api, job, "t=0.5&kinds=scalar")["misbehaving"]["tracks"]
    assert scalars[0]["items"][0]["value"] == 4


def test_a_span_holds_what_touches_it(api, job):
    """A span gives the piece of each series that lies in it, and nothing from outside."""
    found = said(api, job, "from=0.5&to=1.5&kinds=series")
    pieces = [track["series"] for one in found.values() for track in one["tracks"]]
    assert pieces
    for piece in pieces:
        assert piece["t0"] > 0.5 - piece["dt"]
        assert piece["t0"] + (len(piece["values"]) - 1) * piece["dt"] < 1.5


def test_a_span_ends_with_the_video_and_kinds_add_up(api, job):
    """A span that goes on beyond the end is cut there and says so; kinds given apart or between commas are the same."""
    path = f"/v1/jobs/{job['id']}/at?from=1&to=99"
    answer = api.get(f"{path}&kinds=series&kinds=segment,scalar")
    assert (answer.json["start"], answer.json["end"]) == (1.0, 2.0)
    assert answer.json == api.get(f"{path}&kinds=series,segment&kinds=scalar").json
    kinds = {track["kind"] for one in answer.json["analyzers"] for track in one["tracks"]}
    assert kinds == {"series", "segment", "scalar"}


@pytest.mark.parametrize(
    "question",
    [
        "",
        "t=1&from=0&to=1",
        "from=1",
        "from=1&to=1",
        "t=-1",
        "t=nan",
        "t=x",
        "t=1&kinds=x",
        "t=1&x=1",
        "t=1&kinds=event&kinds=x",
        "t=1&t=2",
    ],
)
def test_a_moment_that_is_none_is_refused(api, job, question):
    """Neither or both of moment and span, times that are none and unknown kinds are refused with the field's name."""
    assert api.get(f"/v1/jobs/{job['id']}/at?{question}").refusal == (422, "invalid_request")
    for beyond in ("t=99", "from=99&to=100", "from=2&to=3"):
        assert api.get(f"/v1/jobs/{job['id']}/at?{beyond}").refusal == (404, "beyond_end"), beyond


def test_a_video_is_given_in_ranges(api, job):
    """The whole video, its first, middle and last bytes come as they are on disk; a range beyond its end is refused."""
    path, size = f"/v1/jobs/{job['id']}/video", len(job["bytes"])
    whole = api.get(path)
    assert (whole.status, whole.headers["accept-ranges"], whole.headers["content-type"]) == (200, "bytes", "video/mp4")
    assert whole.body == job["bytes"]
    for asked, piece in (("0-9", job["bytes"][:10]), ("100-199", job["bytes"][100:200]), ("-7", job["bytes"][-7:])):
        answer = api.get(path, Range=f"bytes={asked}")
        assert (answer.status, answer.body) == (206, piece)
        assert answer.headers["content-range"].endswith(f"/{size}")
    beyond = api.get(path, Range=f"bytes={size}-")
    assert beyond.refusal == (416, "bad_range")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    assert api.get(path, If_None_Match=whole.headers["etag"]).status == 304
    for other in ("bytes=0-1,5-9", "frames=0-9", "bytes=9-0", "bytes=x", "bytes", "0-9"):
        ignored = api.get(path, Range=other)
        assert (ignored.status, ignored.body) == (200, job["bytes"]), other


def test_a_frame_is_the_one_shown_then(api, job):
    """The picture at a time is the frame shown at that time, in the width asked for."""
    for t in (0.0, 0.35, 1.05, 2.0):
        answer = api.get(f"/v1/jobs/{job['id']}/frames/{t}.jpg?width=384")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
        picture = Image.open(io.BytesIO(answer.body))
        assert picture.size == (384, 256)
        assert number_of(np.asarray(picture)) == min(19, int(t * 10 + 1e-6))
    assert api.get(f"/v1/jobs/{job['id']}/frames/3.jpg").refusal == (404, "beyond_end")
    for bad in ("x.jpg", "-1.jpg", "nan.jpg", "1.jpg?width=1", "1.jpg?width=99999"):
        assert api.get(f"/v1/jobs/{job['id']}/frames/{bad}").refusal == (422, "invalid_request"), bad


def test_a_place_is_free_once_nobody_awaits_its_picture(app, job):
    """Who waits for a picture while others are decoded keeps the place as long as it is awaited, and no longer: a page
    that was left is not in the way of the next one.
    """
    here, there = socket.socketpair()

    def ask():
        sending.set(CountedSocket(here))
        return app.test_client().get(f"/v1/jobs/{job['id']}/frames/0.1.jpg", headers={"Host": "localhost"}).status_code

    with here, ExitStack() as decoders, ThreadPoolExecutor(1) as pool:
        for _ in range(media.DECODERS):
            decoders.enter_context(media._decoding)
        asked = pool.submit(ask)
        assert eventually(lambda: media._places._taken == 1, 20)
        time.sleep(5 * media.LOOK_SECONDS)
        assert media._places._taken == 1
        there.close()
        assert asked.result(20) == HTTPStatus.BAD_REQUEST
        assert media._places._taken == 0


def test_sound_alone_has_no_frames(api, job, tmp_path):
    """A file without pictures is a job like another, and says that it has no frames, in the list too."""
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(64_000))
    found = api.wait(api.hand_in(path, name="sound.wav", analyzers="misbehaving").json["id"])
    assert api.get(f"/v1/jobs/{found['id']}/frames/1.jpg").refusal == (404, "no_video")
    assert api.get(f"/v1/jobs/{found['id']}/video").headers["content-type"] == "audio/wav"
    listed = {one["id"]: one["has_video"] for one in api.get("/v1/jobs?limit=200").json["jobs"]}
    assert not listed[found["id"]]
    assert any(listed.values())


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"\0" * 64 + whole[64:]])
def test_a_damaged_result_is_an_error(api, job, damage):
    """A document or outcome that was cut short or overwritten where it is stored is no answer but a 500 that says so;
    the document in another format as well."""
    keys = {document_key(job["id"]): "result", outcome_key(job["id"], "misbehaving"): "analyzers/misbehaving"}
    for key, path in keys.items():
        place = storage().path(key)
        whole = place.read_bytes()
        place.write_bytes(damage(whole))
        try:
            answers = [api.get(f"/v1/jobs/{job['id']}/{path}")]
            if path == "result":
                answers.append(api.get(f"/v1/jobs/{job['id']}/export/csv"))
        finally:
            place.write_bytes(whole)
        assert [answer.refusal for answer in answers] == [(500, "result_damaged")] * len(answers)
        assert api.get(f"/v1/jobs/{job['id']}/{path}").status == 200


def test_exports_come_with_a_name(api, job):
    """Every registered format is given with its type and a file name made of the video's."""
    assert len(formats()) >= 8
    for name, one in formats().items():
        answer = api.get(f"/v1/jobs/{job['id']}/export/{name}")
        assert answer.status == 200, name
        assert answer.headers["content-type"].startswith(one.media_type)
        assert answer.headers["content-disposition"].endswith(f'filename="clip{one.suffix}"')
        assert answer.body or name in ("srt", "csv"), name
    assert "default-src 'none'" in api.get(f"/v1/jobs/{job['id']}/export/html").headers["content-security-policy"]
    shown = api.get(f"/v1/jobs/{job['id']}/export/srt?subtitles=captions")
    assert 'filename="clip.on-screen.srt"' in shown.headers["content-disposition"]
    named = api.hand_in(job["bytes"], name="日本" + "x" * 5000 + ".mp4", analyzers="misbehaving").json
    assert named["source_name"] == "日本" + "x" * 253
    name = api.get(f"/v1/jobs/{api.wait(named['id'])['id']}/export/html").headers["content-disposition"]
    assert f"filename*=UTF-8''%E6%97%A5%E6%9C%AC{'x' * 253}.html" in name
    assert api.get(f"/v1/jobs/{job['id']}/export/exe").refusal == (404, "unknown_format")


def test_what_has_ended_so_far_is_there(api, tmp_path):
    """While one analyzer still runs, another's outcome and moments are there, and the missing one is named."""
    clip = make_clip(tmp_path / "more.mp4", frames=25, fps=10)
    options = json.dumps({"misbehaving": {"sleep": 30}})
    job_id = api.hand_in(clip, analyzers="misbehaving,color_analysis", options=options).json["id"]
    for told in api.follow(job_id):
        if told["event"] == "finished":
            break
    assert api.get(f"/v1/jobs/{job_id}/analyzers/color_analysis").json["report"]["status"] == "ok"
    found = api.get(f"/v1/jobs/{job_id}/at?t=1").json
    assert ([one["analyzer"] for one in found["analyzers"]], found["waiting"]) == (["color_analysis"], ["misbehaving"])
    assert api.get(f"/v1/jobs/{job_id}/analyzers/no_such").refusal == (404, "unknown_outcome")
    api.call("POST", f"/v1/jobs/{job_id}/cancel")


def test_before_its_plan_a_job_has_outcomes_to_come_and_no_estimate(api, video):
    """Of a job that nobody has planned, an analyzer has not ended, what is none is unknown, and no end is foretold."""
    arrived = storage().incoming() / "unplanned.part"
    shutil.copy(video, arrived)
    job, _ = accept_arrived(arrived, sha256_of(arrived), "clip.mp4", Order())  # noted, and queued by nobody yet
    outcomes = f"/v1/jobs/{job.id}/analyzers"
    assert api.get(f"{outcomes}/color_analysis").refusal == (409, "analyzer_open")
    assert api.get(f"{outcomes}/no_such").refusal == (404, "unknown_outcome")
    assert api.get(f"/v1/jobs/{job.id}").json["eta_seconds"] is None
    api.call("POST", f"/v1/jobs/{job.id}/cancel")
