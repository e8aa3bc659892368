"""Models that no profile uses by itself, chosen by settings, through a real worker; one more of a hub, by an entry."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from services.demo import PINS, Assets
from shared.settings import settings
from shared.weights import Weights
from tests.support.chosen import on_hub, worker_of
from tests.support.jobs import report, submit, wait
from tests.support.moving import write_video
from tests.support.project import ROOT
from tests.support.sounds import samples_of, write_wav
from tests.support.system import missing
from tests.support.tiny.descriptions import qwen2_5_vl, qwen3_vl
from tests.support.tiny.objects import d_fine, rt_detr
from tests.support.tiny.scenes import scenes
from tests.support.tiny.segmentation import upernet
from tests.support.tiny.speech import openai_whisper
from tests.support.tiny.store import need_torch, tiny_weights
from tests.support.web import Site, served
from tests.test_hub import reelgraph

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 3
"""Of the video."""
SPEECH_SECONDS = 4.0
DETECTING = {"object_detection": {"threshold": 0.3}}
ENTRY = """
[entries.lab-detector]
summary = "a detector that this version has never heard of"
licence = "Apache-2.0"
kind = "objects"
engine = "transformers"
hub = "some-lab/rt-detr-tiny"
"""
"""All that there is to write for one more model of a kind."""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    need_torch()
    path = tmp_path_factory.mktemp("video") / "moving.mp4"
    return write_video(path, scenes(10 * SECONDS, 192, 128), fps=10)


def asked(video, **models):
    """The document of a job with the analyzers of these models, each of which was ok with its own model at work."""
    options = {name: more for name, more in DETECTING.items() if name in models}
    document = wait(submit(video, *models, **options), 120)
    for name, entry in models.items():
        told = report(document, name)
        assert (told["status"], told["error"]) == ("ok", None)
        assert told["receipt"]["batches"][entry] > 0
        assert told["receipt"]["load_seconds"] < 2, "loaded before the job came"
    return document


def items(document, track):
    (found,) = (one for one in document["tracks"] if one["id"] == track)
    return found["items"]


def describes_every_second(document):
    """Segments that tile the video, each with an answer of the model's."""
    told = items(document, "qwen2_vl_temporal/segments")
    assert [(one["start"], one["end"]) for one in told] == [(second, second + 1) for second in range(SECONDS)]
    assert any(one["description"] for one in told)


def finds_objects(document):
    """Tracks with the checkpoint's own classes, inside of picture and video."""
    found = items(document, "object_detection/objects")
    assert found
    for one in found:
        assert one["label"] in {"person", "motorcycle", "tv"}
        assert 0 <= one["start"] < one["end"] <= SECONDS
        assert all(0 <= x <= x + width <= 1.001 for x, _, width, _ in (seen["box"] for seen in one["boxes"]))


# --- those that this version ships, and one of one's own ---------------------------------------------------------

OTHERS = {
    "qwen2_vl_temporal": "qwen2.5-vl-7b",
    "object_detection": "d-fine-large",
    "background_segmentation": "upernet-convnext-small",
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A worker with D-FINE, UperNet, Qwen2.5-VL and a checkpoint of OpenAI's Whisper."""
    need_torch()
    if find_spec("whisper") is None:
        missing("openai-whisper is not installed; docs/engines.md says how to get it")
    folder = tmp_path_factory.mktemp("others")
    makers = {
        "qwen2.5-vl-7b": qwen2_5_vl,
        "d-fine-large": d_fine,
        "upernet-convnext-small": upernet,
        "openai-tiny": openai_whisper,
    }
    weights = tiny_weights(folder, makers, engine="openai-whisper")
    with worker_of(folder, weights, {**OTHERS, "speech_transcription": "openai-tiny"}) as stack:
        yield stack


def test_pictures_by_other_models(others, video):
    """D-FINE, UperNet and Qwen2.5-VL answer in one job of one worker, in the shape that all models answer in."""
    document = asked(video, **OTHERS)
    describes_every_second(document)
    finds_objects(document)
    classes = items(document, "background_segmentation/surroundings")
    assert classes
    assert {one["label"] for each in classes for one in each["classes"]} <= {"wall", "sky", "tree"}


@pytest.mark.weights
def test_speech_by_openai_s_package(others, tmp_path):
    """A real voice goes to OpenAI's Whisper in the worker, which tells a language of those that it knows."""
    speech = Assets.pinned(Weights(settings().weights_dir.parent / "demo" / "assets", PINS).path).speech
    sound = samples_of(speech)[: round(SPEECH_SECONDS * 16_000)]
    document = asked(write_wav(tmp_path / "speech.wav", sound), speech_transcription="openai-tiny")
    (language,) = items(document, "speech_transcription/languages")
    assert 0 < language["confidence"] <= 1
    segments = items(document, "speech_transcription/segments")
    assert all(0 <= one["start"] <= one["end"] <= SPEECH_SECONDS for one in segments)


# --- one more of a hub -------------------------------------------------------------------------------------------


ADDED = {"qwen2_vl_temporal": "qwen3-vl-8b", "object_detection": "lab-detector"}


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A worker with Qwen3-VL, and a detector that came from a hub by one entry of one's own and two commands."""
    need_torch()
    folder = tmp_path_factory.mktemp("added")
    weights = tiny_weights(folder, {"qwen3-vl-8b": qwen3_vl})
    pins = folder / "weights.toml"
    pins.write_text(pins.read_text(encoding="utf-8") + ENTRY, encoding="utf-8")
    (folder / "hub").mkdir()
    rt_detr(folder / "hub")
    with served(Site(on_hub("some-lab/rt-detr-tiny", folder / "hub"))) as site:
        for command in ("lock", "pull"):
            reelgraph(site, pins, weights.folder, command, "lab-detector")
    with worker_of(folder, weights, ADDED) as stack:
        yield stack


def test_a_model_of_a_hub_is_one_entry(added, video):
    """A detector of a known kind is locked, pulled and at work by one entry and one setting; no code knows of it."""
    document = asked(video, **ADDED)
    finds_objects(document)
    assert report(document, "object_detection")["receipt"]["weights_reviewed"] is True
    code = [path for folder in ("shared", "tasks", "services") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in code if "lab-detector" in path.read_text(encoding="utf-8")]


def test_descriptions_by_qwen3(added, video):
    """Qwen3-VL, which reads the times of frames in its prompt, describes each second through the worker."""
    describes_every_second(asked(video, qwen2_vl_temporal="qwen3-vl-8b"))
