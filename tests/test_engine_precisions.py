"""Precisions that an engine does not have: refused in a sentence, so that no receipt claims one that was not used."""

from dataclasses import dataclass

import pytest

from shared.errors import BadInput
from tasks.devices import CPU
from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.engines.body_finders import BODY_FINDERS
from tasks.engines.detectors import DETECTORS
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.speech import TRANSCRIBERS
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.engines.words import WORD_FINDERS
from tasks.models import Weighted
from tests.support.tiny import MAKERS
from tests.support.tiny.store import need_torch
from tests.support.tiny.transitions import transnet

pytestmark = pytest.mark.engines


@dataclass(frozen=True)
class Case:
    """An engine, its entry, and precisions that it does not have."""

    kinds: dict
    name: str
    entry: str
    lacks: tuple


NO_QUARTERS = ("int8", "nf4")
CASES = (
    Case(AESTHETIC_JUDGES, "clip-aesthetics", "aesthetics-v2-l14", NO_QUARTERS),
    Case(BODY_FINDERS, "transformers", "vitpose-base-simple", NO_QUARTERS),
    Case(DETECTORS, "transformers", "rtdetr-v2-r50", NO_QUARTERS),
    Case(DETECTORS, "mmdet", "rtmdet-of-your-own", NO_QUARTERS),
    Case(SEGMENTERS, "transformers", "upernet-convnext-small", NO_QUARTERS),
    Case(WORD_FINDERS, "transformers", "owlv2-base", NO_QUARTERS),
    Case(TRANSITION_FINDERS, "transnetv2", "transnetv2", NO_QUARTERS),
    Case(TRANSCRIBERS, "faster-whisper", "whisper-tiny-en", ("nf4",)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.entry)
def test_a_precision_that_an_engine_does_not_have_is_refused(tmp_path, case):
    """Loading ends in a sentence that names the precision; nothing is held in another one in silence."""
    need_torch()
    make = {**MAKERS, "transnetv2": transnet}.get(case.entry)
    if make:
        make(tmp_path)
    assert set(case.lacks).isdisjoint(case.kinds[case.name].precisions)
    for precision in case.lacks:
        engine = case.kinds[case.name](Weighted(case.entry, tmp_path, CPU, precision, 1))
        with pytest.raises(BadInput, match=f"not (in )?{precision}"):
            engine.load()
