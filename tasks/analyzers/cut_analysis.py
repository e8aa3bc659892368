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

PICTURES = Frames(fps=None, short_side=90, colour="rgb")

BLACK = 16
"""A frame is black when 98 % of its values (0..255) are at most this: black is 0, the rest leaves room for noise.
A small title on black counts as black too."""
MIN_CHANGE = 4.0
"""Least mean absolute RGB difference (0..255) across a cut. PySceneDetect's score weighs hue, which is noise in
near-black frames: the first frame of a fade-in scores 36 while the picture changes by less than 1."""
FLASH_SECONDS = 0.3
"""A picture that is back within this time was interrupted (camera flash, dropped frame), not cut."""
FLASH_RETURN, FLASH_UNEXPLAINED = 0.35, 0.4
"""It is back when it differs from the picture before by at most this share of the interruption's difference, and when
motion since then leaves at most this share of what the interruption left unexplained: white frames may hide a cut."""
MIN_SHOT_SECONDS = 0.2
"""Cuts closer than this are one: six frames at 30 fps, under the shortest shots that editors use."""
UNEXPLAINED, UNEXPLAINED_RATIO, AROUND = 0.25, 3.0, 4
"""Least share of a picture that motion does not explain across a cut, how many times the median of the frames around
that must be, and how many frames on each side those are. Made films: cuts 0.44 to 1.25, everything else under 0.15;
a trailer: a cut in a fight 0.32 (4.6 times), a monster that runs through the picture 0.36 (2.1 times)."""
FLOW_WIDTH = 96
"""Width in pixels of the pictures whose motion is estimated: 0.3 ms a frame."""
FLOOR = 2
"""A faded picture is black from where it is this close to its span's darkest frame, in values of 0..255."""
FADE_SECONDS = 0.5
"""How far beside a black span to look for the ramp; shorter ramps count too."""
FADE_LARGEST_STEP = 0.5
"""In a fade no single frame takes more than this share of the change of brightness; else it is a cut."""
THUMBNAIL = 8
LEAST_FLOW_HEIGHT = 32
"""Smallest side that the flow's pyramid takes: OpenCV 5.0 crashes below (measured, 96 x 31)."""
MOST_FLOW_HEIGHT = 1024
"""A strip eleven times as high as wide is squeezed: OpenCV's remap ends at 32,767 rows, and nothing is seen in it."""


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
    """What is kept of every frame: about 230 bytes, 50 MiB for two hours at 30 fps."""

    times: list[float] = field(default_factory=list)
    bright: list[float] = field(default_factory=list)
    """98th percentile of the values, 0..255."""
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)
    unexplained: list[float] = field(default_factory=list)
    """Share of the picture that motion since the frame before does not explain, 0..1."""

    returns: dict[int, set[int]] = field(default_factory=dict)
    """For each frame that motion does not explain, the frames soon after it in which the picture before it is back."""

    _gray: NDArray[np.uint8] | None = None
    _before: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, t: float, frame: NDArray[np.uint8]) -> None:
        """Take in the next frame, uint8 `(height, width, 3)`."""
        gray = small_gray(frame)
        index = len(self.times)
        self._before = {i: before for i, before in self._before.items() if t - self.times[i] <= FLASH_SECONDS}
        for i, before in self._before.items():
            if unexplained(before, gray) <= FLASH_UNEXPLAINED * self.unexplained[i]:
                self.returns[i].add(index)
        self.unexplained.append(0.0 if self._gray is None else unexplained(self._gray, gray))
        if self._gray is not None and self.unexplained[index] >= UNEXPLAINED:
            self._before[index], self.returns[index] = self._gray, set()
        self._gray = gray
        self.times.append(t)
        self.bright.append(float(np.percentile(frame[::2, ::2], 98)))
        self.thumbnails.append(thumbnail(frame))

    def change(self, a: int, b: int) -> float:
        """Mean absolute difference of two frames' thumbnails, 0..255."""
        return float(np.abs(self.thumbnails[a].astype(np.int16) - self.thumbnails[b]).mean())

    def back(self, index: int, most: float) -> int | None:
        """The first frame at most `FLASH_SECONDS` after `index` that shows the picture before it, within `most`."""
        for later in range(index + 1, len(self.times)):
            if self.times[later] - self.times[index] > FLASH_SECONDS:
                return None
            if self.change(index - 1, later) <= most and later in self.returns.get(index, {later}):
                return later
        return None


class CutAnalysis(Analyzer[CutOptions, CutTracks]):
    """Two measures on every frame, either of which may find a cut, then three checks: black frames, flashes, fades.

    PySceneDetect's AdaptiveDetector compares HSV with the frame before and asks for a score 3 times the mean of the
    four frames around. What it misses, two places of like colours and cuts in fast motion, shows in how much of the
    picture optical flow (DIS: Kroeger et al., ECCV 2016) cannot bring over from the frame before. Dissolves and wipes
    are not found. Times are the frames' own timestamps.
    """

    name: ClassVar[str] = "cut_analysis"
    version: ClassVar[int] = 2
    group: ClassVar[str] = "detect"
    summary: ClassVar[str] = "Cuts, fades through black and shots (AdaptiveDetector, optical flow)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    cost: ClassVar[float] = 0.03

    _detectors: Any

    def load(self, model: ModelContext) -> None:
        """Import PySceneDetect and OpenCV."""
        import cv2  # noqa: F401
        import scenedetect
        import scenedetect.detectors

        self._detectors = scenedetect

    def analyze(self, media: Media, options: CutOptions) -> CutTracks:
        """Find them. Raises Skipped when the video has no picture."""
        signals = Signals()
        candidates = set(self._candidates(media, options, signals))
        if not signals.times:
            raise Skipped("there is no picture to look for cuts in")
        found = list(fades(signals))
        candidates |= torn(signals)
        candidates -= {index for fade in found for index in fade.dim}
        cuts = confirmed(sorted(candidates), signals)
        events = [(signals.times[i], "cut") for i in cuts] + [(fade.t, fade.type) for fade in found]
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


def small_gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of a frame `(height, width, 3)`, `FLOW_WIDTH` pixels wide."""
    import cv2

    height, width = frame.shape[:2]
    size = (FLOW_WIDTH, min(max(LEAST_FLOW_HEIGHT, round(height * FLOW_WIDTH / width)), MOST_FLOW_HEIGHT))
    return np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA), np.uint8)


def unexplained(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """One minus the correlation of a picture with the one before, moved by the optical flow between them; 0..1.

    Both are uint8 `(height, width)`. 0 where they differ too little to tell.
    """
    import cv2

    if np.abs(after.astype(np.int16) - before).mean() < MIN_CHANGE:
        return 0.0
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(after, before, None)  # type: ignore[call-overload]
    rows, columns = np.indices(after.shape, dtype=np.float32)
    moved = cv2.remap(
        before, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    if np.abs(after - moved).mean() < MIN_CHANGE:
        return 0.0
    one, other = moved - moved.mean(), after - after.mean(dtype=np.float32)
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return 1.0 if scale < 1 else float(np.clip(1 - (one * other).sum() / scale, 0, 1))


def torn(signals: Signals) -> set[int]:
    """Frames of which motion explains far less than of those around them."""
    shares = np.array(signals.unexplained)
    return {
        int(index)
        for index in np.flatnonzero(shares >= UNEXPLAINED)
        if shares[index] >= UNEXPLAINED_RATIO * np.median(around(shares, int(index)))
    }


def around(values: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """The values at most `AROUND` away, without the one in the middle; zero where there is none."""
    near = np.concatenate([values[max(0, index - AROUND) : index], values[index + 1 : index + 1 + AROUND]])
    return near if len(near) else np.zeros(1)


def confirmed(candidates: Sequence[int], signals: Signals) -> Iterator[int]:
    """Yield the candidates after which the picture really is another one, and stays so."""
    times = signals.times
    ready = 0
    last = -MIN_SHOT_SECONDS
    for index in candidates:
        change = signals.change(index - 1, index)
        if index < ready or change < MIN_CHANGE or times[index] - last < MIN_SHOT_SECONDS:
            continue
        back = signals.back(index, FLASH_RETURN * change)
        if back is not None:
            ready = back + 1
            continue
        last = times[index]
        yield index


@dataclass(frozen=True, slots=True)
class Fade:
    """One end of a black span that is reached or left by a ramp."""

    t: float
    type: str
    dim: range
    """Frames of the ramp near black, in which any step is large beside the picture."""


def fades(signals: Signals) -> Iterator[Fade]:
    """Yield the ends of black spans that brightness reaches or leaves by a ramp, in order."""
    bright = np.array(signals.bright)
    black = np.concatenate([[False], bright <= BLACK, [False]])
    edges = np.flatnonzero(black[1:] != black[:-1])
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        darkest = start + np.flatnonzero(bright[start:end] <= bright[start:end].min() + FLOOR)
        if start > 0 and is_ramp(signals, range(start, -1, -1)):
            first = start - next((i for i in range(start) if bright[start - i - 1] > 2 * BLACK), start)
            yield Fade(signals.times[darkest[0]], "fade_out", range(first, int(darkest[0]) + 1))
        if end < len(bright) and is_ramp(signals, range(end - 1, len(bright))):
            last = next((i for i in range(end, len(bright)) if bright[i] > 2 * BLACK), len(bright) - 1)
            yield Fade(signals.times[min(int(darkest[-1]) + 1, end)], "fade_in", range(int(darkest[-1]), last + 1))


def is_ramp(signals: Signals, away: range) -> bool:
    """Whether brightness rises gradually along `away`, frame indices that lead out of black."""
    near = [i for i in away if abs(signals.times[i] - signals.times[away[0]]) <= FADE_SECONDS]
    bright = np.array([signals.bright[i] for i in near])
    # up to the brightest: a short shot may be on its way back to black within that time
    bright = bright[: int(bright.argmax()) + 1]
    if len(bright) < 3:
        return False
    rise = bright[-1] - bright[0]
    return bool(rise > BLACK and np.diff(bright).max() <= FADE_LARGEST_STEP * rise)


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
