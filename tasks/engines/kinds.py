"""What engines do, by the kind that an entry of `weights.toml` names, and which engines do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.engines.aesthetics import AESTHETIC_JUDGES
from tasks.engines.body_finders import BODY_FINDERS
from tasks.engines.captions import CAPTIONERS
from tasks.engines.descriptions import DESCRIBERS
from tasks.engines.detectors import DETECTORS
from tasks.engines.moods import MOOD_CLASSIFIERS
from tasks.engines.segmentation import SEGMENTERS
from tasks.engines.sounds import SOUND_TAGGERS
from tasks.engines.speech import TRANSCRIBERS
from tasks.engines.texts import TEXT_READERS
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.engines.words import WORD_FINDERS
from tasks.models import EngineKind

KINDS: Mapping[str, Mapping[str, EngineKind[Any]]] = {
    "aesthetics": AESTHETIC_JUDGES,
    "bodies": BODY_FINDERS,
    "captions": CAPTIONERS,
    "descriptions": DESCRIBERS,
    "moods": MOOD_CLASSIFIERS,
    "objects": DETECTORS,
    "segmentation": SEGMENTERS,
    "sounds": SOUND_TAGGERS,
    "speech": TRANSCRIBERS,
    "texts": TEXT_READERS,
    "transitions": TRANSITION_FINDERS,
    "words": WORD_FINDERS,
}
