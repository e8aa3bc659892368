"""Cuts and shots: where one picture gives way to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.errors import Skipped
from shared.frames import Frames
from shared.schema import Event, EventTrack, LabelledSegment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.effects.fades import ends

PICTURES = Frames(fps=None, short_side=90, colour="rgb")

MIN_CHANGE = 4.0
"""Least mean absolute RGB difference (0..255) across a cut. PySceneDetect's score weighs hue, which is noise in
near-black frames: the first frame of a fade-in scores 36 while the picture changes by less than 1."""
FLASH_SECONDS = 0.3
"""A picture that is back within this time was interrupted (camera flash, dropped frame), not cut."""
FLASH_RETURN = 0.35
"""It is back when it differs from the picture before by at most this share of the interruption's difference."""
MIN_SHOT_SECONDS = 0.2
"""Cuts closer than this are one: six frames at 30 fps, under the shortest shots that editors use."""
THUMBNAIL = 8


class CutOptions(Options):
    """Thresholds of PySceneDetect's AdaptiveDetector; its defaults."""

    adaptive_threshold: float = Field(3.0, gt=1, description="Score of a cut over the mean score of 4 frames around it")
    min_content: float = Field(15.0, ge=0, le=255, description="Least score of a cut, 0..255")


class CutTracks(TrackSet):
    """`cuts`: events `cut` (first frame of the new picture), `fade_out` (black is reached), `fade_in` (black ends).

    `shots` tile the video: each runs from one `cut` or `fade_in` to the next; black after a fade-out belongs to the
    shot before. Confidence is null: the detector's ratio has no upper bound and no calibration.
    """

    cuts: EventTrack[Event]
    shots: SegmentTrack[LabelledSegment]


@dataclass(slots=True)
class Signals:
    """What is kept of every frame: about 220 bytes, 45 MiB for two hours at 30 fps."""

    times: list[float] = field(default_factory=list)
    bright: list[float] = field(default_factory=list)
    """98th percentile of the values, 0..255."""
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 `(height, width, 3)`."""
        self.times.append(t)
        self.bright.append(float(np.percentile(frame[::2, ::2], 98)))
        self.thumbnails.append(thumbnail(frame))

    def change(self, a: int, b: int) -> float:
        """Mean absolute difference of two frames' thumbnails, 0..255."""
        return float(np.abs(self.thumbnails[a].astype(np.int16) - self.thumbnails[b]).mean())


class CutAnalysis(Analyzer[CutOptions, CutTracks]):
    """PySceneDetect's AdaptiveDetector on every frame, then three checks: black frames, flashes, fades.

    The detector compares HSV with the frame before and asks for a score 3 times the mean of the four frames around:
    fast motion raises its surroundings too. Dissolves and wipes are not found. Times are the frames' own timestamps.
    """

    name: ClassVar[str] = "cut_analysis"
    version: ClassVar[int] = 1
    group: ClassVar[str] = "detect"
    summary: ClassVar[str] = "Cuts, fades through black and shots (AdaptiveDetector of PySceneDetect)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    cost: ClassVar[float] = 0.03

    _detectors: Any

    def load(self, model: ModelContext) -> None:
        """Import PySceneDetect."""
        import scenedetect
        import scenedetect.detectors

        self._detectors = scenedetect

    def analyze(self, media: Media, options: CutOptions) -> CutTracks:
        """Find them. Raises Skipped when the video has no picture."""
        signals = Signals()
        candidates = list(self._candidates(media, options, signals))
        if not signals.times:
            raise Skipped("there is no picture to look for cuts in")
        cuts = list(confirmed(candidates, signals))
        events = [(signals.times[i], "cut") for i in cuts] + [
            (signals.times[i], kind) for i, kind in ends(signals.times, signals.bright, set(cuts))
        ]
        return tracks(sorted(events), signals.times[0], media.info.duration_seconds)

    def _candidates(self, media: Media, options: CutOptions, signals: Signals) -> Iterator[int]:
        detector = self._detectors.detectors.AdaptiveDetector(
            adaptive_threshold=options.adaptive_threshold, min_content_val=options.min_content, min_scene_len=0
        )
        index = 0
        for batch in media.frames(PICTURES, batch=64):
            for t, frame in zip(batch.times, batch.frames, strict=True):
                signals.add(float(t), frame)
                # The rate is a placeholder: frame numbers go in and come out, times are looked up by them.
                number = self._detectors.FrameTimecode(index, fps=1000.0)
                bgr = np.ascontiguousarray(frame[:, :, ::-1])
                yield from (int(cut.frame_num) for cut in detector.process_frame(number, bgr))
                index += 1
            media.progress(min(1.0, signals.times[-1] / max(media.info.duration_seconds, 1e-3)))


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 8x8 cells, uint8 `(8, 8, 3)`; smaller frames as they are."""
    height, width = frame.shape[0] // THUMBNAIL, frame.shape[1] // THUMBNAIL
    if not height or not width:
        return frame
    cells = frame[: height * THUMBNAIL, : width * THUMBNAIL].reshape(THUMBNAIL, height, THUMBNAIL, width, 3)
    means: NDArray[np.uint8] = cells.mean((1, 3), dtype=np.float32).astype(np.uint8)
    return means


def confirmed(candidates: Sequence[int], signals: Signals) -> Iterator[int]:
    """Yield the candidates after which the picture really is another one, and stays so."""
    times = signals.times
    ready = 0
    last = -MIN_SHOT_SECONDS
    for index in candidates:
        change = signals.change(index - 1, index)
        if index < ready or change < MIN_CHANGE or times[index] - last < MIN_SHOT_SECONDS:
            continue
        back = next(
            (
                later
                for later in range(index + 1, len(times))
                if times[later] - times[index] > FLASH_SECONDS
                or signals.change(index - 1, later) <= FLASH_RETURN * change
            ),
            None,
        )
        if back is not None and times[back] - times[index] <= FLASH_SECONDS:
            ready = back + 1
            continue
        last = times[index]
        yield index


def tracks(events: Sequence[tuple[float, str]], first: float, duration: float) -> CutTracks:
    """Build the tracks from events (seconds, type) in order; the shots run from 0 s to the video's end."""
    inner = [t for t, kind in events if kind != "fade_out" and t > first]
    bounds = [0.0, *inner, max(duration, first, *inner)] if inner else [0.0, max(duration, first)]
    return CutTracks(
        cuts=EventTrack[Event](
            method="heuristic",
            items=tuple(Event(id=f"c{i}", t=t, type=kind) for i, (t, kind) in enumerate(events, 1)),
        ),
        shots=SegmentTrack[LabelledSegment](
            method="heuristic",
            items=tuple(
                LabelledSegment(id=f"s{i}", start=start, end=end, label="shot")
                for i, (start, end) in enumerate(pairwise(bounds), 1)
            ),
        ),
    )
