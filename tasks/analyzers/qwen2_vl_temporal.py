"""What happens, second by second, in the words of a vision-language model (Qwen2-VL, Qwen2.5-VL or Qwen3-VL)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.descriptions import DESCRIBERS, Asked, Clip, Describer

PICTURES = Frames(fps=4, short_side=364)
PROMPT = (
    "Describe this short clip of a video. Answer with one JSON object and nothing else: "
    '{"description": "one sentence", "actions": ["what somebody does"], "change": "what differs from its first frame"}'
)


class TemporalOptions(Options):
    """What the model is asked, and how much it may say."""

    prompt: str = Field(PROMPT, description="question for each segment")
    segment_seconds: float = Field(1.0, ge=0.5, le=30, description="length of a described segment")
    frames: int = Field(4, ge=2, le=16, description="frames shown of each segment")
    max_new_tokens: int = Field(96, ge=8, le=512, description="longest answer, in tokens")


class Description(Segment):
    """One segment as the model tells it.

    `change` is what differs from the last frame before the segment. When the answer was no JSON, `structured` is false
    and `description` is the answer as it came.
    """

    description: str
    actions: tuple[str, ...] = ()
    change: str | None = None
    structured: bool


class Descriptions(TrackSet):
    """`segments`: at least one description for each second of video, by default; the model states no confidence."""

    segments: SegmentTrack[Description]


class Qwen2VlTemporal(Analyzer[TemporalOptions, Descriptions]):
    """Describes all segments of a video in as few batches as memory allows."""

    name = "qwen2_vl_temporal"
    version = 1
    group = "vlm"
    summary = "a description of every second, its actions and changes, by a vision-language model"
    needs = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"gpu": "qwen2-vl-7b"}
    cost = 0.3
    cost_in = {"gpu": 0.17}

    def load(self, model: ModelContext) -> None:
        """Load the describer that the weights are for."""
        self._describer: Describer = model.engine(DESCRIBERS)

    def analyze(self, media: Media, options: TemporalOptions) -> Descriptions:
        """Describe each segment that has a frame."""
        duration = media.info.duration_seconds
        starts: list[float] = []
        described: list[Description] = []

        def clips() -> Iterator[Clip]:
            for start, clip in clips_of(media, options.segment_seconds, options.frames):
                starts.append(start)
                yield clip

        def check() -> None:
            media.progress(min(1.0, described[-1].end / duration) if described else 0.0)

        asked = Asked(options.prompt, options.max_new_tokens)
        for answers in self._describer.describe(clips(), asked, check):
            for answer in answers:
                start = starts[len(described)]
                end = min(start + options.segment_seconds, duration)
                described.append(parsed(answer, f"v{len(described) + 1}", start, end))
            check()
        return Descriptions(segments=SegmentTrack(method="model", items=tuple(described)))


def clips_of(media: Media, seconds: float, count: int) -> Iterator[tuple[float, Clip]]:
    """Cut the frames into segments; of each its start and `count` frames, evenly spread, the last one before it first.

    All have `count` frames, the same one several times where there are fewer, so that a batch needs no padding.
    """
    before: tuple[float, NDArray[np.uint8]] | None = None
    times: list[float] = []
    frames: list[NDArray[np.uint8]] = []
    number = 0

    def clip() -> tuple[float, Clip]:
        shown = ([before[0]] if before else []) + times, ([before[1]] if before else []) + frames
        chosen = np.linspace(0, len(shown[0]) - 1, count).round().astype(int)
        return number * seconds, Clip(np.array(shown[0])[chosen], np.stack([shown[1][index] for index in chosen]))

    for batch in media.frames(PICTURES):
        for t, frame in zip(batch.times.tolist(), batch.frames, strict=True):
            if times and int(t / seconds + 1e-6) != number:
                yield clip()
                before, times, frames = (times[-1], frames[-1]), [], []
            number = int(t / seconds + 1e-6)
            times.append(t)
            frames.append(frame)
    if times:
        yield clip()


def parsed(answer: str, name: str, start: float, end: float) -> Description:
    """Read the first JSON object in an answer; an answer without one is taken as it is."""
    text = answer.strip()
    found: object = None
    if "{" in text:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
        except json.JSONDecodeError:
            found = None
    if not isinstance(found, dict) or not isinstance(found.get("description"), str):
        return Description(id=name, start=start, end=end, description=text, structured=False)
    actions, change = found.get("actions"), found.get("change")
    return Description(
        id=name,
        start=start,
        end=end,
        description=found["description"].strip(),
        actions=tuple(str(action) for action in actions) if isinstance(actions, list) else (),
        change=change if isinstance(change, str) else None,
        structured=True,
    )
