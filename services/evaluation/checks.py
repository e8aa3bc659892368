"""What is measured of each analyzer on clips made on the spot, and why of some nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from services.evaluation import drawn_checks, look_checks, word_checks
from services.evaluation.effect_checks import effects
from services.evaluation.figures import Figure
from services.evaluation.hearing_checks import kinds, onsets
from services.evaluation.picture_checks import camera, colours, cuts
from services.evaluation.sound_checks import sound

Check = Callable[[Path, int], Iterator[Figure]]
"""Makes clips in a folder, in so many rounds, and measures."""

CHECKS: dict[str, Check] = dict(
    sorted(
        {
            "audio_analysis": sound,
            "audio_environment": kinds,
            "camera_analysis": camera,
            "color_analysis": colours,
            "cut_analysis": cuts,
            "sound_effects": onsets,
            "visual_effects": effects,
            **drawn_checks.CHECKS,
            **look_checks.CHECKS,
            **word_checks.CHECKS,
        }.items()
    )
)

UNJUDGED: dict[str, str] = {
    "age_estimation": "no face here of known age; --media with `age` of a face in truth.json judges it",
    "blip2_caption": "no weights for a CPU",
    "body_pose": "drawn bodies are none to the network; --media with persons in truth.json judges it",
    "face_emotion": "no face here of known expression; --media with `emotion` of a face in truth.json judges it",
    "qwen2_vl_temporal": "no weights for a CPU",
    "speech_emotion": "no weights for a CPU",
    "speech_transcription": "no speech here; --media with a transcript in truth.json judges it",
}
"""By analyzer, why nothing is made here to judge it by."""
