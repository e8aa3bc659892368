"""Signs of editing: fades, flashes, frozen pictures, speed, bars, vignette, black and white, overlays, split screens.

Signals are measured on every frame (`tasks/effects/signals.py`); each label rests on one measure and one threshold,
both in the document, with the rule and its source in `tasks/effects/{cards,framing,layouts,moments,stills}.py`
and `tasks/transitions/fades.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import ClassVar, Literal

from shared.errors import Skipped
from shared.frames import Frames
from shared.schema import Box, Event, EventTrack, LabelledSegment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.effects import framing, layouts, moments, stills
from tasks.effects.rules import RULES
from tasks.effects.signals import LEAST_SIDE, Finding, Shot, Signals, Watch
from tasks.transitions.pictures import Gray, Look, luma

PICTURES = Frames(fps=None, short_side=90, colour="rgb")
SHOTS, CUTS, TRANSITIONS = "cut_analysis/shots", "cut_analysis/cuts", "cut_analysis/transitions"
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

Label = Literal[
    "fade_in_from_black",
    "fade_out_to_black",
    "fade_in_from_white",
    "fade_out_to_white",
    "fade_in_from_colour",
    "fade_out_to_colour",
    "freeze",
    "letterbox",
    "pillarbox",
    "vignette",
    "black_and_white",
    "overlay",
    "split_screen",
]


class EffectOptions(Options):
    """None: every item says what threshold it passed and where that comes from."""


class Effect(LabelledSegment):
    """One effect over a span. `measure` had to pass `threshold`, which comes from `source`; what they mean is by label.

    Levels are 0..255, shares 0..1; `box` is set where the effect has a place.

    fade_*: levels that the ramp spans, at least. `start` and `end` are the ramp's; the fade is cut_analysis's.
    Colour: any plain one that is neither black nor white.
    freeze: how many times as much changes per frame in the half second before, and in that after where the shot goes
    on, at least. A still picture that never moved in its shot, as a slide or a photograph, is none, nor is one in which
    little moved. A title may come over it.
    letterbox, pillarbox: share of the picture that both bars take, at least. `box`: the picture between them.
    vignette: light in the corners against the middle in the mean of all shots, at most.
    black_and_white: largest share of pixels with colour, at most; frames that are nearly all black are not judged.
    overlay: gradient in levels per pixel of edges that stand through three or more different pictures, at least.
    split_screen: share of a seam from border to border that steps, at least. `box`: the part left of it or above it.
    """

    label: Label
    measure: float
    threshold: float
    source: str
    box: Box | None = None


class EffectEvent(Event):
    """One effect at a moment. `measure` had to reach `threshold`, which comes from `source`.

    flash: rise of relative luminance (0..1) where the picture got brighter; `t` is its first frame.
    faster, slower: ratio of the speeds of one motion after and before; editing and the scene look the same.
    """

    type: Literal["flash", "faster", "slower"]
    measure: float
    threshold: float
    source: str


class VisualEffects(TrackSet):
    """`effects`: spans, may overlap; `moments`: flashes, changes of speed. Confidence is null: nothing is trained."""

    effects: SegmentTrack[Effect]
    moments: EventTrack[EffectEvent]


class VisualEffectsAnalysis(Analyzer[EffectOptions, VisualEffects]):
    """Measures every frame and sums up every shot, then applies one rule a label."""

    name: ClassVar[str] = "visual_effects"
    version: ClassVar[int] = 10
    group: ClassVar[str] = "segment"
    summary: ClassVar[str] = "Fades, flashes, freezes, speed, bars, vignette, b/w, overlays, split screens (measured)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    requires: ClassVar[tuple[str, ...]] = ("cut_analysis",)
    cost: ClassVar[float] = 0.07
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.037}
    """On the 16 cores beside an H100: 0.37 s for ten seconds of video (docs/performance.md)."""

    def load(self, model: ModelContext) -> None:
        """Import OpenCV."""
        import cv2  # noqa: F401

    def analyze(self, media: Media, options: EffectOptions) -> VisualEffects:
        """Measure. Raises Skipped when the picture is too small."""
        if min(PICTURES.size(media.info)) < LEAST_SIDE:
            raise Skipped(f"pictures of less than {LEAST_SIDE} pixels are too small to look for effects in")
        spans = media.items(SHOTS, LabelledSegment)
        shots = [Shot(span.start, span.end, f"{SHOTS}/{span.id}") for span in spans]
        mixed = [(one.start, one.end) for one in media.items(TRANSITIONS, LabelledSegment)]
        signals = watched(media, shots, mixed)
        cuts = media.items(CUTS, Event)
        bounds = [signals.index_at(shot.start) for shot in shots]
        faded = list(moments.fades(signals, cuts))

        def look(index: int) -> Gray:
            return luma(media.frame_at(PICTURES, signals.times[index])[1])

        mixed += [(fade.start, fade.end) for fade in faded]
        effects = [
            *faded,
            *stills.freezes(signals, bounds, mixed, look),
            *moments.monochrome(signals),
            *places(shots, faded, signals, mixed, look),
        ]
        happened = [*moments.flashes(signals, faded), *moments.speed_changes(signals, bounds)]
        return VisualEffects(
            effects=SegmentTrack[Effect](method="heuristic", items=tuple(_effects(effects))),
            moments=EventTrack[EffectEvent](method="heuristic", items=tuple(_events(happened))),
        )


def watched(media: Media, shots: Sequence[Shot], mixed: Sequence[tuple[float, float]]) -> Signals:
    """Measure all frames, each for its shot; `mixed`: from when to when one shot turns into the next."""
    watch = Watch()
    number = 0
    for batch in media.frames(PICTURES, batch=64):
        for t, frame in zip(batch.times.tolist(), batch.frames, strict=True):
            # Times of shots are rounded to a millisecond, those of frames are not.
            while number < len(shots) - 1 and t >= shots[number].end - 0.001:
                number += 1
            watch.see(t, frame, shots[number], mixed=any(start < t < end for start, end in mixed))
        media.progress(min(1.0, float(batch.times[-1]) / max(media.info.duration_seconds, 1e-3)))
    return watch.done(media.shown(PICTURES)[-1][1])


def places(
    shots: Sequence[Shot],
    faded: Sequence[Finding],
    signals: Signals,
    mixed: Sequence[tuple[float, float]],
    look: Look,
) -> list[Finding]:
    """Find the effects that have a place in the picture, bars first: the others look between them.

    `mixed`: dissolves and ramps of fades.
    """
    bars = list(framing.bars(shots, lambda shot: [look(index) for index in _some(signals, shot, mixed)]))
    found = list(bars)
    for inside, group in _alike(shots, bars, faded, signals, mixed):
        found += layouts.vignette(group, inside)
        found += layouts.overlays(group, inside, look)
        found += layouts.split_screens(group, inside)
    return found


def _alike(
    shots: Sequence[Shot],
    bars: Sequence[Finding],
    faded: Sequence[Finding],
    signals: Signals,
    mixed: Sequence[tuple[float, float]],
) -> list[tuple[Box, list[layouts.Seen]]]:
    """Neighbouring shots of which something was seen, grouped by the picture that their bars leave."""
    groups: list[tuple[Box, list[layouts.Seen]]] = []
    for shot in shots:
        if shot.sums is None:
            continue
        fades = any(one.start < shot.end and shot.start < one.end for one in faded)
        frames = _some(signals, shot, mixed)
        seen = layouts.Seen(shot.start, shot.end, shot.evidence, shot.sums, frames, fades)
        x, y, right, bottom = 0.0, 0.0, 1.0, 1.0
        for bar in bars:
            if bar.box and bar.start <= shot.start < bar.end:
                x, y = max(x, bar.box[0]), max(y, bar.box[1])
                right, bottom = min(right, bar.box[0] + bar.box[2]), min(bottom, bar.box[1] + bar.box[3])
        inside = (x, y, right - x, bottom - y)
        if groups and groups[-1][0] == inside:
            groups[-1][1].append(seen)
        else:
            groups.append((inside, [seen]))
    return groups


def _some(signals: Signals, shot: Shot, mixed: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Numbers of frames from all over a shot that show it alone; of all that are not blank where each is mixed."""
    within = range(signals.index_at(shot.start), bisect_left(signals.times, shot.end - 0.001))
    seen = [index for index in within if not signals.blank(index)]
    alone = [index for index in seen if not any(start <= signals.times[index] <= end for start, end in mixed)] or seen
    count = min(layouts.OVERLAY_FRAMES, len(alone))
    return tuple(alone[(2 * number + 1) * len(alone) // (2 * count)] for number in range(count))


def _effects(findings: Iterable[Finding]) -> Iterable[Effect]:
    for number, one in enumerate(sorted(findings, key=attrgetter("start", "end", "label")), start=1):
        yield Effect(
            id=f"e{number}",
            evidence=one.evidence,
            start=one.start,
            end=one.end,
            label=one.label,
            measure=round(one.measure, 4),
            threshold=one.threshold,
            source=RULES[one.label].source,
            box=one.box,
        )


def _events(findings: Iterable[Finding]) -> Iterable[EffectEvent]:
    for number, one in enumerate(sorted(findings, key=attrgetter("start")), start=1):
        yield EffectEvent(
            id=f"m{number}",
            t=one.start,
            type=one.label,
            measure=round(one.measure, 4),
            threshold=one.threshold,
            source=RULES[one.label].source,
        )
