"""What a first job finds after the warm-up: on a GPU first use of an operator loads its kernels, which takes time."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tasks.devices import CPU
from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.engines.captions import CAPTIONERS
from tasks.engines.captions import Asked as Wanted
from tasks.engines.descriptions import DESCRIBERS, Clip
from tasks.engines.descriptions import Asked as Question
from tasks.engines.hub_objects import HubDetector
from tasks.engines.moods import MOOD_CLASSIFIERS
from tasks.engines.poses import Asked as Pose
from tasks.engines.poses import Place
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.sounds import SOUND_TAGGERS
from tasks.engines.speech import TRANSCRIBERS
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.engines.utterances import Asked, Stretch
from tasks.engines.vitpose import VitPose
from tasks.engines.words import WORD_FINDERS
from tasks.models import Models
from tests.support.moving import texture
from tests.support.sounds import noise
from tests.support.tiny import MAKERS
from tests.support.tiny.store import need_torch, tiny_weights
from tests.support.tiny.transitions import transnet

pytestmark = pytest.mark.engines
MAKE = {**MAKERS, "transnetv2": transnet}


def pictures(count, height=120, width=200):
    return [texture(seed, height, width) for seed in range(count)]


def clips(count):
    return [Clip(np.arange(4) / 4, np.stack(pictures(4, 112, 84))) for _ in range(count)]


def poses():
    boxes = np.array([0.1, 0.1, 0.5, 0.9]), np.array([0.4, 0.2, 0.9, 1.0])
    return [Pose(picture, Place("", box)) for picture in pictures(3) for box in boxes]


def sound(seconds):
    return noise(seconds, amplitude=0.3).astype(np.float32)


def transcribed(engine):
    stretches = [Stretch(0.0, sound(40), [(0.5, 6.0), (8.0, 36.5)])]
    language = engine.language(stretches)
    list(engine.transcribe(stretches, Asked(language.code)))


@dataclass(frozen=True)
class Case:
    """An entry, the engines that may read it, and a job that is not the rehearsal."""

    entry: str
    kinds: dict
    job: Callable


CASES = (
    Case("qwen2-vl-7b", DESCRIBERS, lambda e: list(e.describe(clips(3), Question("what is it ?", 12), lambda: None))),
    Case("qwen2.5-vl-7b", DESCRIBERS, lambda e: list(e.describe(clips(3), Question("what ?", 12), lambda: None))),
    Case("blip2-opt-2.7b", CAPTIONERS, lambda e: list(e.captions(pictures(3), Wanted("a photo", 12), lambda: None))),
    Case("rtdetr-v2-r50", {"transformers": HubDetector}, lambda e: list(e.objects(pictures(5), 0.1))),
    Case("d-fine-large", {"transformers": HubDetector}, lambda e: list(e.objects(pictures(5), 0.1))),
    Case("upernet-convnext-small", SEGMENTERS, lambda e: list(e.maps(pictures(5)))),
    Case("vitpose-base-simple", {"transformers": VitPose}, lambda e: list(e.bodies(poses()))),
    Case("owlv2-base", WORD_FINDERS, lambda e: list(e.objects(pictures(3), ("dog", "red shoe"), 0.1))),
    Case("aesthetics-v2-l14", AESTHETIC_JUDGES, lambda e: list(e.marks(pictures(5)))),
    Case("transnetv2", TRANSITION_FINDERS, lambda e: e.probabilities(pictures(60))),
    Case("whisper-large-v3-turbo", TRANSCRIBERS, transcribed),
    Case("wav2vec2-emotion", MOOD_CLASSIFIERS, lambda e: list(e.moods([sound(2), sound(2), sound(3.5)]))),
    Case("ast-audioset", SOUND_TAGGERS, lambda e: list(e.tags([sound(5), sound(2.5), sound(11)]))),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {case.entry: MAKE[case.entry] for case in CASES})


def seen(work):
    """The operators of torch, with their overloads, and the functions of engines, that some work runs."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.add(str(func))
            return func(*args, **(kwargs or {}))

    def called(frame, event, _):
        code = frame.f_code
        if event == "call" and f"{os.sep}engines{os.sep}" in code.co_filename and not code.co_name.startswith("<"):
            names.add(code.co_qualname)

    names: set[str] = set()
    before = sys.getprofile()
    sys.setprofile(called)
    try:
        with Seen():
            work()
    finally:
        sys.setprofile(before)
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.entry)
def test_a_first_job_runs_nothing_for_the_first_time(weights, case):
    """Whatever a job runs, the language of speech and the times of words included, ran in the warm-up."""
    engine = Models(weights, case.entry, profile="gpu", threads=1, device=lambda: CPU).engine(case.kinds)
    warm = seen(engine.warm_up)
    assert seen(lambda: case.job(engine)) - warm == set()
