"""Everything together on a real reel: what the document says against what was put into it."""

import json

import jsonschema
import pytest

from services.demo import PINS, Assets, compose_sample
from services.submit import accept
from shared.settings import settings
from shared.weights import Weights
from tasks.node import storage
from tasks.registry import analyzers, document_schema, parse_document
from tests.support.jobs import running, wait
from tests.support.real import real_clip
from tests.support.truth import (
    cut_times,
    items,
    letters_wrong,
    motion_share,
    share_covered,
    word_error_rate,
)

pytestmark = [pytest.mark.weights, pytest.mark.slow]

GPU_ONLY = {"blip2_caption", "qwen2_vl_temporal", "speech_emotion"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running(tmp_path_factory.mktemp("reel") / "data") as stack:
        yield stack


@pytest.fixture(scope="module", params=["sample", "reel.mp4"])
def judged(request, stack, tmp_path_factory):
    """A document and the truth: of the sample reel that `make demo` composes, and of a real one where there is one."""
    if request.param == "sample":
        assets = Weights(settings().weights_dir.parent / "demo" / "assets", PINS)
        assets.pull(assets.entries())
        video = tmp_path_factory.mktemp("sample") / "sample.mp4"
        truth = compose_sample(video, Assets.pinned(assets.path)).model_dump(mode="json")
    else:
        video = real_clip(request.param)
        truth = json.loads((video.parent / "truth.json").read_text())[video.name]
    job = accept(video)
    return wait(job), truth


def test_the_document_keeps_its_schema(judged):
    """The document validates against the published JSON Schema and names every analyzer with its status."""
    document, _ = judged
    jsonschema.Draft202012Validator(document_schema()).validate(document)
    assert [one["name"] for one in document["analyzers"]] == list(analyzers())
    assert {one["name"] for one in document["analyzers"] if one["status"] != "ok"} == GPU_ONLY
    assert document["job"]["state"] == "completed"


def test_the_document_survives_reading_and_writing(judged):
    """A document that is read with its analyzers' own types is written out as it was."""
    document, _ = judged
    content = storage().read(f"jobs/{document['job']['id']}/document.json")
    assert parse_document(content).model_dump_json().encode() == content


def test_one_decode(judged):
    """All analyzers together decoded the video once."""
    document, _ = judged
    assert document["job"]["decode_passes"] == 1


def test_evidence_exists(judged):
    """Every cited evidence id is an item of the document."""
    document, _ = judged
    known = {f"{track['id']}/{item['id']}" for track in document["tracks"] for item in track.get("items", ())}
    cited = {name for track in document["tracks"] for item in track.get("items", ()) for name in item["evidence"]}
    assert cited <= known


def test_cuts(judged):
    """The cuts within 0.1 s, and no others."""
    document, truth = judged
    found = cut_times(document)
    assert len(found) == len(truth["cuts_seconds"])
    assert found == pytest.approx(truth["cuts_seconds"], abs=0.1)


def test_captions(judged):
    """Every caption with at most two wrong letters and times within 0.5 s."""
    document, truth = judged
    found = items(document, "text_overlay/captions")
    for text in truth["texts"]:
        best = min(found, key=lambda one: letters_wrong(one["text"], text["text"]))
        assert letters_wrong(best["text"], text["text"]) <= 2, [one["text"] for one in found]
        assert (best["start"], best["end"]) == pytest.approx((text["start"], text["end"]), abs=0.5)


def test_objects(judged):
    """Every object is there for most of its span."""
    document, truth = judged
    for one in truth["objects"]:
        assert share_covered(document, "object_detection/objects", one["label"], one["start"], one["end"]) > 0.8, one


def test_faces(judged):
    """A face is found for most of its span, and nearly none where nobody is (the sample has a rabbit)."""
    document, truth = judged
    for one in truth["faces"]:
        assert share_covered(document, "face_detection/faces", "face", one["start"], one["end"]) > 0.8
    last = max(one["end"] for one in truth["faces"])
    others = [one for one in items(document, "face_detection/faces") if one["start"] > last]
    assert sum(one["end"] - one["start"] for one in others) < 2
    assert max((one["confidence"] for one in others), default=0) < 0.8


def test_camera(judged):
    """Static shots and zooms are told apart."""
    document, truth = judged
    for one in truth["camera"]:
        assert motion_share(document, one["motion"], one["start"] + 0.1, one["end"] - 0.1) > 0.8, one


def test_speech(judged):
    """Word error rate at most 0.1, lower-cased and without punctuation; words lie inside their segments."""
    document, truth = judged
    assert word_error_rate(document, truth["transcript"]) <= 0.1
    for segment in items(document, "speech_transcription/segments"):
        times = [time for word in segment["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert segment["start"] <= times[0]
        assert times[-1] <= segment["end"]
