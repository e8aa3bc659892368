"""Models that no profile uses by itself, chosen by settings, through a real worker."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from services.demo import PINS, Assets
from shared.settings import settings
from shared.weights import Weights
from tests.support.chosen import asked, describes_every_second, finds_objects, items, moving, worker_of
from tests.support.sounds import samples_of, write_wav
from tests.support.system import missing
from tests.support.tiny.descriptions import qwen2_5_vl
from tests.support.tiny.objects import d_fine
from tests.support.tiny.segmentation import upernet
from tests.support.tiny.speech import openai_whisper
from tests.support.tiny.store import need_torch, tiny_weights

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]
SPEECH_SECONDS = 4.0
OTHERS = {
    "qwen2_vl_temporal": "qwen2.5-vl-7b",
    "object_detection": "d-fine-large",
    "background_segmentation": "upernet-convnext-small",
}


@pytest.fixture(scope="module", autouse=True)
def shipped():
    """Where the pulled models are, asked before the worker of these tests has settings of its own."""
    return settings().weights_dir


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


def test_pictures_by_other_models(others, tmp_path):
    """D-FINE, UperNet and Qwen2.5-VL answer in one job of one worker, in the shape that all models answer in."""
    document = asked(moving(tmp_path), **OTHERS)
    describes_every_second(document)
    finds_objects(document)
    classes = items(document, "background_segmentation/surroundings")
    assert classes
    assert {one["label"] for each in classes for one in each["classes"]} <= {"wall", "sky", "tree"}


@pytest.mark.weights
def test_speech_by_openai_s_package(others, shipped, tmp_path):
    """A real voice goes to OpenAI's Whisper in the worker, which tells a language of those that it knows."""
    speech = Assets.pinned(Weights(shipped.parent / "demo" / "assets", PINS).path).speech
    sound = samples_of(speech)[: round(SPEECH_SECONDS * 16_000)]
    document = asked(write_wav(tmp_path / "speech.wav", sound), speech_transcription="openai-tiny")
    (language,) = items(document, "speech_transcription/languages")
    assert 0 < language["confidence"] <= 1
    segments = items(document, "speech_transcription/segments")
    assert all(0 <= one["start"] <= one["end"] <= SPEECH_SECONDS for one in segments)
