"""The gpu profile end to end: real broker, real workers, all models of hubs tiny ones, on the CPU.

Every model is asked: the clip has people, things, texts, cuts, speech and, after it, claps; words are looked for; the
tiny Whisper is one that says something.
"""

import re
import time

import jsonschema
import pytest

from bench.clips import lively
from services.demo import PINS, Assets, compose_sample
from services.submit import accept
from shared.groups import worker_of
from shared.settings import settings
from shared.weights import Weights
from tasks.celery import app
from tasks.registry import analyzers, document_schema, used_entries
from tests.support import failing
from tests.support.failing import SHARE_MIB, Captioning
from tests.support.jobs import report, running, submit, wait
from tests.support.processes import eventually
from tests.support.tiny import MAKERS
from tests.support.tiny.speech import talking
from tests.support.tiny.store import need_torch, tiny_store

pytestmark = [pytest.mark.engines, pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(1500)]


PRECISIONS = {
    "qwen2_vl_temporal": "nf4",
    "blip2_caption": "int8",
    "speech_transcription": "bf16",
    "speech_emotion": "bf16",
    "audio_environment": "int8",
    "sound_effects": "nf4",
    "cut_analysis": "bf16",
    "content_quality": "bf16",
}
"""What workers are told to hold models in; the others, which `auto` leaves in fp32 on a CPU, have fp32 and bf16 alone.

All precisions of each engine are in the engines' own tests.
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory, video):
    """Every worker of the profile, ready, without a GPU."""
    need_torch()
    folder = tmp_path_factory.mktemp("gpu")
    makers = {entry: make for entry, make in MAKERS.items() if entry in used()}
    tiny_store(folder / "weights", {**makers, "whisper-large-v3-turbo": talking}, settings().weights_dir)
    chosen = {"profile": "gpu", "device": "cpu", "weights_dir": folder / "weights", "precision": PRECISIONS}
    chosen["gpu_memory_mib"] = SHARE_MIB  # by which the captioner fails on request; nobody else asks for it on a CPU
    with (
        failing.failing(folder / "faults"),
        running(folder / "data", pins_file=folder / "own.toml", ready_seconds=600, **chosen) as stack,
    ):
        yield stack


def used():
    return {entry for one in analyzers().values() for entry in used_entries(one, "gpu")}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """The start of the sample reel: people, things, words on screen and in the air; then claps.

    Slots of 2.5 s that audio_environment may call speech hold words, or no clap.
    """
    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    compose_sample(path, Assets.pinned(Weights(settings().weights_dir.parent / "demo" / "assets", PINS).path))
    return lively(path, path.with_name("lively.mp4"), 7.5)


@pytest.fixture(scope="module")
def document(stack, video):
    job = accept(video, options={"product_detection": {"words": ("cup", "telephone")}}, deadline_seconds=570)
    return wait(job, 580)


def test_every_hub_model_of_the_profile_has_a_tiny_one():
    """An analyzer whose gpu model comes from a hub is not left out of this test."""
    entries = Weights(settings().weights_dir).entries()
    assert {entry for entry in used() if entries[entry].hub} | {"transnetv2"} == used() & MAKERS.keys()


def test_all_analyzers_run_in_one_job(document):
    """One job, every analyzer ok, the document as the published schema says, the video decoded once."""
    assert {one["name"]: (one["status"], one["error"]) for one in document["analyzers"]} == dict.fromkeys(
        analyzers(), ("ok", None)
    )
    assert document["job"]["state"] == "completed"
    assert document["job"]["decode_passes"] == 1
    jsonschema.validate(document, document_schema())


def test_every_model_was_asked(document):
    """In the job each analyzer's engines worked on a batch at least, and the engine of no entry is missing."""
    batches = {one["name"]: one["receipt"]["batches"] for one in document["analyzers"]}
    assert {(name, entry) for name, some in batches.items() for entry, count in some.items() if not count} == set()
    known = Weights(settings().weights_dir).entries()
    assert {entry for some in batches.values() for entry in some} == {one for one in used() if known[one].engine}


def test_receipts_say_what_ran_where(document):
    """Device and the precision that was set, weights that nobody reviewed, and models loaded before the job."""
    entries = Weights(settings().weights_dir).entries()
    for one in document["analyzers"]:
        receipt, used = one["receipt"], used_entries(analyzers()[one["name"]], "gpu")
        assert receipt["device"] == "cpu", one["name"]
        assert receipt["load_seconds"] < 2, one["name"]
        from_hubs = any(entries[entry].hub for entry in used)
        assert receipt["weights_reviewed"] == (not from_hubs if used else None), one["name"]
        if from_hubs or "transnetv2" in used:
            assert receipt["precision"] == PRECISIONS.get(one["name"], "fp32"), one["name"]


def test_models_are_let_go_and_come_back(stack, video):
    """reelgraph unload frees a group's models when its work is done; the next job loads them again and succeeds."""
    (caption,) = (worker for worker in stack.workers if "caption" in worker.queues)
    replies = app.control.broadcast("unload", arguments={"group": "caption"}, reply=True, timeout=5)
    told = {worker_of(name): answer["ok"] for reply in replies for name, answer in reply.items()}
    assert told["caption"] == "unloading"
    assert {answer for name, answer in told.items() if name != "caption"} == {"serves no caption"}
    assert eventually(lambda: "unloaded" in caption.log_file.read_text(), 60)
    assert re.search(r"unloaded .*blip2_caption", caption.log_file.read_text())
    time.sleep(0.1)
    again = wait(submit(video, "blip2_caption", blip2_caption={"max_new_tokens": 7}), 120)
    assert report(again, "blip2_caption")["status"] == "ok"
    assert report(again, "blip2_caption")["receipt"]["load_seconds"] > 0.01


@pytest.fixture(scope="module")
def captioning(stack, video):
    """The captioner's worker and a video of eight pictures, of which a CPU takes four at once."""
    return Captioning(stack, video, 4)


def test_a_batch_without_memory_is_halved(captioning):
    """Memory that runs out in mid-batch costs a job no answer, and the next one nothing (`tests/gpu`: on a GPU)."""
    failing.memory_runs_out_for_the_whole_batch(captioning)


def test_a_picture_without_memory_is_one_outcome(captioning):
    """Where not one picture has room the outcome says so; the same process does the next job."""
    failing.memory_runs_out_for_one_picture(captioning)


def test_a_lost_gpu_costs_a_process_and_not_the_job(captioning):
    """A process that says its GPU is lost in mid-batch ends: a new one loads the models, and does the job."""
    failing.the_gpu_is_lost_once(captioning)
