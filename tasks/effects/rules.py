"""The rule of every label: what is measured, what it must reach, and where the threshold comes from.

One place for the document, its reader's page (`docs/quality/visual_effects.md`) and the code to agree on. `OURS` marks
thresholds that nobody's standard gives: `reelgraph eval --analyzers visual_effects` shows what they find and what they
do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tasks.effects import framing, layouts, moments, stills
from tasks.transitions.fades import BLANK

OURS: Final = "our own: reelgraph eval --analyzers visual_effects"

Sense = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a label rests on; `source` is of the threshold."""

    measure: str
    sense: Sense
    threshold: float
    source: str


_FADE = Rule(
    "levels (of 255) that the ramp to or from the plain picture spans",
    "at least",
    BLANK,
    "Lienhart 1999: a fade ends in one colour, by a ramp; the level is stricter than 26, FFmpeg blackdetect's",
)
_BARS = Rule(
    "share of the picture that both bars take",
    "at least",
    2 * framing.BAR_LEAST,
    f"{OURS}; black is at most 24 of 255, FFmpeg cropdetect's limit",
)
_SPEED = Rule("ratio of the speeds of one motion after and before", "at least", moments.SPEED_RATIO, OURS)

RULES: dict[str, Rule] = {
    "fade_in_from_black": _FADE,
    "fade_out_to_black": _FADE,
    "fade_in_from_white": _FADE,
    "fade_out_to_white": _FADE,
    "fade_in_from_colour": _FADE,
    "fade_out_to_colour": _FADE,
    "flash": Rule(
        "rise of relative luminance (0..1) where the picture got brighter",
        "at least",
        moments.FLASH_RISE,
        "WCAG 2.2, general flash: 10 % of the greatest relative luminance, over a quarter of the field",
    ),
    "freeze": Rule(
        "times as much that changes per frame in the half second before, and in that after where the shot goes on",
        "at least",
        stills.FREEZE_RATIO,
        f"{OURS}; that a picture stands still is FFmpeg freezedetect's test, with 0.5 levels for its 0.26",
    ),
    "faster": _SPEED,
    "slower": _SPEED,
    "letterbox": _BARS,
    "pillarbox": _BARS,
    "vignette": Rule(
        "light in the corners against the middle, in the mean of all shots",
        "at most",
        layouts.VIGNETTE_CORNER,
        f"half a stop; {OURS}",
    ),
    "black_and_white": Rule(
        "largest share of pixels with more than 5 levels of chroma in a frame",
        "at most",
        moments.MONOCHROME_SHARE,
        OURS,
    ),
    "overlay": Rule(
        "gradient in levels per pixel of edges that stand through three or more different pictures",
        "at least",
        layouts.OVERLAY_EDGE,
        f"Dekel et al. 2017 for the median gradient; the level is {OURS}",
    ),
    "split_screen": Rule(
        "share of a seam from border to border that steps by 16 levels",
        "at least",
        layouts.SEAM_SHARE,
        OURS,
    ),
}
