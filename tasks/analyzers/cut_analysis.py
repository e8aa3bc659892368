"""Cuts, fades, dissolves and shots: where one picture gives way to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from shared.errors import Skipped
from shared.frames import Frames
from shared.schema import Event, EventTrack, LabelledSegment, Method, SegmentTrack, TrackSet
from tasks.analyzer import ESSENTIAL, Analyzer, Media, ModelContext, Options
from tasks.boxes import Picture, pictures
from tasks.engines.transitions import TRANSITION_FINDERS, TransitionFinder
from tasks.transitions.behind import behind
from tasks.transitions.cuts import confirmed, mixing, stepping, torn, turned
from tasks.transitions.dissolves import Dissolve, apart, dissolves
from tasks.transitions.fades import End, fades, faint, flared
from tasks.transitions.judged import judged
from tasks.transitions.pictures import Gray, Look, luma
from tasks.transitions.signals import Levels, Signals
from tasks.transitions.window import WHOLE, Window

PICTURES = Frames(fps=None, short_side=90, colour="rgb")
LEAST_SIDE = 16
"""Shorter side in pixels from which on a cut can be told from something that moves through the picture. Crops of 8 x 8
of shots without a cut change by up to 202 of 255 levels from one frame to the next."""
LEADER_SECONDS = 1.0
"""Blank for less than this before a fade-in that nothing comes before is no shot: films begin so, often with one frame
of it. A title on black counts as blank, too, and stands for longer."""
CUTS = "cut_analysis/cuts"
NO_PICTURE = "there is no picture to look for cuts in"


class CutOptions(Options):
    """Thresholds of PySceneDetect's AdaptiveDetector; its defaults. TransNetV2 has its own."""

    adaptive_threshold: float = Field(3.0, gt=1, description="Score of a cut over the mean score of 4 frames around it")
    min_content: float = Field(15.0, ge=0, le=255, description="Least score of a cut, 0..255")


class Transition(LabelledSegment):
    """A change of pictures that takes time, from its first frame that mixes both to the first of the new one alone.

    It cites its event in `cuts`.
    """

    label: Literal["dissolve"]


class CutTracks(TrackSet):
    """`cuts`: events `cut` (first frame of the new picture), `fade_out` (a blank picture is reached), `fade_in` (it
    ends), `dissolve` (its middle: the new picture is the stronger from here). Blank is black or any one colour.

    `shots` tile what is shown, from the first picture to the end of the last: each runs from one `cut`, `fade_in` or
    `dissolve` to the next; black after a fade-out belongs to the shot before, and black of less than a second before a
    fade-in that is the first event to the shot that fades in. `transitions`: the dissolves from start to end.
    Confidence is the probability that TransNetV2 gave, where it looked. Fades are found by measuring, so they have one
    only where it marked a transition there, too. Else null: ratios have no upper bound and no calibration.
    """

    cuts: EventTrack[Event]
    shots: SegmentTrack[LabelledSegment]
    transitions: SegmentTrack[Transition]


class CutAnalysis(Analyzer[CutOptions, CutTracks]):
    """Three measures on every frame, any of which may find a cut, then checks: blank frames, flashes, fades, dissolves.

    PySceneDetect's AdaptiveDetector compares HSV with the frame before and asks for a score 3 times the mean of the
    four frames around. What it misses, two places of like colours and cuts in fast motion, shows in how much of the
    picture optical flow (DIS: Kroeger et al., ECCV 2016) cannot bring over from the frame before; and pages, mostly the
    same white, in edges that are replaced while all else is still. A caption or bar laid on a picture is no cut. Wipes
    are not found. Times are the frames' own timestamps. Where most of the frame stands throughout, as bars, a title and
    a photograph around a picture do, the rest is looked at alone, a second time.

    In the gpu profile TransNetV2, where its weights are, judges instead: what it marks for longer than a cut is a
    dissolve, wipes too, unless a fade is there.
    """

    name: ClassVar[str] = "cut_analysis"
    version: ClassVar[int] = 14
    group: ClassVar[str] = "detect"
    summary: ClassVar[str] = (
        "Cuts, fades, dissolves and shots (AdaptiveDetector, optical flow, edges; TransNetV2 on a GPU)"
    )
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    extra: ClassVar[dict[str, str]] = {"gpu": "transnetv2"}
    cost: ClassVar[float] = 0.03
    cost_in = {"gpu": 0.016}
    value = ESSENTIAL

    _detectors: Any
    _network: TransitionFinder | None = None

    def load(self, model: ModelContext) -> None:
        """Import PySceneDetect and OpenCV, and load TransNetV2 where it is."""
        import cv2  # noqa: F401
        import scenedetect
        import scenedetect.detectors

        self._detectors = scenedetect
        self._network = model.extra_engine(TRANSITION_FINDERS)

    def analyze(self, media: Media, options: CutOptions) -> CutTracks:
        """Find them. Raises Skipped when the video has no picture, or too small ones."""
        if min(PICTURES.size(media.info)) < LEAST_SIDE and media.info.has_video:
            message = f"pictures of less than {LEAST_SIDE} pixels are too small to tell cuts from motion in"
            raise Skipped(message, code="too_small")
        return self._judge(media, self._network) if self._network else self._measure(media, options)

    def _judge(self, media: Media, network: TransitionFinder) -> CutTracks:
        levels = Levels()

        def shown() -> Iterator[Picture]:
            for t, picture in pictures(media, PICTURES):
                levels.add(t, picture)
                yield picture

        found = judged(network.probabilities(shown()))
        if not levels.times:
            raise Skipped(NO_PICTURE)
        if (window := levels.window()) != WHOLE:
            levels = Levels()
            for t, picture in pictures(media, PICTURES):
                levels.add(t, np.ascontiguousarray(picture[window]))
        faded, plain = _faded(levels, _looking(media, levels.times, window))
        dim = {index for fade in faded for index in fade.dim}
        cuts = [cut for cut in found.cuts if cut not in dim | plain]
        mixed = [one for one in found.gradual if not dim.intersection(range(one.start, one.end + 1))]
        sure = {**found.sure, **{fade.frame: found.there(fade.dim) for fade in faded}}
        return tracks(levels.times, cuts, faded, mixed, media.shown(PICTURES)[-1][1], sure)

    def _measure(self, media: Media, options: CutOptions) -> CutTracks:
        signals, candidates = self._watched(media, options, WHOLE)
        if (window := signals.window()) != WHOLE:
            signals, candidates = self._watched(media, options, window)
        candidates -= stepping(signals, candidates, options.adaptive_threshold)
        look = _looking(media, signals.times, window)
        faded, plain = _faded(signals, look)
        dim = {index for fade in faded for index in fade.dim}
        found = (candidates | torn(signals)) - dim - plain - mixing(signals, faded)
        cuts = list(confirmed(found, turned(signals) - dim - plain, signals, look))
        mixed = list(dissolves(signals, cuts, look, dim | faint(signals, faded)))
        return tracks(signals.times, list(apart(signals, cuts, mixed)), faded, mixed, media.shown(PICTURES)[-1][1])

    def _watched(self, media: Media, options: CutOptions, window: Window) -> tuple[Signals, set[int]]:
        """What is measured in a window of the frames, and which of them may be cuts."""
        signals = Signals()
        candidates = set(self._candidates(media, options, window, signals))
        if not signals.times:
            raise Skipped(NO_PICTURE)
        return signals, candidates

    def _candidates(self, media: Media, options: CutOptions, window: Window, signals: Signals) -> Iterator[int]:
        import cv2

        detector = self._detectors.detectors.AdaptiveDetector(
            adaptive_threshold=options.adaptive_threshold, min_content_val=options.min_content, min_scene_len=0
        )
        index = 0
        for batch in media.frames(PICTURES, batch=64):
            for t, whole in zip(batch.times, batch.frames, strict=True):
                frame = np.ascontiguousarray(whole[window])
                signals.add(float(t), frame)
                # The rate is a placeholder: frame numbers go in and come out, times are looked up by them.
                number = self._detectors.FrameTimecode(index, fps=1000.0)
                bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
                yield from (int(cut.frame_num) for cut in detector.process_frame(number, bgr))
                index += 1
            done = min(1.0, signals.times[-1] / max(media.info.duration_seconds, 1e-3))
            # the second look does not begin anew for who waits
            media.progress(done if window == WHOLE else 1.0)


def _looking(media: Media, times: Sequence[float], window: Window) -> Look:
    def look(index: int) -> Gray:
        return luma(np.ascontiguousarray(media.frame_at(PICTURES, times[index])[1][window]))

    return look


def _faded(levels: Levels, look: Look) -> tuple[list[End], set[int]]:
    """The ends of all fades, and plain frames after plain ones, or dark ones: what stands, or shines, changes there."""
    found = list(fades(levels))
    ways = list(behind(levels, look, found))
    alone = (end for end in found if not any(way.hides(end) for way in ways))
    return [*alone, *(way.end for way in ways)], flared(levels) | {index for way in ways for index in way.plain[1:]}


def tracks(
    times: Sequence[float],
    cuts: Sequence[int],
    faded: Sequence[End],
    mixed: Sequence[Dissolve],
    end: float,
    sure: Mapping[int, float | None] | None = None,
) -> CutTracks:
    """Build the tracks from numbers of frames; the shots run from the first of them to `end`.

    `sure`: probabilities by the frames of the events, where a network gave them.
    """
    happened: list[tuple[int, str]] = [(cut, "cut") for cut in cuts] + [(end.frame, end.kind) for end in faded]
    happened += [(one.middle, "dissolve") for one in mixed]
    events = [
        Event(id=f"c{i}", t=times[frame], type=kind, confidence=(sure or {}).get(frame))
        for i, (frame, kind) in enumerate(sorted(happened), 1)
    ]
    led = bool(events) and events[0].type == "fade_in" and events[0].t < times[0] + LEADER_SECONDS
    inner = [event.t for event in events[led:] if event.type != "fade_out" and event.t > times[0]]
    bounds = [times[0], *inner, max([end, times[0], *inner])]
    shots = (
        LabelledSegment(id=f"s{i}", start=start, end=end, label="shot")
        for i, (start, end) in enumerate(pairwise(bounds), 1)
    )
    middles = [event.id for event in events if event.type == "dissolve"]
    transitions = (
        Transition(
            id=f"d{i}", start=times[one.start], end=times[one.end], label="dissolve", evidence=(f"{CUTS}/{middle}",)
        )
        for i, (one, middle) in enumerate(zip(mixed, middles, strict=True), 1)
    )
    method: Method = "heuristic" if sure is None else "model"
    return CutTracks(
        cuts=EventTrack[Event](method=method, items=tuple(events)),
        shots=SegmentTrack[LabelledSegment](method=method, items=tuple(shots)),
        transitions=SegmentTrack[Transition](method=method, items=tuple(transitions)),
    )
