"""How a video flows: an activity curve from measured signals, and its phases.

Each signal is scaled to 0..1 by fixed bounds, so that curves of two videos can be compared; activity is the mean of
the signals that were measured. The scales are editors' rules of thumb, not a model of attention.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.schema import (
    CameraMotion,
    Caption,
    Event,
    LabelledSegment,
    Scalar,
    ScalarTrack,
    Segment,
    SegmentTrack,
    SeriesTrack,
    SpeechSegment,
    TrackedObject,
    TrackSet,
)
from tasks import short_form
from tasks.analyzer import Analyzer, Media, Options
from tasks.calls import CALL_TO_ACTION

CUTS = "cut_analysis/cuts"
LOUDNESS = "audio_analysis/loudness"
MOTION = "camera_analysis/motion"
OBJECTS = "object_detection/objects"
CAPTIONS = "text_overlay/captions"
SPEECH = "speech_transcription/segments"

DT = 0.5
WINDOW_SECONDS = 3.0
FULL_CUTS_PER_SECOND = 1.0
LOUDNESS_LUFS = (-40.0, -10.0)
FULL_OBJECT_SPEED = 0.5
"""Screen widths or heights a second."""
HOOK_SECONDS = 3.0
"""Meta counts a video play from three seconds on."""
PEAK_OVER_MEAN = 1.15
LATE = 0.5
"""A call to action counts in the second half of the video only."""

Curve = NDArray[np.float64]


class FlowOptions(Options):
    """How the phases are told apart."""

    hook_seconds: float = Field(HOOK_SECONDS, gt=0, description="length of the opening")


class Flow(TrackSet):
    """`activity`: mean of the measured signals, 0..1, every half second.

    The signals, each over the 3 s around the time: cuts (1 a second = 1), loudness (-40 LUFS = 0, -10 LUFS = 1), share
    of time with speech, share of time with text, share of time in which the camera moves, speed of the objects (half
    a screen a second = 1). `signals`: their means, null for those not measured. `phases`, in order and without overlap:
    `hook` (the first seconds), `build`, `peak` (most active stretch, if one stands out by 15 %), `release`, or `body`
    where none stands out, and `call_to_action`, which needs words on screen or said in the second half, cited as
    evidence. `short_form`: hook_strength, cuts_per_minute, text_dwell, text_to_speech_lag (s), loudness_range (LU) and
    face_share, by the formulas in `tasks.short_form.scalars`; null where they cannot be measured.
    """

    activity: SeriesTrack
    signals: ScalarTrack
    phases: SegmentTrack[LabelledSegment]
    short_form: ScalarTrack


class TemporalFlow(Analyzer[FlowOptions, Flow]):
    """Combines what other analyzers measured; looks at no picture itself."""

    name = "temporal_flow"
    version = 5
    group = "light"
    summary = "activity curve and phases (hook, build, peak, release, call to action) from other analyzers' tracks"
    uses = (
        "cut_analysis",
        "audio_analysis",
        "camera_analysis",
        "object_detection",
        "text_overlay",
        "speech_transcription",
        "face_detection",
    )
    cost = 0.005

    def analyze(self, media: Media, options: FlowOptions) -> Flow:
        """Combine the signals that there are; without any, activity is null throughout."""
        duration = media.info.duration_seconds
        times = np.arange(0, duration, DT)
        around = WINDOW_SECONDS / 2
        signals = _signals(media, np.maximum(times - around, 0), np.minimum(times + around, duration))
        activity = _mean(signals)
        values = (None,) * len(times) if activity is None else tuple(round(value, 3) for value in activity.tolist())
        hook, whole = _hook_and_whole(media, options)
        return Flow(
            activity=SeriesTrack(method="heuristic", unit="1", t0=0.0, dt=DT, values=values),
            signals=ScalarTrack(
                method="heuristic",
                items=tuple(
                    Scalar(id=name, name=name, unit="1", value=None if curve is None else round(float(curve.mean()), 3))
                    for name, curve in signals.items()
                ),
            ),
            phases=SegmentTrack(
                method="heuristic",
                items=_phases(activity, duration, options.hook_seconds, _calls(media, duration)),
            ),
            short_form=ScalarTrack(method="heuristic", items=short_form.scalars(media, hook, whole)),
        )


# --- signals ---------------------------------------------------------------------------------------------------


def _mean(signals: dict[str, Curve | None]) -> Curve | None:
    known = [curve for curve in signals.values() if curve is not None]
    return np.mean(known, axis=0) if known else None


def _hook_and_whole(media: Media, options: FlowOptions) -> tuple[float | None, float | None]:
    """Activity of the first of the stretches as long as the hook that tile the video, and their mean.

    None where nothing was measured, or where nothing follows the hook.
    """
    starts = np.arange(0, media.info.duration_seconds, options.hook_seconds)
    ends = np.append(starts[1:], media.info.duration_seconds)
    activity = _mean(_signals(media, starts, ends))
    if activity is None or len(activity) < 2:
        return None, None
    return float(activity[0]), float(np.average(activity, weights=ends - starts))


def _signals(media: Media, starts: Curve, ends: Curve) -> dict[str, Curve | None]:
    """Each signal from `starts` to `ends`, in seconds, 0..1; None where its analyzer has no result."""

    def share(analyzer: str, spans: Iterable[Segment]) -> Curve | None:
        return _covered([(span.start, span.end) for span in spans], starts, ends) if media.has(analyzer) else None

    cuts = np.sort([cut.t for cut in media.items(CUTS, Event)])
    pace = (np.searchsorted(cuts, ends) - np.searchsorted(cuts, starts)) / (ends - starts)
    moving = [motion for motion in media.items(MOTION, CameraMotion) if motion.motion != "static"]
    return {
        "cuts": np.minimum(pace / FULL_CUTS_PER_SECOND, 1) if media.has("cut_analysis") else None,
        "loudness": _loudness(media.series(LOUDNESS), starts, ends),
        "speech": share("speech_transcription", media.items(SPEECH, SpeechSegment)),
        "text": share("text_overlay", media.items(CAPTIONS, Caption)),
        "camera_motion": share("camera_analysis", moving),
        "object_motion": _speed(media.items(OBJECTS, TrackedObject), starts, ends)
        if media.has("object_detection")
        else None,
    }


def _covered(spans: list[tuple[float, float]], starts: Curve, ends: Curve) -> Curve:
    """Share of each window in which at least one span holds."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    total = np.zeros(len(starts))
    for start, end in merged:
        total += np.maximum(np.minimum(ends, end) - np.maximum(starts, start), 0)
    return total / (ends - starts)


def _loudness(series: SeriesTrack | None, starts: Curve, ends: Curve) -> Curve | None:
    """Mean momentary loudness of each window, scaled; silence counts as 0."""
    if series is None or not series.values:
        return None
    low, high = LOUDNESS_LUFS
    levels = np.array([low if value is None else value for value in series.values])
    total = np.concatenate(([0.0], np.cumsum(np.clip((levels - low) / (high - low), 0, 1))))
    times = series.t0 + series.dt * np.arange(len(levels))
    first, last = np.searchsorted(times, starts), np.searchsorted(times, ends)
    mean: Curve = (total[last] - total[first]) / np.maximum(last - first, 1)
    return mean


def _speed(objects: Iterable[TrackedObject], starts: Curve, ends: Curve) -> Curve:
    """Speed of the fastest object's centre, averaged over each window, scaled."""
    fastest = np.zeros(len(starts))
    for thing in objects:
        t = np.array([box.t for box in thing.boxes])
        centre = np.array([(box.box[0] + box.box[2] / 2, box.box[1] + box.box[3] / 2) for box in thing.boxes])
        if len(t) < 2:
            continue
        path = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))))
        travelled = np.interp(ends, t, path) - np.interp(starts, t, path)
        fastest = np.maximum(fastest, travelled / (ends - starts))
    return np.minimum(fastest / FULL_OBJECT_SPEED, 1)


# --- phases ----------------------------------------------------------------------------------------------------


def _calls(media: Media, duration: float) -> dict[str, Segment]:
    """Late captions and speech that ask the viewer to do something, by evidence id."""
    written = {f"{CAPTIONS}/{item.id}": (item, item.text) for item in media.items(CAPTIONS, Caption)}
    said = {f"{SPEECH}/{item.id}": (item, item.text) for item in media.items(SPEECH, SpeechSegment)}
    return {
        evidence: item
        for evidence, (item, text) in (written | said).items()
        if item.end > LATE * duration and CALL_TO_ACTION.search(text)
    }


def _phases(
    activity: Curve | None, duration: float, hook_seconds: float, calls: dict[str, Segment]
) -> tuple[LabelledSegment, ...]:
    """Divide `[0, duration)`; a caption that stands from early on starts the call only in the second half."""
    hook = min(hook_seconds, duration)
    call_start = max(hook, LATE * duration, min((call.start for call in calls.values()), default=duration))
    call_end = min(duration, max((call.end for call in calls.values()), default=duration))
    marks: list[tuple[str, float, float, tuple[str, ...]]] = [("hook", 0.0, hook, ())]
    peak = None if activity is None else _peak(activity, hook, min(call_start, duration))
    if peak is None:
        marks.append(("body", hook, call_start, ()))
    else:
        marks += [("build", hook, peak[0], ()), ("peak", *peak, ()), ("release", peak[1], call_start, ())]
    if calls:
        marks += [("call_to_action", call_start, call_end, tuple(calls)), ("release", call_end, duration, ())]
    long = [mark for mark in marks if mark[2] > mark[1]]
    return tuple(
        LabelledSegment(id=f"p{number}", label=label, start=start, end=end, evidence=evidence)
        for number, (label, start, end, evidence) in enumerate(long, 1)
    )


def _peak(activity: Curve, start: float, end: float) -> tuple[float, float] | None:
    """Find the most active stretch of at least 3 s (or a tenth) between `start` and `end`, if it stands out."""
    first, last = int(np.ceil(start / DT)), int(end / DT)
    length = max(round(WINDOW_SECONDS / DT), (last - first) // 10)
    if last - first < 2 * length:
        return None
    means = np.convolve(activity[first:last], np.ones(length) / length, mode="valid")
    best = int(np.argmax(means))
    # where nothing happens nothing stands out
    if means[best] <= 0 or means[best] < PEAK_OVER_MEAN * activity[first:last].mean():
        return None
    return (first + best) * DT, (first + best + length) * DT
